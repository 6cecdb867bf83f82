// Package policy says what should become of a canary: it waits until the numbers can be trusted, then for strong
// evidence.
package policy

import (
	"fmt"

	witTypes "go.bytecodealliance.org/pkg/wit/types"

	canary "wit_component/trimtab_policy_canary_promotion"
	settings "wit_component/trimtab_policy_settings"
)

// Judge is asked at every regular look. An Err is a sentence for the operator.
func Judge(experiment canary.Experiment) witTypes.Result[canary.Judgement, string] {
	if len(experiment.Concerns) > 0 {
		return judgement(canary.MakeVerdictExtend(), "The numbers cannot be trusted yet.")
	}
	if experiment.Challenger.Samples < settings.Count("min-samples") {
		return judgement(canary.MakeVerdictExtend(), "The challenger has too few samples.")
	}
	metric, evidence := settings.Text("metric"), settings.Number("evidence")
	for _, difference := range experiment.Differences {
		switch {
		case difference.Name != metric:
			continue
		case difference.Better >= evidence:
			return judgement(canary.MakeVerdictPromote(), "The challenger is better.")
		case difference.Worse >= evidence:
			return judgement(canary.MakeVerdictAbort(), "The challenger is worse.")
		default:
			return judgement(canary.MakeVerdictExtend(), "Not decided yet.")
		}
	}
	problem := fmt.Sprintf("the experiment has no metric `%s`; set `metric` to one that it has", metric)
	return witTypes.Err[canary.Judgement, string](problem)
}

func judgement(verdict canary.Verdict, reason string) witTypes.Result[canary.Judgement, string] {
	return witTypes.Ok[canary.Judgement, string](canary.Judgement{Verdict: verdict, Reason: reason})
}
