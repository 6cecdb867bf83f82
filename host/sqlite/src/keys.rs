//! Ids of rows, held in memory and written in order.
//!
//! Keys arrive in any order, and a B-tree that is written key by key touches a page for almost each of them. So new keys
//! stay in memory, are looked up there too, and go into `row_key` sorted, all in one transaction. The log itself has
//! every id: what a kill takes from memory is read again from its end.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use rusqlite::{Connection, OptionalExtension, params};

use crate::Result;

/// As many keys are held at most, where nobody says otherwise.
pub(crate) const HELD: usize = 65_536;

/// Where the prediction of an id is and what counts as its outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RowKey {
    pub(crate) prediction: Option<u64>,
    pub(crate) outcome: Option<u64>,
}

/// Keys that `row_key` does not have yet, or not in this form.
pub(crate) struct Keys {
    /// As many are held at most, but for those of the transaction that brings one too many.
    pub(crate) most: usize,
    /// By model, then by id.
    held: BTreeMap<u32, BTreeMap<Arc<str>, RowKey>>,
    len: usize,
    /// By model, where it was looked up: the greatest id that `row_key` has. A greater one is new, without looking: that
    /// is the usual case where ids rise with time.
    greatest: BTreeMap<u32, Option<Arc<str>>>,
    /// What was held instead, for each change since the transaction began.
    before: Vec<(u32, Arc<str>, Option<RowKey>)>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { most: HELD, held: BTreeMap::new(), len: 0, greatest: BTreeMap::new(), before: Vec::new() }
    }
}

impl Keys {
    pub(crate) fn find(&mut self, connection: &Connection, model: u32, id: &str) -> Result<RowKey> {
        if let Some(key) = self.held.get(&model).and_then(|ids| ids.get(id)) {
            return Ok(*key);
        }
        let known = match self.greatest.entry(model) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(greatest(connection, model)?),
        };
        if known.as_deref().is_none_or(|greatest| id > greatest) {
            return Ok(RowKey::default());
        }
        stored(connection, model, id)
    }

    pub(crate) fn hold(&mut self, model: u32, id: &str, key: RowKey) {
        let id: Arc<str> = id.into();
        let before = self.held.entry(model).or_default().insert(Arc::clone(&id), key);
        self.len += usize::from(before.is_none());
        self.before.push((model, id, before));
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() > self.most
    }

    /// Writes all that are held, in the order of the table.
    pub(crate) fn write(&self, connection: &Connection) -> Result<()> {
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO row_key VALUES (?, ?, ?, ?)")?;
        for (model, ids) in &self.held {
            for (id, key) in ids {
                insert.execute(params![model, id, key.prediction, key.outcome])?;
            }
        }
        Ok(())
    }

    /// Forgets what is held, once it is written.
    pub(crate) fn clear(&mut self) {
        for (model, ids) in &self.held {
            let newest = ids.last_key_value().map(|(id, _)| Arc::clone(id));
            if let Some(greatest) = self.greatest.get_mut(model)
                && newest > *greatest
            {
                *greatest = newest;
            }
        }
        self.held.clear();
        self.before.clear();
        self.len = 0;
    }

    /// Where things stand; for [`Self::undo_to`].
    pub(crate) fn mark(&self) -> usize {
        self.before.len()
    }

    /// Takes back what changed after the mark.
    pub(crate) fn undo_to(&mut self, mark: usize) {
        for (model, id, before) in self.before.split_off(mark.min(self.before.len())).into_iter().rev() {
            let ids = self.held.entry(model).or_default();
            match before {
                Some(key) => {
                    ids.insert(id, key);
                }
                None => {
                    ids.remove(&id);
                    self.len -= 1;
                }
            }
        }
    }

    /// What changed is kept.
    pub(crate) fn settle(&mut self) {
        self.before.clear();
    }
}

/// The greatest id of a model in `row_key`.
fn greatest(connection: &Connection, model: u32) -> Result<Option<Arc<str>>> {
    let found: Option<String> = connection
        .prepare_cached("SELECT id FROM row_key WHERE model = ? ORDER BY id DESC LIMIT 1")?
        .query_row([model], |row| row.get(0))
        .optional()?;
    Ok(found.map(Into::into))
}

/// What `row_key` has.
pub(crate) fn stored(connection: &Connection, model: u32, id: &str) -> Result<RowKey> {
    let found = connection
        .prepare_cached("SELECT prediction, outcome FROM row_key WHERE model = ? AND id = ?")?
        .query_row(params![model, id], |row| Ok(RowKey { prediction: row.get(0)?, outcome: row.get(1)? }))
        .optional()?;
    Ok(found.unwrap_or_default())
}
