//! Names and the numbers that stand for them in rows: models, subjects, lists of features. What a row says is not known
//! here.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use rusqlite::{Connection, params};
use trimtab_types::Subject;

use crate::{codec::Names, failed::Failed};

/// Numbers that stand for names in rows; the writer's copy, filled as names are used.
#[derive(Default)]
pub(crate) struct Numbers {
    /// By tenant, then by model.
    models: HashMap<String, HashMap<String, u32>>,
    /// Numbers of model and subject.
    subjects: HashMap<Arc<Subject>, (u32, u32)>,
    features: HashMap<Arc<[String]>, u32>,
}

impl Numbers {
    pub(crate) fn model(
        &mut self,
        connection: &Connection,
        tenant: &str,
        model: &str,
    ) -> Result<u32, Failed> {
        if let Some(number) = self.models.get(tenant).and_then(|models| models.get(model)) {
            return Ok(*number);
        }
        let key = params![tenant, model];
        connection.execute("INSERT OR IGNORE INTO model (tenant, model) VALUES (?, ?)", key)?;
        let number =
            connection
                .query_row("SELECT id FROM model WHERE tenant = ? AND model = ?", key, |row| row.get(0))?;
        self.models.entry(tenant.to_owned()).or_default().insert(model.to_owned(), number);
        Ok(number)
    }

    pub(crate) fn subject(
        &mut self,
        connection: &Connection,
        subject: &Arc<Subject>,
    ) -> Result<(u32, u32), Failed> {
        if let Some(numbers) = self.subjects.get(subject) {
            return Ok(*numbers);
        }
        let model = self.model(connection, &subject.tenant, &subject.model)?;
        let key = params![model, subject.version, subject.segment];
        connection
            .execute("INSERT OR IGNORE INTO subject (model, version, segment) VALUES (?, ?, ?)", key)?;
        let number = connection.query_row(
            "SELECT id FROM subject WHERE model = ? AND version = ? AND segment = ?",
            key,
            |row| row.get(0),
        )?;
        self.subjects.insert(Arc::clone(subject), (model, number));
        Ok((model, number))
    }

    pub(crate) fn features(&mut self, connection: &Connection, names: &Arc<[String]>) -> Result<u32, Failed> {
        if let Some(number) = self.features.get(names) {
            return Ok(*number);
        }
        // A list of texts always serialises.
        let text = serde_json::to_string(names).unwrap_or_default();
        connection.execute("INSERT OR IGNORE INTO feature_names (names) VALUES (?)", [&text])?;
        let number =
            connection
                .query_row("SELECT id FROM feature_names WHERE names = ?", [&text], |row| row.get(0))?;
        self.features.insert(Arc::clone(names), number);
        Ok(number)
    }
}

/// Names by number; a reader's copy, filled as numbers are met.
#[derive(Default)]
pub(crate) struct NameCache {
    subjects: HashMap<u32, Arc<Subject>>,
    models: HashMap<u32, (String, String)>,
    features: HashMap<u32, Arc<[String]>>,
}

enum NameCacheRef<'a> {
    Own(RefCell<NameCache>),
    Shared(&'a RefCell<NameCache>),
}

/// Names as the database has them.
pub(crate) struct DatabaseNames<'a> {
    connection: &'a Connection,
    cache: NameCacheRef<'a>,
}

impl<'a> DatabaseNames<'a> {
    /// With a cache that is kept.
    pub(crate) fn cached_in(connection: &'a Connection, cache: &'a RefCell<NameCache>) -> Self {
        Self { connection, cache: NameCacheRef::Shared(cache) }
    }

    /// With a cache of its own, for a few rows.
    pub(crate) fn new(connection: &'a Connection) -> Self {
        Self { connection, cache: NameCacheRef::Own(RefCell::default()) }
    }

    fn cached<T: Clone>(
        &self,
        number: u32,
        table: fn(&mut NameCache) -> &mut HashMap<u32, T>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        let cache = match &self.cache {
            NameCacheRef::Own(cache) => cache,
            NameCacheRef::Shared(cache) => cache,
        };
        if let Some(found) = table(&mut cache.borrow_mut()).get(&number) {
            return Ok(found.clone());
        }
        let found = read(self.connection).map_err(|error| format!("name {number}: {error}"))?;
        table(&mut cache.borrow_mut()).insert(number, found.clone());
        Ok(found)
    }
}

impl Names for DatabaseNames<'_> {
    fn subject(&self, number: u32) -> Result<Arc<Subject>, String> {
        self.cached(
            number,
            |cache| &mut cache.subjects,
            |connection| {
                connection.query_row(
                    "SELECT m.tenant, m.model, s.version, s.segment FROM subject s JOIN model m ON m.id = s.model
                     WHERE s.id = ?",
                    [number],
                    |row| {
                        Ok(Arc::new(Subject {
                            tenant: row.get(0)?,
                            model: row.get(1)?,
                            version: row.get(2)?,
                            segment: row.get(3)?,
                        }))
                    },
                )
            },
        )
    }

    fn model(&self, number: u32) -> Result<(String, String), String> {
        self.cached(
            number,
            |cache| &mut cache.models,
            |connection| {
                connection.query_row("SELECT tenant, model FROM model WHERE id = ?", [number], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
            },
        )
    }

    fn features(&self, number: u32) -> Result<Arc<[String]>, String> {
        self.cached(
            number,
            |cache| &mut cache.features,
            |connection| {
                let text: String = connection.query_row(
                    "SELECT names FROM feature_names WHERE id = ?",
                    [number],
                    |row| row.get(0),
                )?;
                let names: Vec<String> = serde_json::from_str(&text)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
                Ok(names.into())
            },
        )
    }
}
