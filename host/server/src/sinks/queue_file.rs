//! The queue file: a JSON file for a bot that polls it, replaced atomically, so that a reader sees the old one or the new one
//! and never a part. Only the host's own user can read it. An alert counts as delivered once it is in the file, and it stays
//! there for ten minutes at least: where the file is full, what is new waits. Each alert has a sequence number, so that a bot
//! sees what it has missed.

use std::{
    borrow::Cow,
    io::Write,
    path::{Path, PathBuf},
};

use serde::Serialize;
use trimtab_files::Directory;
use trimtab_log::{Attempt, EffectState, Listing, LogError, Reader, StoredEffect, effect_of};
use trimtab_runtime::Host;
use trimtab_types::{Effect, Timestamp, shown, shown_lines};

use crate::{Failure, clock};

/// The queue file in a data directory.
const FILE: &str = "trade_alerts.json";
/// Bytes that its alerts may have together, as they stand in it.
const ROOM: usize = 16 << 20;
/// How long an alert stays, in seconds, even if others wait for its place.
const STAYS: u64 = 600;
/// Alerts that stay beyond that, the newest, where nobody needs the room.
const HISTORY: usize = 1_000;
/// Alerts that are looked at at once.
const STEP: u32 = 1_000;

/// An alert as it stands in the file.
#[derive(Serialize)]
struct Line {
    /// Rises with each alert; a gap is an alert that is gone.
    sequence: u64,
    key: String,
    channel: String,
    alert: serde_json::Value,
    message: serde_json::Value,
}

/// An alert that may stand in the file.
struct Entry {
    key: String,
    sequence: u64,
    /// When it was delivered; `None`: it waits.
    delivered: Option<Timestamp>,
    text: String,
}

/// Puts alerts that wait into the queue file, as many as have room, the oldest first, and records that. A crash in between
/// writes the same file again: the keys in it are the idempotency keys. Returns how many were delivered.
pub(crate) fn deliver(host: &Host) -> Result<usize, Failure> {
    let reader = host.reader()?;
    let waiting = reader.waiting(Effect::QUEUE, STEP)?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let started = clock::now();
    let mut entries = in_the_file(&reader, started)?;
    entries.extend(waiting.iter().map(entry).collect::<Result<Vec<_>, _>>()?);
    let stands = chosen(&entries, started, ROOM);
    let delivered: Vec<&Entry> = stands.iter().copied().filter(|entry| entry.delivered.is_none()).collect();
    if delivered.is_empty() {
        tracing::warn!(
            waiting = waiting.len(),
            "the queue file is full; alerts wait until older ones may leave it"
        );
        return Ok(0);
    }
    Directory::named(host.directory()).and_then(|data| data.replace(FILE, &[content(&stands).as_bytes()]))?;
    let ended = clock::now();
    let attempt = |entry: &&Entry| Attempt {
        effect: entry.key.clone(),
        started,
        ended,
        result: "written".to_owned(),
        detail: String::new(),
        state: EffectState::Delivered,
    };
    host.attempted(delivered.iter().map(attempt).collect())?;
    Ok(delivered.len())
}

/// Alerts that were delivered: all of the last ten minutes, and the newest before that.
fn in_the_file(reader: &dyn Reader, now: Timestamp) -> Result<Vec<Entry>, LogError> {
    let mut entries = Vec::new();
    let mut listing = Listing { limit: STEP, ..Listing::default() };
    loop {
        let effects = reader.effects(&listing)?;
        listing.before = effects.last().map(|stored| stored.seq);
        let is_in = |stored: &&StoredEffect| {
            stored.state == EffectState::Delivered && stored.effect.sink == Effect::QUEUE
        };
        let delivered = effects.iter().filter(is_in);
        entries.extend(delivered.map(entry).collect::<Result<Vec<_>, _>>()?);
        let is_old = entries.last().is_some_and(|oldest| !must_stay(oldest, now));
        if effects.len() < STEP as usize || (is_old && entries.len() >= HISTORY) {
            return Ok(entries);
        }
    }
}

fn entry(stored: &StoredEffect) -> Result<Entry, LogError> {
    let effect = effect_of(stored)?;
    let line = Line {
        sequence: stored.seq,
        key: effect.key.clone(),
        channel: effect.channel,
        alert: effect.body["alert"].clone(),
        message: message(effect.body["message"].clone()),
    };
    // Texts and JSON always serialise.
    let text = serde_json::to_string_pretty(&line).unwrap_or_default();
    let delivered = (stored.state == EffectState::Delivered).then_some(stored.tried).flatten();
    Ok(Entry { key: effect.key, sequence: stored.seq, delivered, text })
}

fn must_stay(entry: &Entry, now: Timestamp) -> bool {
    entry.delivered.is_some_and(|at| at.plus(STAYS) > now)
}

