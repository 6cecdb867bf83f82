//! Checkpoints: their parts and headers, and which of them stay.

use rusqlite::params;
use trimtab_log::{About, Checkpoint, Part, PartKey};
use trimtab_types::{Digest, Position, Shard};

use crate::{Result, codec, damaged, reader::LogsReader, writer::LogsWriter};

impl LogsWriter {
    pub(crate) fn write_parts(&mut self, parts: &[Part]) -> Result<()> {
        for part in parts {
            let (model, subject) = self.whose(&part.key.about)?;
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO checkpoint_part VALUES (?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    part.shard.number(),
                    model,
                    part.key.part,
                    subject.unwrap_or_default(),
                    part.position.0,
                    part.format,
                    part.bytes
                ])?;
        }
        Ok(())
    }

    pub(crate) fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let shard = checkpoint.shard;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?, ?, ?)")?
            .execute(params![
                shard.number(),
                checkpoint.position.0,
                checkpoint.at.as_millis(),
                checkpoint.build,
                checkpoint.rules,
                checkpoint.hash.as_bytes()
            ])?;
        let all = headers(&self.connection, shard)?;
        let kept = Checkpoint::kept(&all);
        let gone = all.iter().map(|one| one.position).filter(|position| !kept.contains(position));
        for position in gone {
            self.drop_checkpoint(shard, position)?;
        }
        Ok(())
    }

    /// Drops a header, and the parts that counted for it and for none of those that are left: from the header before it
    /// up to this one, where a newer part of the same key is there at the next header.
    fn drop_checkpoint(&self, shard: Shard, position: Position) -> Result<()> {
        let shard = shard.number();
        self.connection
            .prepare_cached("DELETE FROM checkpoint WHERE shard = ? AND position = ?")?
            .execute(params![shard, position.0])?;
        self.connection
            .prepare_cached(
                "WITH span AS (
                     SELECT coalesce((SELECT max(position) FROM checkpoint WHERE shard = ?1 AND position < ?2), -1) AS low,
                            (SELECT min(position) FROM checkpoint WHERE shard = ?1 AND position > ?2) AS high
                 )
                 DELETE FROM checkpoint_part AS old
                 WHERE shard = ?1 AND position > (SELECT low FROM span) AND position <= ?2 AND EXISTS (
                     SELECT 1 FROM checkpoint_part AS new
                     WHERE new.shard = old.shard AND new.model = old.model AND new.part = old.part
                       AND new.subject = old.subject AND new.position > old.position
                       AND new.position <= (SELECT high FROM span)
                 )",
            )?
            .execute(params![shard, position.0])?;
        Ok(())
    }
}

/// The headers of a log, oldest first.
fn headers(connection: &rusqlite::Connection, shard: Shard) -> Result<Vec<Checkpoint>> {
    let mut statement = connection.prepare_cached(
        "SELECT position, at, build, rules, hash FROM checkpoint WHERE shard = ? ORDER BY position",
    )?;
    let mut rows = statement.query([shard.number()])?;
    let mut headers = Vec::new();
    while let Some(row) = rows.next()? {
        let (position, hash): (u64, Vec<u8>) = (row.get(0)?, row.get(4)?);
        let unreadable = |problem: String| damaged("checkpoint", shard, position, problem);
        headers.push(Checkpoint {
            shard,
            position: Position(position),
            at: codec::timestamp(Some(row.get(1)?)).map_err(unreadable)?,
            build: row.get(2)?,
            rules: row.get(3)?,
            hash: Digest::from_bytes(&hash).ok_or_else(|| unreadable("its hash".to_owned()))?,
        });
    }
    Ok(headers)
}

impl LogsReader {
    pub(crate) fn checkpoints_of(&self, shard: Shard) -> Result<Vec<Checkpoint>> {
        headers(&self.connection, shard)
    }

    pub(crate) fn parts_at(&self, shard: Shard, position: Position) -> Result<Option<Vec<Part>>> {
        // Header and parts as of one moment: the writer may be about to drop them.
        let _moment = self.connection.unchecked_transaction()?;
        if headers(&self.connection, shard)?.iter().all(|header| header.position != position) {
            return Ok(None);
        }
        // With `max`, SQLite takes the other columns from the row that has it.
        let mut statement = self.connection.prepare_cached(
            "SELECT model, part, subject, max(position), format, bytes FROM checkpoint_part
             WHERE shard = ? AND position <= ? GROUP BY model, part, subject",
        )?;
        let mut rows = statement.query(params![shard.number(), position.0])?;
        let mut parts = Vec::new();
        while let Some(row) = rows.next()? {
            let (model, subject): (u32, u32) = (row.get(0)?, row.get(2)?);
            let about = match (model, subject) {
                (0, _) => Ok(About::All),
                (model, 0) => self.about(model, None),
                (model, subject) => self.about(model, Some(subject)),
            };
            let about = about.map_err(|problem| damaged("checkpoint", shard, position.0, problem))?;
            parts.push(Part {
                shard,
                key: PartKey { about, part: row.get(1)? },
                position: Position(row.get(3)?),
                format: row.get(4)?,
                bytes: row.get(5)?,
            });
        }
        parts.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Some(parts))
    }
}
