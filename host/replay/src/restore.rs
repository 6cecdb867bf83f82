//! State from a checkpoint, and the rest of what was folded, silently: nobody is asked, nothing is sent, and what comes out
//! has to be what was recorded.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_core::fold::{State, StateChange, StateKey};
use trimtab_log::{Checkpoint, LogError, Part, PartKey, Reader, Record, Scope};
use trimtab_policy::Sandbox;
use trimtab_types::{Digest, Position, Shard};

use crate::{
    PrepareError,
    again::{Recorded, Replay},
    verify::{Difference, difference},
};

/// Entries that are folded at once.
const STEP: usize = 4_096;

/// Digests of the parts of a state.
pub type Digests = BTreeMap<PartKey, Digest>;

/// A state that was restored.
pub struct Restored {
    /// What is known at the cursor.
    pub state: State,
    /// Of the parts that count at the newest checkpoint.
    pub digests: Digests,
    /// Entries that were folded after it.
    pub tail: u64,
    /// Where what was folded again is not what was recorded. The record counts.
    pub difference: Option<Difference>,
}

/// Restores the state of a log at `cursor`: from the newest checkpoint that can be read, and the entries since. `None`:
/// it was given up because `go_on` said no.
pub fn restore(
    reader: &dyn Reader,
    shard: Shard,
    cursor: Position,
    sandbox: &Arc<Sandbox>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Restored>, PrepareError> {
    let (state, digests) = newest(reader, shard, cursor)?;
    let mut at = state.position;
    let tail = cursor.0.saturating_sub(at.0);
    let mut replay = Replay::resume(shard, state, Arc::clone(sandbox), reader)?;
    let mut different = None;
    while at < cursor {
        if !go_on() {
            return Ok(None);
        }
        let scanned = reader.scan(shard, &Scope::All, at, cursor, STEP)?;
        if scanned.upto <= at {
            break;
        }
        let recorded = reader.outputs(shard, at, scanned.upto)?.folded(shard)?;
        replay.recall(Recorded::all(&recorded.decisions));
        for record in scanned.records.into_iter().filter_map(Record::for_fold) {
            replay.recite(&record, reader)?;
        }
        replay.passed(scanned.upto);
        let output = replay.take();
        different = different.or_else(|| difference(shard, &recorded, &output));
        at = scanned.upto;
    }
    Ok(Some(Restored { state: replay.into_state(), digests, tail, difference: different }))
}

/// The newest checkpoint up to a position that can be read; without one, nothing is known.
fn newest(reader: &dyn Reader, shard: Shard, cursor: Position) -> Result<(State, Digests), PrepareError> {
    let headers = reader.checkpoints(shard)?;
    for header in headers.iter().rev().filter(|header| header.position <= cursor) {
        match read(reader, header)? {
            Ok(found) => return Ok(found),
            Err(problem) => {
                tracing::warn!(%shard, position = header.position.0, problem, "a checkpoint is passed over");
            }
        }
    }
    Ok((State::default(), Digests::new()))
}

/// The state of a checkpoint that began before a time and can be read.
pub(crate) fn before(
    reader: &dyn Reader,
    shard: Shard,
    at: impl Fn(&Checkpoint) -> bool,
) -> Result<Option<State>, PrepareError> {
    for header in reader.checkpoints(shard)?.iter().rev().filter(|header| at(header)) {
        if let Ok((state, _)) = read(reader, header)? {
            return Ok(Some(state));
        }
    }
    Ok(None)
}

/// A checkpoint's state, or why it cannot be used.
fn read(reader: &dyn Reader, header: &Checkpoint) -> Result<Result<(State, Digests), String>, LogError> {
    let Some(parts) = reader.parts(header.shard, header.position)? else {
        return Ok(Err("it is not there any more".to_owned()));
    };
    let digests: Digests = parts.iter().map(|part| (part.key.clone(), Digest::of(&part.bytes))).collect();
    if Checkpoint::hash_of(digests.values()) != header.hash {
        return Ok(Err("its hash is not that of its parts".to_owned()));
    }
    let parts: Result<Vec<StateChange>, String> = parts.into_iter().map(known).collect();
    Ok(parts
        .and_then(|parts| State::restore(header.position, &parts).map_err(|error| error.to_string()))
        .map(|state| (state, digests)))
}

fn known(part: Part) -> Result<StateChange, String> {
    if part.format != State::FORMAT {
        return Err(format!("its format is {}, and this build has {}", part.format, State::FORMAT));
    }
    let key = StateKey::from_name(part.key.about, part.key.part);
    key.map(|key| (key, part.bytes)).ok_or_else(|| "it has a part of another build".to_owned())
}
