//! Classification, calibration, trading metrics and corrections for many tests against scikit-learn, numpy,
//! scipy and statsmodels.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{assert_close, if_finite, records};
use crate::calibration::{Binning, Isotonic, Reliability};
use crate::classification::{
    Averaging, Confusion, ConfusionMatrix, PrecisionRecall, brier, log_loss, roc_auc,
};
use crate::multiplicity::{Correction, adjust, e_bh, reject};
use crate::trading::{
    Sharpe, WinLoss, cumulative_return, drawdown_additive, drawdown_compounded, ewma_variance,
    realised_volatility, realised_volatility_zero_mean, sortino,
};

/// What is left of 1e-9 where the file has fewer digits or the value is a difference of large sums.
const RELATIVE: f64 = 1e-9;

#[track_caller]
fn all_close(what: &str, pairs: &[(&str, Option<f64>, Option<f64>)]) {
    for &(name, got, want) in pairs {
        match (got, want) {
            (Some(got), Some(want)) => assert_close(got, want, RELATIVE, 1e-13, &format!("{what} {name}")),
            _ => assert_eq!(got, want, "{what} {name}"),
        }
    }
}

#[derive(Deserialize)]
struct Classification {
    id: String,
    y: String,
    score: Vec<f64>,
    weights: Vec<f64>,
    threshold: f64,
    confusion: BTreeMap<String, u64>,
    accuracy: f64,
    balanced_accuracy: f64,
    precision: f64,
    recall: f64,
    f1: f64,
    mcc: f64,
    kappa: f64,
    average_precision: f64,
    pr_auc_trapezoid: f64,
    roc_auc: f64,
    brier: f64,
    log_loss: f64,
    precision_at_recall80_max: f64,
    threshold_at_that: f64,
    ece_width10: f64,
    mce_width10: f64,
    ece_mass10: f64,
    mce_mass10: f64,
    ece_width15: f64,
    mce_width15: f64,
    ece_mass15: f64,
    mce_mass15: f64,
    reliability_width10: Vec<(u64, Option<f64>, Option<f64>)>,
    isotonic_unweighted: Knots,
    isotonic_weighted: Knots,
}

#[derive(Deserialize)]
struct Knots {
    x: Vec<f64>,
    y: Vec<f64>,
    grid: Vec<f64>,
    pred: Vec<f64>,
}

#[test]
fn classifications_are_measured_like_scikit_learn() {
    for c in records::<Classification>("stats_classification.jsonl") {
        let actual: Vec<bool> = c.y.bytes().map(|b| b == b'1').collect();
        let confusion = Confusion::of_scores(&actual, &c.score, c.threshold).expect("valid");
        let counts = [
            ("tn", confusion.true_negative),
            ("fp", confusion.false_positive),
            ("fn", confusion.false_negative),
            ("tp", confusion.true_positive),
        ];
        assert_eq!(BTreeMap::from(counts.map(|(k, v)| (k.to_owned(), v))), c.confusion, "{}", c.id);
        let curve = PrecisionRecall::of(&actual, &c.score).expect("valid");
        let point = curve.at_recall(0.8).expect("reached");
        // The peer reports 0 where nothing was predicted positive.
        let or_zero = |value: Option<f64>| Some(value.unwrap_or(0.0));
        all_close(
            &c.id,
            &[
                ("accuracy", confusion.accuracy(), Some(c.accuracy)),
                ("balanced accuracy", confusion.balanced_accuracy(), Some(c.balanced_accuracy)),
                ("precision", or_zero(confusion.precision()), Some(c.precision)),
                ("recall", confusion.recall(), Some(c.recall)),
                ("F1", confusion.f1(), Some(c.f1)),
                ("Matthews", confusion.matthews(), Some(c.mcc)),
                ("kappa", confusion.kappa(), Some(c.kappa)),
                ("average precision", Some(curve.average_precision()), Some(c.average_precision)),
                ("area", Some(curve.area()), Some(c.pr_auc_trapezoid)),
                ("ROC", Some(roc_auc(&actual, &c.score).expect("valid")), Some(c.roc_auc)),
                ("Brier", Some(brier(&actual, &c.score).expect("valid")), Some(c.brier)),
                ("log loss", Some(log_loss(&actual, &c.score).expect("valid")), Some(c.log_loss)),
                ("precision at recall", Some(point.precision), Some(c.precision_at_recall80_max)),
                ("its threshold", Some(point.threshold), Some(c.threshold_at_that)),
            ],
        );
        for (bins, binning, ece, mce) in [
            (10, Binning::EqualWidth, c.ece_width10, c.mce_width10),
            (15, Binning::EqualWidth, c.ece_width15, c.mce_width15),
            (10, Binning::EqualMass, c.ece_mass10, c.mce_mass10),
            (15, Binning::EqualMass, c.ece_mass15, c.mce_mass15),
        ] {
            let found = Reliability::of(&actual, &c.score, bins, binning).expect("valid");
            all_close(
                &format!("{} {bins} {binning:?}", c.id),
                &[("ECE", Some(found.ece), Some(ece)), ("MCE", Some(found.mce), Some(mce))],
            );
        }
        let found = Reliability::of(&actual, &c.score, 10, Binning::EqualWidth).expect("valid");
        for (bin, (count, score, share)) in found.bins.iter().zip(&c.reliability_width10) {
            assert_eq!(bin.count, *count, "{}", c.id);
            all_close(
                &c.id,
                &[("mean score", bin.means.map(|m| m.0), *score), ("share", bin.means.map(|m| m.1), *share)],
            );
        }
        for (weights, knots) in [(None, &c.isotonic_unweighted), (Some(&c.weights[..]), &c.isotonic_weighted)]
        {
            let map = Isotonic::fit(&actual, &c.score, weights).expect("valid");
            let (x, y): (Vec<f64>, Vec<f64>) = map.knots().iter().copied().unzip();
            assert_eq!(x, knots.x, "{} {}", c.id, weights.is_some());
            for (got, want) in y.iter().zip(&knots.y) {
                assert_close(*got, *want, RELATIVE, 1e-13, &c.id);
            }
            for (&score, want) in knots.grid.iter().zip(&knots.pred) {
                assert_close(map.map(score).expect("valid"), *want, RELATIVE, 1e-13, &c.id);
            }
        }
    }
}

