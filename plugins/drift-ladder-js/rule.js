// What the ladder decides, from findings, settings and evidence alone. It asks nobody anything.

/**
 * @typedef {import("trimtab:policy/types@0.1.0").Estimate} Estimate
 * @typedef {import("trimtab:policy/types@0.1.0").Finding} Finding
 * @typedef {import("trimtab:policy/types@0.1.0").Severity} Severity
 * @typedef {import("trimtab:policy/drift-action@0.1.0").Decision} Decision
 *
 * @typedef {object} Rule
 * @property {number} watchRetrainWithin seconds
 * @property {number} actExposure
 * @property {number} chance
 * @property {boolean} recover
 *
 * @typedef {object} Evidence
 * @property {number} window
 * @property {Estimate | null} recent
 * @property {Finding[]} others
 */

/** From here on a finding is grave. @type {Severity} */
export const GRAVE = "high";
/** How many other findings are looked at when something recovers. */
export const MOST_OTHERS = 100;

const NOTHING = 0;
const WATCH = 1;
const ACT = 2;
const HALT = 3;

/** @param {Finding[]} findings */
export function isRecovery(findings) {
  return findings.every((finding) => finding.phase === "closed");
}

/**
 * @param {Rule} rule
 * @param {Finding[]} findings
 * @param {Evidence} evidence
 * @returns {Decision}
 */
export function decide(rule, findings, evidence) {
  const open = findings.filter((finding) => finding.phase !== "closed");
  const [first, ...rest] = open;
  if (first === undefined) return recovered(rule, findings, evidence);
  // The first of the worst.
  const worst = rest.reduce((a, b) => (level(rule, b) > level(rule, a) ? b : a), first);

  let reason = describe(worst);
  if (belowChance(rule, worst)) {
    reason += ` That is below chance, an accuracy of ${percent(rule.chance)}.`;
  }
  if (rest.length > 0) {
    reason += ` ${rest.length} more ${rest.length === 1 ? "finding is" : "findings are"} open.`;
  }
  reason += recently(evidence);

  switch (level(rule, worst)) {
    case HALT:
      return {
        actions: [{ tag: "kill-switch-on" }, { tag: "retrain-now" }, { tag: "alert", val: "critical" }],
        reason: `${reason} Stop serving it, and retrain now.`,
      };
    case ACT:
      return {
        actions: [{ tag: "retrain-now" }, { tag: "scale-exposure", val: rule.actExposure }, { tag: "alert", val: "high" }],
        reason: `${reason} Retrain now, and give it ${percent(rule.actExposure)} of its weight.`,
      };
    case WATCH:
      return {
        actions: [{ tag: "monitor" }, { tag: "schedule-retrain", val: rule.watchRetrainWithin }],
        reason: `${reason} Watch, and retrain within ${duration(rule.watchRetrainWithin)}.`,
      };
    default:
      return {
        actions: [{ tag: "monitor" }],
        reason: `${reason} Below the first step of the ladder: keep watching.`,
      };
  }
}

/** @param {Rule} rule @param {Finding} finding */
function level(rule, finding) {
  if (finding.severity === "critical" || belowChance(rule, finding)) return HALT;
  if (finding.severity === "high") return ACT;
  return finding.severity === "medium" ? WATCH : NOTHING;
}

/** @param {Rule} rule @param {Finding} finding */
function belowChance(rule, finding) {
  const current = finding.current;
  if (!current || !current.fromOutcomes || !finding.significant) return false;
  if (finding.quantity === "accuracy") return current.value < rule.chance;
  if (finding.quantity === "error") return 1 - current.value < rule.chance;
  return false;
}

/** @param {Rule} rule @param {Finding[]} closed @param {Evidence} evidence @returns {Decision} */
function recovered(rule, closed, evidence) {
  const [one] = closed;
  const what =
    closed.length === 1 && one ? `${one.detector} on ${one.quantity} recovered.` : `${closed.length} findings recovered.`;
  const remaining = stillOpen(closed, evidence.others);
  const lately = recently(evidence);
  if (remaining > 0) {
    const verb = remaining === 1 ? "grave finding remains" : "grave findings remain";
    return { actions: [{ tag: "monitor" }], reason: `${what} ${remaining} ${verb} open.${lately} Keep watching.` };
  }
  if (rule.recover) {
    return {
      actions: [{ tag: "kill-switch-off" }, { tag: "alert", val: "info" }, { tag: "monitor" }],
      reason: `${what} Nothing grave remains open.${lately} The kill switch may be lifted.`,
    };
  }
  return {
    actions: [{ tag: "alert", val: "info" }, { tag: "monitor" }],
    reason: `${what} Nothing grave remains open.${lately} Kill switch and exposure stay as they are until a person changes them.`,
  };
}

/** Grave episodes whose newest change is not their end. @param {Finding[]} closed @param {Finding[]} others */
function stillOpen(closed, others) {
  return others.filter(
    (other, index) =>
      others.findIndex((first) => first.id === other.id) === index &&
      other.phase !== "closed" &&
      closed.every((finding) => finding.id !== other.id),
  ).length;
}

const SEVERITIES = { info: "Info", low: "Low", medium: "Medium", high: "High", critical: "Critical" };

/** @param {Finding} finding */
function describe(finding) {
  const { baseline: before, current: now } = finding;
  let text = `${SEVERITIES[finding.severity]}: ${finding.detector} on ${finding.quantity}`;
  if (before && now) {
    text += `, ${percent(now.value)} now (${samples(now)} samples) against ${percent(before.value)} before (${samples(before)} samples)`;
  } else if (now) {
    text += `, ${percent(now.value)} now (${samples(now)} samples)`;
  } else {
    text += `, statistic ${decimal(finding.statistic, 3)} against a limit of ${decimal(finding.threshold, 3)}`;
  }
  if (finding.eValue !== null) {
    text += `; e-value ${decimal(finding.eValue, 1)}`;
  } else if (finding.pValue !== null) {
    text += finding.pValue < 0.0001 ? "; p-value below 0.0001" : `; p-value ${decimal(finding.pValue, 4)}`;
  }
  return text + (finding.significant ? ", significant." : ", not significant.");
}

/** @param {Evidence} evidence */
function recently(evidence) {
  const { recent, window } = evidence;
  if (!recent) return "";
  return ` Accuracy over the last ${Math.min(samples(recent), window)} outcomes: ${percent(recent.value)}.`;
}

/** componentize-qjs hands counts of 2^31 and more over as negative numbers. @param {Estimate} estimate */
function samples(estimate) {
  return estimate.samples >>> 0;
}

/** @param {number} fraction */
function percent(fraction) {
  return `${decimal(fraction * 100, 1)} %`;
}

/**
 * With so many decimals. `toFixed` rounds otherwise than other languages; integers are the same everywhere, and BigInt
 * because they go beyond 2^53.
 * @param {number} value @param {number} places
 */
function decimal(value, places) {
  if (Math.abs(value) >= 1e9) return value > 0 ? "over 1000000000" : "under -1000000000";
  const unit = 10 ** places;
  const rounded = BigInt(Math.floor(Math.abs(value) * unit + 0.5));
  const sign = value < 0 && rounded > 0n ? "-" : "";
  const part = String(rounded % BigInt(unit)).padStart(places, "0");
  return `${sign}${rounded / BigInt(unit)}.${part}`;
}

/** @param {number} seconds */
function duration(seconds) {
  if (seconds >= 3600 && seconds % 3600 === 0) return `${seconds / 3600} h`;
  if (seconds >= 60 && seconds % 60 === 0) return `${seconds / 60} min`;
  return `${seconds} s`;
}
