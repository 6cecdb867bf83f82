//! Names by number, as the database has them: models, subjects, lists of features.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use rusqlite::Connection;
use trimtab_types::Subject;

/// Names by number.
pub(crate) trait Names {
    fn subject(&self, number: u32) -> Result<Arc<Subject>, String>;
    fn model(&self, number: u32) -> Result<(String, String), String>;
    fn features(&self, number: u32) -> Result<Arc<[String]>, String>;
}

/// Names by number; a reader's copy, filled as numbers are met.
#[derive(Default)]
pub(crate) struct NameCache {
    subjects: HashMap<u32, Arc<Subject>>,
    models: HashMap<u32, (String, String)>,
    features: HashMap<u32, Arc<[String]>>,
}

/// Names as the database has them.
pub(crate) struct DatabaseNames<'a> {
    connection: &'a Connection,
    cache: &'a RefCell<NameCache>,
}

impl<'a> DatabaseNames<'a> {
    /// With a cache that is kept.
    pub(crate) fn cached_in(connection: &'a Connection, cache: &'a RefCell<NameCache>) -> Self {
        Self { connection, cache }
    }

    fn cached<T: Clone>(
        &self,
        number: u32,
        table: fn(&mut NameCache) -> &mut HashMap<u32, T>,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        if let Some(found) = table(&mut self.cache.borrow_mut()).get(&number) {
            return Ok(found.clone());
        }
        let found = read(self.connection).map_err(|error| format!("name {number}: {error}"))?;
        table(&mut self.cache.borrow_mut()).insert(number, found.clone());
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
