//! How should an alert read? In a few plain lines: the reason, and what was done.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy", pub_export_macro: true, generate_all });
}

use bindings::exports::trimtab::policy::alert_format::{Alert, Guest, Message};
use bindings::trimtab::policy::settings;

struct Policy;

impl Guest for Policy {
    /// Asked for each channel that policy.toml names.
    fn render(alert: Alert, _channel: String) -> Result<Message, String> {
        let mut body = alert.reason;
        for action in &alert.actions {
            body += &format!("\n- {action}");
        }
        let title = format!("{}: {} {}", settings::text("prefix"), alert.subject.model, alert.subject.version);
        Ok(Message { title, body, rich: None })
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Policy with_types_in bindings);
