//! Which predictions that have an outcome come due when: an index of the logs, for whoever judges them at their horizon. A
//! prediction without a horizon is not in it.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use trimtab_types::{DueRow, ModelKey, Position, Shard, Timestamp};

use crate::{
    LogsReader, Result, codec, damaged,
    records::Log,
    schema::{SINCE_DUE, table},
    writer::{LogsWriter, heads},
};

/// Models that have predictions with a horizon; `None`: to be read again.
#[derive(Debug, Default)]
pub(crate) struct Horizons(Option<BTreeSet<u32>>);

impl Horizons {
    fn has(&mut self, connection: &Connection, model: u32) -> Result<bool> {
        let known = match &self.0 {
            Some(known) => known,
            None => {
                let mut statement = connection.prepare_cached("SELECT model FROM horizon")?;
                let models = statement.query_map([], |row| row.get(0))?;
                self.0.insert(models.collect::<rusqlite::Result<_>>()?)
            }
        };
        Ok(known.contains(&model))
    }

    /// A transaction was taken back, and with it perhaps what was the first of a model.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

impl LogsWriter {
    /// A prediction with a horizon was appended; its outcome may have come before.
    pub(crate) fn expect(
        &mut self,
        model: u32,
        prediction: u64,
        due: Timestamp,
        outcome: Option<u64>,
    ) -> Result<()> {
        if !self.horizons.has(&self.connection, model)? {
            self.connection.prepare_cached("INSERT INTO horizon VALUES (?)")?.execute([model])?;
            self.horizons.forget();
        }
        outcome.map_or(Ok(()), |outcome| self.add_due(model, due, prediction, outcome))
    }

    /// The outcome of a prediction was appended, or a correction of it.
    pub(crate) fn has_come(&mut self, shard: Shard, model: u32, prediction: u64, outcome: u64) -> Result<()> {
        if !self.horizons.has(&self.connection, model)? {
            return Ok(());
        }
        let (predicted, _) = self.reading(shard, |log| log.prediction(prediction))?;
        predicted.due().map_or(Ok(()), |due| self.add_due(model, due, prediction, outcome))
    }

    fn add_due(&self, model: u32, due: Timestamp, prediction: u64, outcome: u64) -> Result<()> {
        self.connection.prepare_cached("INSERT INTO due VALUES (?, ?, ?, ?)")?.execute(params![
            model,
            due.as_millis(),
            prediction,
            outcome
        ])?;
        Ok(())
    }
}

impl LogsReader {
    pub(crate) fn due_rows(
        &self,
        key: &ModelKey,
        after: (Timestamp, Position),
        until: Timestamp,
        as_of: Position,
        limit: usize,
    ) -> Result<Vec<DueRow>> {
        let _moment = self.connection.unchecked_transaction()?;
        let Some(model) = self.model(&key.tenant, &key.model)? else { return Ok(Vec::new()) };
        let number = |position: Position| i64::try_from(position.0).unwrap_or(i64::MAX);
        let mut statement = self.connection.prepare_cached(
            "SELECT at, prediction, max(outcome) FROM due
             WHERE model = ?1 AND (at, prediction) > (?2, ?3) AND at <= ?4 AND prediction < ?5 AND outcome < ?5
             GROUP BY at, prediction ORDER BY at, prediction LIMIT ?6",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (from, position) = (after.0.as_millis(), number(after.1));
        let mut rows =
            statement.query(params![model, from, position, until.as_millis(), number(as_of), limit])?;
        let names = self.names();
        let log = Log { connection: &self.connection, names: &names, shard: key.shard() };
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            let (prediction, outcome): (u64, u64) = (row.get(1)?, row.get(2)?);
            let at = codec::timestamp(Some(row.get(0)?));
            let at = at.map_err(|problem| damaged("due prediction", log.shard, prediction, problem))?;
            let (position, (prediction, _)) = (Position(prediction), log.prediction(prediction)?);
            due.push(DueRow { at, position, prediction, outcome: log.outcome(outcome)? });
        }
        Ok(due)
    }
}

/// Fills the index of a database that was made before there was one.
pub(crate) fn fill(connection: &Connection, found: i64) -> Result<()> {
    if found >= SINCE_DUE || found == 0 {
        return Ok(());
    }
    let heads = heads(connection)?;
    for shard in Shard::all().filter(|shard| heads[shard.index()].is_some()) {
        let log = table(shard);
        connection.execute_batch(
            "CREATE TEMP TABLE expected (prediction INTEGER PRIMARY KEY, model INTEGER, at INTEGER, outcome INTEGER)",
        )?;
        let sql = format!("SELECT position, model, time, link, body FROM {log} WHERE kind = 1");
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(0)?;
            let body = row.get_ref(4)?.as_blob().unwrap_or_default();
            let due = codec::due(body, row.get(2)?);
            let due = due.map_err(|problem| damaged("prediction", shard, position, problem))?;
            let Some(due) = due else { continue };
            let (model, outcome): (Option<u32>, Option<u64>) = (row.get(1)?, row.get(3)?);
            connection.prepare_cached("INSERT INTO expected VALUES (?, ?, ?, ?)")?.execute(params![
                position,
                model,
                due.as_millis(),
                outcome
            ])?;
        }
        connection.execute_batch(&format!(
            "INSERT OR IGNORE INTO horizon SELECT DISTINCT model FROM expected;
             INSERT INTO due SELECT model, at, prediction, outcome FROM expected WHERE outcome IS NOT NULL;
             INSERT INTO due SELECT expected.model, at, prediction, position
                 FROM {log} AS log JOIN expected ON prediction = log.link WHERE kind IN (2, 3);"
        ))?;
        drop(rows);
        drop(statement);
        connection.flush_prepared_statement_cache();
        connection.execute_batch("DROP TABLE temp.expected")?;
    }
    Ok(())
}
