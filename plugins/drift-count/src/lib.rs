//! Counting drifts: after so many of a detector an emergency retrain, and the detector starts anew. This file asks the host
//! for settings and counts; what follows from them is decided by `rule`, which is pure.

mod rule;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:drift-count;
            world policy {
                include trimtab:policy/drift-action-policy@0.1.0;
            }
        ",
        world: "trimtab:drift-count/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use rule::{Rule, decide};

use bindings::exports::trimtab::policy::drift_action::{Decision, Finding, Guest};
use bindings::trimtab::policy::{history, settings};

struct DriftCount;

impl Guest for DriftCount {
    fn decide(findings: Vec<Finding>) -> Result<Decision, String> {
        let rule = Rule { drifts: settings::count("drifts"), alert: settings::flag("alert") };
        Ok(decide(&rule, &findings, history::drift_count))
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(DriftCount with_types_in bindings);
