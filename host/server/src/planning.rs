//! How long an experiment takes, before it begins: by a sample of fixed size, and by evidence that may be looked at at any time.
//! Estimates for people, made with `statrs`. Nothing is decided by them: what policies and replays see is the core's own.

use statrs::distribution::{Beta, ContinuousCDF as _, Normal};
use trimtab_api::{ExperimentNumbers, Failure, PlanQuestion};
use trimtab_core::Basis;
use trimtab_stats::{BlockComparison, StatsError};
use trimtab_types::Interval;

const DAY: f64 = 86_400.0;
/// Experiments that are played to see how long evidence takes, and the most blocks of each.
const PLAYED: usize = 101;
const MOST_BLOCKS: u64 = 5_000;
/// The smallest effect is looked for by so many halvings, within so many blocks.
const HALVINGS: u32 = 12;
const MOST_HALVED: u64 = 100;
/// Evidence that may be looked at at any time takes about so many times the rows of a fixed sample.
const ANYTIME: f64 = 3.0;

/// The numbers of an experiment that is to show a difference.
///
/// A difference of means of independent rows varies by the sum of both variances; rows that follow each other are alike, which
/// multiplies it by (1 + ρ)/(1 − ρ) at lag-1 correlation ρ. Fixed sample: n = (z₁₋α + z_power)²·v/δ². Anytime: the host's own evidence
/// is fed with normal block means, again and again from the same seed, until it passes 1/α; in as many of these as the power says it
/// does so in time.
pub(crate) fn plan(basis: &Basis, asked: &PlanQuestion) -> Result<ExperimentNumbers, Failure> {
    let needed = asked.effect - asked.margin;
    let is_share = |value: f64| value > 0.0 && value < 1.0;
    if !(needed > 0.0 && needed < 1.0) {
        return Err(Failure::invalid(
            "effect: must be above the margin and below 1; 0.02 is two points of accuracy",
        ));
    }
    if !is_share(asked.alpha) || !is_share(asked.power) || asked.block == 0 {
        return Err(Failure::invalid("alpha and power lie between 0 and 1, and a block has a row at least"));
    }
    if !(asked.fraction > 0.0 && asked.fraction <= 1.0) {
        return Err(Failure::invalid("fraction: is the challenger's share, above 0 and at most 1"));
    }
    let better = (basis.mean + asked.effect).min(1.0);
    let of_challenger = if basis.is_share { better * (1.0 - better) } else { basis.variance };
    // Unpaired, a row of the challenger is held against as many of the champion as come meanwhile.
    let of_champion = if asked.affected {
        basis.variance * asked.fraction / (1.0 - asked.fraction).max(f64::EPSILON)
    } else {
        basis.variance
    };
    let rho = basis.correlation.clamp(0.0, 0.99);
    let variance = (of_champion + of_challenger) * (1.0 + rho) / (1.0 - rho);
    let per_day = basis.rows_per_day * if asked.affected { asked.fraction } else { 1.0 };
    let normal = Normal::standard();
    let z = normal.inverse_cdf(1.0 - asked.alpha) + normal.inverse_cdf(asked.power);
    let fixed = (z * z * variance / (needed * needed)).ceil();
    let block = f64::from(asked.block);
    // What is beyond what can be played is estimated.
    let estimate = (ANYTIME * fixed / block).ceil();
    let blocks = if estimate > MOST_BLOCKS as f64 {
        estimate as u64
    } else {
        played(asked, asked.effect, (variance / block).sqrt(), MOST_BLOCKS)?.unwrap_or(MOST_BLOCKS)
    };
    let anytime = blocks as f64 * block;
    let days = |rows: f64| (per_day > 0.0).then(|| rows / per_day);
    let available = asked.end.map(|end| per_day * f64::from(end) / DAY);
    let least = match available {
        Some(rows) if rows >= block => Some(least(asked, (variance / block).sqrt(), (rows / block) as u64)?),
        _ => None,
    };
    Ok(ExperimentNumbers {
        champion: basis.version.clone(),
        mean: basis.mean,
        rows: basis.rows as u64,
        correlation: basis.correlation,
        rows_per_day: per_day,
        fixed_rows: fixed as u64,
        fixed_days: days(fixed),
        anytime_rows: anytime as u64,
        anytime_blocks: blocks,
        anytime_days: days(anytime),
        least_effect: least,
        can_be_shown: available.is_none_or(|rows| rows >= anytime),
    })
}

