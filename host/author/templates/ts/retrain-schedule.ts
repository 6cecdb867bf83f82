// How often should a model be retrained? More often while it drifts.

import type { RetrainSchedule } from "trimtab:policy/retrain-schedule@0.1.0";
import { count, duration } from "trimtab:policy/settings@0.1.0";

export const retrainSchedule: RetrainSchedule = {
  plan({ driftsLastWeek, sinceRetrain }) {
    if (driftsLastWeek < count("many-drifts")) {
      return { every: duration("calm"), immediately: false, reason: "It is calm." };
    }
    const every = duration("drifting");
    return { every, immediately: sinceRetrain === null || sinceRetrain >= every, reason: "It drifts." };
  },
};
