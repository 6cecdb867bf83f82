//! How rows of the 64 logs become bytes. Model and time are columns; names are numbers. A format is never changed: a new
//! one is a new variant, and the old ones are read for ever. What is no row is JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use trimtab_log::{Entry, Kind, Routed, Stored};
use trimtab_types::{Actual, Feature, Features, Interval, Outcome, Predicted, Prediction, Timestamp, Trade};

use crate::names::Names;

#[derive(Serialize, Deserialize)]
enum PredictionFormat<'a> {
    #[serde(borrow)]
    V1(PredictionV1<'a>),
}

#[derive(Serialize, Deserialize)]
struct PredictionV1<'a> {
    id: &'a str,
    subject: u32,
    predicted: Predicted,
    confidence: Option<f64>,
    interval: Option<Interval>,
    names: u32,
    values: Cow<'a, [Feature]>,
    trade: Trade,
    served: bool,
    unserved: Option<&'a str>,
    key: Option<&'a str>,
    horizon: Option<u32>,
}

#[derive(Serialize, Deserialize)]
enum OutcomeFormat<'a> {
    #[serde(borrow)]
    V1(OutcomeV1<'a>),
}

#[derive(Serialize, Deserialize)]
struct OutcomeV1<'a> {
    id: &'a str,
    actual: Option<Actual>,
    exit_price: Option<f64>,
    pnl: Option<f64>,
    correction: bool,
}

type Decoded<T> = Result<T, String>;

fn encode<T: Serialize>(format: &T, mut buffer: Vec<u8>) -> Decoded<Vec<u8>> {
    buffer.clear();
    postcard::to_extend(format, buffer).map_err(|error| error.to_string())
}

/// Into `buffer`, which is emptied first.
pub(crate) fn encode_prediction(
    prediction: &Prediction,
    routed: &Routed,
    subject: u32,
    names: u32,
    buffer: Vec<u8>,
) -> Decoded<Vec<u8>> {
    let format = PredictionFormat::V1(PredictionV1 {
        id: &prediction.id,
        subject,
        predicted: prediction.predicted,
        confidence: prediction.confidence,
        interval: prediction.interval,
        names,
        values: Cow::Borrowed(&prediction.features.values),
        trade: prediction.trade,
        served: prediction.served,
        unserved: routed.unserved.as_deref(),
        key: routed.key.as_deref(),
        horizon: prediction.horizon,
    });
    encode(&format, buffer)
}

/// Into `buffer`, which is emptied first.
pub(crate) fn encode_outcome(outcome: &Outcome, buffer: Vec<u8>) -> Decoded<Vec<u8>> {
    let format = OutcomeFormat::V1(OutcomeV1 {
        id: &outcome.id,
        actual: outcome.actual,
        exit_price: outcome.exit_price,
        pnl: outcome.pnl,
        correction: outcome.correction,
    });
    encode(&format, buffer)
}

pub(crate) fn decode_prediction(
    bytes: &[u8],
    time: Option<i64>,
    names: &dyn Names,
) -> Decoded<(Prediction, Routed)> {
    let PredictionFormat::V1(row) = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    let prediction = Prediction {
        id: row.id.to_owned(),
        subject: names.subject(row.subject)?,
        time: timestamp(time)?,
        predicted: row.predicted,
        confidence: row.confidence,
        interval: row.interval,
        features: Features { names: names.features(row.names)?, values: row.values.into_owned() },
        trade: row.trade,
        served: row.served,
        horizon: row.horizon,
    };
    Ok((prediction, Routed { key: row.key.map(str::to_owned), unserved: row.unserved.map(str::to_owned) }))
}

/// When the outcome of a prediction is expected.
pub(crate) fn due(bytes: &[u8], time: Option<i64>) -> Decoded<Option<Timestamp>> {
    let PredictionFormat::V1(row) = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    let time = timestamp(time)?;
    Ok(row.horizon.map(|horizon| time.plus(u64::from(horizon))))
}

