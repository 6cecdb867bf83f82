"""What should be done about drift? Alerts and plans a retrain on grave findings; everything else is watched."""

from wit_world import exports
from wit_world.exports.drift_action import Action, Action_Alert, Action_Monitor, Action_ScheduleRetrain, Decision
from wit_world.imports import settings
from wit_world.imports.types import Finding, Phase, Severity


class DriftAction(exports.DriftAction):
    def decide(self, findings: list[Finding]) -> Decision:
        """All findings of one subject that changed at the same moment; at least one, gravest first."""
        still_open = [finding for finding in findings if finding.phase != Phase.CLOSED]
        if not still_open:
            return decision([Action_Monitor()], "Recovered", findings[0])
        worst = still_open[0]
        if worst.severity not in (Severity.HIGH, Severity.CRITICAL):
            return decision([Action_Monitor()], "Mild", worst)
        within = settings.duration("retrain-within")
        return decision([Action_ScheduleRetrain(within), Action_Alert(worst.severity)], "Grave", worst)


def decision(actions: list[Action], what: str, finding: Finding) -> Decision:
    return Decision(actions, f"{what}: {finding.detector} on {finding.quantity}.")
