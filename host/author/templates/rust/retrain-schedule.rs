//! How often should a model be retrained? More often while it drifts.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy", pub_export_macro: true, generate_all });
}

use bindings::exports::trimtab::policy::retrain_schedule::{Conditions, Guest, Schedule};
use bindings::trimtab::policy::settings;

struct Policy;

impl Guest for Policy {
    fn plan(conditions: Conditions) -> Result<Schedule, String> {
        if conditions.drifts_last_week < settings::count("many-drifts") {
            let every = settings::duration("calm");
            return Ok(Schedule { every, immediately: false, reason: "It is calm.".to_owned() });
        }
        let every = settings::duration("drifting");
        let overdue = conditions.since_retrain.is_none_or(|since| since >= every);
        Ok(Schedule { every, immediately: overdue, reason: "It drifts.".to_owned() })
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(Policy with_types_in bindings);
