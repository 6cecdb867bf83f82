//! What the HTTP interface on TCP may be called. Not part of what is in force: it changes no finding and no decision.

use std::net::IpAddr;

use serde::Deserialize;

/// How the HTTP interface on TCP is reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HttpSettings {
    /// Names and addresses that clients may use for this host, without port: what the header `Host` may say.
    pub hosts: Vec<String>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { hosts: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec() }
    }
}

impl HttpSettings {
    /// Calls `need` with whether a rule is kept, the key and the problem.
    pub(super) fn check(&self, need: &mut impl FnMut(bool, &str, &str)) {
        need(!self.hosts.is_empty(), "hosts", "must name at least one host; without one nobody is answered");
        for host in &self.hosts {
            need(
                is_host(host),
                &format!("hosts (`{host}`)"),
                "must be a name or an address without scheme, port and path, such as `drift.example` or `::1`",
            );
        }
    }
}

fn is_host(text: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.len() <= 253 && text.bytes().all(named))
}
