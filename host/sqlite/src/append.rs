//! Appending: where an entry goes, and whether it is there already.

use rusqlite::params;
use trimtab_log::{
    Appended, Batch, Entry, Goes, Kind, Routed, conflicting_outcome, conflicting_prediction, in_force,
};
use trimtab_types::{Outcome, Place, Position, Prediction, Shard, Timestamp};

use crate::{Result, codec, damaged, keys::RowKey, records, schema::create_log, writer::LogsWriter};

/// A row of a log table, before it has its position.
struct Row<'a> {
    kind: Kind,
    model: Option<u32>,
    time: Option<Timestamp>,
    link: Option<u64>,
    body: Option<&'a [u8]>,
}

impl LogsWriter {
    pub(crate) fn append_batch(&mut self, batch: &Batch) -> Result<Vec<Appended>> {
        for (digest, bytes) in &batch.contents {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO content (digest, bytes) VALUES (?, ?)")?
                .execute(params![digest.as_bytes(), bytes])?;
        }
        batch.entries.iter().enumerate().map(|(index, entry)| self.append_entry(index, entry)).collect()
    }

    fn append_entry(&mut self, index: usize, entry: &Entry) -> Result<Appended> {
        match entry.goes(index)? {
            Goes::Beside => Ok(Appended::Control { number: self.add_control(entry)?, places: Vec::new() }),
            Goes::Everywhere => {
                let link = self.add_control(entry)?;
                let awake = Shard::all().filter(|shard| self.heads[shard.index()].is_some());
                let places = awake.collect::<Vec<_>>().into_iter().map(|shard| self.link(shard, entry, link));
                Ok(Appended::Control { number: link, places: places.collect::<Result<_>>()? })
            }
            Goes::Model(shard) => {
                self.wake(shard)?;
                match entry {
                    Entry::Prediction(prediction, routed) => {
                        self.append_prediction(shard, index, prediction, routed)
                    }
                    Entry::Outcome(outcome) => self.append_outcome(shard, index, outcome),
                    _ => self.append_change(shard, entry),
                }
            }
        }
    }

    /// Keeps the text of a control entry; a tick has none.
    fn add_control(&mut self, entry: &Entry) -> Result<Option<u64>> {
        let Some(stored) = entry.stored() else {
            return Ok(None);
        };
        let unencoded =
            |problem| trimtab_log::LogError::Damaged { what: "control entry", position: 0, problem };
        let body = codec::encode_text(&stored).map_err(unencoded)?;
        self.connection
            .prepare_cached("INSERT INTO control (kind, time, body) VALUES (?, ?, ?)")?
            .execute(params![entry.kind().number(), entry.time().map(Timestamp::as_millis), body])?;
        Ok(u64::try_from(self.connection.last_insert_rowid()).ok())
    }

    /// Puts a control entry into a shard's log.
    fn link(&mut self, shard: Shard, entry: &Entry, link: Option<u64>) -> Result<Place> {
        let row = Row { kind: entry.kind(), model: None, time: entry.time(), link, body: None };
        self.insert(shard, &row)
    }

    /// Wakes a shard that sleeps: it begins with what is in force.
    fn wake(&mut self, shard: Shard) -> Result<()> {
        if self.heads[shard.index()].is_some() {
            return Ok(());
        }
        create_log(&self.connection, shard)?;
        self.heads[shard.index()] = Some(0);
        let control = records::control(&self.connection, 0, usize::MAX)?;
        for number in in_force(control.iter().map(|(number, entry)| (*number, entry))) {
            if let Ok(index) = control.binary_search_by_key(&number, |(number, _)| *number) {
                self.link(shard, &control[index].1, Some(number))?;
            }
        }
        Ok(())
    }

    fn append_change(&mut self, shard: Shard, entry: &Entry) -> Result<Appended> {
        let body = entry.stored().as_ref().map(codec::encode_text).transpose();
        let body = body.map_err(|problem| damaged("entry", shard, self.next(shard), problem))?;
        let model = match entry.model() {
            Some((tenant, model)) => Some(self.numbers.model(&self.connection, tenant, model)?),
            None => None,
        };
        let body = body.as_deref().map(str::as_bytes);
        let row = Row { kind: entry.kind(), model, time: entry.time(), link: None, body };
        self.insert(shard, &row).map(Appended::New)
    }

