//! The two-sample Kolmogorov–Smirnov test against scipy's `ks_2samp`, and KSWIN against river 0.26.1.

use serde::Deserialize;

use super::{assert_close, records, streams};
use crate::ks::ks_distance_sorted;
use crate::windowed::sorted;
use crate::{Alternative, Ks, KsMethod, Kswin, KswinConfig, OnlineDetector, WindowedTest};

#[derive(Deserialize)]
struct Samples {
    id: String,
    base: Vec<f64>,
    cur: Vec<f64>,
    ks: Wanted,
}

#[derive(Deserialize)]
struct Wanted {
    statistic: f64,
    location: f64,
    sign: i32,
    p_exact: f64,
    p_asymp: f64,
    p_auto: f64,
    stat_less: f64,
    p_less_asymp: f64,
    stat_greater: f64,
    p_greater_asymp: f64,
}

#[test]
fn distances_and_p_values_are_scipys() {
    let all = records::<Samples>("stats_ks_psi.jsonl");
    assert_eq!(all.len(), 38);
    for Samples { id, base, cur, ks } in all {
        let test = |alternative, method| {
            let found = Ks { alternative, method }.compare(&base, &cur).expect("valid");
            (found.statistic, found.p_value.expect("known"))
        };
        let two_sided = |method| test(Alternative::TwoSided, method).1;
        // Distances are ratios of counts; the peer computes them as differences of rounded shares.
        assert_close(test(Alternative::TwoSided, KsMethod::Auto).0, ks.statistic, 1e-12, 1e-15, &id);
        assert_eq!(ks.p_auto, ks.p_exact, "the peer's own choice is the exact value at all these sizes");
        assert_close(two_sided(KsMethod::Auto), ks.p_exact, 1e-9, 0.0, &id);
        assert_close(two_sided(KsMethod::Asymptotic), ks.p_asymp, 1e-9, 0.0, &id);
        // scipy's alternatives speak of the distribution function, so "greater" means smaller values.
        let (statistic, p) = test(Alternative::Greater, KsMethod::Asymptotic);
        assert_close(statistic, ks.stat_greater, 1e-12, 1e-15, &id);
        assert_close(p, ks.p_greater_asymp, 1e-9, 0.0, &id);
        let (statistic, p) = test(Alternative::Less, KsMethod::Asymptotic);
        assert_close(statistic, ks.stat_less, 1e-12, 1e-15, &id);
        assert_close(p, ks.p_less_asymp, 1e-9, 0.0, &id);
        let sorted = |values| sorted("sample", values, 1).expect("usable");
        let found = ks_distance_sorted(&sorted(&base), &sorted(&cur));
        // Where both sides reach equally far, the peer's choice hangs on rounding.
        if ks.statistic > 0.0 && (ks.stat_greater - ks.stat_less).abs() > 1e-12 {
            assert_eq!(found.location, ks.location, "{id}");
            assert_eq!(found.above > found.below, ks.sign == 1, "{id}");
        }
    }
}

#[derive(Deserialize)]
struct Drifts {
    stream: String,
    detector: String,
    params: serde_json::Value,
    n: usize,
    drift: Vec<usize>,
}

fn kswin(params: &serde_json::Value) -> Kswin {
    let number = |key: &str| params[key].as_f64().expect("number");
    let (window_size, stat_size) = (number("window_size") as u32, number("stat_size") as u32);
    Kswin::new(KswinConfig { alpha: number("alpha"), window_size, stat_size }).expect("valid")
}

#[test]
fn kswin_drifts_are_rivers() {
    let streams = streams();
    let mut checked = 0;
    for record in records::<Drifts>("detectors_river.jsonl").into_iter().filter(|r| r.detector == "KSWIN") {
        let mut detector = kswin(&record.params);
        let mut fires = |x: f64| detector.update(x).expect("usable").drift().is_some();
        let values = &streams[&record.stream][..record.n];
        let got: Vec<usize> = (0..values.len()).filter(|&i| fires(values[i])).collect();
        assert_eq!(got, record.drift, "{} with {}", record.stream, record.params);
        checked += 1;
    }
    assert_eq!(checked, 60);
}

#[derive(Deserialize)]
struct Trace {
    stream: String,
    detector: String,
    params: serde_json::Value,
    trace: Vec<Vec<Option<f64>>>,
}

#[test]
fn kswin_p_values_are_rivers() {
    let streams = streams();
    let mut rows = 0;
    for record in
        records::<Trace>("statistic_trace_river.jsonl").into_iter().filter(|r| r.detector == "KSWIN")
    {
        let mut detector = kswin(&record.params);
        let mut wanted = record.trace.iter().peekable();
        for (i, &x) in streams[&record.stream].iter().enumerate() {
            detector.update(x).expect("usable");
            let Some(row) = wanted.next_if(|row| row[0] == Some(i as f64)) else { continue };
            // river says 0 as long as there is nothing to test.
            let want = row[1].expect("number");
            assert_close(
                detector.p_value().unwrap_or(0.0),
                want,
                1e-9,
                0.0,
                &format!("{} {i}", record.stream),
            );
            rows += 1;
        }
    }
    assert!(rows > 1000, "{rows}");
}
