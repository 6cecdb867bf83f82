//! One file a command.

pub(crate) mod alerts;
pub(crate) mod backtest;
pub(crate) mod baseline;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod decisions;
pub(crate) mod deliveries;
pub(crate) mod findings;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod life;
mod plan;
pub(crate) mod policy;
pub(crate) mod report;
pub(crate) mod retrain;
pub(crate) mod serve;
mod show;
pub(crate) mod status;
pub(crate) mod terms;
pub(crate) mod trade;
pub(crate) mod verify;
mod version_details;
pub(crate) mod versions;

use crate::args::{FilterArgs, PageArgs};

/// Who acts: as was said, or the user who runs the command.
pub(crate) fn actor(said: Option<&String>) -> String {
    let user = said.cloned().or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty());
    user.unwrap_or_else(|| "operator".to_owned())
}

/// A query for the interface; parts that are `None` are left out.
pub(crate) fn query(path: &str, parts: &[(&str, Option<String>)]) -> String {
    let parts: Vec<_> = parts
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={}", escape(value))))
        .collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

/// The parts that most questions have: which model, and that the answer waits for the fold.
pub(crate) fn filtered(filter: &FilterArgs) -> Vec<(&'static str, Option<String>)> {
    vec![
        ("tenant", filter.tenant.clone()),
        ("model", filter.model.clone()),
        ("settled", Some("true".to_owned())),
    ]
}

/// The same for a page of subjects.
pub(crate) fn paged(filter: &FilterArgs, page: &PageArgs, open: bool) -> Vec<(&'static str, Option<String>)> {
    let mut parts = filtered(filter);
    parts.push(("limit", Some(page.limit.to_string())));
    parts.push(("after", page.after.clone()));
    parts.push(("open", open.then(|| "true".to_owned())));
    parts
}

/// Percent-encodes everything that is not unreserved (RFC 3986).
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
