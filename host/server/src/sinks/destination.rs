//! Sinks as requests: what is sent where, and what an answer means. Nothing is remembered and nothing tried again here.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde_json::Value;
use trimtab_api::Failure;
use trimtab_core::{
    Configuration,
    config::{SinkKind, SinkRule},
};
use trimtab_types::{Effect, ErrorKind, Timestamp, shown};

use super::{
    addresses::{Private, PublicOnly, is_public},
    email::Mail,
    forms,
    signature::Secret,
};

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(15);
/// Bytes that are read of an answer.
const MOST_ANSWERED: usize = 64 << 10;
/// Characters of it that are kept.
const MOST_KEPT: usize = 200;
/// The longest that an answer may ask to be left alone.
const LONGEST_PAUSE: u64 = 3_600;

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is there.
    Delivered(String),
    /// It is tried again; nobody is asked before so many seconds are over.
    Retry {
        /// A word or a status.
        result: String,
        /// In the other's words.
        detail: String,
        /// Seconds.
        after: Option<u64>,
    },
    /// It will never be taken.
    Refused {
        /// A word or a status.
        result: String,
        /// In the other's words.
        detail: String,
    },
}

/// Where alerts go, by the name of the sink.
pub(crate) type Destinations = BTreeMap<String, Arc<Destination>>;

/// Where the alerts of a sink go.
pub(crate) struct Destination {
    kind: SinkKind,
    url: Url,
    secret: Option<Secret>,
    chat: Option<String>,
    mail: Option<Mail>,
    private: bool,
    client: Client,
}

impl Destination {
    /// Of all sinks of a configuration.
    pub(crate) fn all(configuration: &Configuration) -> Result<Destinations, Failure> {
        let one = |(name, rule): (&String, &SinkRule)| Ok((name.clone(), Arc::new(Self::of(name, rule)?)));
        configuration.sinks.iter().map(one).collect()
    }

    fn of(name: &str, rule: &SinkRule) -> Result<Self, Failure> {
        let problem = |key: &str, problem: &str| {
            Failure::new(ErrorKind::Config, format!("`sinks.{name}.{key}`: {problem}"))
        };
        let url = Url::parse(&rule.url).map_err(|error| problem("url", &error.to_string()))?;
        let secret = match &rule.secret {
            None => None,
            Some(text) => {
                let text = match text.strip_prefix("env:") {
                    None => text.clone(),
                    Some(variable) => std::env::var(variable).map_err(|_| {
                        problem("secret", &format!("the variable `{variable}` is not set for this host"))
                    })?,
                };
                Some(Secret::parse(&text).map_err(|why| problem("secret", why))?)
            }
        };
        // It is installed once; whoever comes later finds it there.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .user_agent(concat!("trimtab/", env!("CARGO_PKG_VERSION")));
        if !rule.private {
            client = client.dns_resolver(Arc::new(PublicOnly));
        }
        let client = client.build().map_err(|error| problem("url", &error.to_string()))?;
        let mut url = url;
        if rule.kind == SinkKind::Alertmanager && !url.path().ends_with(forms::ALERTMANAGER) {
            let path = format!("{}{}", url.path().trim_end_matches('/'), forms::ALERTMANAGER);
            url.set_path(&path);
        }
        let mail = match rule.kind {
            SinkKind::Email => Some(Mail::of(rule, &url).map_err(|(key, why)| problem(key, &why))?),
            _ => None,
        };
        let chat = rule.chat.clone();
        Ok(Self { kind: rule.kind, url, secret, chat, mail, private: rule.private, client })
    }

    /// Sends one alert.
    pub(crate) async fn send(&self, effect: &Effect, now: Timestamp) -> Sent {
        if let Some(mail) = &self.mail {
            return mail.send(effect).await;
        }
        // A number in place of a name is never resolved, so it is looked at here.
        let host = self.url.host_str().unwrap_or_default();
        let number: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if let Some(address) = number.filter(|address| !self.private && !is_public(*address)) {
            let detail = Private(address.to_string()).to_string();
            return Sent::Refused { result: "private".to_owned(), detail };
        }
        match self.kind {
            // Mail has gone its own way.
            SinkKind::Webhook | SinkKind::Email => self.webhook(effect, now).await,
            SinkKind::Slack => self.laid_out(&|rich| forms::slack(effect, rich), is_ok).await,
            SinkKind::Telegram => {
                let chat = self.chat.as_deref().unwrap_or_default();
                self.laid_out(&|rich| forms::telegram(effect, chat, rich), |_| true).await
            }
            SinkKind::Alertmanager => self.post(&forms::alertmanager(effect), |_| true).await,
        }
    }

