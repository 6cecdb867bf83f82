//! The ladder: watch, act, halt. This file asks the host for settings and history; what follows from them is decided
//! by `rule`, which is pure.

mod rule;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:drift-ladder;
            world policy {
                include trimtab:policy/drift-action-policy@0.1.0;
            }
        ",
        world: "trimtab:drift-ladder/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use rule::{Evidence, Rule, decide};

use bindings::exports::trimtab::policy::drift_action::{Decision, Finding, Guest};
use bindings::trimtab::policy::{history, settings};

struct Ladder;

impl Guest for Ladder {
    fn decide(findings: Vec<Finding>) -> Result<Decision, String> {
        let rule = Rule {
            watch_retrain_within: settings::duration("watch-retrain-within"),
            act_exposure: settings::number("act-exposure"),
            chance: settings::number("chance"),
            recover: settings::flag("recover"),
        };
        let window = settings::count("window");
        let evidence = Evidence {
            window,
            recent: history::recent("accuracy", window),
            // Asked only where it matters: what else is still open decides whether a recovery is complete.
            others: if rule::is_recovery(&findings) {
                history::findings(settings::duration("look-back"), rule::GRAVE, rule::MOST_OTHERS)
            } else {
                Vec::new()
            },
        };
        Ok(decide(&rule, &findings, &evidence))
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Ladder with_types_in bindings);
