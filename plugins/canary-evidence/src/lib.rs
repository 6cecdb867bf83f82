//! Judging canaries by evidence that is valid whenever one looks. This file asks the host for settings; what follows from
//! them is decided by `rule`, which is pure.

mod rule;

pub use rule::Rule;

use experiment_text::settings;

/// What the operator set.
pub fn rule() -> Rule {
    Rule {
        metric: settings::text("metric"),
        evidence: settings::number("evidence"),
        margin: settings::number("margin"),
        most_drawdown: settings::number("most-drawdown"),
        most_ece: settings::number("most-ece"),
    }
}

experiment_text::policy!(rule);
