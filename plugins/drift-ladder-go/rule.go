package policy

// What the ladder decides, from findings, settings and evidence alone. It asks nobody anything.

import (
	"fmt"
	"math"

	witTypes "go.bytecodealliance.org/pkg/wit/types"

	action "wit_component/trimtab_policy_drift_action"
	"wit_component/trimtab_policy_types"
)

type (
	estimate = trimtab_policy_types.Estimate
	finding  = trimtab_policy_types.Finding
)

const (
	// From here on a finding is grave.
	grave = trimtab_policy_types.SeverityHigh
	// How many other findings are looked at when something recovers.
	mostOthers = 100

	closed = trimtab_policy_types.PhaseClosed
)

// Rule is the settings, as policy.toml declares them.
type Rule struct {
	WatchRetrainWithin uint32 // seconds
	ActExposure        float64
	Chance             float64
	Recover            bool
}

// Evidence is what the host said when it was asked.
type Evidence struct {
	Window uint32
	Recent witTypes.Option[estimate]
	Others []finding
}

type level int

const (
	nothing level = iota
	watch
	act
	halt
)

func isRecovery(findings []finding) bool {
	for _, f := range findings {
		if f.Phase != closed {
			return false
		}
	}
	return true
}

func decide(rule Rule, findings []finding, evidence Evidence) action.Decision {
	var open []finding
	for _, f := range findings {
		if f.Phase != closed {
			open = append(open, f)
		}
	}
	if len(open) == 0 {
		return recovered(rule, findings, evidence)
	}
	worst := open[0] // the first of the worst
	for _, f := range open[1:] {
		if levelOf(rule, f) > levelOf(rule, worst) {
			worst = f
		}
	}

	reason := describe(worst)
	if belowChance(rule, worst) {
		reason += fmt.Sprintf(" That is below chance, an accuracy of %s.", percent(rule.Chance))
	}
	switch more := len(open) - 1; {
	case more == 1:
		reason += " 1 more finding is open."
	case more > 1:
		reason += fmt.Sprintf(" %d more findings are open.", more)
	}
	reason += recently(evidence)

	switch levelOf(rule, worst) {
	case halt:
		return answer(reason+" Stop serving it, and retrain now.",
			action.MakeActionKillSwitchOn(), action.MakeActionRetrainNow(), alert(trimtab_policy_types.SeverityCritical))
	case act:
		return answer(fmt.Sprintf("%s Retrain now, and give it %s of its weight.", reason, percent(rule.ActExposure)),
			action.MakeActionRetrainNow(), action.MakeActionScaleExposure(rule.ActExposure), alert(trimtab_policy_types.SeverityHigh))
	case watch:
		return answer(fmt.Sprintf("%s Watch, and retrain within %s.", reason, duration(rule.WatchRetrainWithin)),
			action.MakeActionMonitor(), action.MakeActionScheduleRetrain(rule.WatchRetrainWithin))
	default:
		return answer(reason+" Below the first step of the ladder: keep watching.", action.MakeActionMonitor())
	}
}

func answer(reason string, actions ...action.Action) action.Decision {
	return action.Decision{Actions: actions, Reason: reason}
}

func alert(severity trimtab_policy_types.Severity) action.Action {
	return action.MakeActionAlert(severity)
}

func levelOf(rule Rule, f finding) level {
	switch {
	case f.Severity == trimtab_policy_types.SeverityCritical || belowChance(rule, f):
		return halt
	case f.Severity == trimtab_policy_types.SeverityHigh:
		return act
	case f.Severity == trimtab_policy_types.SeverityMedium:
		return watch
	default:
		return nothing
	}
}

func belowChance(rule Rule, f finding) bool {
	if f.Current.IsNone() || !f.Current.Some().FromOutcomes || !f.Significant {
		return false
	}
	switch value := f.Current.Some().Value; f.Quantity {
	case "accuracy":
		return value < rule.Chance
	case "error":
		return 1-value < rule.Chance
	default:
		return false
	}
}

