// Package policy says which versions may go: it keeps the newest and those in use; of the others, the old ones may go.
package policy

import (
	witTypes "go.bytecodealliance.org/pkg/wit/types"

	cleanup "wit_component/trimtab_policy_cleanup"
	settings "wit_component/trimtab_policy_settings"
	types "wit_component/trimtab_policy_types"
)

// Review gives one recommendation for every version; the newest come first.
func Review(inventory cleanup.Inventory) witTypes.Result[[]cleanup.Recommendation, string] {
	keep, minAge := int(settings.Count("keep")), settings.Duration("min-age")
	var recommendations []cleanup.Recommendation
	for number, version := range inventory.Versions {
		fate, reason := cleanup.FateKeep, "It is in use."
		switch {
		case len(version.Protections) > 0 || version.Stage == types.StageProduction:
		case number < keep:
			reason = "It is among the newest."
		case version.Age < minAge:
			reason = "It is young."
		default:
			fate, reason = cleanup.FateDelete, "It is old and not in use."
		}
		recommendation := cleanup.Recommendation{Version: version.Version, Fate: fate, Reason: reason}
		recommendations = append(recommendations, recommendation)
	}
	return witTypes.Ok[[]cleanup.Recommendation, string](recommendations)
}
