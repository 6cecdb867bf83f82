"""What should become of this canary? Waits until the numbers can be trusted, then for strong evidence."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.canary_promotion import Experiment, Judgement, Verdict_Abort, Verdict_Extend, Verdict_Promote
from wit_world.imports import settings


class CanaryPromotion(exports.CanaryPromotion):
    def judge(self, experiment: Experiment) -> Judgement:
        """Asked at every regular look. A raised `Err` is a sentence for the operator."""
        if experiment.concerns:
            return Judgement(Verdict_Extend(), "The numbers cannot be trusted yet.")
        if experiment.challenger.samples < settings.count("min-samples"):
            return Judgement(Verdict_Extend(), "The challenger has too few samples.")
        metric = settings.text("metric")
        difference = next((one for one in experiment.differences if one.name == metric), None)
        if difference is None:
            raise Err(f"the experiment has no metric `{metric}`; set `metric` to one that it has")
        evidence = settings.number("evidence")
        if difference.better >= evidence:
            return Judgement(Verdict_Promote(), "The challenger is better.")
        if difference.worse >= evidence:
            return Judgement(Verdict_Abort(), "The challenger is worse.")
        return Judgement(Verdict_Extend(), "Not decided yet.")
