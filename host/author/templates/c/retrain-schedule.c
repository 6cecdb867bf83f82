// How often should a model be retrained? More often while it drifts.

#include "trimtab.h"

static trimtab_string_t key(const char *text) {
    trimtab_string_t string;
    trimtab_string_set(&string, text);
    return string;
}

// To answer with an error, set `err` and return false.
bool exports_trimtab_policy_retrain_schedule_plan(exports_trimtab_policy_retrain_schedule_conditions_t *conditions,
                                                  exports_trimtab_policy_retrain_schedule_schedule_t *ret,
                                                  trimtab_string_t *err) {
    (void)err;
    trimtab_string_t many_drifts = key("many-drifts"), calm = key("calm"), drifting = key("drifting");
    if (conditions->drifts_last_week < trimtab_policy_settings_count(&many_drifts)) {
        ret->every = trimtab_policy_settings_duration(&calm);
        ret->immediately = false;
        trimtab_string_dup(&ret->reason, "It is calm.");
        return true;
    }
    ret->every = trimtab_policy_settings_duration(&drifting);
    ret->immediately = !conditions->since_retrain.is_some || conditions->since_retrain.val >= ret->every;
    trimtab_string_dup(&ret->reason, "It drifts.");
    return true;
}
