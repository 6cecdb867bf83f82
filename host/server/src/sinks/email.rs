//! Alerts as e-mail: one message for each, over SMTP. What an answer means is as for other sinks: what may be better later is tried
//! again. A message that is tried twice has the same `Message-ID`, so that a mailbox has it once.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::Error,
};
use reqwest::Url;
use trimtab_core::config::SinkRule;
use trimtab_types::{Effect, shown, shown_lines};

use super::{
    addresses::{Private, is_public},
    destination::Sent,
};

/// The longest that a server may take for one step.
const PATIENCE: Duration = Duration::from_secs(15);
/// Characters of an answer that are kept.
const MOST_KEPT: usize = 200;
/// Characters of a subject.
const SUBJECT: usize = 200;

/// Who writes to whom, through which server.
pub(super) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    host: String,
    port: u16,
    private: bool,
}

impl Mail {
    /// As a sink has it.
    ///
    /// # Errors
    /// The key that cannot be used, and why.
    pub(super) fn of(rule: &SinkRule, url: &Url) -> Result<Self, (&'static str, String)> {
        let mailbox = |key: &'static str, text: &str| {
            text.parse::<Mailbox>().map_err(|error| (key, format!("`{text}` is no address: {error}")))
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str())
            .map_err(|error| ("url", said(&error)))?
            .timeout(Some(PATIENCE))
            .build();
        let usual = if url.scheme() == "smtps" { 465 } else { 25 };
        Ok(Self {
            transport,
            from: mailbox("from", rule.from.as_deref().unwrap_or_default())?,
            to: rule.to.iter().map(|to| mailbox("to", to)).collect::<Result<_, _>>()?,
            host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(usual),
            private: rule.private,
        })
    }

    /// Sends one alert.
    pub(super) async fn send(&self, effect: &Effect) -> Sent {
        // The library resolves the name once more, so a name that leads elsewhere a moment later is not kept out.
        if !self.private {
            match tokio::net::lookup_host((self.host.as_str(), self.port)).await {
                Err(error) => return retry("unreached", &error.to_string()),
                Ok(mut found) => {
                    if let Some(address) = found.find(|address| !is_public(address.ip())) {
                        let detail = Private(format!("{} ({})", self.host, address.ip())).to_string();
                        return Sent::Refused { result: "private".to_owned(), detail };
                    }
                }
            }
        }
        let message = match self.message(effect) {
            Ok(message) => message,
            Err(error) => return Sent::Refused { result: "message".to_owned(), detail: error.to_string() },
        };
        match self.transport.send(message).await {
            Ok(answer) => Sent::Delivered(answer.code().to_string()),
            Err(error) => judge(&error),
        }
    }

    fn message(&self, effect: &Effect) -> Result<Message, lettre::error::Error> {
        let message = &effect.body["message"];
        let part = |name: &str| message[name].as_str().unwrap_or_default();
        let subject: String = shown(part("title")).chars().take(SUBJECT).collect();
        let text = shown_lines(part("body")).into_owned();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .message_id(Some(format!("<{}@trimtab>", effect.key)))
            .subject(subject);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        match message["rich"].as_str().filter(|rich| rich.trim_start().starts_with('<')) {
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(text, html.to_owned())),
            None => builder.singlepart(lettre::message::SinglePart::plain(text)),
        }
    }
}

/// What a failure means: a server that says "not now", or nobody there, is asked again.
fn judge(error: &Error) -> Sent {
    let result = error.status().map_or_else(|| "unreached".to_owned(), |code| code.to_string());
    if error.is_permanent() {
        Sent::Refused { result, detail: said(error) }
    } else {
        retry(&result, &said(error))
    }
}

fn retry(result: &str, detail: &str) -> Sent {
    let detail = shown(&detail.chars().take(MOST_KEPT).collect::<String>()).into_owned();
    Sent::Retry { result: result.to_owned(), detail, after: None }
}

/// An error with what led to it. The address is left out: it has the password.
fn said(error: &Error) -> String {
    let mut reasons = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        reasons.push(error.to_string());
        source = error.source();
    }
    let said: String = reasons.join(": ").chars().take(MOST_KEPT).collect();
    shown(&said).into_owned()
}
