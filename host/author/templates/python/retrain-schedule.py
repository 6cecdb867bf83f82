"""How often should a model be retrained? More often while it drifts."""

from wit_world import exports
from wit_world.exports.retrain_schedule import Conditions, Schedule
from wit_world.imports import settings


class RetrainSchedule(exports.RetrainSchedule):
    def plan(self, conditions: Conditions) -> Schedule:
        if conditions.drifts_last_week < settings.count("many-drifts"):
            return Schedule(every=settings.duration("calm"), immediately=False, reason="It is calm.")
        every = settings.duration("drifting")
        overdue = conditions.since_retrain is None or conditions.since_retrain >= every
        return Schedule(every=every, immediately=overdue, reason="It drifts.")
