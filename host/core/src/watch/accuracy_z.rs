//! One-proportion z-test of the rolling accuracy against the baseline's. The test is in `trimtab-stats`.

use trimtab_stats::{Alternative, Window, proportion};
use trimtab_types::{Baseline, Severity};

use super::{
    episode::{Change, Evidence, accuracy_of},
    look::ROUNDING,
    pairs::Chance,
};
use crate::{
    config::{AccuracyZSettings, Needs},
    measure::share_of,
};

/// Looks after another judged prediction. `right` says whether the newest of them were right.
pub(super) fn look(
    settings: &AccuracyZSettings,
    right: &Window,
    baseline: &Baseline,
    chance: Chance<'_>,
    open: Option<Severity>,
) -> Option<Change> {
    let counts = right.newest(settings.window as usize);
    if counts.n < u64::from(settings.minimum) {
        return None;
    }
    let now = counts.share()?;
    let drop = baseline.accuracy - now;
    // The test needs a baseline strictly between 0 and 1.
    let p0 = baseline.accuracy.clamp(1e-6, 1.0 - 1e-6);
    let test = proportion::z_test(counts.successes, counts.n, p0, Alternative::Less).ok()?;
    let significant = test.p_value < settings.alpha;
    let below_chance = now < baseline.accuracy && chance.is_above(right, settings.window);
    let by_drop = if below_chance {
        Some(Severity::Critical)
    } else if drop + ROUNDING >= settings.high {
        Some(Severity::High)
    } else if drop + ROUNDING >= settings.medium {
        Some(Severity::Medium)
    } else {
        None
    };
    let level = match settings.needs {
        Needs::Both => by_drop.filter(|_| significant),
        Needs::Drop => by_drop,
        Needs::Significance => significant.then_some(by_drop.unwrap_or(Severity::Medium)),
    };
    let worse =
        || if below_chance { format!(", {}", chance.in_words(settings.window)) } else { String::new() };
    let evidence = || Evidence {
        statistic: test.statistic,
        threshold: trimtab_stats::special::normal_quantile(settings.alpha),
        p_value: Some(test.p_value),
        significant,
        baseline: Some(accuracy_of(baseline)),
        current: share_of(right, settings.window as usize),
        chance: chance.accuracy(settings.window),
        window: format!("the newest {} against the baseline{}", counts.n, worse()),
        ..Evidence::default()
    };
    match (open, level) {
        (None, Some(level)) => Some(Change::Open(level, evidence())),
        (Some(severity), Some(level)) if level > severity => Some(Change::Raise(level, evidence())),
        (Some(_), None) if drop < settings.medium * settings.hysteresis => Some(Change::Close(evidence())),
        _ => None,
    }
}
