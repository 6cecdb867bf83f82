//! What the shipped alert-format policies say, whatever the channel: the facts of an alert in words (`report`), in an
//! order, and how text of others is written so that it stays text (`escape`). A channel's own form is its policy's.
//!
//! The bindings are here, too: these policies are asked the same question and have the same settings.

mod escape;
mod report;
pub mod testing;
#[cfg(test)]
mod tests;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:alert-text;
            world policy {
                include trimtab:policy/alert-format-policy@0.1.0;
            }
        ",
        world: "trimtab:alert-text/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use bindings::exports::trimtab::policy::alert_format::{Alert, Guest, Message, Occasion};
pub use bindings::trimtab::policy::types::{Estimate, Finding, Metric, Phase, Severity, Subject};
pub use escape::{clip, html, neutral, units, written};
pub use report::{Change, Fact, Figure, Measured, Report, Style, fitted, lines, within};

use bindings::trimtab::policy::{clock, settings};

/// Makes a crate the component of an alert-format policy: `write` is a function from [`Report`] to [`Message`].
#[macro_export]
macro_rules! policy {
    ($write:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Policy;

            impl $crate::Guest for Policy {
                fn render(alert: $crate::Alert, _channel: String) -> Result<$crate::Message, String> {
                    Ok($write(&$crate::report(&alert)))
                }
            }

    $crate::bindings::export!(Policy with_types_in $crate::bindings);
        };
    };
}

/// What the operator wants to read of this alert, asked of the host.
pub fn report(alert: &Alert) -> Report {
    let style = Style {
        started: clock::format(alert.started),
        most_findings: settings::count("most-findings") as usize,
        recommend: settings::flag("recommend"),
    };
    Report::of(alert, &style)
}
