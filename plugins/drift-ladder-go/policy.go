// Package policy is the ladder in Go: watch, act, halt. The same decisions and reasons as the shipped one in Rust, byte
// for byte; plugins/drift-ladder/src/rule.rs says what the steps are and why. This file asks the host; the rule is in
// rule.go.
package policy

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"

	action "wit_component/trimtab_policy_drift_action"
	history "wit_component/trimtab_policy_history"
	settings "wit_component/trimtab_policy_settings"
)

// Decide answers: these findings changed; what should be done?
func Decide(findings []action.Finding) witTypes.Result[action.Decision, string] {
	rule := Rule{
		WatchRetrainWithin: settings.Duration("watch-retrain-within"),
		ActExposure:        settings.Number("act-exposure"),
		Chance:             settings.Number("chance"),
		Recover:            settings.Flag("recover"),
	}
	window := settings.Count("window")
	evidence := Evidence{Window: window, Recent: history.Recent("accuracy", window)}
	if isRecovery(findings) {
		evidence.Others = history.Findings(settings.Duration("look-back"), grave, mostOthers)
	}
	return witTypes.Ok[action.Decision, string](decide(rule, findings, evidence))
}
