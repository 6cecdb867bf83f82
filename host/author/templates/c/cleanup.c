// Which versions may go? Keeps the newest and those in use; of the others, the old ones may go.

#include <stdlib.h>

#include "trimtab.h"

typedef exports_trimtab_policy_cleanup_recommendation_t recommendation_t;

static trimtab_string_t key(const char *text) {
    trimtab_string_t string;
    trimtab_string_set(&string, text);
    return string;
}

static recommendation_t recommend(const trimtab_policy_types_model_version_t *version, size_t number, size_t keep,
                                  uint32_t min_age) {
    uint8_t fate = EXPORTS_TRIMTAB_POLICY_CLEANUP_FATE_KEEP;
    const char *reason;
    if (version->protections.len > 0 || version->stage == TRIMTAB_POLICY_TYPES_STAGE_PRODUCTION) {
        reason = "It is in use.";
    } else if (number < keep) {
        reason = "It is among the newest.";
    } else if (version->age < min_age) {
        reason = "It is young.";
    } else {
        fate = EXPORTS_TRIMTAB_POLICY_CLEANUP_FATE_DELETE;
        reason = "It is old and not in use.";
    }
    recommendation_t recommendation = {.fate = fate};
    trimtab_string_dup_n(&recommendation.version, (const char *)version->version.ptr, version->version.len);
    trimtab_string_dup(&recommendation.reason, reason);
    return recommendation;
}

// One recommendation for every version; the newest come first. To answer with an error, set `err` and return false.
bool exports_trimtab_policy_cleanup_review(exports_trimtab_policy_cleanup_inventory_t *inventory,
                                           exports_trimtab_policy_cleanup_list_recommendation_t *ret,
                                           trimtab_string_t *err) {
    (void)err;
    trimtab_string_t keep_key = key("keep"), min_age_key = key("min-age");
    size_t keep = trimtab_policy_settings_count(&keep_key);
    uint32_t min_age = trimtab_policy_settings_duration(&min_age_key);
    ret->len = inventory->versions.len;
    ret->ptr = calloc(ret->len + 1, sizeof *ret->ptr);
    if (!ret->ptr) abort();
    for (size_t i = 0; i < ret->len; i++) ret->ptr[i] = recommend(&inventory->versions.ptr[i], i, keep, min_age);
    return true;
}
