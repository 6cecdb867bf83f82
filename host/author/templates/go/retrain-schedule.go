// Package policy says how often a model should be retrained: more often while it drifts.
package policy

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"

	retrain "wit_component/trimtab_policy_retrain_schedule"
	settings "wit_component/trimtab_policy_settings"
)

// Plan is asked at every regular look.
func Plan(conditions retrain.Conditions) witTypes.Result[retrain.Schedule, string] {
	schedule := retrain.Schedule{Every: settings.Duration("calm"), Reason: "It is calm."}
	if conditions.DriftsLastWeek >= settings.Count("many-drifts") {
		every := settings.Duration("drifting")
		overdue := conditions.SinceRetrain.IsNone() || conditions.SinceRetrain.Some() >= every
		schedule = retrain.Schedule{Every: every, Immediately: overdue, Reason: "It drifts."}
	}
	return witTypes.Ok[retrain.Schedule, string](schedule)
}
