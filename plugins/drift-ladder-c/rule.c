#include "rule.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACTION(name) EXPORTS_TRIMTAB_POLICY_DRIFT_ACTION_ACTION_##name
#define SEVERITY(name) TRIMTAB_POLICY_TYPES_SEVERITY_##name
#define CLOSED TRIMTAB_POLICY_TYPES_PHASE_CLOSED

// ---- text

typedef struct {
    char *start;
    size_t length;
} text_t;

// Appends. Memory that runs out ends the call; the host says so.
__attribute__((format(printf, 2, 3))) static void add(text_t *text, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    if (length < 0 || !(text->start = realloc(text->start, text->length + (size_t)length + 1))) abort();
    vsnprintf(text->start + text->length, (size_t)length + 1, format, again);
    text->length += (size_t)length;
    va_end(again);
    va_end(arguments);
}

static void add_string(text_t *text, const trimtab_string_t *string) {
    if (!(text->start = realloc(text->start, text->length + string->len + 1))) abort();
    memcpy(text->start + text->length, string->ptr, string->len);
    text->length += string->len;
}

// With so many decimals. What `%.1f` makes of a half depends on the library; integers are the same everywhere.
static void add_decimal(text_t *text, double value, int places) {
    if (fabs(value) >= 1e9) {
        add(text, value > 0 ? "over 1000000000" : "under -1000000000");
        return;
    }
    uint64_t unit = 1;
    for (int place = 0; place < places; place++) unit *= 10;
    uint64_t rounded = (uint64_t)floor(fabs(value) * (double)unit + 0.5);
    add(text, "%s%llu.%0*llu", value < 0 && rounded > 0 ? "-" : "", (unsigned long long)(rounded / unit), places,
        (unsigned long long)(rounded % unit));
}

static void add_percent(text_t *text, double fraction) {
    add_decimal(text, fraction * 100.0, 1);
    add(text, " %%");
}

static void add_duration(text_t *text, uint32_t seconds) {
    if (seconds >= 3600 && seconds % 3600 == 0) add(text, "%u h", seconds / 3600);
    else if (seconds >= 60 && seconds % 60 == 0) add(text, "%u min", seconds / 60);
    else add(text, "%u s", seconds);
}

static bool equals(const trimtab_string_t *string, const char *other) {
    return string->len == strlen(other) && memcmp(string->ptr, other, string->len) == 0;
}

static bool same(const trimtab_string_t *a, const trimtab_string_t *b) {
    return a->len == b->len && memcmp(a->ptr, b->ptr, a->len) == 0;
}

// ---- rule

typedef enum { NOTHING, WATCH, ACT, HALT } level_t;

bool is_recovery(const findings_t *findings) {
    for (size_t i = 0; i < findings->len; i++)
        if (findings->ptr[i].phase != CLOSED) return false;
    return true;
}

static bool below_chance(const rule_t *rule, const finding_t *finding) {
    if (!finding->current.is_some || !finding->current.val.from_outcomes || !finding->significant) return false;
    double value = finding->current.val.value;
    if (equals(&finding->quantity, "accuracy")) return value < rule->chance;
    if (equals(&finding->quantity, "error")) return 1.0 - value < rule->chance;
    return false;
}

static level_t level(const rule_t *rule, const finding_t *finding) {
    if (finding->severity == SEVERITY(CRITICAL) || below_chance(rule, finding)) return HALT;
    if (finding->severity == SEVERITY(HIGH)) return ACT;
    return finding->severity == SEVERITY(MEDIUM) ? WATCH : NOTHING;
}

static void add_description(text_t *text, const finding_t *finding) {
    static const char *const severities[] = {"Info", "Low", "Medium", "High", "Critical"};
    const estimate_t *before = finding->baseline.is_some ? &finding->baseline.val : NULL;
    const estimate_t *now = finding->current.is_some ? &finding->current.val : NULL;
    add(text, "%s: ", severities[finding->severity]);
    add_string(text, &finding->detector);
    add(text, " on ");
    add_string(text, &finding->quantity);
    if (now) {
        add(text, ", ");
        add_percent(text, now->value);
        add(text, " now (%u samples)", now->samples);
        if (before) {
            add(text, " against ");
            add_percent(text, before->value);
            add(text, " before (%u samples)", before->samples);
        }
    } else {
        add(text, ", statistic ");
        add_decimal(text, finding->statistic, 3);
        add(text, " against a limit of ");
        add_decimal(text, finding->threshold, 3);
    }
    if (finding->e_value.is_some) {
        add(text, "; e-value ");
        add_decimal(text, finding->e_value.val, 1);
    } else if (finding->p_value.is_some && finding->p_value.val < 0.0001) {
        add(text, "; p-value below 0.0001");
    } else if (finding->p_value.is_some) {
        add(text, "; p-value ");
        add_decimal(text, finding->p_value.val, 4);
    }
    add(text, finding->significant ? ", significant." : ", not significant.");
}

