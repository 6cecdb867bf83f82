//! Rows in: predictions and outcomes, all of a request or nothing.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Request, State, rejection::BytesRejection},
    http::HeaderMap,
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use tokio::sync::oneshot;
use trimtab_api::{
    Accepted, Failure,
    rows::{BadRow, OutcomeRow, PredictionRow, Row, parse_row},
};
use trimtab_log::{Appended, LogError};
use trimtab_types::{Entry, Invalid, Timestamp};

use super::{
    error::Refusal,
    questions::text,
    service::{Answer, Reply, Service, Shared},
};
use crate::{clock, doors::is_ndjson};

/// A row's time may lie this far in the future: clocks differ, but not by days.
const FUTURE: u64 = 86_400;

/// Before a body is read: what the host cannot take now, it does not keep in memory.
pub(super) async fn admit(State(service): Shared, request: Request, next: Next) -> Response {
    match service.row_requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Refusal::from(LogError::Busy).into_response(),
    }
}

/// One object, an array of them, or one on each line; as entries. Each comes with its line (or place, in an array). The first that
/// is wrong is told, whatever is wrong with it.
pub(super) fn read_rows<T: for<'de> Deserialize<'de>>(
    ndjson: bool,
    text: &str,
    make: impl Fn(T) -> Result<Entry, Invalid>,
) -> Result<Vec<(u64, Entry)>, BadRow> {
    let now = clock::now();
    let read = |(row, line): (&str, u64)| {
        let entry = make(parse_row(line, row)?).and_then(|entry| checked(entry, now));
        entry.map(|entry| (line, entry)).map_err(|invalid| BadRow { line, problem: invalid.to_string() })
    };
    if ndjson {
        return text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()).map(read).collect();
    }
    if text.trim_start().starts_with('[') {
        let rows: Vec<&serde_json::value::RawValue> = serde_json::from_str(text)
            .map_err(|error| BadRow { line: error.line() as u64, problem: error.to_string() })?;
        return rows.iter().map(|row| row.get()).zip(1..).map(read).collect();
    }
    Ok(vec![read((text, 1))?])
}

/// An entry whose time may be.
fn checked(entry: Entry, now: Timestamp) -> Result<Entry, Invalid> {
    let time = match &entry {
        Entry::Prediction(row) => row.time,
        Entry::Outcome(row) => row.time,
        _ => return Ok(entry),
    };
    if time > now.plus(FUTURE) {
        return Err(Invalid::new(
            "time",
            format!("{time} lies in the future (it is {now}); check the sender's clock and zone"),
        ));
    }
    Ok(entry)
}

/// The entries of a request.
fn entries<T: for<'de> Deserialize<'de>>(
    ndjson: bool,
    body: Result<Bytes, BytesRejection>,
    make: impl Fn(T) -> Result<Entry, Invalid>,
) -> Result<Vec<Entry>, Failure> {
    let rows = read_rows(ndjson, &text(body)?, make)?;
    Ok(rows.into_iter().map(|(_, entry)| entry).collect())
}

pub(super) async fn append(service: Arc<Service>, entries: Vec<Entry>, with_ids: bool) -> Answer<Accepted> {
    let ids = if with_ids {
        entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Prediction(prediction) => Some(prediction.id.clone()),
                _ => None,
            })
            .collect()
    } else {
        Vec::new()
    };
    let (sender, receiver) = oneshot::channel();
    service.host.append(entries, move |result| {
        sender.send(result).ok();
    });
    let appended = receiver.await.unwrap_or(Err(LogError::Stopped))?;
    let new = appended.iter().filter(|appended| matches!(appended, Appended::New(_))).count() as u64;
    let rows = appended.len() as u64;
    Ok(Reply(Accepted { rows, new, unchanged: rows - new, ids }))
}

pub(super) async fn predictions(
    State(service): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Accepted> {
    let ndjson = is_ndjson(&headers);
    let make = |row: PredictionRow| row.prediction().map(Entry::Prediction);
    let entries = service.parse(move || entries(ndjson, body, make)).await?;
    append(service, entries, !ndjson).await
}

pub(super) async fn outcomes(
    State(service): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Accepted> {
    let ndjson = is_ndjson(&headers);
    let make = |row: OutcomeRow| row.outcome().map(Entry::Outcome);
    let entries = service.parse(move || entries(ndjson, body, make)).await?;
    append(service, entries, false).await
}

pub(super) async fn rows(State(service): Shared, body: Result<Bytes, BytesRejection>) -> Answer<Accepted> {
    let entries = service.parse(move || entries(true, body, Row::entry)).await?;
    append(service, entries, false).await
}
