// Package policy says what should be done about drift: it alerts and plans a retrain on grave findings, and watches
// everything else.
package policy

import (
	"fmt"

	witTypes "go.bytecodealliance.org/pkg/wit/types"

	action "wit_component/trimtab_policy_drift_action"
	settings "wit_component/trimtab_policy_settings"
	types "wit_component/trimtab_policy_types"
)

// Decide is given all findings of one subject that changed at the same moment; at least one, gravest first.
func Decide(findings []types.Finding) witTypes.Result[action.Decision, string] {
	for _, finding := range findings {
		if finding.Phase == types.PhaseClosed {
			continue
		}
		if finding.Severity < types.SeverityHigh {
			return decision("Mild", finding, action.MakeActionMonitor())
		}
		within := settings.Duration("retrain-within")
		return decision("Grave", finding, action.MakeActionScheduleRetrain(within), action.MakeActionAlert(finding.Severity))
	}
	return decision("Recovered", findings[0], action.MakeActionMonitor())
}

func decision(what string, finding types.Finding, actions ...action.Action) witTypes.Result[action.Decision, string] {
	reason := fmt.Sprintf("%s: %s on %s.", what, finding.Detector, finding.Quantity)
	return witTypes.Ok[action.Decision, string](action.Decision{Actions: actions, Reason: reason})
}
