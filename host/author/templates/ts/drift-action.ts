// What should be done about drift? Alerts and plans a retrain on grave findings; everything else is watched.

import type { Action, Decision, DriftAction, Finding } from "trimtab:policy/drift-action@0.1.0";
import { duration } from "trimtab:policy/settings@0.1.0";

export const driftAction: DriftAction = {
  // All findings of one subject that changed at the same moment; at least one, gravest first.
  decide(findings) {
    const worst = findings.find((finding) => finding.phase !== "closed");
    if (!worst) return decision([{ tag: "monitor" }], "Recovered", findings[0]);
    if (worst.severity !== "high" && worst.severity !== "critical") {
      return decision([{ tag: "monitor" }], "Mild", worst);
    }
    const within = duration("retrain-within");
    return decision([{ tag: "schedule-retrain", val: within }, { tag: "alert", val: worst.severity }], "Grave", worst);
  },
};

function decision(actions: Action[], what: string, finding: Finding): Decision {
  return { actions, reason: `${what}: ${finding.detector} on ${finding.quantity}.` };
}
