"""The ladder in Python: watch, act, halt.

The same decisions and reasons as the shipped one in Rust, byte for byte; `plugins/drift-ladder/src/rule.rs` says what
the steps are and why. This file asks the host; the rule is in `rule.py`.
"""

from wit_world import exports
from wit_world.exports.drift_action import Decision
from wit_world.imports import history, settings
from wit_world.imports.types import Finding

from rule import GRAVE, MOST_OTHERS, Evidence, Rule, decide, is_recovery


class DriftAction(exports.DriftAction):
    def decide(self, findings: list[Finding]) -> Decision:
        rule = Rule(
            watch_retrain_within=settings.duration("watch-retrain-within"),
            act_exposure=settings.number("act-exposure"),
            chance=settings.number("chance"),
            recover=settings.flag("recover"),
        )
        window = settings.count("window")
        evidence = Evidence(
            window=window,
            recent=history.recent("accuracy", window),
            others=history.findings(settings.duration("look-back"), GRAVE, MOST_OTHERS) if is_recovery(findings) else [],
        )
        return decide(rule, findings, evidence)