#[derive(Deserialize)]
struct Multiclass {
    id: String,
    y: Vec<u32>,
    pred: Vec<u32>,
    confusion: Vec<Vec<u64>>,
    accuracy: f64,
    precision_macro: f64,
    precision_micro: f64,
    precision_weighted: f64,
    recall_macro: f64,
    recall_micro: f64,
    recall_weighted: f64,
    f1_macro: f64,
    f1_micro: f64,
    f1_weighted: f64,
    mcc: f64,
    kappa: f64,
}

#[test]
fn classes_are_averaged_like_scikit_learn() {
    for m in records::<Multiclass>("stats_multiclass.jsonl") {
        let classes = m.confusion.len() as u32;
        let mut matrix = ConfusionMatrix::new(classes).expect("valid");
        for (&actual, &predicted) in m.y.iter().zip(&m.pred) {
            matrix.add(actual, predicted).expect("valid");
        }
        let counts: Vec<Vec<u64>> =
            (0..classes).map(|a| (0..classes).map(|p| matrix.count(a, p)).collect()).collect();
        assert_eq!(counts, m.confusion, "{}", m.id);
        let precision = |averaging| matrix.average(averaging, Confusion::precision);
        let recall = |averaging| matrix.average(averaging, Confusion::recall);
        let f1 = |averaging| matrix.average(averaging, Confusion::f1);
        all_close(
            &m.id,
            &[
                ("accuracy", matrix.accuracy(), Some(m.accuracy)),
                ("precision macro", precision(Averaging::Macro), Some(m.precision_macro)),
                ("precision micro", precision(Averaging::Micro), Some(m.precision_micro)),
                ("precision weighted", precision(Averaging::Weighted), Some(m.precision_weighted)),
                ("recall macro", recall(Averaging::Macro), Some(m.recall_macro)),
                ("recall micro", recall(Averaging::Micro), Some(m.recall_micro)),
                ("recall weighted", recall(Averaging::Weighted), Some(m.recall_weighted)),
                ("F1 macro", f1(Averaging::Macro), Some(m.f1_macro)),
                ("F1 micro", f1(Averaging::Micro), Some(m.f1_micro)),
                ("F1 weighted", f1(Averaging::Weighted), Some(m.f1_weighted)),
                ("Matthews", matrix.matthews(), Some(m.mcc)),
                ("kappa", matrix.kappa(), Some(m.kappa)),
            ],
        );
    }
}

#[derive(Deserialize)]
struct Trading {
    id: String,
    returns: Vec<f64>,
    #[serde(deserialize_with = "if_finite")]
    sharpe_per_period: Option<f64>,
    #[serde(deserialize_with = "if_finite")]
    sharpe_annual_252: Option<f64>,
    #[serde(deserialize_with = "if_finite")]
    sortino_annual_252: Option<f64>,
    win_rate_gt0: f64,
    win_rate_excl_zero: Option<f64>,
    max_drawdown_compounded: f64,
    dd_peak_equity_index: usize,
    dd_trough_equity_index: usize,
    max_drawdown_additive: f64,
    max_consecutive_losses: u64,
    total_return: f64,
    #[serde(deserialize_with = "if_finite")]
    profit_factor: Option<f64>,
    realized_vol_annual_252: f64,
    realized_vol_zero_mean: f64,
    #[serde(default)]
    skew: Option<serde_json::Value>,
    #[serde(default)]
    kurtosis: Option<serde_json::Value>,
    #[serde(default)]
    sharpe_se_mertens: Option<serde_json::Value>,
    #[serde(default)]
    sharpe_se_lo_iid: Option<serde_json::Value>,
    #[serde(default)]
    psr_vs_0: Option<serde_json::Value>,
    ewma_var_lambda94_last: f64,
}