    /// Sends a message as a policy laid it out. Of what its layout is blamed for, the text still says it.
    async fn laid_out(&self, form: &(dyn Fn(bool) -> Value + Sync), is_taken: fn(&str) -> bool) -> Sent {
        match self.post(&form(true), is_taken).await {
            Sent::Refused { result, .. } if result == "400" => self.post(&form(false), is_taken).await,
            sent => sent,
        }
    }

    async fn webhook(&self, effect: &Effect, now: Timestamp) -> Sent {
        let body = forms::webhook(effect);
        // Values are texts and numbers, which always serialise.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let seconds = now.as_unix();
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        set("webhook-id", effect.key.clone());
        set("webhook-timestamp", seconds.to_string());
        if let Some(secret) = &self.secret {
            set("webhook-signature", secret.sign(&effect.key, seconds, &bytes));
        }
        set("ce-specversion", "1.0".to_owned());
        set("ce-id", effect.key.clone());
        set("ce-source", "/trimtab".to_owned());
        set("ce-type", format!("trimtab.{}", body["type"].as_str().unwrap_or("alert")));
        set("ce-time", effect.at.to_string());
        self.post_bytes(&headers, bytes, |_| true).await
    }

    async fn post(&self, body: &Value, is_taken: fn(&str) -> bool) -> Sent {
        self.post_bytes(&HeaderMap::new(), serde_json::to_vec(body).unwrap_or_default(), is_taken).await
    }

    async fn post_bytes(&self, headers: &HeaderMap, body: Vec<u8>, is_taken: fn(&str) -> bool) -> Sent {
        let request = self
            .client
            .post(self.url.clone())
            .headers(headers.clone())
            .header("content-type", "application/json")
            .body(body);
        match request.send().await {
            Ok(response) => judge(response, is_taken).await,
            Err(error) => unreached(&error),
        }
    }
}

/// What the answer to a request means.
async fn judge(mut response: Response, is_taken: fn(&str) -> bool) -> Sent {
    let status = response.status();
    let after = retry_after(response.headers());
    let mut answer = Vec::new();
    while answer.len() < MOST_ANSWERED
        && let Ok(Some(piece)) = response.chunk().await
    {
        answer.extend_from_slice(&piece);
    }
    let answer = String::from_utf8_lossy(&answer[..answer.len().min(MOST_ANSWERED)]).into_owned();
    let result = status.as_u16().to_string();
    let detail = shown(&answer.chars().take(MOST_KEPT).collect::<String>()).into_owned();
    match status {
        status if status.is_success() && is_taken(&answer) => Sent::Delivered(result),
        status if status.is_success() => Sent::Retry { result, detail, after },
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Sent::Retry { result, detail, after }
        }
        status if status.is_server_error() => Sent::Retry { result, detail, after },
        status if status.is_redirection() => {
            Sent::Refused { result, detail: "it redirects, and redirects are not followed".to_owned() }
        }
        _ => Sent::Refused { result, detail },
    }
}

/// Seconds; dates are not understood.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(seconds.min(LONGEST_PAUSE))
}

/// Why nobody answered. The address is left out: with some it is the secret.
fn unreached(error: &reqwest::Error) -> Sent {
    let mut reasons = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(private) = error.downcast_ref::<Private>() {
            return Sent::Refused { result: "private".to_owned(), detail: private.to_string() };
        }
        reasons.push(error.to_string());
        source = error.source();
    }
    let result = if error.is_timeout() { "timed-out" } else { "unreached" };
    let detail: String = reasons.pop().unwrap_or_default().chars().take(MOST_KEPT).collect();
    Sent::Retry { result: result.to_owned(), detail: shown(&detail).into_owned(), after: None }
}

/// Slack says `ok` where it has taken a message.
fn is_ok(answer: &str) -> bool {
    answer.trim() == "ok"
}
