//! ADWIN against river 0.26.1 (both variants: drift indices, and the window's width, sum and spread on the
//! way) and against MOA's keep-window ADWIN (drift indices).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{assert_close, records, streams};
use crate::{Adwin, AdwinConfig, AdwinVariant, OnlineDetector};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Params {
    delta: Option<f64>,
    clock: Option<u32>,
    max_buckets: Option<u32>,
    min_window_length: Option<u32>,
    grace_period: Option<u32>,
}

impl Params {
    fn detector(&self, variant: AdwinVariant) -> Adwin {
        let base = AdwinConfig::default();
        Adwin::new(AdwinConfig {
            delta: self.delta.unwrap_or(base.delta),
            clock: self.clock.unwrap_or(base.clock),
            max_buckets: self.max_buckets.unwrap_or(base.max_buckets),
            min_window_length: self.min_window_length.unwrap_or(base.min_window_length),
            grace_period: self.grace_period.unwrap_or(base.grace_period),
            variant,
        })
        .expect("the peer's parameters are valid here")
    }
}

#[derive(Deserialize)]
struct Drifts {
    stream: String,
    detector: String,
    #[serde(default)]
    params: serde_json::Value,
    drift: Vec<usize>,
}

fn drift_indices(detector: &mut Adwin, values: &[f64]) -> Vec<usize> {
    let fires = |x: f64| detector.update(x).expect("usable").drift().is_some();
    let mut fires = fires;
    values.iter().enumerate().filter(|&(_, &x)| fires(x)).map(|(i, _)| i).collect()
}

#[test]
fn drift_indices_are_rivers() {
    let streams = streams();
    let mut checked = 0;
    for record in records::<Drifts>("detectors_river.jsonl") {
        let variant = match record.detector.as_str() {
            "ADWIN" => AdwinVariant::ResetOnDrift,
            "AdaptiveWindowing(no reset)" => AdwinVariant::KeepWindow,
            _ => continue,
        };
        let params: Params = serde_json::from_value(record.params.clone()).expect("parameters");
        let got = drift_indices(&mut params.detector(variant), &streams[&record.stream]);
        assert_eq!(got, record.drift, "{} on {} with {}", record.detector, record.stream, record.params);
        checked += 1;
    }
    assert_eq!(checked, 180);
}

#[derive(Deserialize)]
struct Trace {
    stream: String,
    variant: String,
    params: Params,
    trace: Vec<Vec<f64>>,
}

#[test]
fn windows_on_the_way_are_rivers() {
    let streams = streams();
    let mut rows = 0;
    for record in records::<Trace>("adwin_trace_river.jsonl") {
        let variant = match record.variant.as_str() {
            "reset_on_drift" => AdwinVariant::ResetOnDrift,
            "keep_window" => AdwinVariant::KeepWindow,
            other => panic!("unknown variant {other}"),
        };
        let mut detector = record.params.detector(variant);
        let wanted: BTreeMap<usize, &Vec<f64>> =
            record.trace.iter().map(|row| (row[0] as usize, row)).collect();
        let values = &streams[&record.stream];
        // Spread is a difference of large sums; its rounding error is relative to the squares, not to itself.
        let largest = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        for (i, &x) in values.iter().enumerate() {
            detector.update(x).expect("usable");
            let Some(row) = wanted.get(&i) else { continue };
            let what = format!("{} {} at {i}", record.stream, record.variant);
            assert_eq!(detector.width(), row[1] as u64, "{what}");
            assert_close(detector.total(), row[2], 1e-9, 1e-9 * largest, &what);
            assert_close(detector.variance() * row[1], row[3], 1e-9, 1e-9 * largest * largest, &what);
            rows += 1;
        }
    }
    assert!(rows > 10_000, "{rows} rows compared");
}

/// MOA keeps the window too, and on every stream its drifts are those of river's core.
#[test]
fn drift_indices_are_moas() {
    let streams = streams();
    let mut checked = 0;
    for record in records::<Drifts>("detectors_moa.jsonl") {
        if record.detector != "ADWIN" {
            continue;
        }
        let mut detector = Params::default().detector(AdwinVariant::KeepWindow);
        let got = drift_indices(&mut detector, &streams[&record.stream]);
        assert_eq!(got, record.drift, "{}", record.stream);
        checked += 1;
    }
    assert_eq!(checked, 30);
}
