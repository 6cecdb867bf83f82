//! Numbers that stand for names in rows; the writer's copy, which forgets what was taken back and nothing else.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{Connection, params};
use trimtab_types::{Shard, Subject};

use crate::Result;

/// Numbers by name, filled as names are used.
#[derive(Default)]
pub(crate) struct Numbers {
    /// By tenant, then by model.
    models: HashMap<String, HashMap<String, u32>>,
    /// Numbers of model and subject.
    subjects: HashMap<Arc<Subject>, (u32, u32)>,
    features: HashMap<Arc<[String]>, u32>,
    /// The list of the row before: most rows have the same.
    last: Option<(Arc<[String]>, u32)>,
    /// What came in since the transaction began.
    added: Vec<Added>,
}

enum Added {
    Model(String, String),
    Subject(Arc<Subject>),
    Features(Arc<[String]>),
}

impl Numbers {
    pub(crate) fn model(&mut self, connection: &Connection, tenant: &str, model: &str) -> Result<u32> {
        if let Some(number) = self.models.get(tenant).and_then(|models| models.get(model)) {
            return Ok(*number);
        }
        let shard = Shard::of(tenant, model).number();
        connection
            .prepare_cached("INSERT OR IGNORE INTO model (tenant, model, shard) VALUES (?, ?, ?)")?
            .execute(params![tenant, model, shard])?;
        let number = connection
            .prepare_cached("SELECT id FROM model WHERE tenant = ? AND model = ?")?
            .query_row(params![tenant, model], |row| row.get(0))?;
        self.models.entry(tenant.to_owned()).or_default().insert(model.to_owned(), number);
        self.added.push(Added::Model(tenant.to_owned(), model.to_owned()));
        Ok(number)
    }

    /// Numbers of model and subject.
    pub(crate) fn subject(&mut self, connection: &Connection, subject: &Arc<Subject>) -> Result<(u32, u32)> {
        if let Some(numbers) = self.subjects.get(subject) {
            return Ok(*numbers);
        }
        let model = self.model(connection, &subject.tenant, &subject.model)?;
        let key = params![model, subject.version, subject.segment];
        connection
            .prepare_cached("INSERT OR IGNORE INTO subject (model, version, segment) VALUES (?, ?, ?)")?
            .execute(key)?;
        let number = connection
            .prepare_cached("SELECT id FROM subject WHERE model = ? AND version = ? AND segment = ?")?
            .query_row(key, |row| row.get(0))?;
        self.subjects.insert(Arc::clone(subject), (model, number));
        self.added.push(Added::Subject(Arc::clone(subject)));
        Ok((model, number))
    }

    pub(crate) fn features(&mut self, connection: &Connection, names: &Arc<[String]>) -> Result<u32> {
        if let Some((last, number)) = &self.last
            && Arc::ptr_eq(last, names)
        {
            return Ok(*number);
        }
        let number = match self.features.get(names) {
            Some(number) => *number,
            None => self.new_features(connection, names)?,
        };
        self.last = Some((Arc::clone(names), number));
        Ok(number)
    }

    fn new_features(&mut self, connection: &Connection, names: &Arc<[String]>) -> Result<u32> {
        // A list of texts always serialises.
        let text = serde_json::to_string(names).unwrap_or_default();
        connection.execute("INSERT OR IGNORE INTO feature_names (names) VALUES (?)", [&text])?;
        let number =
            connection
                .query_row("SELECT id FROM feature_names WHERE names = ?", [&text], |row| row.get(0))?;
        self.features.insert(Arc::clone(names), number);
        self.added.push(Added::Features(Arc::clone(names)));
        Ok(number)
    }

    /// Where things stand; for [`Self::undo_to`].
    pub(crate) fn mark(&self) -> usize {
        self.added.len()
    }

    /// Forgets what came in after the mark. Whether there was anything.
    pub(crate) fn undo_to(&mut self, mark: usize) -> bool {
        let undone = self.added.split_off(mark.min(self.added.len()));
        for added in &undone {
            match added {
                Added::Model(tenant, model) => {
                    self.models.get_mut(tenant).and_then(|models| models.remove(model));
                }
                Added::Subject(subject) => {
                    self.subjects.remove(subject);
                }
                Added::Features(names) => {
                    self.features.remove(names);
                }
            }
        }
        if !undone.is_empty() {
            self.last = None;
        }
        !undone.is_empty()
    }

    /// What came in is kept.
    pub(crate) fn settle(&mut self) {
        self.added.clear();
    }
}
