//! Judging canaries by limits. This file asks the host for settings; what follows from them is decided by `rule`, which is
//! pure.

mod rule;

pub use rule::Rule;

use experiment_text::settings;

/// What the operator set.
pub fn rule() -> Rule {
    Rule {
        sharpe_lead: settings::number("sharpe-lead"),
        sharpe_lag: settings::number("sharpe-lag"),
        drawdown_share: settings::number("drawdown-share"),
        most_ece: settings::number("most-ece"),
        least_duration: settings::duration("least-duration"),
    }
}

experiment_text::policy!(rule);
