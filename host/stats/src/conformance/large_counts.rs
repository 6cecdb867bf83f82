//! Tails and quantiles at counts where plain double precision fails, against mpmath with 60 digits.

use serde::Deserialize;

use super::{assert_close, records};
use crate::calibration::{Reliability, ReliabilityBin};
use crate::proportion::{binomial_test, interval};
use crate::special::normal_cdf;
use crate::{Alternative, Interval, IntervalMethod};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Record {
    ClopperPearson {
        n: u64,
        k: u64,
        confidence: f64,
        low: f64,
        high: f64,
    },
    Binomial {
        n: u64,
        k: u64,
        p: f64,
        at_most: f64,
        at_least: f64,
    },
    Normal {
        z: f64,
        lower: f64,
    },
    /// Bins as (count, mean score, positives).
    Ece {
        bins: Vec<(u64, f64, f64)>,
        ece: f64,
        p_value: f64,
    },
}

#[test]
fn large_counts_keep_their_digits() {
    for record in records::<Record>("stats_large_counts.jsonl") {
        match record {
            Record::ClopperPearson { n, k, confidence, low, high } => {
                let got = interval(k, n, confidence, IntervalMethod::ClopperPearson).expect("valid");
                let what = format!("{k} of {n} at {confidence}");
                let Interval { low: got_low, high: got_high } = got;
                assert_close(got_low, low, 1e-9, 0.0, &format!("{what}, low"));
                assert_close(got_high, high, 1e-9, 0.0, &format!("{what}, high"));
            }
            Record::Binomial { n, k, p, at_most, at_least } => {
                let got = |alternative| binomial_test(k, n, p, alternative).expect("valid");
                let what = format!("{k} of {n} against {p}");
                assert_close(got(Alternative::Less), at_most, 1e-9, 1e-300, &format!("{what}, at most"));
                assert_close(got(Alternative::Greater), at_least, 1e-9, 1e-300, &format!("{what}, at least"));
            }
            Record::Normal { z, lower } => {
                assert_close(normal_cdf(z), lower, 1e-12, 0.0, &format!("normal at {z}"));
            }
            Record::Ece { bins, ece, p_value } => {
                let bin = |&(count, score, positives): &(u64, f64, f64)| ReliabilityBin {
                    count,
                    means: Some((score, positives / count as f64)),
                };
                let bins: Vec<ReliabilityBin> = bins.iter().map(bin).collect();
                let got = Reliability { bins, ece, mce: 0.0 };
                assert_close(got.p_value().expect("varies"), p_value, 1e-9, 0.0, &"calibration error");
            }
        }
    }
}
