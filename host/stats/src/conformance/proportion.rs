//! Tests and intervals for one share against statsmodels and scipy.

use serde::Deserialize;

use super::{assert_close, records};
use crate::proportion::{binomial_test, interval, z_test};
use crate::{Alternative, IntervalMethod};

#[derive(Deserialize)]
struct Record {
    n: u64,
    correct: u64,
    baseline: f64,
    z_null_var: f64,
    p_two_sided: f64,
    p_less: f64,
    binom_exact_two_sided: f64,
    binom_exact_less: f64,
    ci95_wilson: [f64; 2],
    ci95_beta: [f64; 2],
    ci95_agresti_coull: [f64; 2],
    ci95_jeffreys: [f64; 2],
}

#[test]
fn shares_are_tested_like_statsmodels() {
    for r in records::<Record>("stats_proportion.jsonl") {
        let what = format!("{} of {} against {}", r.correct, r.n, r.baseline);
        let z = |alternative| z_test(r.correct, r.n, r.baseline, alternative).expect("valid");
        let exact = |alternative| binomial_test(r.correct, r.n, r.baseline, alternative).expect("valid");
        assert_close(z(Alternative::Less).statistic, r.z_null_var, 1e-12, 1e-14, &what);
        assert_close(z(Alternative::Less).p_value, r.p_less, 1e-10, 1e-300, &what);
        assert_close(z(Alternative::TwoSided).p_value, r.p_two_sided, 1e-10, 1e-300, &what);
        assert_close(exact(Alternative::Less), r.binom_exact_less, 1e-9, 1e-300, &what);
        assert_close(exact(Alternative::TwoSided), r.binom_exact_two_sided, 1e-9, 1e-300, &what);
        for (method, [low, high]) in [
            (IntervalMethod::Wilson, r.ci95_wilson),
            (IntervalMethod::ClopperPearson, r.ci95_beta),
            (IntervalMethod::AgrestiCoull, r.ci95_agresti_coull),
            (IntervalMethod::Jeffreys, r.ci95_jeffreys),
        ] {
            let got = interval(r.correct, r.n, 0.95, method).expect("valid");
            assert_close(got.low, low, 1e-9, 1e-15, &format!("{what} {method:?} low"));
            assert_close(got.high, high, 1e-9, 1e-15, &format!("{what} {method:?} high"));
        }
    }
}
