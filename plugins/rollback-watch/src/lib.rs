//! Back to the previous version if a new one turns out worse. This file asks the host for settings and history; what
//! follows from them is decided by `rule`, which is pure.

mod rule;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:rollback-watch;
            world policy {
                include trimtab:policy/drift-action-policy@0.1.0;
                export trimtab:policy/self-check@0.1.0;
            }
        ",
        world: "trimtab:rollback-watch/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use rule::{Rule, decide};

use bindings::exports::trimtab::policy::{
    drift_action::{Decision, Finding, Guest},
    self_check,
};
use bindings::trimtab::policy::{history, settings};

struct RollbackWatch;

fn rule() -> Rule {
    Rule {
        after: settings::duration("after"),
        until: settings::duration("until"),
        drop: settings::number("drop"),
        least_samples: settings::count("least-samples"),
        alpha: settings::number("alpha"),
        segments: settings::flag("segments"),
        alert: settings::flag("alert"),
    }
}

impl Guest for RollbackWatch {
    fn decide(findings: Vec<Finding>) -> Result<Decision, String> {
        let subject = &findings.first().ok_or("asked about no finding")?.subject;
        let active = history::since_activation();
        let since_activation = |active| history::between("accuracy", active, 0);
        Ok(decide(&rule(), subject, active, &history::versions(), since_activation))
    }
}

impl self_check::Guest for RollbackWatch {
    fn check_settings() -> Vec<String> {
        rule().problems()
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(RollbackWatch with_types_in bindings);
