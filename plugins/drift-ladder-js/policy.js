// The ladder in JavaScript: watch, act, halt. The same decisions and reasons as the shipped one in Rust, byte for byte;
// `plugins/drift-ladder/src/rule.rs` says what the steps are and why. This file asks the host; the rule is in `rule.js`.

import { findings as pastFindings, recent } from "trimtab:policy/history@0.1.0";
import { count, duration, flag, number } from "trimtab:policy/settings@0.1.0";
import { GRAVE, MOST_OTHERS, decide, isRecovery } from "./rule.js";

/** @type {import("trimtab:policy/drift-action@0.1.0").DriftAction} */
export const driftAction = {
  decide(findings) {
    const rule = {
      watchRetrainWithin: duration("watch-retrain-within"),
      actExposure: number("act-exposure"),
      chance: number("chance"),
      recover: flag("recover"),
    };
    const window = count("window");
    const evidence = {
      window,
      recent: recent("accuracy", window),
      others: isRecovery(findings) ? pastFindings(duration("look-back"), GRAVE, MOST_OTHERS) : [],
    };
    return decide(rule, findings, evidence);
  },
};
