//! Retraining by volatility: the more the price moves in a day, the more often. This file asks the host for settings; what
//! follows from them is decided by `rule`, which is pure.

mod rule;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, clippy::all)]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:volatility-schedule;
            world policy {
                include trimtab:policy/retrain-schedule-policy@0.1.0;
                export trimtab:policy/self-check@0.1.0;
            }
        ",
        world: "trimtab:volatility-schedule/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use rule::{Rule, plan};

use bindings::exports::trimtab::policy::{
    retrain_schedule::{Conditions, Guest, Schedule},
    self_check,
};
use bindings::trimtab::policy::settings;

struct VolatilitySchedule;

fn rule() -> Rule {
    Rule {
        high: settings::number("high"),
        medium: settings::number("medium"),
        every_high: settings::duration("every-high"),
        every_medium: settings::duration("every-medium"),
        every_low: settings::duration("every-low"),
        catch_up: settings::flag("catch-up"),
    }
}

impl Guest for VolatilitySchedule {
    fn plan(conditions: Conditions) -> Result<Schedule, String> {
        Ok(plan(&rule(), &conditions))
    }
}

impl self_check::Guest for VolatilitySchedule {
    fn check_settings() -> Vec<String> {
        rule().problems()
    }
}

#[cfg(target_family = "wasm")]
bindings::export!(VolatilitySchedule with_types_in bindings);