func recovered(rule Rule, closedNow []finding, evidence Evidence) action.Decision {
	what := fmt.Sprintf("%d findings recovered.", len(closedNow))
	if len(closedNow) == 1 {
		what = fmt.Sprintf("%s on %s recovered.", closedNow[0].Detector, closedNow[0].Quantity)
	}
	lately := recently(evidence)
	if remaining := stillOpen(closedNow, evidence.Others); remaining > 0 {
		verb := "grave findings remain"
		if remaining == 1 {
			verb = "grave finding remains"
		}
		return answer(fmt.Sprintf("%s %d %s open.%s Keep watching.", what, remaining, verb, lately), action.MakeActionMonitor())
	}
	if rule.Recover {
		return answer(fmt.Sprintf("%s Nothing grave remains open.%s The kill switch may be lifted.", what, lately),
			action.MakeActionKillSwitchOff(), alert(trimtab_policy_types.SeverityInfo), action.MakeActionMonitor())
	}
	return answer(
		fmt.Sprintf("%s Nothing grave remains open.%s Kill switch and exposure stay as they are until a person changes them.", what, lately),
		alert(trimtab_policy_types.SeverityInfo), action.MakeActionMonitor())
}

// stillOpen counts grave episodes whose newest change is not their end, without those that just closed.
func stillOpen(closedNow, others []finding) int {
	seen := map[string]bool{}
	for _, f := range closedNow {
		seen[f.Id] = true
	}
	count := 0
	for _, f := range others {
		if !seen[f.Id] && f.Phase != closed {
			count++
		}
		seen[f.Id] = true
	}
	return count
}

var severities = [...]string{"Info", "Low", "Medium", "High", "Critical"}

func describe(f finding) string {
	text := fmt.Sprintf("%s: %s on %s", severities[f.Severity], f.Detector, f.Quantity)
	if f.Current.IsSome() {
		now := f.Current.Some()
		text += fmt.Sprintf(", %s now (%d samples)", percent(now.Value), now.Samples)
		if f.Baseline.IsSome() {
			before := f.Baseline.Some()
			text += fmt.Sprintf(" against %s before (%d samples)", percent(before.Value), before.Samples)
		}
	} else {
		text += fmt.Sprintf(", statistic %s against a limit of %s", decimal(f.Statistic, 3), decimal(f.Threshold, 3))
	}
	switch {
	case f.EValue.IsSome():
		text += "; e-value " + decimal(f.EValue.Some(), 1)
	case f.PValue.IsSome() && f.PValue.Some() < 0.0001:
		text += "; p-value below 0.0001"
	case f.PValue.IsSome():
		text += "; p-value " + decimal(f.PValue.Some(), 4)
	}
	if f.Significant {
		return text + ", significant."
	}
	return text + ", not significant."
}

func recently(evidence Evidence) string {
	if evidence.Recent.IsNone() {
		return ""
	}
	recent := evidence.Recent.Some()
	return fmt.Sprintf(" Accuracy over the last %d outcomes: %s.", min(recent.Samples, evidence.Window), percent(recent.Value))
}

func percent(fraction float64) string {
	return decimal(fraction*100, 1) + " %"
}

// decimal writes a number with so many decimals. What %.1f makes of a half differs between languages; integers do not.
func decimal(value float64, places int) string {
	if math.Abs(value) >= 1e9 {
		if value > 0 {
			return "over 1000000000"
		}
		return "under -1000000000"
	}
	unit := uint64(math.Pow10(places))
	rounded := uint64(math.Floor(math.Abs(value)*float64(unit) + 0.5))
	sign := ""
	if value < 0 && rounded > 0 {
		sign = "-"
	}
	return fmt.Sprintf("%s%d.%0*d", sign, rounded/unit, places, rounded%unit)
}

func duration(seconds uint32) string {
	switch {
	case seconds >= 3600 && seconds%3600 == 0:
		return fmt.Sprintf("%d h", seconds/3600)
	case seconds >= 60 && seconds%60 == 0:
		return fmt.Sprintf("%d min", seconds/60)
	default:
		return fmt.Sprintf("%d s", seconds)
	}
}
