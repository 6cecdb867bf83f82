// What should be done about drift? Alerts and plans a retrain on grave findings; everything else is watched.
//
// An instance lives for one question: what is allocated goes with it.

#include <stdio.h>
#include <stdlib.h>

#include "trimtab.h"

#define ACTION(name) EXPORTS_TRIMTAB_POLICY_DRIFT_ACTION_ACTION_##name

typedef exports_trimtab_policy_drift_action_action_t action_t;
typedef exports_trimtab_policy_drift_action_decision_t decision_t;
typedef exports_trimtab_policy_drift_action_finding_t finding_t;

static decision_t decision(const char *what, const finding_t *finding) {
    decision_t decision = {.actions = {calloc(2, sizeof(action_t)), 0}};
    int length = snprintf(NULL, 0, "%s: %.*s on %.*s.", what, (int)finding->detector.len, finding->detector.ptr,
                          (int)finding->quantity.len, finding->quantity.ptr);
    char *reason = malloc((size_t)length + 1);
    if (!decision.actions.ptr || !reason) abort();
    snprintf(reason, (size_t)length + 1, "%s: %.*s on %.*s.", what, (int)finding->detector.len, finding->detector.ptr,
             (int)finding->quantity.len, finding->quantity.ptr);
    decision.reason = (trimtab_string_t){(uint8_t *)reason, (size_t)length};
    return decision;
}

static void add(decision_t *decision, action_t action) { decision->actions.ptr[decision->actions.len++] = action; }

// All findings of one subject that changed at the same moment; at least one, gravest first. To answer with an error, set
// `err` and return false.
bool exports_trimtab_policy_drift_action_decide(exports_trimtab_policy_drift_action_list_finding_t *findings,
                                                decision_t *ret, trimtab_string_t *err) {
    (void)err;
    const finding_t *worst = NULL;
    for (size_t i = 0; i < findings->len && !worst; i++)
        if (findings->ptr[i].phase != TRIMTAB_POLICY_TYPES_PHASE_CLOSED) worst = &findings->ptr[i];

    if (worst && worst->severity >= TRIMTAB_POLICY_TYPES_SEVERITY_HIGH) {
        trimtab_string_t key;
        trimtab_string_set(&key, "retrain-within");
        uint32_t within = trimtab_policy_settings_duration(&key);
        *ret = decision("Grave", worst);
        add(ret, (action_t){.tag = ACTION(SCHEDULE_RETRAIN), .val.schedule_retrain = within});
        add(ret, (action_t){.tag = ACTION(ALERT), .val.alert = worst->severity});
    } else {
        *ret = worst ? decision("Mild", worst) : decision("Recovered", &findings->ptr[0]);
        add(ret, (action_t){.tag = ACTION(MONITOR)});
    }
    return true;
}