/// Blocks after which evidence has shown an effect, in as many of the played experiments as the power says; `None`: after more
/// than `most`.
fn played(asked: &PlanQuestion, effect: f64, deviation: f64, most: u64) -> Result<Option<u64>, Failure> {
    let normal = Normal::new(effect, deviation.max(f64::MIN_POSITIVE))
        .map_err(|error| Failure::invalid(error.to_string()))?;
    // Knuth's linear congruential generator, of which the upper bits are used: the same numbers each time.
    let mut seed = 1_u64;
    let mut mean = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = ((seed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        normal.inverse_cdf(share).clamp(-1.0, 1.0)
    };
    let mut taken = Vec::with_capacity(PLAYED);
    let mut late = 0;
    for _ in 0..PLAYED {
        let failed = |error: StatsError| Failure::invalid(format!("margin: {error}"));
        let mut comparison = BlockComparison::new(asked.margin, 1.0 - asked.alpha).map_err(failed)?;
        let mut blocks = 0;
        let mut is_shown = false;
        while blocks < most && !is_shown {
            comparison.add(mean()).map_err(failed)?;
            blocks += 1;
            is_shown = comparison.evidence().is_some_and(|evidence| evidence.better >= 1.0 / asked.alpha);
        }
        late += usize::from(!is_shown);
        // Where so many take too long, the answer is known.
        if late as f64 > (1.0 - asked.power) * PLAYED as f64 {
            return Ok(None);
        }
        if is_shown {
            taken.push(blocks);
        }
    }
    taken.sort_unstable();
    let place = ((asked.power * PLAYED as f64).ceil() as usize).clamp(1, taken.len()) - 1;
    Ok(taken.get(place).copied())
}

/// The smallest effect that is shown within so many blocks: by halving.
fn least(asked: &PlanQuestion, deviation: f64, blocks: u64) -> Result<f64, Failure> {
    // Of more blocks than can be played often, as many as can be: twice the blocks show an effect that is smaller by √2.
    let most = blocks.min(MOST_HALVED);
    let (mut low, mut high) = (asked.margin, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if played(asked, middle, deviation, most)?.is_some() {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(asked.margin + (high - asked.margin) * (most as f64 / blocks as f64).sqrt())
}

/// What a share lies in with 95 % confidence: quantiles of Jeffreys's posterior, Beta(k + ½, n − k + ½).
pub(crate) fn jeffreys(share: f64, rows: u64) -> Option<Interval> {
    let (n, k) = (rows as f64, (share * rows as f64).round());
    let posterior = Beta::new(k + 0.5, n - k + 0.5).ok()?;
    // At the ends the interval goes on to the end.
    let lower = if k == 0.0 { 0.0 } else { posterior.inverse_cdf(0.025) };
    let upper = if k == n { 1.0 } else { posterior.inverse_cdf(0.975) };
    Some(Interval { lower, upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(mean: f64, correlation: f64) -> Basis {
        Basis {
            version: "v1".into(),
            mean,
            variance: mean * (1.0 - mean),
            is_share: true,
            rows: 500,
            correlation,
            rows_per_day: 96.0,
        }
    }

    fn asked(effect: f64) -> PlanQuestion {
        PlanQuestion {
            effect,
            margin: 0.0,
            power: 0.8,
            alpha: 0.05,
            block: 20,
            fraction: 0.1,
            affected: false,
            end: None,
        }
    }

    /// Fleiss, Levin and Paik, Statistical Methods for Rates and Proportions: n = (z₁₋α + z_power)²(p₁q₁ + p₂q₂)/(p₁ − p₂)²
    /// a group, without continuity correction. One-sided, α = 0.05, power 0.8: z's are 1.6449 and 0.8416.
    #[test]
    fn a_fixed_sample_is_as_large_as_textbooks_have_it() {
        for (p, effect, rows) in [(0.5, 0.1, 303), (0.7, 0.05, 984), (0.7, 0.1, 229)] {
            let found = plan(&basis(p, 0.0), &asked(effect)).expect("numbers");
            assert_eq!(found.fixed_rows, rows, "{p} {effect}");
            assert_eq!(found.fixed_days, Some(rows as f64 / 96.0));
        }
        // Rows that are alike are worth less: three times as many at ρ = ½.
        let alike = plan(&basis(0.7, 0.5), &asked(0.05)).expect("numbers");
        assert!((2_945..=2_955).contains(&alike.fixed_rows), "{}", alike.fixed_rows);
    }

    /// Rows that are right or wrong, and not normal block means: in four of five experiments the evidence is there by then, a tenth
    /// of them more or less.
    #[test]
    fn evidence_is_there_when_it_is_said_to_be() {
        for (p, effect) in [(0.7_f64, 0.1), (0.6, 0.15), (0.8, 0.1)] {
            let said = plan(&basis(p, 0.0), &asked(effect)).expect("numbers").anytime_blocks;
            let mut seed = 7_u64;
            let mut share = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 11) as f64 / (1_u64 << 53) as f64
            };
            let mut right = |rate: f64| f64::from(u8::from(share() < rate));
            let in_time = (0..200).filter(|_| {
                let mut comparison = BlockComparison::new(0.0, 0.95).expect("a margin");
                (0..said).any(|_| {
                    let difference: f64 = (0..20).map(|_| right(p + effect) - right(p)).sum();
                    comparison.add(difference / 20.0).expect("a mean");
                    comparison.evidence().is_some_and(|evidence| evidence.better >= 20.0)
                })
            });
            let share = in_time.count() as f64 / 200.0;
            assert!((0.7..=0.9).contains(&share), "{p} {effect}: {share} within {said} blocks");
        }
    }

    #[test]
    fn what_the_time_does_not_show_is_said() {
        let long = PlanQuestion { end: Some(90 * 86_400), ..asked(0.05) };
        let short = PlanQuestion { end: Some(7 * 86_400), ..asked(0.002) };
        assert!(plan(&basis(0.7, 0.0), &long).expect("numbers").can_be_shown);
        let found = plan(&basis(0.7, 0.0), &short).expect("numbers");
        assert!(!found.can_be_shown);
        let least = found.least_effect.expect("an effect");
        for (times, shown) in [(1.1, true), (0.9, false)] {
            let other = PlanQuestion { end: Some(7 * 86_400), ..asked(least * times) };
            assert_eq!(plan(&basis(0.7, 0.0), &other).expect("numbers").can_be_shown, shown, "{least}");
        }
        for bad in [
            asked(0.0),
            PlanQuestion { margin: 0.1, ..asked(0.05) },
            PlanQuestion { alpha: 0.0, ..asked(0.05) },
            PlanQuestion { fraction: 0.0, ..asked(0.05) },
        ] {
            assert!(plan(&basis(0.7, 0.0), &bad).is_err(), "{bad:?}");
        }
    }

    /// Served rows of a tenth alone take far longer than pairs.
    #[test]
    fn pairs_are_worth_more_than_served_rows() {
        let paired = plan(&basis(0.7, 0.0), &asked(0.05)).expect("numbers");
        let single =
            plan(&basis(0.7, 0.0), &PlanQuestion { affected: true, ..asked(0.05) }).expect("numbers");
        assert!(single.anytime_days > paired.anytime_days.map(|days| 4.0 * days), "{single:?} {paired:?}");
    }

    /// Brown, Cai and DasGupta 2001, table 5 (n = 10): Jeffreys's interval of 1 of 10 is 0.011 to 0.381, of 5 of 10 0.224 to 0.776.
    #[test]
    fn shares_have_the_interval_of_tables() {
        for (k, lower, upper) in
            [(0.0, 0.0, 0.217), (1.0, 0.011, 0.381), (5.0, 0.224, 0.776), (10.0, 0.783, 1.0)]
        {
            let found = jeffreys(k / 10.0, 10).expect("an interval");
            assert!(
                (found.lower - lower).abs() < 6e-4 && (found.upper - upper).abs() < 6e-4,
                "{k}: {found:?}"
            );
        }
    }
}
