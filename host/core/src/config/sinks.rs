//! Where alerts go besides the queue file. Who hears what is part of what is in force, so that a replay says the same; addresses
//! and secrets are not, and never stand in the log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Alert, Severity};

use super::{Glob, check::Need};

/// The longest name.
const LONGEST: usize = 64;

/// Sinks by name.
pub type Sinks = BTreeMap<String, SinkRule>;

/// Somebody who hears of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SinkRule {
    /// In which form.
    #[serde(rename = "type")]
    pub kind: SinkKind,
    /// In whose words: the channel that policies format alerts for. Where nothing is said, that of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Milder ones are not sent there.
    #[serde(default = "mildest")]
    pub minimum: Severity,
    /// Of which tenants.
    #[serde(default = "Glob::any")]
    pub tenant: Glob,
    /// Of which models.
    #[serde(default = "Glob::any")]
    pub model: Glob,
    /// Where to.
    #[serde(default, skip_serializing)]
    pub url: String,
    /// With which a webhook is signed: `whsec_…`, or `env:NAME` for a variable of the host.
    #[serde(default, skip_serializing)]
    pub secret: Option<String>,
    /// The chat that a bot of Telegram writes to: a number, or the name of a channel.
    #[serde(default, skip_serializing)]
    pub chat: Option<String>,
    /// Who writes mail.
    #[serde(default, skip_serializing)]
    pub from: Option<String>,
    /// And to whom.
    #[serde(default, skip_serializing)]
    pub to: Vec<String>,
    /// It is in a private network, or on this machine.
    #[serde(default, skip_serializing)]
    pub private: bool,
}

/// In which form alerts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkKind {
    /// JSON by POST, signed as Standard Webhooks has it.
    Webhook,
    /// An incoming webhook of Slack, or of what understands the same.
    Slack,
    /// A bot of Telegram.
    Telegram,
    /// An Alertmanager of Prometheus, version 2 of its interface.
    Alertmanager,
    /// A mail server, over SMTP.
    Email,
}

fn mildest() -> Severity {
    Severity::Info
}

impl SinkRule {
    /// In whose words it hears of alerts.
    pub fn channel(&self) -> &str {
        let usual = match self.kind {
            SinkKind::Webhook | SinkKind::Alertmanager => "chat",
            SinkKind::Slack => "slack",
            SinkKind::Telegram => "telegram",
            SinkKind::Email => "email",
        };
        self.channel.as_deref().unwrap_or(usual)
    }

    /// Whether it hears of an alert.
    pub fn hears(&self, alert: &Alert) -> bool {
        alert.severity >= self.minimum
            && self.tenant.matches(&alert.subject.tenant)
            && self.model.matches(&alert.subject.model)
    }

    pub(super) fn check(&self, name: &str, need: &mut Need<'_>) {
        let key = |key: &str| format!("sinks.{name}.{key}");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        need(
            !name.is_empty() && name.len() <= LONGEST && name.chars().all(is_plain) && name != "queue",
            &format!("sinks.{name}"),
            "must have a name of letters, digits, `-` and `_`, other than `queue`",
        );
        let is_mail = self.kind == SinkKind::Email;
        let begins = |schemes: [&str; 2]| schemes.iter().any(|scheme| self.url.starts_with(scheme));
        need(
            begins(if is_mail { ["smtps://", "smtp://"] } else { ["https://", "http://"] }),
            &key("url"),
            if is_mail {
                "must be an address that begins with smtps:// or smtp://"
            } else {
                "must be an address that begins with https:// or http://"
            },
        );
        need(
            self.from.is_some() == is_mail,
            &key("from"),
            if is_mail { "must be the address that writes" } else { "is for email" },
        );
        need(
            self.to.is_empty() != is_mail,
            &key("to"),
            if is_mail { "must be a list of addresses, with one at least" } else { "is for email" },
        );
        let fits = |secret: &String| secret.starts_with("whsec_") || secret.starts_with("env:");
        need(
            self.secret.as_ref().is_none_or(fits),
            &key("secret"),
            "must be `whsec_` with base64 after it, or `env:` with the name of a variable",
        );
        need(
            self.kind == SinkKind::Webhook || self.secret.is_none(),
            &key("secret"),
            "is for webhooks; where there is none, the address is the secret itself",
        );
        let wants_chat = self.kind == SinkKind::Telegram;
        need(
            self.chat.is_some() == wants_chat,
            &key("chat"),
            if wants_chat { "must be the chat that the bot writes to" } else { "is for telegram" },
        );
    }
}