#[test]
fn returns_are_measured_like_numpy_does() {
    let mut with_sharpe = 0;
    for t in records::<Trading>("stats_trading.jsonl") {
        let drawdown = drawdown_compounded(&t.returns).expect("valid");
        let wins = WinLoss::of(&t.returns).expect("valid");
        all_close(
            &t.id,
            &[
                ("drawdown", Some(drawdown.depth), Some(t.max_drawdown_compounded)),
                (
                    "additive drawdown",
                    drawdown_additive(&t.returns).ok().map(|d| d.depth),
                    Some(t.max_drawdown_additive),
                ),
                ("return", cumulative_return(&t.returns).ok(), Some(t.total_return)),
                ("win rate", wins.win_rate(), Some(t.win_rate_gt0)),
                ("win rate of decided", wins.win_rate_decided(), t.win_rate_excl_zero),
                ("profit factor", wins.profit_factor(), t.profit_factor),
                ("Sortino", sortino(&t.returns).ok().map(|s| s * 252f64.sqrt()), t.sortino_annual_252),
                ("volatility", realised_volatility(&t.returns, 252.0).ok(), Some(t.realized_vol_annual_252)),
                (
                    "volatility about 0",
                    realised_volatility_zero_mean(&t.returns, 252.0).ok(),
                    Some(t.realized_vol_zero_mean),
                ),
                ("EWMA variance", ewma_variance(&t.returns, 0.94).ok(), Some(t.ewma_var_lambda94_last)),
            ],
        );
        assert_eq!(
            (drawdown.peak, drawdown.trough, wins.longest_losing_run),
            (t.dd_peak_equity_index, t.dd_trough_equity_index, t.max_consecutive_losses),
            "{}",
            t.id
        );
        // A constant series has no Sharpe ratio; the peer's is a rounding error's reciprocal there.
        let constant = t.returns.iter().all(|&r| r == t.returns[0]);
        let sharpe = Sharpe::of(&t.returns);
        assert_eq!(sharpe.is_err(), constant, "{}", t.id);
        let Ok(sharpe) = sharpe else { continue };
        let number = |value: &Option<serde_json::Value>| value.as_ref().and_then(serde_json::Value::as_f64);
        all_close(
            &t.id,
            &[
                ("Sharpe", Some(sharpe.per_period), t.sharpe_per_period),
                ("annualised", sharpe.annualised(252.0).ok(), t.sharpe_annual_252),
                ("skewness", Some(sharpe.skewness), number(&t.skew)),
                ("kurtosis", Some(sharpe.kurtosis), number(&t.kurtosis)),
                ("standard error", Some(sharpe.standard_error()), number(&t.sharpe_se_mertens)),
                ("standard error, normal", Some(sharpe.standard_error_normal()), number(&t.sharpe_se_lo_iid)),
                ("probability above 0", sharpe.probability_above(0.0), number(&t.psr_vs_0)),
            ],
        );
        with_sharpe += 1;
    }
    assert!(with_sharpe >= 10);
}

#[derive(Deserialize)]
struct Many {
    p: Vec<f64>,
    bonferroni: Corrected,
    holm: Corrected,
    fdr_bh: Corrected,
    fdr_by: Corrected,
    #[serde(rename = "e_bh_with_e=1/(2sqrt(p))")]
    e_bh: Vec<usize>,
}

#[derive(Deserialize)]
struct Corrected {
    rejected: Vec<usize>,
    /// Left out of the largest record.
    #[serde(default)]
    adjusted: Vec<f64>,
}

#[test]
fn many_tests_are_corrected_like_statsmodels() {
    let indices = |found: Vec<bool>| (0..found.len()).filter(|&i| found[i]).collect::<Vec<_>>();
    for many in records::<Many>("stats_multitest.jsonl") {
        for (correction, want) in [
            (Correction::Bonferroni, &many.bonferroni),
            (Correction::Holm, &many.holm),
            (Correction::BenjaminiHochberg, &many.fdr_bh),
            (Correction::BenjaminiYekutieli, &many.fdr_by),
        ] {
            let what = format!("{} {correction:?}", many.p.len());
            assert_eq!(indices(reject(&many.p, 0.05, correction).expect("valid")), want.rejected, "{what}");
            for (got, want) in adjust(&many.p, correction).expect("valid").iter().zip(&want.adjusted) {
                // The file has twelve digits.
                assert_close(*got, *want, 1e-11, 0.0, &what);
            }
        }
        let e: Vec<f64> = many.p.iter().map(|p| 0.5 / p.sqrt()).collect();
        assert_eq!(indices(e_bh(&e, 0.05).expect("valid")), many.e_bh, "{}", many.p.len());
    }
}
