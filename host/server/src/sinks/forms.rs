//! What is sent, by the form of the sink: an effect as JSON. Nothing is sent here.

use serde_json::{Value, json};
use trimtab_types::{Effect, Severity, shown, shown_lines};

/// Characters of a text of Slack, and of Telegram.
const LONGEST: usize = 4_000;
/// Where an Alertmanager takes alerts.
pub(super) const ALERTMANAGER: &str = "/api/v2/alerts";
/// For how long an Alertmanager takes an alert for firing, in seconds, if it hears nothing more: a reminder comes long before.
const FIRES: u64 = 30 * 86_400;

/// What a webhook gets.
pub(super) fn webhook(effect: &Effect) -> Value {
    let alert = &effect.body["alert"];
    let message = &effect.body["message"];
    let text = |name: &str, escape: fn(&str) -> std::borrow::Cow<'_, str>| {
        message[name].as_str().map(|text| escape(text).into_owned())
    };
    json!({
        "type": format!("alert.{}", alert["occasion"].as_str().unwrap_or("firing")),
        "timestamp": effect.at,
        "data": {
            "key": effect.key,
            "channel": effect.channel,
            "title": text("title", shown),
            "body": text("body", shown_lines),
            "alert": alert,
        },
    })
}

/// A message as text: a body that begins with its title says it once.
fn text(effect: &Effect) -> String {
    let message = &effect.body["message"];
    let part = |name: &str| message[name].as_str().unwrap_or_default();
    let (title, body) = (shown(part("title")), shown_lines(part("body")));
    let text = if body.starts_with(title.as_ref()) { body.into_owned() } else { format!("{title}\n{body}") };
    text.chars().take(LONGEST).collect()
}

/// What Slack gets: the text, and with `rich` the blocks in which a policy laid it out.
pub(super) fn slack(effect: &Effect, rich: bool) -> Value {
    let text = text(effect);
    let laid_out = effect.body["message"]["rich"].as_str();
    let blocks: Option<Value> = laid_out.and_then(|rich| serde_json::from_str(rich).ok());
    match blocks.filter(|blocks| rich && blocks.is_array()) {
        Some(blocks) => json!({ "text": text, "blocks": blocks }),
        None => json!({ "text": text }),
    }
}

/// What a bot of Telegram is told: the text, or with `rich` the HTML in which a policy laid it out.
pub(super) fn telegram(effect: &Effect, chat: &str, rich: bool) -> Value {
    let more = json!({ "is_disabled": true });
    match effect.body["message"]["rich"].as_str().filter(|_| rich) {
        Some(html) => {
            json!({ "chat_id": chat, "text": html, "parse_mode": "HTML", "link_preview_options": more })
        }
        None => json!({ "chat_id": chat, "text": text(effect), "link_preview_options": more }),
    }
}

/// What an Alertmanager gets. Its alerts are their labels, and the severity is one of them, for its routes: so the severities that
/// it is not, or not any more, end at the same time.
pub(super) fn alertmanager(effect: &Effect) -> Value {
    let (alert, group) = (&effect.body["alert"], &effect.body["group"]);
    let now = alert["severity"].as_str().unwrap_or_default();
    let is_over = alert["occasion"] == "resolved";
    let label = |value: &Value| value.as_str().map(|text| shown(text).into_owned()).unwrap_or_default();
    let one = |severity: &str| {
        let fires = severity == now && !is_over;
        let ends = if fires { effect.at.plus(FIRES) } else { effect.at };
        json!({
            "labels": {
                "alertname": "TrimtabDrift",
                "tenant": label(&alert["subject"]["tenant"]),
                "model": label(&alert["subject"]["model"]),
                "kind": label(&group["kind"]),
                "version": label(&group["version"]),
                "segment": label(&group["segment"]),
                "severity": severity,
            },
            "annotations": {
                "summary": label(&effect.body["message"]["title"]),
                "description": text(effect),
            },
            "startsAt": alert["started"],
            "endsAt": ends,
        })
    };
    let all = [Severity::Critical, Severity::High, Severity::Medium, Severity::Info];
    all.iter().map(|severity| one(severity.name())).collect()
}
