//! Which versions may go? Keeps the newest and those in use; of the others, the old ones may go.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy", pub_export_macro: true, generate_all });
}

use bindings::exports::trimtab::policy::cleanup::{Fate, Guest, Inventory, Recommendation};
use bindings::trimtab::policy::settings;
use bindings::trimtab::policy::types::Stage;

struct Policy;

impl Guest for Policy {
    /// One recommendation for every version; the newest come first.
    fn review(inventory: Inventory) -> Result<Vec<Recommendation>, String> {
        let keep = settings::count("keep") as usize;
        let min_age = settings::duration("min-age");
        let recommend = |(number, version): (usize, bindings::trimtab::policy::types::ModelVersion)| {
            let (fate, reason) = if !version.protections.is_empty() || version.stage == Stage::Production {
                (Fate::Keep, "It is in use.")
            } else if number < keep {
                (Fate::Keep, "It is among the newest.")
            } else if version.age < min_age {
                (Fate::Keep, "It is young.")
            } else {
                (Fate::Delete, "It is old and not in use.")
            };
            Recommendation { version: version.version, fate, reason: reason.to_owned() }
        };
        Ok(inventory.versions.into_iter().enumerate().map(recommend).collect())
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Policy with_types_in bindings);
