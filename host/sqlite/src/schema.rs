//! The schema of the 64 logs. Steps are only ever added.

use rusqlite::Connection;
use trimtab_types::Shard;

use crate::{Result, due, migrations::Schema};

/// "TrLg": marks a database of 64 logs as ours.
pub(crate) const SCHEMA: Schema = Schema { application: 0x5472_4c67, steps: STEPS, fill: due::fill };

/// The schema version of this build.
pub const SCHEMA_VERSION: i64 = STEPS.len() as i64;

/// Step n brings version n to version n + 1.
const STEPS: &[&str] = &["
    -- Names that rows refer to by number.
    CREATE TABLE model (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, model TEXT NOT NULL, shard INTEGER NOT NULL,
        UNIQUE (tenant, model)
    ) STRICT;
    CREATE TABLE subject (
        id INTEGER PRIMARY KEY, model INTEGER NOT NULL, version TEXT NOT NULL, segment TEXT NOT NULL,
        UNIQUE (model, version, segment)
    ) STRICT;
    CREATE TABLE feature_names (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;

    -- Shards that are awake (they have a table of their own, `log_00` to `log_63`) or were claimed. `keyed`: ids of rows
    -- up to here are in `row_key`; those after it are in the writer's memory.
    CREATE TABLE shard (
        shard INTEGER PRIMARY KEY, awake INTEGER NOT NULL DEFAULT 0, keyed INTEGER NOT NULL DEFAULT 0,
        cursor INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '',
        lease_until INTEGER NOT NULL DEFAULT 0, build TEXT NOT NULL DEFAULT '', rules INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    -- Positions in (start, upto] that one build decided under one lease; the hash chains what was recorded.
    CREATE TABLE stretch (
        shard INTEGER NOT NULL, epoch INTEGER NOT NULL, build TEXT NOT NULL, rules INTEGER NOT NULL,
        start INTEGER NOT NULL, upto INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (shard, epoch)
    ) STRICT, WITHOUT ROWID;
    -- The texts of control entries; each log that is awake has a row that links to them.
    CREATE TABLE control (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, time INTEGER, body TEXT NOT NULL) STRICT;

    -- Where the prediction of an id is and what counts as its outcome; either may come first. Makes ids unique.
    CREATE TABLE row_key (
        model INTEGER NOT NULL, id TEXT NOT NULL, prediction INTEGER, outcome INTEGER, PRIMARY KEY (model, id)
    ) STRICT, WITHOUT ROWID;
    -- All outcomes of an id whose outcome was corrected, the first one included, oldest first.
    CREATE TABLE revision (
        model INTEGER NOT NULL, id TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (model, id, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE content (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;

    -- What folds leave behind. `seq` rises in the order of recording, over the three tables together.
    CREATE TABLE moment (
        seq INTEGER PRIMARY KEY, shard INTEGER NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        model INTEGER NOT NULL, subject INTEGER, kind INTEGER NOT NULL, at INTEGER NOT NULL, severity TEXT, changes INTEGER NOT NULL,
        findings BLOB NOT NULL, facts BLOB NOT NULL, digest BLOB NOT NULL, UNIQUE (shard, position, ordinal)
    ) STRICT;
    CREATE TABLE decision (
        seq INTEGER PRIMARY KEY, shard INTEGER NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        id TEXT NOT NULL UNIQUE, model INTEGER NOT NULL, subject INTEGER, moment INTEGER, policy TEXT, version BLOB, mode TEXT NOT NULL, did BLOB NOT NULL,
        said BLOB NOT NULL, reads BLOB NOT NULL, carried BLOB NOT NULL, body TEXT NOT NULL,
        UNIQUE (shard, position, ordinal)
    ) STRICT;
    CREATE TABLE effect (
        seq INTEGER PRIMARY KEY, shard INTEGER NOT NULL, position INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, model INTEGER NOT NULL, subject INTEGER, sink TEXT NOT NULL,
        body TEXT NOT NULL, state TEXT NOT NULL, due INTEGER NOT NULL, expires INTEGER,
        UNIQUE (shard, position, ordinal)
    ) STRICT;
    CREATE INDEX moment_model ON moment (model, seq);
    CREATE INDEX decision_model ON decision (model, seq);
    CREATE INDEX effect_model ON effect (model, seq);
    CREATE INDEX effect_waiting ON effect (seq) WHERE state = 'waiting';
    CREATE TABLE attempt (
        effect INTEGER NOT NULL, number INTEGER NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,
        result TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (effect, number)
    ) STRICT, WITHOUT ROWID;

    -- How much there is, kept up with each transaction.
    CREATE TABLE counted (
        one INTEGER PRIMARY KEY CHECK (one = 1), predictions INTEGER NOT NULL, outcomes INTEGER NOT NULL,
        findings INTEGER NOT NULL, decisions INTEGER NOT NULL, effects INTEGER NOT NULL
    ) STRICT;
    INSERT INTO counted VALUES (1, 0, 0, 0, 0, 0);

    -- A part counts until a newer one of the same key; without its header there is no checkpoint. Model and subject are 0
    -- where a part is about neither.
    CREATE TABLE checkpoint (
        shard INTEGER NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL, build TEXT NOT NULL, rules INTEGER NOT NULL,
        hash BLOB NOT NULL, PRIMARY KEY (shard, position)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE checkpoint_part (
        shard INTEGER NOT NULL, model INTEGER NOT NULL, part INTEGER NOT NULL, subject INTEGER NOT NULL,
        position INTEGER NOT NULL, format INTEGER NOT NULL, bytes BLOB NOT NULL,
        PRIMARY KEY (shard, model, part, subject, position)
    ) STRICT, WITHOUT ROWID;

    -- Nothing recorded is rewritten; of an effect only the state changes.
    CREATE TRIGGER control_update BEFORE UPDATE ON control BEGIN SELECT raise(ABORT, 'control is append-only'); END;
    CREATE TRIGGER control_delete BEFORE DELETE ON control BEGIN SELECT raise(ABORT, 'control is append-only'); END;
    CREATE TRIGGER moment_update BEFORE UPDATE ON moment BEGIN SELECT raise(ABORT, 'moment is append-only'); END;
    CREATE TRIGGER moment_delete BEFORE DELETE ON moment BEGIN SELECT raise(ABORT, 'moment is append-only'); END;
    CREATE TRIGGER decision_update BEFORE UPDATE ON decision
        BEGIN SELECT raise(ABORT, 'decision is append-only'); END;
    CREATE TRIGGER decision_delete BEFORE DELETE ON decision
        BEGIN SELECT raise(ABORT, 'decision is append-only'); END;
    CREATE TRIGGER effect_update BEFORE UPDATE OF
        seq, shard, position, ordinal, key, kind, model, subject, sink, body, due, expires ON effect
        BEGIN SELECT raise(ABORT, 'only the state of an effect changes'); END;
    CREATE TRIGGER effect_delete BEFORE DELETE ON effect BEGIN SELECT raise(ABORT, 'effect is append-only'); END;
    CREATE TRIGGER attempt_update BEFORE UPDATE ON attempt BEGIN SELECT raise(ABORT, 'attempt is append-only'); END;
    CREATE TRIGGER attempt_delete BEFORE DELETE ON attempt BEGIN SELECT raise(ABORT, 'attempt is append-only'); END;
", "
    -- Predictions with a horizon that have an outcome, by when they are due; each outcome of an id has a row. Follows from
    -- the logs. `horizon`: the models that have any.
    CREATE TABLE due (
        model INTEGER NOT NULL, at INTEGER NOT NULL, prediction INTEGER NOT NULL, outcome INTEGER NOT NULL,
        PRIMARY KEY (model, at, prediction, outcome)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE horizon (model INTEGER PRIMARY KEY) STRICT;
"];

/// The version from which on there is an index of what is due.
pub(crate) const SINCE_DUE: i64 = 2;

/// Makes the table of a shard that wakes. `link` is, for a row, the position of its other half as of this position; for a
/// control entry, its text.
pub(crate) fn create_log(connection: &Connection, shard: Shard) -> Result<()> {
    let log = table(shard);
    connection.execute_batch(&format!(
        "CREATE TABLE {log} (
             position INTEGER PRIMARY KEY, kind INTEGER NOT NULL, model INTEGER, time INTEGER, link INTEGER, body BLOB
         ) STRICT;
         CREATE INDEX {log}_event ON {log} (position) WHERE kind >= 5;
         CREATE INDEX {log}_tick ON {log} (time) WHERE kind = 5;
         CREATE TRIGGER {log}_update BEFORE UPDATE ON {log}
             BEGIN SELECT raise(ABORT, 'the log is append-only'); END;
         CREATE TRIGGER {log}_delete BEFORE DELETE ON {log}
             BEGIN SELECT raise(ABORT, 'the log is append-only'); END;
         INSERT INTO shard (shard, awake) VALUES ({number}, 1) ON CONFLICT (shard) DO UPDATE SET awake = 1;",
        number = shard.number()
    ))?;
    Ok(())
}

/// The name of a shard's table.
pub(crate) fn table(shard: Shard) -> String {
    format!("log_{:02}", shard.number())
}
