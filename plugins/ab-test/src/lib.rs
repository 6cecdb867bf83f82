//! Judging A/B tests by how much better the challenger is. This file asks the host for settings; what follows from them is
//! decided by `rule`, which is pure.

mod rule;

pub use rule::Rule;

use experiment_text::settings;

/// What the operator set.
pub fn rule() -> Rule {
    Rule {
        metric: settings::text("metric"),
        better_by: settings::number("better-by"),
        least_trades: settings::count("least-trades"),
        least_duration: settings::duration("least-duration"),
    }
}

experiment_text::policy!(rule);
