//! Page–Hinkley, DDM, EDDM, HDDM-A and HDDM-W against river 0.26.1: every index of a drift and of a warning,
//! and the statistics on the way.

use serde::Deserialize;

use super::{assert_close, records, streams};
use crate::{
    Ddm, DdmConfig, Eddm, EddmConfig, HddmA, HddmAConfig, HddmW, HddmWConfig, OnlineDetector, PageHinkley,
    PageHinkleyConfig, Sides, Signal,
};

#[derive(Deserialize)]
struct Record {
    stream: String,
    detector: String,
    params: serde_json::Value,
    n: usize,
    drift: Vec<usize>,
    warning: Vec<(usize, usize)>,
}

#[derive(Deserialize)]
struct Trace {
    stream: String,
    detector: String,
    params: serde_json::Value,
    trace: Vec<Vec<Option<f64>>>,
}

/// The detectors whose statistics can be read, so that traces compare.
trait Traced: OnlineDetector {
    fn row(&self) -> Vec<Option<f64>>;
}

impl Traced for PageHinkley {
    fn row(&self) -> Vec<Option<f64>> {
        self.sums().into_iter().chain([self.mean()]).map(Some).collect()
    }
}

impl Traced for Ddm {
    fn row(&self) -> Vec<Option<f64>> {
        let (rate, n, best) = self.trace();
        vec![Some(rate), Some(n as f64), best.map(|b| b.0), best.map(|b| b.1)]
    }
}

impl Traced for Eddm {
    fn row(&self) -> Vec<Option<f64>> {
        self.trace().map(Some).to_vec()
    }
}

impl Traced for HddmA {
    fn row(&self) -> Vec<Option<f64>> {
        self.trace().map(Some).to_vec()
    }
}

impl Traced for HddmW {
    fn row(&self) -> Vec<Option<f64>> {
        self.trace().to_vec()
    }
}

/// The peer's detector with the peer's parameters; `None` for one that this file is not about.
fn detector(name: &str, params: &serde_json::Value) -> Option<Box<dyn Traced>> {
    let number = |key: &str, default: f64| params.get(key).map_or(default, |v| v.as_f64().expect("number"));
    let count = |key: &str, default: u32| number(key, default.into()) as u32;
    let two_sided = params.get("two_sided_test").is_some_and(|v| v.as_bool().expect("true or false"));
    Some(match name {
        "PageHinkley" => {
            let base = PageHinkleyConfig::default();
            let sides = match params.get("mode").map(|v| v.as_str().expect("text")) {
                Some("up") => Sides::Up,
                Some("down") => Sides::Down,
                _ => Sides::Both,
            };
            Box::new(
                PageHinkley::new(PageHinkleyConfig {
                    min_instances: count("min_instances", base.min_instances),
                    delta: number("delta", base.delta),
                    threshold: number("threshold", base.threshold),
                    alpha: number("alpha", base.alpha),
                    sides,
                })
                .expect("valid"),
            )
        }
        "DDM" => {
            let base = DdmConfig::default();
            Box::new(
                Ddm::new(DdmConfig {
                    warm_start: count("warm_start", base.warm_start),
                    warning_threshold: number("warning_threshold", base.warning_threshold),
                    drift_threshold: number("drift_threshold", base.drift_threshold),
                })
                .expect("valid"),
            )
        }
        "EDDM" => {
            let base = EddmConfig::default();
            let (alpha, beta) = (number("alpha", base.alpha), number("beta", base.beta));
            Box::new(Eddm::new(EddmConfig { alpha, beta, ..base }).expect("valid"))
        }
        "HDDMA" => Box::new(HddmA::new(HddmAConfig { two_sided, ..HddmAConfig::default() }).expect("valid")),
        "HDDMW" => {
            let base = HddmWConfig::default();
            let lambda = number("lambda_val", base.lambda);
            Box::new(HddmW::new(HddmWConfig { two_sided, lambda, ..base }).expect("valid"))
        }
        _ => return None,
    })
}

#[test]
fn drifts_and_warnings_are_rivers() {
    let streams = streams();
    let mut checked = 0;
    for record in records::<Record>("detectors_river.jsonl") {
        let Some(mut detector) = detector(&record.detector, &record.params) else { continue };
        let what = format!("{} on {} with {}", record.detector, record.stream, record.params);
        let (mut drifts, mut warnings) = (Vec::new(), Vec::new());
        for (i, &x) in streams[&record.stream][..record.n].iter().enumerate() {
            match detector.update(x).expect("usable") {
                Signal::None => {}
                Signal::Warning(_) => warnings.push(i),
                Signal::Drift(_) => drifts.push(i),
            }
        }
        assert_eq!(drifts, record.drift, "{what}");
        // river may raise both flags at once; here a drift outranks a warning.
        let wanted: Vec<usize> = record
            .warning
            .iter()
            .flat_map(|&(from, to)| from..=to)
            .filter(|i| !record.drift.contains(i))
            .collect();
        assert_eq!(warnings, wanted, "{what}");
        checked += 1;
    }
    assert_eq!(checked, 4 * 30 + 8 * 15);
}

#[test]
fn statistics_on_the_way_are_rivers() {
    let streams = streams();
    let mut rows = 0;
    for record in records::<Trace>("statistic_trace_river.jsonl") {
        let Some(mut detector) = detector(&record.detector, &record.params) else { continue };
        let mut wanted = record.trace.iter().peekable();
        for (i, &x) in streams[&record.stream].iter().enumerate() {
            detector.update(x).expect("usable");
            let Some(row) = wanted.next_if(|row| row[0] == Some(i as f64)) else { continue };
            for (column, (got, want)) in detector.row().into_iter().zip(&row[1..]).enumerate() {
                let what = format!("{} on {} at {i}, column {column}", record.detector, record.stream);
                match (got, want) {
                    (Some(got), Some(want)) => assert_close(got, *want, 1e-9, 1e-9, &what),
                    (got, want) => assert_eq!(got, *want, "{what}"),
                }
            }
            rows += 1;
        }
    }
    assert!(rows > 10_000, "{rows} rows compared");
}