pub(crate) fn decode_outcome(
    bytes: &[u8],
    time: Option<i64>,
    model: u32,
    names: &dyn Names,
) -> Decoded<Outcome> {
    let OutcomeFormat::V1(row) = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    let (tenant, model) = names.model(model)?;
    Ok(Outcome {
        tenant,
        model,
        id: row.id.to_owned(),
        time: timestamp(time)?,
        actual: row.actual,
        exit_price: row.exit_price,
        pnl: row.pnl,
        correction: row.correction,
    })
}

/// The id of a row.
pub(crate) fn id(kind: Kind, bytes: &[u8]) -> Decoded<&str> {
    match kind {
        Kind::Prediction => postcard::from_bytes(bytes)
            .map(|PredictionFormat::V1(row)| row.id)
            .map_err(|error| error.to_string()),
        _ => postcard::from_bytes(bytes)
            .map(|OutcomeFormat::V1(row)| row.id)
            .map_err(|error| error.to_string()),
    }
}

pub(crate) fn encode_text(stored: &Stored) -> Decoded<String> {
    serde_json::to_string(stored).map_err(|error| error.to_string())
}

pub(crate) fn decode_text(bytes: &[u8], kind: Kind) -> Decoded<Entry> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    stored.into_entry(kind).ok_or_else(|| "it is a row".to_owned())
}

pub(crate) fn timestamp(millis: Option<i64>) -> Decoded<Timestamp> {
    let millis = millis.ok_or_else(|| "its time is missing".to_owned())?;
    Timestamp::from_millis(millis).ok_or_else(|| format!("time {millis} is out of range"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trimtab_types::Subject;

    use super::*;

    struct Fixed;

    impl Names for Fixed {
        fn subject(&self, number: u32) -> Decoded<Arc<Subject>> {
            let version = format!("v{number}");
            Ok(Arc::new(Subject { tenant: "t".into(), model: "m".into(), version, segment: "s".into() }))
        }
        fn model(&self, _: u32) -> Decoded<(String, String)> {
            Ok(("t".into(), "m".into()))
        }
        fn features(&self, _: u32) -> Decoded<Arc<[String]>> {
            Ok(vec!["a".to_owned(), "b".to_owned()].into())
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Written out by hand from the postcard specification (varints, little-endian floats): these bytes are in databases
    /// and must never need to change.
    #[test]
    fn row_formats_stay_readable() {
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
            served: false,
            horizon: Some(300),
        };
        let routed = Routed { key: Some("k".into()), unserved: Some("low".into()) };
        let bytes = concat!(
            "00",                         // V1
            "027031",                     // "p1"
            "01",                         // subject 1
            "01000000000000e03f",         // binary 0.5
            "01000000000000f03f",         // confidence 1.0
            "00",                         // no interval
            "02",                         // feature names 2
            "02000000000000000040010178", // two values: number 2.0, category "x"
            "0001ff0000",                 // no price, side -1, no size, no fee
            "00",                         // not served
            "01036c6f77",                 // because "low"
            "01016b",                     // key "k"
            "01ac02",                     // horizon 300
        );
        let encoded = encode_prediction(&prediction, &routed, 1, 2, vec![9]).expect("encodes");
        assert_eq!(hex(&encoded), bytes);
        assert_eq!(decode_prediction(&encoded, Some(1_000), &Fixed), Ok((prediction, routed)));
        assert_eq!(id(Kind::Prediction, &encoded), Ok("p1"));

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
        let encoded = encode_outcome(&outcome, Vec::new()).expect("encodes");
        assert_eq!(hex(&encoded), "00027031010001000001");
        assert_eq!(decode_outcome(&encoded, Some(1_000), 3, &Fixed), Ok(outcome));
        assert_eq!(id(Kind::Correction, &encoded), Ok("p1"));
    }

    #[test]
    fn damaged_rows_are_errors() {
        for bytes in [&[][..], &[9], &[0, 1], &[0xff; 40]] {
            assert!(decode_prediction(bytes, Some(0), &Fixed).is_err(), "{bytes:?}");
            assert!(decode_outcome(bytes, Some(0), 1, &Fixed).is_err(), "{bytes:?}");
            assert!(id(Kind::Prediction, bytes).is_err(), "{bytes:?}");
        }
        assert!(decode_text(br#"{"from-the-future":1}"#, Kind::Act).is_err());
        assert!(timestamp(None).is_err() && timestamp(Some(i64::MAX)).is_err());
    }
}
