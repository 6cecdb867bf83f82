//! What folds leave behind: leases, steps fenced by epoch, and tries of effects.

use std::sync::Arc;

use rusqlite::{ErrorCode, OptionalExtension, params};
use trimtab_log::{About, Attempt, Claim, Decision, Effect, FoldCommit, Lease, LogError, Moment, Ordinals};
use trimtab_types::{Digest, Position, Shard, Timestamp};

use crate::{Result, writer::LogsWriter};

/// What is known of a shard that was claimed.
struct Claimed {
    cursor: u64,
    epoch: u64,
}

impl LogsWriter {
    pub(crate) fn claim_shards(&mut self, claim: &Claim) -> Result<Vec<Lease>> {
        let mut leases = Vec::new();
        for shard in &claim.shards {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO shard (shard) VALUES (?)")?
                .execute([shard.number()])?;
            let lease = self
                .connection
                .prepare_cached(
                    "UPDATE shard SET epoch = epoch + 1, owner = ?2, lease_until = ?3, build = ?4, rules = ?5
                     WHERE shard = ?1 AND (owner = ?2 OR lease_until <= ?6) RETURNING epoch, cursor",
                )?
                .query_row(
                    params![
                        shard.number(),
                        claim.owner,
                        claim.until.as_millis(),
                        claim.build,
                        claim.rules,
                        claim.now.as_millis()
                    ],
                    |row| Ok(Lease { shard: *shard, epoch: row.get(0)?, cursor: Position(row.get(1)?) }),
                )
                .optional()?;
            leases.extend(lease);
        }
        Ok(leases)
    }

    pub(crate) fn write_step(&mut self, commit: &FoldCommit) -> Result<()> {
        let shard = commit.shard;
        let claimed = self.claimed(shard)?;
        commit.check_epoch(claimed.epoch)?;
        if claimed.cursor != commit.from.0 {
            return Err(LogError::CursorMoved { expected: commit.from.0, found: claimed.cursor }.into());
        }
        commit.check(Position(self.heads[shard.index()].unwrap_or_default()))?;
        let mut ordinal = Ordinals::default();
        for moment in &commit.moments {
            self.write_moment(shard, ordinal.next(moment.position), moment)?;
        }
        ordinal = Ordinals::default();
        for decision in &commit.decisions {
            let written = self.write_decision(shard, ordinal.next(decision.position), decision)?;
            if !written {
                return Err(commit
                    .unfitting("decision", decision.position, "its id is there already")
                    .into());
            }
        }
        ordinal = Ordinals::default();
        for effect in &commit.effects {
            if !self.write_effect(shard, ordinal.next(effect.position), effect)? {
                return Err(commit.unfitting("effect", effect.position, "its key is there already").into());
            }
        }
        self.connection
            .prepare_cached("UPDATE shard SET cursor = ? WHERE shard = ?")?
            .execute(params![commit.to.0, shard.number()])?;
        self.extend_stretch(commit)
    }

    fn claimed(&self, shard: Shard) -> Result<Claimed> {
        let found = self
            .connection
            .prepare_cached("SELECT cursor, epoch FROM shard WHERE shard = ?")?
            .query_row([shard.number()], |row| Ok(Claimed { cursor: row.get(0)?, epoch: row.get(1)? }))
            .optional()?;
        Ok(found.unwrap_or(Claimed { cursor: 0, epoch: 0 }))
    }

    /// Chains what was recorded: the first step of a lease begins a stretch, which the others make longer.
    fn extend_stretch(&self, commit: &FoldCommit) -> Result<()> {
        let before: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT hash FROM stretch WHERE shard = ? ORDER BY epoch DESC LIMIT 1")?
            .query_row([commit.shard.number()], |row| row.get(0))
            .optional()?;
        let hash = commit.chained(before.as_deref().and_then(Digest::from_bytes));
        self.connection
            .prepare_cached(
                "INSERT INTO stretch (shard, epoch, build, rules, start, upto, hash)
                 SELECT shard, epoch, build, rules, ?2, ?3, ?4 FROM shard WHERE shard = ?1
                 ON CONFLICT (shard, epoch) DO UPDATE SET upto = excluded.upto, hash = excluded.hash",
            )?
            .execute(params![commit.shard.number(), commit.from.0, commit.to.0, hash.as_bytes()])?;
        Ok(())
    }

    fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// Numbers of model and subject.
    pub(crate) fn whose(&mut self, about: &About) -> Result<(u32, Option<u32>)> {
        match about {
            About::Model(key) => Ok((self.numbers.model(&self.connection, &key.tenant, &key.model)?, None)),
            About::Subject(subject) => {
                let (model, number) = self.numbers.subject(&self.connection, &Arc::new(subject.clone()))?;
                Ok((model, Some(number)))
            }
            About::All | About::Tenant(_) => Ok((0, None)),
        }
    }

    fn write_moment(&mut self, shard: Shard, ordinal: u32, moment: &Moment) -> Result<()> {
        let (model, subject) = self.whose(&moment.about)?;
        let seq = self.next_seq();
        self.connection
            .prepare_cached("INSERT INTO moment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                seq,
                shard.number(),
                moment.position.0,
                ordinal,
                model,
                subject,
                moment.kind,
                moment.at.as_millis(),
                moment.severity.map(|severity| severity.name()),
                moment.changes,
                moment.findings,
                moment.facts,
                moment.digest
            ])?;
        self.counts.findings += u64::from(moment.changes);
        Ok(())
    }

    /// Whether it was written: not if its id is there already.
    fn write_decision(&mut self, shard: Shard, ordinal: u32, decision: &Decision) -> Result<bool> {
        let (model, subject) = self.whose(&decision.about)?;
        let seq = self.next_seq();
        let policy = decision.policy.as_ref();
        let written = self
            .connection
            .prepare_cached("INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                seq,
                shard.number(),
                decision.position.0,
                ordinal,
                decision.id,
                model,
                subject,
                decision.moment,
                policy.map(|policy| &policy.name),
                policy.map(|policy| policy.digest.as_bytes()),
                decision.mode.name(),
                decision.did,
                decision.said,
                decision.reads,
                decision.carried,
                decision.body
            ]);
        self.counts.decisions += 1;
        unless_there(written)
    }

    /// Whether it was written: not if its key is there already.
    fn write_effect(&mut self, shard: Shard, ordinal: u32, effect: &Effect) -> Result<bool> {
        let (model, subject) = self.whose(&effect.about)?;
        let seq = self.next_seq();
        let written = self
            .connection
            .prepare_cached("INSERT INTO effect VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)")?
            .execute(params![
                seq,
                shard.number(),
                effect.position.0,
                ordinal,
                effect.key,
                effect.kind,
                model,
                subject,
                effect.sink,
                effect.body,
                effect.due.as_millis(),
                effect.expires.map(Timestamp::as_millis)
            ]);
        self.counts.effects += 1;
        unless_there(written)
    }

    pub(crate) fn write_attempt(&mut self, attempt: &Attempt) -> Result<()> {
        let effect: Option<u64> = self
            .connection
            .prepare_cached("SELECT seq FROM effect WHERE key = ?")?
            .query_row([&attempt.effect], |row| row.get(0))
            .optional()?;
        let effect = effect.ok_or_else(|| LogError::NoEffect(attempt.effect.clone()))?;
        self.connection
            .prepare_cached(
                "INSERT INTO attempt (effect, number, started, ended, result, detail)
                 SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5 FROM attempt WHERE effect = ?1",
            )?
            .execute(params![
                effect,
                attempt.started.as_millis(),
                attempt.ended.as_millis(),
                attempt.result,
                attempt.detail
            ])?;
        self.connection
            .prepare_cached("UPDATE effect SET state = ? WHERE seq = ? AND state = 'waiting'")?
            .execute(params![attempt.state.name(), effect])?;
        Ok(())
    }
}

/// Whether a row was inserted: not if what must be unique is there already.
fn unless_there(inserted: rusqlite::Result<usize>) -> Result<bool> {
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
