//! How entries become bytes. Predictions and outcomes, by far the most, are compact and refer to names by number;
//! everything else is JSON. A format is never changed: a new one is a new variant, and the old ones are read for ever.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Actual, Entry, Feature, Features, Interval, Outcome, Predicted, Prediction, Subject, Timestamp, Trade,
};

/// The `kind` column. Numbers are never used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Prediction = 1,
    Outcome = 2,
    Correction = 3,
    Other = 4,
}

impl Kind {
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        [Self::Prediction, Self::Outcome, Self::Correction, Self::Other]
            .into_iter()
            .find(|kind| *kind as i64 == number)
    }
}

#[derive(Serialize, Deserialize)]
enum PredictionFormat<'a> {
    #[serde(borrow)]
    V1(PredictionV1<'a>),
}

#[derive(Serialize, Deserialize)]
struct PredictionV1<'a> {
    subject: u32,
    id: &'a str,
    time: i64,
    predicted: Predicted,
    confidence: Option<f64>,
    interval: Option<Interval>,
    names: u32,
    values: Cow<'a, [Feature]>,
    trade: Trade,
    served: bool,
    horizon: Option<u32>,
}

#[derive(Serialize, Deserialize)]
enum OutcomeFormat<'a> {
    #[serde(borrow)]
    V1(OutcomeV1<'a>),
}

#[derive(Serialize, Deserialize)]
struct OutcomeV1<'a> {
    model: u32,
    id: &'a str,
    time: i64,
    actual: Option<Actual>,
    exit_price: Option<f64>,
    pnl: Option<f64>,
    correction: bool,
}

/// Names by number, as the database has them.
pub(crate) trait Names {
    fn subject(&self, number: u32) -> Result<Arc<Subject>, String>;
    fn model(&self, number: u32) -> Result<(String, String), String>;
    fn features(&self, number: u32) -> Result<Arc<[String]>, String>;
}

pub(crate) fn encode_prediction(
    prediction: &Prediction,
    subject: u32,
    names: u32,
) -> Result<Vec<u8>, String> {
    let format = PredictionFormat::V1(PredictionV1 {
        subject,
        id: &prediction.id,
        time: prediction.time.as_millis(),
        predicted: prediction.predicted,
        confidence: prediction.confidence,
        interval: prediction.interval,
        names,
        values: Cow::Borrowed(&prediction.features.values),
        trade: prediction.trade,
        served: prediction.served,
        horizon: prediction.horizon,
    });
    postcard::to_allocvec(&format).map_err(|error| error.to_string())
}

pub(crate) fn decode_prediction(bytes: &[u8], names: &dyn Names) -> Result<Prediction, String> {
    let PredictionFormat::V1(row) = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    Ok(Prediction {
        id: row.id.to_owned(),
        subject: names.subject(row.subject)?,
        time: time(row.time)?,
        predicted: row.predicted,
        confidence: row.confidence,
        interval: row.interval,
        features: Features { names: names.features(row.names)?, values: row.values.into_owned() },
        trade: row.trade,
        served: row.served,
        horizon: row.horizon,
    })
}

pub(crate) fn encode_outcome(outcome: &Outcome, model: u32) -> Result<Vec<u8>, String> {
    let format = OutcomeFormat::V1(OutcomeV1 {
        model,
        id: &outcome.id,
        time: outcome.time.as_millis(),
        actual: outcome.actual,
        exit_price: outcome.exit_price,
        pnl: outcome.pnl,
        correction: outcome.correction,
    });
    postcard::to_allocvec(&format).map_err(|error| error.to_string())
}

pub(crate) fn decode_outcome(bytes: &[u8], names: &dyn Names) -> Result<Outcome, String> {
    let OutcomeFormat::V1(row) = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    let (tenant, model) = names.model(row.model)?;
    Ok(Outcome {
        tenant,
        model,
        id: row.id.to_owned(),
        time: time(row.time)?,
        actual: row.actual,
        exit_price: row.exit_price,
        pnl: row.pnl,
        correction: row.correction,
    })
}

pub(crate) fn encode_other(entry: &Entry) -> Result<Vec<u8>, String> {
    serde_json::to_vec(entry).map_err(|error| error.to_string())
}

pub(crate) fn decode_other(bytes: &[u8]) -> Result<Entry, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

fn time(millis: i64) -> Result<Timestamp, String> {
    Timestamp::from_millis(millis).ok_or_else(|| format!("time {millis} is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Names for Fixed {
        fn subject(&self, number: u32) -> Result<Arc<Subject>, String> {
            let version = format!("v{number}");
            Ok(Arc::new(Subject { tenant: "t".into(), model: "m".into(), version, segment: "s".into() }))
        }
        fn model(&self, _: u32) -> Result<(String, String), String> {
            Ok(("t".into(), "m".into()))
        }
        fn features(&self, _: u32) -> Result<Arc<[String]>, String> {
            Ok(vec!["a".to_owned(), "b".to_owned()].into())
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Written out by hand from the postcard specification (varints, little-endian floats): a database of the first
    /// build must be readable for ever, so these bytes must never need to change.
    #[test]
    fn the_first_row_formats_stay_readable() {
        let prediction = Prediction {
            id: "p1".into(),
            subject: Fixed.subject(1).expect("a subject"),
            time: Timestamp::from_millis(1_000).expect("in range"),
            predicted: Predicted::Binary(0.5),
            confidence: Some(1.0),
            interval: None,
            features: Features {
                names: Fixed.features(2).expect("names"),
                values: vec![Feature::Number(2.0), Feature::Category("x".into())],
            },
            trade: Trade { side: Some(-1), ..Trade::default() },
            served: true,
            horizon: Some(300),
        };
        let bytes = concat!(
            "00",                         // V1
            "01",                         // subject 1
            "027031",                     // "p1"
            "d00f",                       // 1,000, zigzag 2,000
            "01000000000000e03f",         // binary 0.5
            "01000000000000f03f",         // confidence 1.0
            "00",                         // no interval
            "02",                         // feature names 2
            "02000000000000000040010178", // two values: number 2.0, category "x"
            "0001ff0000",                 // no price, side -1, no size, no fee
            "01",                         // served
            "01ac02",                     // horizon 300
        );
        assert_eq!(hex(&encode_prediction(&prediction, 1, 2).expect("encodes")), bytes);
        let raw: Vec<u8> = (0..bytes.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&bytes[i..i + 2], 16).expect("hex"))
            .collect();
        assert_eq!(decode_prediction(&raw, &Fixed), Ok(prediction));

        let outcome = Outcome {
            tenant: "t".into(),
            model: "m".into(),
            id: "p1".into(),
            time: Timestamp::from_millis(1_000).expect("in range"),
            actual: Some(Actual::Label(-1)),
            exit_price: None,
            pnl: None,
            correction: true,
        };
        let bytes = "0003027031d00f010001000001";
        assert_eq!(hex(&encode_outcome(&outcome, 3).expect("encodes")), bytes);
    }

    #[test]
    fn damaged_rows_are_errors() {
        for bytes in [&[][..], &[9], &[0, 1], &[0xff; 40]] {
            assert!(decode_prediction(bytes, &Fixed).is_err(), "{bytes:?}");
            assert!(decode_outcome(bytes, &Fixed).is_err(), "{bytes:?}");
        }
        assert!(decode_other(b"{\"from-the-future\":1}").is_err());
    }
}
