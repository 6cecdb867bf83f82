//! Delivery of alerts to the queue file: a JSON file for a bot that polls it, replaced atomically, so that a reader sees
//! the old one or the new one and never a part.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use trimtab_log::{Reader, StoreError};
use trimtab_runtime::Host;

use crate::{Failure, clock};

/// The queue file in a data directory.
const FILE: &str = "trade_alerts.json";
/// The newest alerts that the file holds.
const KEPT: u32 = 1_000;

/// Writes the queue file if an alert waits, and notes that it was delivered. A crash in between writes the same file
/// again: the keys in it are the idempotency keys.
pub(crate) fn deliver(host: &Host) -> Result<usize, Failure> {
    let reader = host.reader()?;
    let waiting = reader.effects(true, KEPT)?;
    if waiting.is_empty() {
        return Ok(0);
    }
    let alerts: Vec<_> = reader
        .effects(false, KEPT)?
        .into_iter()
        .rev()
        .map(|stored| {
            serde_json::json!({
                "key": stored.effect.key,
                "channel": stored.effect.channel,
                "alert": stored.effect.body["alert"],
                "message": stored.effect.body["message"],
            })
        })
        .collect();
    let content = serde_json::json!({ "schema_version": crate::SCHEMA_VERSION, "alerts": alerts });
    let mut bytes = serde_json::to_vec_pretty(&content).map_err(|error| Failure::files(error.to_string()))?;
    bytes.push(b'\n');
    replace_file(&host.directory().join(FILE), &bytes)?;
    let count = waiting.len();
    host.delivered(waiting.into_iter().map(|stored| stored.effect.key).collect(), clock::now())?;
    Ok(count)
}

/// Replaces a file atomically and durably.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |source| StoreError::Directory { action: "write", path: path.to_owned(), source };
    let mut temporary = PathBuf::from(path);
    temporary.set_extension("json.new");
    #[expect(clippy::disallowed_methods, reason = "the one place where the queue file is written")]
    let mut file = std::fs::File::create(&temporary).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}
