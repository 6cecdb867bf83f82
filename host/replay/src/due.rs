//! What an entry makes due, read from the log: for every fold, of a host that serves as of a replay.

use trimtab_core::{fold::State, horizon};
use trimtab_log::{LogError, Reader};
use trimtab_types::{Due, Position, Record};

/// What a record makes due in this state. It belongs into the record before it is taken through.
pub fn due(state: &State, record: &Record, reader: &dyn Reader) -> Result<Vec<Due>, LogError> {
    let of_one = |wanted: horizon::Wanted| {
        let horizon::Wanted { model, after, until, clock } = wanted;
        let rows = reader.due(&model, after, until, record.position, horizon::MOST)?;
        let upto = match rows.last() {
            Some(last) if rows.len() == horizon::MOST => (last.at, last.position),
            _ => (until, Position(u64::MAX)),
        };
        Ok(Due { model, rows, upto, clock })
    };
    horizon::wanted(state, &record.entry).into_iter().map(of_one).collect()
}
