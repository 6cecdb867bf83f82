//! Cleanup of versions: what is kept, what may go, and why. This file asks the host for settings; what follows from them is
//! decided by `rule`, which is pure. Deleting takes a person's approval, whatever is said here.

mod rule;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:version-cleanup;
            world policy {
                include trimtab:policy/cleanup-policy@0.1.0;
                export trimtab:policy/self-check@0.1.0;
            }
        ",
        world: "trimtab:version-cleanup/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use rule::{Rule, review};

use bindings::exports::trimtab::policy::{
    cleanup::{Guest, Inventory, Recommendation},
    self_check,
};
use bindings::trimtab::policy::settings;

struct VersionCleanup;

fn rule() -> Rule {
    Rule {
        score: settings::text("score").trim().to_owned(),
        top: settings::count("top"),
        last: settings::count("last"),
        oldest: settings::duration("oldest"),
        bottom: settings::number("bottom"),
        duplicate: settings::number("duplicate"),
    }
}

impl Guest for VersionCleanup {
    fn review(inventory: Inventory) -> Result<Vec<Recommendation>, String> {
        Ok(review(&rule(), &inventory))
    }
}

impl self_check::Guest for VersionCleanup {
    fn check_settings() -> Vec<String> {
        rule().problems()
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(VersionCleanup with_types_in bindings);
