//! Alerts as chat text with emoji. This file asks the host for settings and the time; the text is made by `text`, which
//! is pure.

mod text;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:chat-alert;
            world policy {
                include trimtab:policy/alert-format-policy@0.1.0;
            }
        ",
        world: "trimtab:chat-alert/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use text::{Style, write};

use bindings::exports::trimtab::policy::alert_format::{Alert, Guest, Message};
use bindings::trimtab::policy::{clock, settings};

struct Chat;

impl Guest for Chat {
    fn render(alert: Alert, _channel: String) -> Result<Message, String> {
        let style = Style {
            started: clock::format(alert.started),
            most_findings: settings::count("most-findings") as usize,
            recommend: settings::flag("recommend"),
        };
        Ok(write(&alert, &style))
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Chat with_types_in bindings);
