// How should an alert read? In a few plain lines: the reason, and what was done.
//
// An instance lives for one question: what is allocated goes with it.

#include <stdlib.h>
#include <string.h>

#include "trimtab.h"

static void add(trimtab_string_t *text, const void *more, size_t length) {
    uint8_t *grown = realloc(text->ptr, text->len + length + 1);
    if (!grown) abort();
    memcpy(grown + text->len, more, length);
    *text = (trimtab_string_t){grown, text->len + length};
}

static void add_string(trimtab_string_t *text, const trimtab_string_t *more) { add(text, more->ptr, more->len); }

// Asked for each channel that policy.toml names. To answer with an error, set `err` and return false.
bool exports_trimtab_policy_alert_format_render(exports_trimtab_policy_alert_format_alert_t *alert,
                                                trimtab_string_t *channel,
                                                exports_trimtab_policy_alert_format_message_t *ret,
                                                trimtab_string_t *err) {
    (void)channel;
    (void)err;
    trimtab_string_t key, title = {0}, body = {0};
    trimtab_string_set(&key, "prefix");
    trimtab_policy_settings_text(&key, &title);
    add(&title, ": ", 2);
    add_string(&title, &alert->subject.model);
    add(&title, " ", 1);
    add_string(&title, &alert->subject.version);

    add_string(&body, &alert->reason);
    for (size_t i = 0; i < alert->actions.len; i++) {
        add(&body, "\n- ", 3);
        add_string(&body, &alert->actions.ptr[i]);
    }
    *ret = (exports_trimtab_policy_alert_format_message_t){.title = title, .body = body};
    return true;
}