/// What stands in the file from now on, in order: what must stay; then what waits, the oldest first, until one has no room;
/// then what was there, the newest first. One that alone is larger than the room is let in where nothing must stay.
fn chosen(entries: &[Entry], now: Timestamp, room: usize) -> Vec<&Entry> {
    let mut stands: Vec<&Entry> = entries.iter().filter(|entry| must_stay(entry, now)).collect();
    let mut size: usize = stands.iter().map(|entry| entry.text.len()).sum();
    let mut waiting: Vec<&Entry> = entries.iter().filter(|entry| entry.delivered.is_none()).collect();
    waiting.sort_by_key(|entry| entry.sequence);
    for entry in waiting {
        if size > 0 && size + entry.text.len() > room {
            break;
        }
        size += entry.text.len();
        stands.push(entry);
    }
    let is_old = |entry: &&Entry| entry.delivered.is_some() && !must_stay(entry, now);
    let mut old: Vec<&Entry> = entries.iter().filter(is_old).collect();
    old.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
    for entry in old.into_iter().take(HISTORY.saturating_sub(stands.len())) {
        if size + entry.text.len() > room {
            break;
        }
        size += entry.text.len();
        stands.push(entry);
    }
    stands.sort_by_key(|entry| entry.sequence);
    stands
}

fn content(stands: &[&Entry]) -> String {
    let alerts = stands.iter().map(|entry| entry.text.replace('\n', "\n    "));
    let alerts = alerts.map(|text| format!("\n    {text}")).collect::<Vec<_>>().join(",");
    format!("{{\n  \"schema_version\": {},\n  \"alerts\": [{alerts}\n  ]\n}}\n", crate::SCHEMA_VERSION)
}

/// A message as people are shown it: whoever wrote it, it steers nothing that shows it.
fn message(mut message: serde_json::Value) -> serde_json::Value {
    for (part, escape) in [("title", shown as fn(&str) -> Cow<'_, str>), ("body", shown_lines)] {
        if let Some(text) = message[part].as_str() {
            message[part] = escape(text).into();
        }
    }
    message
}

/// Replaces a file that a person named, atomically and durably. Who may read it is as the system's defaults have it.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let failed = |source| LogError::Directory { action: "write", path: path.to_owned(), source };
    let mut temporary = PathBuf::from(path);
    temporary.set_extension("json.new");
    #[expect(clippy::disallowed_methods, reason = "the one place where files of people are written")]
    let mut file = std::fs::File::create(&temporary).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An alert of ten bytes; delivered so many seconds ago, or waiting.
    fn entry(sequence: u64, delivered: Option<u64>) -> Entry {
        let now = Timestamp::EPOCH.plus(10_000);
        let delivered = delivered.map(|ago| now.minus(ago));
        Entry { key: format!("k{sequence}"), sequence, delivered, text: "0123456789".to_owned() }
    }

    fn check(entries: &[Entry], room: usize, expected: &[u64]) {
        let stands = chosen(entries, Timestamp::EPOCH.plus(10_000), room);
        assert_eq!(stands.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_new_waits_where_the_file_is_full_of_what_must_stay() {
        let fresh = || vec![entry(1, Some(599)), entry(2, Some(10))];
        let with = |more: Vec<Entry>| fresh().into_iter().chain(more).collect::<Vec<_>>();
        check(&with(vec![entry(3, None), entry(4, None)]), 40, &[1, 2, 3, 4]);
        check(&with(vec![entry(3, None), entry(4, None)]), 30, &[1, 2, 3]);
        check(&with(vec![entry(3, None)]), 20, &[1, 2]);
        // After ten minutes the oldest makes room.
        check(&[entry(1, Some(600)), entry(2, Some(10)), entry(3, None)], 20, &[2, 3]);
        check(&[entry(1, Some(700)), entry(2, Some(650)), entry(3, None)], 20, &[2, 3]);
        // Where nothing must stay, one that is larger than the room is let in.
        check(&[entry(1, Some(700)), entry(2, None)], 5, &[2]);
        check(&[], 5, &[]);
    }

    #[test]
    fn every_alert_of_a_flood_is_in_the_file_once_delivered_and_for_ten_minutes() {
        let mut all: Vec<Entry> = (1..=2_600).map(|sequence| entry(sequence, None)).collect();
        let mut now = Timestamp::EPOCH;
        for _ in 0..100 {
            let stands: Vec<u64> = chosen(&all, now, 10_000).iter().map(|entry| entry.sequence).collect();
            assert!(stands.len() <= 1_000);
            for entry in &mut all {
                let is_in = stands.contains(&entry.sequence);
                assert!(is_in || !must_stay(entry, now), "{} left before its time", entry.sequence);
                if is_in && entry.delivered.is_none() {
                    entry.delivered = Some(now);
                }
            }
            now = now.plus(60);
        }
        assert!(all.iter().all(|entry| entry.delivered.is_some()), "all were delivered");
    }
}
