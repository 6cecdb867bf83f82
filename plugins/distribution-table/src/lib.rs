//! The table of distances between distributions: from a level of PSI or of the Kolmogorov–Smirnov distance to what is done.
//! This file asks the host for settings; what follows from them is decided by `rule`, which is pure.

mod rule;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:distribution-table;
            world policy {
                include trimtab:policy/drift-action-policy@0.1.0;
                export trimtab:policy/self-check@0.1.0;
            }
        ",
        world: "trimtab:distribution-table/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use rule::{Rule, decide};

use bindings::exports::trimtab::policy::{
    drift_action::{Decision, Finding, Guest},
    self_check,
};
use bindings::trimtab::policy::settings;

struct DistributionTable;

fn rule() -> Rule {
    Rule {
        psi_medium: settings::number("psi-medium"),
        psi_high: settings::number("psi-high"),
        psi_critical: settings::number("psi-critical"),
        ks_medium: settings::number("ks-medium"),
        ks_high: settings::number("ks-high"),
        least_samples: settings::count("least-samples"),
        needs_significance: settings::flag("needs-significance"),
        watch_retrain_within: settings::duration("watch-retrain-within"),
    }
}

impl Guest for DistributionTable {
    fn decide(findings: Vec<Finding>) -> Result<Decision, String> {
        Ok(decide(&rule(), &findings))
    }
}

impl self_check::Guest for DistributionTable {
    fn check_settings() -> Vec<String> {
        rule().problems()
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(DistributionTable with_types_in bindings);