    fn append_prediction(
        &mut self,
        shard: Shard,
        index: usize,
        prediction: &Prediction,
        routed: &Routed,
    ) -> Result<Appended> {
        let (model, subject) = self.numbers.subject(&self.connection, &prediction.subject)?;
        let names = self.numbers.features(&self.connection, &prediction.features.names)?;
        let buffer = std::mem::take(&mut self.buffer);
        let body = codec::encode_prediction(prediction, routed, subject, names, buffer)
            .map_err(|problem| damaged("prediction", shard, self.next(shard), problem))?;
        let key = self.keys.find(&self.connection, model, &prediction.id)?;
        let appended = match key.prediction {
            Some(position) => self.same_prediction(shard, index, position, prediction, routed, &body),
            None => {
                let row = Row {
                    kind: Kind::Prediction,
                    model: Some(model),
                    time: Some(prediction.time),
                    link: key.outcome,
                    body: Some(&body),
                };
                let place = self.insert(shard, &row)?;
                if let Some(due) = prediction.due() {
                    self.expect(model, place.position.0, due, key.outcome)?;
                }
                let key = RowKey { prediction: Some(place.position.0), ..key };
                self.keys.hold(model, &prediction.id, key);
                self.counts.predictions += 1;
                Ok(Appended::New(place))
            }
        };
        self.buffer = body;
        appended
    }

    fn same_prediction(
        &self,
        shard: Shard,
        index: usize,
        position: u64,
        prediction: &Prediction,
        routed: &Routed,
        body: &[u8],
    ) -> Result<Appended> {
        self.reading(shard, |log| {
            if !log.is_same(position, prediction.time.as_millis(), body)? {
                let (stored, stored_routed) = log.prediction(position)?;
                if let Some(conflict) = conflicting_prediction(index, &stored, prediction) {
                    return Err(conflict.into());
                }
                if let Some(conflict) = stored_routed.conflict(index, routed, prediction) {
                    return Err(conflict.into());
                }
            }
            Ok(Appended::Unchanged(Place { shard, position: Position(position) }))
        })
    }

    fn append_outcome(&mut self, shard: Shard, index: usize, outcome: &Outcome) -> Result<Appended> {
        let model = self.numbers.model(&self.connection, &outcome.tenant, &outcome.model)?;
        let body = codec::encode_outcome(outcome, std::mem::take(&mut self.buffer))
            .map_err(|problem| damaged("outcome", shard, self.next(shard), problem))?;
        let key = self.keys.find(&self.connection, model, &outcome.id)?;
        let appended = match self.same_outcome(shard, index, model, key, outcome, &body)? {
            Some(position) => Appended::Unchanged(Place { shard, position: Position(position) }),
            None => Appended::New(self.keep_outcome(shard, model, key, outcome, &body)?),
        };
        self.buffer = body;
        Ok(appended)
    }

    /// Holds an outcome against those that the id has: where the same one is; `None` for a new one or a correction; else
    /// a conflict.
    fn same_outcome(
        &self,
        shard: Shard,
        index: usize,
        model: u32,
        key: RowKey,
        outcome: &Outcome,
        body: &[u8],
    ) -> Result<Option<u64>> {
        let Some(counts) = key.outcome else {
            return Ok(None);
        };
        let time = outcome.time.as_millis();
        self.reading(shard, |log| {
            if log.is_same(counts, time, body)? {
                return Ok(Some(counts));
            }
            // A late repetition of what has been corrected since.
            let mut revisions = self.connection.prepare_cached(
                "SELECT position FROM revision WHERE model = ? AND id = ? ORDER BY position",
            )?;
            let mut rows = revisions.query(params![model, outcome.id])?;
            while let Some(row) = rows.next()? {
                let position = row.get(0)?;
                if log.is_same(position, time, body)? {
                    return Ok(Some(position));
                }
            }
            if outcome.correction {
                return Ok(None);
            }
            Err(conflicting_outcome(index, &log.outcome(counts)?, outcome).into())
        })
    }

    fn keep_outcome(
        &mut self,
        shard: Shard,
        model: u32,
        key: RowKey,
        outcome: &Outcome,
        body: &[u8],
    ) -> Result<Place> {
        let position = self.next(shard);
        if let Some(counts) = key.outcome {
            for revision in [counts, position] {
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO revision VALUES (?, ?, ?)")?
                    .execute(params![model, outcome.id, revision])?;
            }
        }
        let kind = if key.outcome.is_some() { Kind::Correction } else { Kind::Outcome };
        self.counts.outcomes += u64::from(key.outcome.is_none());
        let (model_number, time) = (Some(model), Some(outcome.time));
        let row = Row { kind, model: model_number, time, link: key.prediction, body: Some(body) };
        let place = self.insert(shard, &row)?;
        if let Some(prediction) = key.prediction {
            self.has_come(shard, model, prediction, place.position.0)?;
        }
        self.keys.hold(model, &outcome.id, RowKey { outcome: Some(place.position.0), ..key });
        Ok(place)
    }

    /// The position that the next entry of a shard gets.
    fn next(&self, shard: Shard) -> u64 {
        self.heads[shard.index()].unwrap_or_default() + 1
    }

    fn insert(&mut self, shard: Shard, row: &Row<'_>) -> Result<Place> {
        let position = self.next(shard);
        self.connection.prepare_cached(&records::sql(shard).insert)?.execute(params![
            position,
            row.kind.number(),
            row.model,
            row.time.map(Timestamp::as_millis),
            row.link,
            row.body
        ])?;
        self.heads[shard.index()] = Some(position);
        Ok(Place { shard, position: Position(position) })
    }
}
