// What should become of this canary? Waits until the numbers can be trusted, then for strong evidence.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trimtab.h"

#define VERDICT(name) EXPORTS_TRIMTAB_POLICY_CANARY_PROMOTION_VERDICT_##name

typedef exports_trimtab_policy_canary_promotion_difference_t difference_t;
typedef exports_trimtab_policy_canary_promotion_experiment_t experiment_t;
typedef exports_trimtab_policy_canary_promotion_judgement_t judgement_t;

static trimtab_string_t key(const char *text) {
    trimtab_string_t string;
    trimtab_string_set(&string, text);
    return string;
}

static bool answer(judgement_t *ret, uint8_t verdict, const char *reason) {
    ret->verdict.tag = verdict;
    trimtab_string_dup(&ret->reason, reason);
    return true;
}

// Asked at every regular look. What is put into `err` is a sentence for the operator.
bool exports_trimtab_policy_canary_promotion_judge(experiment_t *experiment, judgement_t *ret, trimtab_string_t *err) {
    trimtab_string_t min_samples = key("min-samples"), evidence_key = key("evidence"), metric_key = key("metric");
    if (experiment->concerns.len > 0) return answer(ret, VERDICT(EXTEND), "The numbers cannot be trusted yet.");
    if (experiment->challenger.samples < trimtab_policy_settings_count(&min_samples))
        return answer(ret, VERDICT(EXTEND), "The challenger has too few samples.");

    trimtab_string_t metric;
    trimtab_policy_settings_text(&metric_key, &metric);
    const difference_t *found = NULL;
    for (size_t i = 0; i < experiment->differences.len; i++) {
        const difference_t *one = &experiment->differences.ptr[i];
        if (one->name.len == metric.len && memcmp(one->name.ptr, metric.ptr, metric.len) == 0) found = one;
    }
    if (!found) {
        const char *format = "the experiment has no metric `%.*s`; set `metric` to one that it has";
        int length = snprintf(NULL, 0, format, (int)metric.len, metric.ptr);
        char *text = malloc((size_t)length + 1);
        if (!text) abort();
        snprintf(text, (size_t)length + 1, format, (int)metric.len, metric.ptr);
        *err = (trimtab_string_t){(uint8_t *)text, (size_t)length};
        return false;
    }
    double evidence = trimtab_policy_settings_number(&evidence_key);
    if (found->better >= evidence) return answer(ret, VERDICT(PROMOTE), "The challenger is better.");
    if (found->worse >= evidence) return answer(ret, VERDICT(ABORT), "The challenger is worse.");
    return answer(ret, VERDICT(EXTEND), "Not decided yet.");
}
