// What should be done about drift? Alerts and plans a retrain on grave findings; everything else is watched.

import { duration } from "trimtab:policy/settings@0.1.0";

/** @typedef {import("trimtab:policy/drift-action@0.1.0").Action} Action */
/** @typedef {import("trimtab:policy/drift-action@0.1.0").Finding} Finding */

/** @type {import("trimtab:policy/drift-action@0.1.0").DriftAction} */
export const driftAction = {
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

/** @param {Action[]} actions @param {string} what @param {Finding} finding */
function decision(actions, what, finding) {
  return { actions, reason: `${what}: ${finding.detector} on ${finding.quantity}.` };
}
