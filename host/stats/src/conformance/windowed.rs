//! PSI, categorical distances and tests of two samples against scipy, statsmodels and numpy.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{assert_close, if_finite, records};
use crate::psi::{Bins, EmptyBins, psi};
use crate::two_sample::{MannWhitney, MeanDifference, Welch, fisher_exact, two_proportion_z};
use crate::{Alternative, ChiSquare, Proportion, ShareDistance, WindowedTest};

#[derive(Deserialize)]
struct Samples {
    id: String,
    base: Vec<f64>,
    cur: Vec<f64>,
    #[serde(deserialize_with = "if_finite")]
    mannwhitney_p_asymp: Option<f64>,
    welch_t: T,
    psi: BTreeMap<String, f64>,
    psi_q10_inner_edges: Vec<f64>,
    psi_q10_base_share: Vec<f64>,
    psi_q10_cur_share: Vec<f64>,
}

#[derive(Deserialize)]
struct T {
    #[serde(deserialize_with = "if_finite")]
    t: Option<f64>,
    #[serde(deserialize_with = "if_finite")]
    p: Option<f64>,
}

/// A constant baseline has one bin more here, so that a move upwards shows.
fn constant(values: &[f64]) -> bool {
    values.iter().all(|&x| x == values[0])
}

#[test]
fn psi_is_the_plain_formula_on_numpys_quantiles() {
    let mut checked = 0;
    for s in records::<Samples>("stats_ks_psi.jsonl") {
        if !constant(&s.base) {
            let bins = Bins::quantiles(&s.base, 10).expect("valid");
            assert_eq!(bins.edges().len(), s.psi_q10_inner_edges.len(), "{}", s.id);
            for (got, want) in bins.edges().iter().zip(&s.psi_q10_inner_edges) {
                // The file has edges to six decimals.
                assert!((got - want).abs() <= 0.6e-6, "{}: {got} {want}", s.id);
            }
            for (values, shares) in [(&s.base, &s.psi_q10_base_share), (&s.cur, &s.psi_q10_cur_share)] {
                let counts = bins.count(values).expect("valid");
                let got: Vec<f64> = counts.iter().map(|&c| c as f64 / values.len() as f64).collect();
                assert_eq!(&got, shares, "{}", s.id);
            }
        }
        for (name, want) in &s.psi {
            // "q10_floor0.0001": number of bins, rule, share
            let (bins, rule) = name[1..].split_once('_').expect("two parts");
            let share = |digits: &str| digits.parse().expect("number");
            let empty = match (rule.strip_prefix("floor"), rule.strip_prefix("zero")) {
                (Some(digits), _) => EmptyBins::Floor(share(digits)),
                (_, Some(digits)) => EmptyBins::Zero(share(digits)),
                _ => panic!("unknown rule {rule}"),
            };
            let bins = Bins::quantiles(&s.base, bins.parse().expect("number")).expect("valid");
            let count = |values| bins.count(values).expect("valid");
            let got = psi(&count(&s.base), &count(&s.cur), empty).expect("valid");
            assert_close(got, *want, 1e-9, 1e-12, &format!("{} {name}", s.id));
            checked += 1;
        }
    }
    assert_eq!(checked, 38 * 12);
}

#[test]
fn ranks_and_means_are_tested_like_scipy() {
    for s in records::<Samples>("stats_ks_psi.jsonl") {
        let ranks = MannWhitney { alternative: Alternative::TwoSided }.compare(&s.base, &s.cur);
        match s.mannwhitney_p_asymp {
            Some(want) if want.is_finite() && ranks.is_ok() => {
                let got = ranks.expect("valid").p_value.expect("known");
                assert_close(got, want, 1e-9, 0.0, &s.id);
            }
            // scipy says 1 (or nothing) where all values are equal.
            _ => assert!(constant(&s.base) && s.base[0] == s.cur[0], "{}", s.id),
        }
        let welch = Welch { alternative: Alternative::TwoSided }.compare(&s.base, &s.cur);
        match (s.welch_t.t, s.welch_t.p) {
            (Some(t), Some(p)) => {
                let got = welch.expect("valid");
                assert_close(got.statistic, t, 1e-9, 1e-12, &s.id);
                assert_close(got.p_value.expect("known"), p, 1e-9, 0.0, &s.id);
            }
            _ => assert!(welch.is_err(), "{}", s.id),
        }
    }
}

#[derive(Deserialize)]
struct Canary {
    id: u32,
    champion: Vec<f64>,
    canary: Vec<f64>,
    welch_t: f64,
    welch_df: f64,
    welch_p: f64,
    mean_diff: f64,
    ci95: [f64; 2],
    wins: [u64; 2],
    two_prop_z: f64,
    two_prop_p: f64,
    mannwhitney_p: f64,
    fisher_p: f64,
}

#[test]
fn canaries_are_compared_like_scipy_and_statsmodels() {
    for c in records::<Canary>("stats_canary.jsonl") {
        let what = format!("canary {}", c.id);
        let both = Alternative::TwoSided;
        let means = MeanDifference::of(&c.champion, &c.canary).expect("valid");
        let interval = means.interval(0.95).expect("valid");
        let share = |values: &[f64], wins| Proportion { successes: wins, n: values.len() as u64 };
        let (champion, canary) = (share(&c.champion, c.wins[0]), share(&c.canary, c.wins[1]));
        let z = two_proportion_z(champion, canary, both).expect("valid");
        let ranks = MannWhitney { alternative: both }.compare(&c.champion, &c.canary).expect("valid");
        let pairs = [
            ("t", means.t(), c.welch_t),
            ("df", means.degrees_of_freedom, c.welch_df),
            ("p", means.p_value(both), c.welch_p),
            ("difference", means.difference, c.mean_diff),
            ("low", interval.low, c.ci95[0]),
            ("high", interval.high, c.ci95[1]),
            ("z", z.statistic, c.two_prop_z),
            ("z p", z.p_value, c.two_prop_p),
            ("Mann-Whitney", ranks.p_value.expect("known"), c.mannwhitney_p),
            ("Fisher", fisher_exact(champion, canary, both).expect("valid"), c.fisher_p),
        ];
        for (name, got, want) in pairs {
            assert_close(got, want, 1e-9, 1e-14, &format!("{what} {name}"));
        }
    }
}

#[derive(Deserialize)]
struct Categories {
    base_counts: Vec<u64>,
    cur_counts: Vec<u64>,
    chi2: f64,
    p: f64,
    js_distance_base2: f64,
    psi: f64,
    hellinger: f64,
    tvd: f64,
    linf: f64,
}

#[test]
fn categories_are_compared_like_scipy() {
    for (i, c) in records::<Categories>("stats_categorical.jsonl").into_iter().enumerate() {
        let what = format!("record {i}");
        let chi = ChiSquare.compare(&c.base_counts, &c.cur_counts).expect("valid");
        let distance = |d: ShareDistance| d.compare(&c.base_counts, &c.cur_counts).expect("valid").statistic;
        let index = psi(&c.base_counts, &c.cur_counts, EmptyBins::Zero(1e-4)).expect("valid");
        for (got, want) in [
            (chi.statistic, c.chi2),
            (chi.p_value.expect("known"), c.p),
            (distance(ShareDistance::JensenShannon), c.js_distance_base2),
            (distance(ShareDistance::Hellinger), c.hellinger),
            (distance(ShareDistance::TotalVariation), c.tvd),
            (distance(ShareDistance::Largest), c.linf),
            (index, c.psi),
        ] {
            assert_close(got, want, 1e-9, 1e-300, &what);
        }
    }
}
