"""What the ladder decides, from findings, settings and evidence alone. It asks nobody anything."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Optional

from wit_world.exports.drift_action import (
    Action_Alert,
    Action_KillSwitchOff,
    Action_KillSwitchOn,
    Action_Monitor,
    Action_RetrainNow,
    Action_ScaleExposure,
    Action_ScheduleRetrain,
    Decision,
)
from wit_world.imports.types import Estimate, Finding, Phase, Severity

# From here on a finding is grave.
GRAVE = Severity.HIGH
# How many other findings are looked at when something recovers.
MOST_OTHERS = 100


@dataclass
class Rule:
    watch_retrain_within: int  # seconds
    act_exposure: float
    chance: float
    recover: bool


@dataclass
class Evidence:
    window: int
    recent: Optional[Estimate]
    others: list[Finding]


class Level(IntEnum):
    NOTHING = 0
    WATCH = 1
    ACT = 2
    HALT = 3


def is_recovery(findings: list[Finding]) -> bool:
    return all(finding.phase == Phase.CLOSED for finding in findings)


def decide(rule: Rule, findings: list[Finding], evidence: Evidence) -> Decision:
    still_open = [finding for finding in findings if finding.phase != Phase.CLOSED]
    if not still_open:
        return recovered(rule, findings, evidence)
    # `max` takes the first of the worst.
    worst = max(still_open, key=lambda finding: level(rule, finding))

    reason = describe(worst)
    if below_chance(rule, worst):
        reason += f" That is below chance, an accuracy of {percent(rule.chance)}."
    more = len(still_open) - 1
    if more > 0:
        reason += f" {more} more {'finding is' if more == 1 else 'findings are'} open."
    reason += recently(evidence)

    match level(rule, worst):
        case Level.HALT:
            actions = [Action_KillSwitchOn(), Action_RetrainNow(), Action_Alert(Severity.CRITICAL)]
            consequence = "Stop serving it, and retrain now."
        case Level.ACT:
            actions = [Action_RetrainNow(), Action_ScaleExposure(rule.act_exposure), Action_Alert(Severity.HIGH)]
            consequence = f"Retrain now, and give it {percent(rule.act_exposure)} of its weight."
        case Level.WATCH:
            actions = [Action_Monitor(), Action_ScheduleRetrain(rule.watch_retrain_within)]
            consequence = f"Watch, and retrain within {duration(rule.watch_retrain_within)}."
        case _:
            actions = [Action_Monitor()]
            consequence = "Below the first step of the ladder: keep watching."
    return Decision(actions=actions, reason=f"{reason} {consequence}")


def level(rule: Rule, finding: Finding) -> Level:
    if finding.severity == Severity.CRITICAL or below_chance(rule, finding):
        return Level.HALT
    if finding.severity == Severity.HIGH:
        return Level.ACT
    return Level.WATCH if finding.severity == Severity.MEDIUM else Level.NOTHING


def below_chance(rule: Rule, finding: Finding) -> bool:
    current = finding.current
    if current is None or not current.from_outcomes or not finding.significant:
        return False
    if finding.quantity == "accuracy":
        return current.value < rule.chance
    if finding.quantity == "error":
        return 1.0 - current.value < rule.chance
    return False


def recovered(rule: Rule, closed: list[Finding], evidence: Evidence) -> Decision:
    if len(closed) == 1:
        what = f"{closed[0].detector} on {closed[0].quantity} recovered."
    else:
        what = f"{len(closed)} findings recovered."
    remaining = count_open(closed, evidence.others)
    lately = recently(evidence)
    if remaining > 0:
        verb = "grave finding remains" if remaining == 1 else "grave findings remain"
        return Decision([Action_Monitor()], f"{what} {remaining} {verb} open.{lately} Keep watching.")
    if rule.recover:
        return Decision(
            [Action_KillSwitchOff(), Action_Alert(Severity.INFO), Action_Monitor()],
            f"{what} Nothing grave remains open.{lately} The kill switch may be lifted.",
        )
    return Decision(
        [Action_Alert(Severity.INFO), Action_Monitor()],
        f"{what} Nothing grave remains open.{lately} "
        "Kill switch and exposure stay as they are until a person changes them.",
    )


def count_open(closed: list[Finding], others: list[Finding]) -> int:
    """Grave episodes whose newest change is not their end."""
    seen = {finding.id for finding in closed}
    remaining = 0
    for other in others:
        if other.id not in seen and other.phase != Phase.CLOSED:
            remaining += 1
        seen.add(other.id)
    return remaining


def describe(finding: Finding) -> str:
    before, now = finding.baseline, finding.current
    text = f"{finding.severity.name.capitalize()}: {finding.detector} on {finding.quantity}"
    if before is not None and now is not None:
        text += (
            f", {percent(now.value)} now ({now.samples} samples)"
            f" against {percent(before.value)} before ({before.samples} samples)"
        )
    elif now is not None:
        text += f", {percent(now.value)} now ({now.samples} samples)"
    else:
        text += f", statistic {decimal(finding.statistic, 3)} against a limit of {decimal(finding.threshold, 3)}"
    if finding.e_value is not None:
        text += f"; e-value {decimal(finding.e_value, 1)}"
    elif finding.p_value is not None:
        text += "; p-value below 0.0001" if finding.p_value < 0.0001 else f"; p-value {decimal(finding.p_value, 4)}"
    return text + (", significant." if finding.significant else ", not significant.")


def recently(evidence: Evidence) -> str:
    recent = evidence.recent
    if recent is None:
        return ""
    return f" Accuracy over the last {min(recent.samples, evidence.window)} outcomes: {percent(recent.value)}."


def percent(fraction: float) -> str:
    return f"{decimal(fraction * 100.0, 1)} %"


def decimal(value: float, places: int) -> str:
    """With so many decimals. Formatting rounds halves to even here and elsewhere otherwise; integers are the same."""
    if abs(value) >= 1e9:
        return "over 1000000000" if value > 0 else "under -1000000000"
    unit = 10**places
    rounded = math.floor(abs(value) * unit + 0.5)
    sign = "-" if value < 0 and rounded > 0 else ""
    return f"{sign}{rounded // unit}.{rounded % unit:0{places}d}"


def duration(seconds: int) -> str:
    if seconds >= 3600 and seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    if seconds >= 60 and seconds % 60 == 0:
        return f"{seconds // 60} min"
    return f"{seconds} s"
