// What should become of this canary? Waits until the numbers can be trusted, then for strong evidence.

import type { CanaryPromotion } from "trimtab:policy/canary-promotion@0.1.0";
import { count, number, text } from "trimtab:policy/settings@0.1.0";

export const canaryPromotion: CanaryPromotion = {
  // Asked at every regular look. What is thrown is a sentence for the operator.
  judge(experiment) {
    if (experiment.concerns.length > 0) {
      return { verdict: { tag: "extend" }, reason: "The numbers cannot be trusted yet." };
    }
    if (experiment.challenger.samples < count("min-samples")) {
      return { verdict: { tag: "extend" }, reason: "The challenger has too few samples." };
    }
    const metric = text("metric");
    const difference = experiment.differences.find(({ name }) => name === metric);
    if (!difference) throw `the experiment has no metric \`${metric}\`; set \`metric\` to one that it has`;
    const evidence = number("evidence");
    if (difference.better >= evidence) return { verdict: { tag: "promote" }, reason: "The challenger is better." };
    if (difference.worse >= evidence) return { verdict: { tag: "abort" }, reason: "The challenger is worse." };
    return { verdict: { tag: "extend" }, reason: "Not decided yet." };
  },
};
