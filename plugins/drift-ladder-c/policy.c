// The ladder in C: watch, act, halt. The same decisions and reasons as the shipped one in Rust, byte for byte;
// `plugins/drift-ladder/src/rule.rs` says what the steps are and why. This file asks the host; the rule is in `rule.c`.

#include "rule.h"

static trimtab_string_t key(const char *text) {
    trimtab_string_t string;
    trimtab_string_set(&string, text);
    return string;
}

bool exports_trimtab_policy_drift_action_decide(findings_t *findings, decision_t *ret, trimtab_string_t *err) {
    (void)err; // The ladder always has an answer.
    trimtab_string_t watch_retrain_within = key("watch-retrain-within"), act_exposure = key("act-exposure"),
                     chance = key("chance"), recover = key("recover"), window = key("window"),
                     look_back = key("look-back"), accuracy = key("accuracy");
    rule_t rule = {
        .watch_retrain_within = trimtab_policy_settings_duration(&watch_retrain_within),
        .act_exposure = trimtab_policy_settings_number(&act_exposure),
        .chance = trimtab_policy_settings_number(&chance),
        .recover = trimtab_policy_settings_flag(&recover),
    };
    evidence_t evidence = {.window = trimtab_policy_settings_count(&window)};
    evidence.has_recent = trimtab_policy_history_recent(&accuracy, evidence.window, &evidence.recent);
    if (is_recovery(findings)) {
        trimtab_policy_history_list_finding_t others;
        trimtab_policy_history_findings(trimtab_policy_settings_duration(&look_back), GRAVE, MOST_OTHERS, &others);
        evidence.others = (findings_t){others.ptr, others.len};
    }
    *ret = decide(&rule, findings, &evidence);
    // An instance lives for one question: what was allocated goes with it.
    return true;
}
