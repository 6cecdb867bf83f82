//! Schemas in SQLite and how an older one becomes the newest. Steps are only ever added.

use std::path::Path;

use rusqlite::Connection;
use trimtab_log::LogError;

use crate::{Result, failed::Failed};

/// A schema: how its databases are marked, and the steps that lead to it.
pub(crate) struct Schema {
    /// The application id of its databases.
    pub(crate) application: i64,
    /// Step n brings version n to version n + 1.
    pub(crate) steps: &'static [&'static str],
    /// Fills what steps added, in a database that was of a version.
    pub(crate) fill: fn(&Connection, i64) -> Result<()>,
}

impl Schema {
    /// Refuses what is not ours before anything is written to it. An empty file is ours to fill.
    pub(crate) fn check_before_writing(&self, connection: &Connection, path: &Path) -> Result<()> {
        let (found, application) = identity(connection, path)?;
        if (found, application) != (0, 0) {
            return self.check_identity(found, application, path);
        }
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            let problem = "it has tables of another program".to_owned();
            return Err(LogError::Foreign { path: path.into(), problem }.into());
        }
        Ok(())
    }

    /// Brings a database that was checked to this build's schema.
    pub(crate) fn migrate(&self, connection: &mut Connection, path: &Path) -> Result<()> {
        let (found, _) = identity(connection, path)?;
        let transaction = connection.transaction()?;
        for step in self.steps.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        (self.fill)(&transaction, found)?;
        transaction.pragma_update(None, "user_version", self.version())?;
        transaction.pragma_update(None, "application_id", self.application)?;
        transaction.commit()?;
        Ok(())
    }

    /// Refuses what this build cannot read; for connections that must not write.
    pub(crate) fn check(&self, connection: &Connection, path: &Path) -> Result<()> {
        let (found, application) = identity(connection, path)?;
        self.check_identity(found, application, path)
    }

    fn check_identity(&self, found: i64, application: i64, path: &Path) -> Result<()> {
        if application != self.application {
            let problem = format!("its application id is {application:#x}");
            return Err(LogError::Foreign { path: path.into(), problem }.into());
        }
        let known = self.version();
        if found > known {
            return Err(LogError::Newer { path: path.into(), found, known }.into());
        }
        Ok(())
    }

    fn version(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }
}

fn identity(connection: &Connection, path: &Path) -> Result<(i64, i64)> {
    let pragma = |name| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        value.map_err(|error| unreadable(error, path))
    };
    Ok((pragma("user_version")?, pragma("application_id")?))
}

/// Why the first look into a file failed.
pub(crate) fn unreadable(error: rusqlite::Error, path: &Path) -> Failed {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => {
            LogError::Foreign { path: path.into(), problem: "it is not an SQLite file".to_owned() }.into()
        }
        _ => error.into(),
    }
}
