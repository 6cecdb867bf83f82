//! Weights of an ensemble's members from their returns. Not for deciding whether a member belongs in it.
//!
//! Source: H. Markowitz (1952) and W. F. Sharpe (1966) for the tangency portfolio; solved as a quadratic programme
//! by cyclic coordinate descent, each step of which is exact.

use crate::StatsError;
use crate::error::{finite, require};
use crate::windowed::{at_least, same_length};

/// Added to each variance, as a share of the mean variance, so that members that always agree have an answer.
const RIDGE: f64 = 1e-6;
/// Rounds over all members; far more than a few dozen members need.
const MAX_ROUNDS: u32 = 10_000;

/// Weights, at least 0 and with sum 1, that maximise the Sharpe ratio of the weighted return. `members[i]` are the
/// returns of member `i`, of the same periods for all.
///
/// If no member's mean return is positive, no weights with a positive ratio exist (and maximising a negative ratio
/// would reward risk): all members then get the same weight.
///
/// # Errors
/// [`StatsError`] without members, for fewer than two periods, different lengths or unusable returns.
pub fn max_sharpe_weights(members: &[&[f64]]) -> Result<Vec<f64>, StatsError> {
    at_least("members", members.len(), 1)?;
    let periods = members[0].len();
    at_least("returns", periods, 2)?;
    for member in members {
        same_length("returns of the first member", periods, "returns of another", member.len())?;
        member.iter().try_for_each(|&r| finite(r).map(drop))?;
    }
    let count = members.len();
    let means: Vec<f64> = members.iter().map(|m| m.iter().sum::<f64>() / periods as f64).collect();
    if means.iter().all(|&mean| mean <= 0.0) {
        return Ok(vec![1.0 / count as f64; count]);
    }
    let covariance = |i: usize, j: usize| {
        let products = members[i].iter().zip(members[j]).map(|(a, b)| (a - means[i]) * (b - means[j]));
        products.sum::<f64>() / (periods - 1) as f64
    };
    let mut matrix: Vec<Vec<f64>> =
        (0..count).map(|i| (0..count).map(|j| covariance(i, j)).collect()).collect();
    let mean_variance = (0..count).map(|i| matrix[i][i]).sum::<f64>() / count as f64;
    // Without any variation the means alone decide.
    let ridge = if mean_variance > 0.0 { RIDGE * mean_variance } else { 1.0 };
    (0..count).for_each(|i| matrix[i][i] += ridge);

    // Up to its scale the solution minimises ½ yᵀΣy − μᵀy over y ≥ 0.
    let mut y = vec![0.0; count];
    for _ in 0..MAX_ROUNDS {
        let mut moved = 0.0f64;
        for i in 0..count {
            let others: f64 = (0..count).filter(|&j| j != i).map(|j| matrix[i][j] * y[j]).sum();
            let best = ((means[i] - others) / matrix[i][i]).max(0.0);
            moved = moved.max((best - y[i]).abs());
            y[i] = best;
        }
        if moved <= 1e-13 * y.iter().sum::<f64>() {
            break;
        }
    }
    let total: f64 = y.iter().sum();
    Ok(y.iter().map(|weight| weight / total).collect())
}

/// `share` of the way from the previous weights to the target (EWMA); sums are kept.
///
/// # Errors
/// [`StatsError`] for different lengths or a share outside (0, 1].
pub fn smooth(previous: &[f64], target: &[f64], share: f64) -> Result<Vec<f64>, StatsError> {
    same_length("previous weights", previous.len(), "target weights", target.len())?;
    require(share > 0.0 && share <= 1.0, "share", share, "more than 0, up to 1")?;
    Ok(previous.iter().zip(target).map(|(old, new)| share * new + (1.0 - share) * old).collect())
}

/// The weighted return of each period.
///
/// # Errors
/// [`StatsError`] for different numbers of members and weights, or of periods.
pub fn weighted_returns(members: &[&[f64]], weights: &[f64]) -> Result<Vec<f64>, StatsError> {
    same_length("members", members.len(), "weights", weights.len())?;
    let periods = members.first().map_or(0, |member| member.len());
    let mut sums = vec![0.0; periods];
    for (member, &weight) in members.iter().zip(weights) {
        same_length("returns of the first member", periods, "returns of another", member.len())?;
        sums.iter_mut().zip(*member).for_each(|(sum, r)| *sum += weight * r);
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trading::Sharpe;

    fn ratio(members: &[&[f64]], weights: &[f64]) -> f64 {
        Sharpe::of(&weighted_returns(members, weights).expect("valid")).expect("valid").per_period
    }

    #[test]
    fn a_member_that_only_loses_gets_nothing() {
        let (good, bad) = ([0.02, 0.01, 0.03, -0.01], [-0.02, -0.01, 0.005, -0.03]);
        let weights = max_sharpe_weights(&[&good, &bad]).expect("valid");
        assert!(weights[0] > 0.99, "{weights:?}");
    }

    #[test]
    fn special_cases_have_answers() {
        let losing: &[f64] = &[-0.01, -0.02, 0.01];
        assert_eq!(max_sharpe_weights(&[losing, losing]), Ok(vec![0.5, 0.5]));
        let twin: &[f64] = &[0.01, -0.005, 0.02];
        let twins = max_sharpe_weights(&[twin, twin]).expect("valid");
        assert!((twins[0] + twins[1] - 1.0).abs() < 1e-12);
        let steady = max_sharpe_weights(&[&[0.01; 3], &[0.03; 3]]).expect("valid");
        assert!((steady[1] - 0.75).abs() < 1e-12, "in proportion to the means: {steady:?}");
        assert!(max_sharpe_weights(&[]).is_err());
        assert!(max_sharpe_weights(&[&[0.1]]).is_err());
        assert!(max_sharpe_weights(&[&[0.1, 0.2], &[0.1]]).is_err());
        assert!(max_sharpe_weights(&[&[0.1, f64::NAN]]).is_err());
    }

    #[test]
    fn smoothing_goes_part_of_the_way() {
        assert_eq!(smooth(&[1.0, 0.0], &[0.0, 1.0], 0.25), Ok(vec![0.75, 0.25]));
        assert!(smooth(&[1.0], &[1.0], 0.0).is_err());
        assert!(smooth(&[1.0], &[0.5, 0.5], 0.3).is_err());
    }

    proptest! {
        /// No weights on a fine grid do better.
        #[test]
        fn no_other_weights_do_better(
            rows in prop::collection::vec((-0.02..0.03f64, -0.02..0.03f64, -0.02..0.03f64), 8..30),
        ) {
            let column = |pick: fn(&(f64, f64, f64)) -> f64| rows.iter().map(pick).collect::<Vec<f64>>();
            let columns = [column(|r| r.0), column(|r| r.1), column(|r| r.2)];
            let members: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
            let weights = max_sharpe_weights(&members).expect("valid");
            prop_assert!(weights.iter().all(|&w| w >= 0.0) && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assume!(columns.iter().any(|c| c.iter().sum::<f64>() > 0.0));
            let best = ratio(&members, &weights);
            for a in 0..=20 {
                for b in 0..=20 - a {
                    let grid = [f64::from(a) / 20.0, f64::from(b) / 20.0, f64::from(20 - a - b) / 20.0];
                    prop_assert!(ratio(&members, &grid) <= best + 1e-6);
                }
            }
        }
    }
}