static void add_recently(text_t *text, const evidence_t *evidence) {
    if (!evidence->has_recent) return;
    uint32_t samples = evidence->recent.samples < evidence->window ? evidence->recent.samples : evidence->window;
    add(text, " Accuracy over the last %u outcomes: ", samples);
    add_percent(text, evidence->recent.value);
    add(text, ".");
}

static decision_t decision(const action_t *actions, size_t count, text_t reason) {
    decision_t decision = {
        .actions = {malloc(count * sizeof *actions), count},
        .reason = {(uint8_t *)reason.start, reason.length},
    };
    if (!decision.actions.ptr) abort();
    memcpy(decision.actions.ptr, actions, count * sizeof *actions);
    return decision;
}

#define DECISION(reason, ...) \
    decision((action_t[]){__VA_ARGS__}, sizeof((action_t[]){__VA_ARGS__}) / sizeof(action_t), reason)

static action_t plain(uint8_t tag) { return (action_t){.tag = tag}; }

static action_t alert(severity_t severity) { return (action_t){.tag = ACTION(ALERT), .val.alert = severity}; }

// Grave episodes whose newest change is not their end, without those that just closed.
static size_t still_open(const findings_t *closed, const findings_t *others) {
    size_t count = 0;
    for (size_t i = 0; i < others->len; i++) {
        const finding_t *other = &others->ptr[i];
        bool counts = other->phase != CLOSED;
        for (size_t earlier = 0; earlier < i; earlier++) counts = counts && !same(&others->ptr[earlier].id, &other->id);
        for (size_t j = 0; j < closed->len; j++) counts = counts && !same(&closed->ptr[j].id, &other->id);
        count += counts;
    }
    return count;
}

static decision_t recovered(const rule_t *rule, const findings_t *closed, const evidence_t *evidence) {
    text_t reason = {0};
    if (closed->len == 1) {
        add_string(&reason, &closed->ptr[0].detector);
        add(&reason, " on ");
        add_string(&reason, &closed->ptr[0].quantity);
        add(&reason, " recovered.");
    } else {
        add(&reason, "%zu findings recovered.", closed->len);
    }
    size_t remaining = still_open(closed, &evidence->others);
    if (remaining > 0) {
        add(&reason, " %zu %s open.", remaining, remaining == 1 ? "grave finding remains" : "grave findings remain");
        add_recently(&reason, evidence);
        add(&reason, " Keep watching.");
        return DECISION(reason, plain(ACTION(MONITOR)));
    }
    add(&reason, " Nothing grave remains open.");
    add_recently(&reason, evidence);
    if (rule->recover) {
        add(&reason, " The kill switch may be lifted.");
        return DECISION(reason, plain(ACTION(KILL_SWITCH_OFF)), alert(SEVERITY(INFO)), plain(ACTION(MONITOR)));
    }
    add(&reason, " Kill switch and exposure stay as they are until a person changes them.");
    return DECISION(reason, alert(SEVERITY(INFO)), plain(ACTION(MONITOR)));
}

decision_t decide(const rule_t *rule, const findings_t *findings, const evidence_t *evidence) {
    const finding_t *worst = NULL; // the first of the worst
    size_t open = 0;
    for (size_t i = 0; i < findings->len; i++) {
        const finding_t *finding = &findings->ptr[i];
        if (finding->phase == CLOSED) continue;
        open++;
        if (!worst || level(rule, finding) > level(rule, worst)) worst = finding;
    }
    if (!worst) return recovered(rule, findings, evidence);

    text_t reason = {0};
    add_description(&reason, worst);
    if (below_chance(rule, worst)) {
        add(&reason, " That is below chance, an accuracy of ");
        add_percent(&reason, rule->chance);
        add(&reason, ".");
    }
    if (open > 1) add(&reason, " %zu more %s open.", open - 1, open == 2 ? "finding is" : "findings are");
    add_recently(&reason, evidence);

    switch (level(rule, worst)) {
    case HALT:
        add(&reason, " Stop serving it, and retrain now.");
        return DECISION(reason, plain(ACTION(KILL_SWITCH_ON)), plain(ACTION(RETRAIN_NOW)), alert(SEVERITY(CRITICAL)));
    case ACT:
        add(&reason, " Retrain now, and give it ");
        add_percent(&reason, rule->act_exposure);
        add(&reason, " of its weight.");
        return DECISION(reason, plain(ACTION(RETRAIN_NOW)),
                        ((action_t){.tag = ACTION(SCALE_EXPOSURE), .val.scale_exposure = rule->act_exposure}),
                        alert(SEVERITY(HIGH)));
    case WATCH:
        add(&reason, " Watch, and retrain within ");
        add_duration(&reason, rule->watch_retrain_within);
        add(&reason, ".");
        return DECISION(reason, plain(ACTION(MONITOR)),
                        ((action_t){.tag = ACTION(SCHEDULE_RETRAIN), .val.schedule_retrain = rule->watch_retrain_within}));
    default:
        add(&reason, " Below the first step of the ladder: keep watching.");
        return DECISION(reason, plain(ACTION(MONITOR)));
    }
}
