//! Schemas in SQLite, how an older one becomes the newest, and the schema of the format with one log. Steps are only ever
//! added.

use std::path::Path;

use rusqlite::Connection;
use trimtab_log::StoreError;

use crate::failed::Failed;

/// A schema: how its databases are marked, and the steps that lead to it.
pub(crate) struct Schema {
    /// The application id of its databases.
    pub(crate) application: i64,
    /// Step n brings version n to version n + 1.
    pub(crate) steps: &'static [&'static str],
}

/// "TrTb": marks a database with one log as ours.
pub(crate) const SCHEMA: Schema = Schema { application: 0x5472_5462, steps: MIGRATIONS };

/// The schema version of this build.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Step n brings version n to version n + 1.
const MIGRATIONS: &[&str] = &["
    -- Names that rows refer to by number.
    CREATE TABLE model (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, model TEXT NOT NULL, UNIQUE (tenant, model)
    ) STRICT;
    CREATE TABLE subject (
        id INTEGER PRIMARY KEY, model INTEGER NOT NULL, version TEXT NOT NULL, segment TEXT NOT NULL,
        UNIQUE (model, version, segment)
    ) STRICT;
    CREATE TABLE feature_names (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;

    -- The log. `link` is the position of the row that this one resolves or is resolved by, as of this position.
    CREATE TABLE log (
        position INTEGER PRIMARY KEY, kind INTEGER NOT NULL, link INTEGER, body BLOB NOT NULL
    ) STRICT;
    -- Where the prediction of an id is and what counts as its outcome; either may come first. Makes ids unique.
    CREATE TABLE row_key (
        model INTEGER NOT NULL, id TEXT NOT NULL, prediction INTEGER, outcome INTEGER, PRIMARY KEY (model, id)
    ) STRICT, WITHOUT ROWID;
    -- All outcomes of an id whose outcome was corrected, the first one included, oldest first.
    CREATE TABLE revision (
        model INTEGER NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (model, id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE content (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;

    -- What was folded, up to the cursor.
    CREATE TABLE fold (one INTEGER PRIMARY KEY CHECK (one = 1), cursor INTEGER NOT NULL, format INTEGER NOT NULL) STRICT;
    INSERT INTO fold VALUES (1, 0, 0);
    CREATE TABLE state (key TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE finding (
        position INTEGER NOT NULL, ordinal INTEGER NOT NULL, id TEXT NOT NULL, tenant TEXT NOT NULL,
        model TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (position, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX finding_by_model ON finding (tenant, model, position);
    CREATE TABLE decision (
        position INTEGER NOT NULL, ordinal INTEGER NOT NULL, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
        model TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (position, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX decision_by_model ON decision (tenant, model, position);
    CREATE TABLE effect (
        position INTEGER NOT NULL, ordinal INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
        delivered INTEGER, PRIMARY KEY (position, ordinal)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX effect_pending ON effect (position) WHERE delivered IS NULL;
",
    "
    -- What was delivered before the fold was forgotten: when the log is folded again, it is not sent again.
    CREATE TABLE delivered_before (key TEXT PRIMARY KEY, delivered INTEGER NOT NULL) STRICT, WITHOUT ROWID;
",
    "
    -- What is no row: baselines, configurations, policy sets, acts of people; ticks, too.
    CREATE INDEX log_other ON log (position) WHERE kind = 4;
",
];

impl Schema {
    /// Refuses what is not ours before anything is written to it. An empty file is ours to fill.
    pub(crate) fn check_before_writing(&self, connection: &Connection, path: &Path) -> Result<(), Failed> {
        let (found, application) = identity(connection, path)?;
        if (found, application) != (0, 0) {
            return self.check_identity(found, application, path);
        }
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables > 0 {
            let problem = "it has tables of another program".to_owned();
            return Err(StoreError::Foreign { path: path.into(), problem }.into());
        }
        Ok(())
    }

    /// Brings a database that was checked to this build's schema.
    pub(crate) fn migrate(&self, connection: &mut Connection, path: &Path) -> Result<(), Failed> {
        let (found, _) = identity(connection, path)?;
        let transaction = connection.transaction()?;
        for step in self.steps.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        transaction.pragma_update(None, "user_version", self.version())?;
        transaction.pragma_update(None, "application_id", self.application)?;
        transaction.commit()?;
        Ok(())
    }

    /// Refuses what this build cannot read; for connections that must not write.
    pub(crate) fn check(&self, connection: &Connection, path: &Path) -> Result<(), Failed> {
        let (found, application) = identity(connection, path)?;
        self.check_identity(found, application, path)
    }

    fn check_identity(&self, found: i64, application: i64, path: &Path) -> Result<(), Failed> {
        if application != self.application {
            let problem = format!("its application id is {application:#x}");
            return Err(StoreError::Foreign { path: path.into(), problem }.into());
        }
        let known = self.version();
        if found > known {
            return Err(StoreError::Newer { path: path.into(), found, known }.into());
        }
        Ok(())
    }

    fn version(&self) -> i64 {
        i64::try_from(self.steps.len()).unwrap_or(i64::MAX)
    }
}

fn identity(connection: &Connection, path: &Path) -> Result<(i64, i64), Failed> {
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
            StoreError::Foreign { path: path.into(), problem: "it is not an SQLite file".to_owned() }.into()
        }
        _ => error.into(),
    }
}
