// What the ladder decides, from findings, settings and evidence alone. It asks nobody anything.

#ifndef RULE_H
#define RULE_H

#include "trimtab.h"

typedef trimtab_policy_types_estimate_t estimate_t;
typedef trimtab_policy_types_finding_t finding_t;
typedef trimtab_policy_types_severity_t severity_t;
typedef exports_trimtab_policy_drift_action_action_t action_t;
typedef exports_trimtab_policy_drift_action_decision_t decision_t;
typedef exports_trimtab_policy_drift_action_list_finding_t findings_t;

// From here on a finding is grave.
#define GRAVE TRIMTAB_POLICY_TYPES_SEVERITY_HIGH
// How many other findings are looked at when something recovers.
#define MOST_OTHERS 100

typedef struct {
    uint32_t watch_retrain_within; // seconds
    double act_exposure;
    double chance;
    bool recover;
} rule_t;

typedef struct {
    uint32_t window;
    bool has_recent;
    estimate_t recent;
    findings_t others;
} evidence_t;

bool is_recovery(const findings_t *findings);
decision_t decide(const rule_t *rule, const findings_t *findings, const evidence_t *evidence);

#endif
