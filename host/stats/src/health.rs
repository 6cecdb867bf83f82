//! Whether a score or feature still comes as it did: missing, outside its range, a category nobody knew, or stuck. One
//! small stream of yes and no for each, held against what the baseline allows. Not for how values are distributed within
//! their range: see [`crate::psi`] and [`crate::ks`].
//!
//! What a baseline allows is in [`allowed`]. A stream is an e-SR with a head start and three bets. Its blocks follow the
//! count of rows and not of its own events, so a stream at rest need not be stored: what comes after it begins within the
//! block that is under way. An open stream is over when there is evidence that its share lies nearer to the limit than to
//! what it was, and the newest blocks agree.

use serde::{Deserialize, Serialize};

pub mod allowed;

use crate::betting::MAX_E_VALUE;
use crate::dependence::BlockInflation;
use crate::error::require;
use crate::recovery::{RECOVERY_RUN_LENGTH, Recovery, RecoveryConfig};
use crate::{Bets, Betting, EDetectorKind, Estimate, StatsError};

const KIND: EDetectorKind = EDetectorKind::ShiryaevRoberts;
const BETTING: Betting = Betting { bets: Bets::Three, inflation: 1.0, head_start: true };
/// The bet whose CUSUM dates the onset: the middle one.
const ONSET_BET: f64 = 0.3453;
/// A share from here on is half of all.
const HALF: f64 = 0.5;
/// This many in a row are all.
const ALL_OF: u32 = 20;
/// An episode closes only if so many of the newest blocks are within the limit.
const QUIET_BLOCKS: usize = 4;

/// What a stream is held against. It follows from the baseline and is not stored with the stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HealthLimit {
    /// The share that is nobody's business, between 0 and 1.
    pub limit: f64,
    /// Rows whose mean is one bet, 1 to 200.
    pub block: u16,
    /// Rows between false openings of this stream: the family's, times the number of its streams.
    pub average_run_length: f64,
    /// Rows between false recoveries; usually [`RECOVERY_RUN_LENGTH`].
    pub recovery_run_length: f64,
}

impl HealthLimit {
    /// Checked; with the usual run length of recovery.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(limit: f64, block: u16, average_run_length: f64) -> Result<Self, StatsError> {
        require((1e-6..=1.0 - 1e-6).contains(&limit), "limit", limit, "0.000001 to 0.999999")?;
        require((1..=200).contains(&block), "block", block.into(), "1 to 200")?;
        require(
            average_run_length > f64::from(block) && average_run_length <= 1e15,
            "average_run_length",
            average_run_length,
            "more than one block, up to 1e15 rows",
        )?;
        Ok(Self { limit, block, average_run_length, recovery_run_length: RECOVERY_RUN_LENGTH })
    }

    /// What the e-value must reach.
    pub fn threshold(&self) -> f64 {
        BETTING.threshold(KIND, self.average_run_length / f64::from(self.block))
    }

    fn excess(&self, share: f64) -> f64 {
        share / self.limit - 1.0
    }
}

/// How much of a quantity is affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Extent {
    /// More than the limit allows.
    Some,
    /// At least half since the onset.
    Half,
    /// Each of the newest 20.
    All,
}

/// What one row changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum HealthChange {
    /// There is evidence that the share is above the limit.
    Opened(Extent),
    /// More is affected than was told.
    Raised(Extent),
    /// It is over.
    Closed,
}

/// One stream. [`Self::Resting`] need not be stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub enum HealthStream {
    /// Nothing happened, or long ago.
    #[default]
    Resting,
    /// Something happened.
    Watching(Evidence),
    /// An episode is open.
    Open(Box<OpenStream>),
}

/// What speaks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    wealth: [f64; 3],
    /// Hits in the block under way.
    hits: u16,
    /// Hits up to the newest row without a break.
    in_a_row: u32,
    /// A CUSUM of one bet, with hits and rows since it left 1.
    onset: f64,
    onset_hits: u32,
    onset_rows: u32,
}

/// An open episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenStream {
    evidence: Evidence,
    extent: Extent,
    recovery: Recovery,
    /// Hits in the newest blocks since the episode opened or was raised, newest last.
    newest: Vec<u16>,
}

impl Evidence {
    fn at_rest() -> Self {
        let mut wealth = [0.0; 3];
        wealth.iter_mut().zip(BETTING.start(KIND)).for_each(|(wealth, start)| *wealth = start);
        Self { wealth, hits: 0, in_a_row: 0, onset: 0.0, onset_hits: 0, onset_rows: 0 }
    }

    fn is_at_rest(&self) -> bool {
        self.hits == 0 && BETTING.is_at_rest(KIND, &self.wealth)
    }

    /// The present e-value.
    pub fn e_value(&self) -> f64 {
        BETTING.bets.mixture(&self.wealth)
    }

    /// The share since the evidence began to grow, and of how many rows.
    pub fn since_onset(&self) -> Option<Estimate> {
        let (hits, rows) = (self.onset_hits, self.onset_rows);
        (rows > 0).then(|| Estimate { mean: f64::from(hits) / f64::from(rows), count: rows.into() })
    }

    fn count(&mut self, is_hit: bool) {
        self.hits += u16::from(is_hit);
        self.in_a_row = if is_hit { self.in_a_row.saturating_add(1) } else { 0 };
    }

    /// Ends the block; returns its hits.
    fn bet(&mut self, limit: &HealthLimit) -> u16 {
        let hits = core::mem::take(&mut self.hits);
        let excess = limit.excess((f64::from(hits) / f64::from(limit.block)).min(1.0));
        BETTING.step(KIND, &mut self.wealth, excess);
        self.onset = ((1.0 + ONSET_BET * excess) * self.onset.max(1.0)).min(MAX_E_VALUE);
        if self.onset <= 1.0 {
            (self.onset, self.onset_hits, self.onset_rows) = (0.0, 0, 0);
        } else {
            self.onset_hits = self.onset_hits.saturating_add(hits.into());
            self.onset_rows = self.onset_rows.saturating_add(limit.block.into());
        }
        hits
    }

    fn extent(&self) -> Extent {
        if self.in_a_row >= ALL_OF {
            Extent::All
        } else if self.since_onset().is_some_and(|share| share.mean >= HALF) {
            Extent::Half
        } else {
            Extent::Some
        }
    }
}

impl OpenStream {
    fn new(evidence: Evidence, limit: &HealthLimit) -> Result<Self, StatsError> {
        let recovery = recovery(&evidence, limit)?;
        Ok(Self { extent: evidence.extent(), evidence, recovery, newest: Vec::new() })
    }

    /// Tells if more is affected than was told; how much is affected now is judged where a block ends.
    fn raise(&mut self, limit: &HealthLimit) -> Result<Option<Extent>, StatsError> {
        let extent = self.evidence.extent();
        if extent <= self.extent {
            return Ok(None);
        }
        self.recovery = recovery(&self.evidence, limit)?;
        self.newest.clear();
        self.extent = extent;
        Ok(Some(extent))
    }

    fn is_quiet(&self, limit: &HealthLimit) -> bool {
        let within = |&hits: &u16| f64::from(hits) <= limit.limit * f64::from(limit.block);
        self.newest.len() == QUIET_BLOCKS && self.newest.iter().all(within)
    }
}

/// Waits for evidence that the share is below the middle between the limit and what it was found to be.
fn recovery(evidence: &Evidence, limit: &HealthLimit) -> Result<Recovery, StatsError> {
    let found = evidence.since_onset().map_or(1.0, |share| share.mean);
    Recovery::new(RecoveryConfig {
        kind: KIND,
        limit: (0.5 * (limit.limit + found)).clamp(limit.limit, 1.0 - 1e-6),
        blocks: BlockInflation { block: limit.block.into(), inflation: 1.0 },
        average_run_length: limit.recovery_run_length,
    })
}

impl HealthStream {
    /// Takes the next row. `row` counts all rows of the subject from 0, so that blocks end where they end for every
    /// stream.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] only for a limit that [`HealthLimit::new`] would refuse.
    pub fn update(
        &mut self,
        limit: &HealthLimit,
        row: u64,
        is_hit: bool,
    ) -> Result<Option<HealthChange>, StatsError> {
        let block = u64::from(limit.block.max(1));
        let is_end = row % block == block - 1;
        match self {
            Self::Resting if !is_hit => Ok(None),
            Self::Resting => {
                let mut evidence = Evidence::at_rest();
                let change = watch(&mut evidence, limit, is_hit, is_end)?;
                *self = change.map_or(Self::Watching(evidence), |open| Self::Open(Box::new(open)));
                Ok(self.opened())
            }
            Self::Watching(evidence) => {
                if let Some(open) = watch(evidence, limit, is_hit, is_end)? {
                    *self = Self::Open(Box::new(open));
                    return Ok(self.opened());
                }
                if evidence.is_at_rest() && is_end {
                    *self = Self::Resting;
                }
                Ok(None)
            }
            Self::Open(open) => {
                open.evidence.count(is_hit);
                if is_end {
                    let hits = open.evidence.bet(limit);
                    if open.newest.len() == QUIET_BLOCKS {
                        open.newest.remove(0);
                    }
                    open.newest.push(hits);
                }
                let is_over = open.recovery.is_over(f64::from(u8::from(is_hit)))?;
                if let Some(extent) = open.raise(limit)? {
                    return Ok(Some(HealthChange::Raised(extent)));
                }
                if is_over && is_end && open.is_quiet(limit) {
                    *self = Self::Resting;
                    return Ok(Some(HealthChange::Closed));
                }
                Ok(None)
            }
        }
    }

    fn opened(&self) -> Option<HealthChange> {
        self.extent().map(HealthChange::Opened)
    }

    /// Whether it need not be stored.
    pub fn is_resting(&self) -> bool {
        *self == Self::Resting
    }

    /// How much is affected, as told, while an episode is open.
    pub fn extent(&self) -> Option<Extent> {
        match self {
            Self::Open(open) => Some(open.extent),
            Self::Resting | Self::Watching(_) => None,
        }
    }

    /// The evidence; `None` at rest.
    pub fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Resting => None,
            Self::Watching(evidence) => Some(evidence),
            Self::Open(open) => Some(&open.evidence),
        }
    }

    /// The evidence for the end of an open episode, and what it must reach.
    pub fn recovery(&self) -> Option<(f64, f64)> {
        match self {
            Self::Open(open) => Some(open.recovery.evidence()),
            Self::Resting | Self::Watching(_) => None,
        }
    }
}

/// One row of a stream without an episode; returns the one that it opens.
fn watch(
    evidence: &mut Evidence,
    limit: &HealthLimit,
    is_hit: bool,
    is_end: bool,
) -> Result<Option<OpenStream>, StatsError> {
    evidence.count(is_hit);
    if !is_end {
        return Ok(None);
    }
    evidence.bet(limit);
    let opens = evidence.e_value() >= limit.threshold();
    opens.then(|| OpenStream::new(*evidence, limit)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, round_trip};
    use crate::{EDetector, EDetectorConfig, OnlineDetector, null_mean_upper};

    fn limit(share: f64, block: u16, run_length: f64) -> HealthLimit {
        HealthLimit::new(share, block, run_length).expect("valid")
    }

    /// Of nothing in a baseline worth so many values, among so many streams.
    fn of_nothing(worth: f64, streams: f64) -> HealthLimit {
        let share = null_mean_upper(0, 10_000, 0.02, 0.95, Some(worth)).expect("valid");
        limit(share, 5, 10_000.0 * streams)
    }

    /// Rows until a change, from row 0 of a stream at rest.
    fn rows_until(
        stream: &mut HealthStream,
        limit: &HealthLimit,
        mut hit: impl FnMut() -> bool,
    ) -> (u64, HealthChange) {
        (0..100_000)
            .find_map(|row| Some((row + 1, stream.update(limit, row, hit()).expect("valid")?)))
            .expect("a change")
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        for (name, result) in [
            ("limit", HealthLimit::new(0.0, 5, 1e4)),
            ("limit", HealthLimit::new(f64::NAN, 5, 1e4)),
            ("block", HealthLimit::new(0.1, 0, 1e4)),
            ("block", HealthLimit::new(0.1, 201, 1e4)),
            ("average_run_length", HealthLimit::new(0.1, 5, 5.0)),
        ] {
            assert!(
                matches!(result, Err(StatsError::Parameter { parameter, .. }) if parameter == name),
                "{name}"
            );
        }
    }

    /// Figures of an independent prototype in Python: rows until a quantity that is suddenly missing altogether opens, for
    /// 3, 30, 300 and 3,000 streams.
    #[test]
    fn what_is_missing_altogether_opens_within_a_few_blocks() {
        for (worth, rows) in [
            (1_000.0, [15, 20, 20, 25]),
            (150.0, [15, 20, 25, 30]),
            (50.0, [20, 25, 30, 35]),
            (20.0, [30, 35, 40, 50]),
        ] {
            for (streams, want) in [3.0, 30.0, 300.0, 3_000.0].into_iter().zip(rows) {
                let found = rows_until(&mut HealthStream::Resting, &of_nothing(worth, streams), || true);
                let extent = if want >= 20 { Extent::All } else { Extent::Half };
                assert_eq!(found, (want, HealthChange::Opened(extent)), "worth {worth}, {streams} streams");
            }
        }
    }

    /// Of the same prototype: mean rows for a share of 0.1 / 0.2 / 0.3 / 0.5, worth 1,000, 30 streams.
    #[test]
    fn smaller_shares_open_later() {
        for (share, want) in [(0.1, 153.0), (0.2, 56.0), (0.3, 36.0), (0.5, 23.0)] {
            let limit = of_nothing(1_000.0, 30.0);
            let wait = |seed| {
                let mut rng = Rng::new(seed);
                rows_until(&mut HealthStream::Resting, &limit, || rng.uniform() < share).0
            };
            let mean = (0..300).map(wait).sum::<u64>() as f64 / 300.0;
            assert!((mean / want - 1.0).abs() < 0.15, "{share}: {mean}");
        }
    }

    /// The theorem, with what is not stored left out: at the very limit the mean run length is at least the promised one.
    #[test]
    fn false_openings_are_as_rare_as_promised() {
        for (share, block) in [(0.02, 5), (0.2, 5), (0.05, 20)] {
            let limit = limit(share, block, 3_000.0);
            let wait = |seed| {
                let mut rng = Rng::new(seed);
                let mut stream = HealthStream::Resting;
                (0..60_000)
                    .find(|&row| stream.update(&limit, row, rng.uniform() < share).expect("valid").is_some())
                    .unwrap_or(60_000)
            };
            let mean = (0..200).map(wait).sum::<u64>() as f64 / 200.0;
            assert!(mean >= 0.93 * 3_000.0, "{share} {block}: {mean}");
        }
    }

    /// Leaving out what rests changes evidence by 1 % at most, and never adds any.
    #[test]
    fn a_stream_is_the_detector_that_it_stands_for() {
        let limit = limit(0.05, 5, 5_000.0);
        let config = EDetectorConfig {
            null_mean: limit.limit,
            average_run_length: limit.average_run_length,
            block: 5,
            ..EDetectorConfig::default()
        };
        let (mut rests, mut opens) = (0, 0);
        for seed in 0..40 {
            let mut rng = Rng::new(seed);
            let mut stream = HealthStream::Resting;
            let mut detector = EDetector::with_betting(config, BETTING).expect("valid");
            assert_eq!(detector.threshold(), limit.threshold());
            for row in 0..3_000 {
                let hit = rng.uniform() < if row < 2_500 { 0.01 } else { 0.4 };
                let change = stream.update(&limit, row, hit).expect("valid");
                let drift = detector.update(f64::from(u8::from(hit))).expect("usable").drift().is_some();
                assert_eq!(change.is_some(), drift, "seed {seed}, row {row}");
                rests += u32::from(stream.is_resting());
                let (ours, whole) = (stream.evidence().map(Evidence::e_value), detector.e_value());
                if let Some(ours) = ours {
                    assert!(ours <= whole * (1.0 + 1e-12) && ours >= 0.99 * whole, "{ours} {whole}");
                }
                if drift {
                    opens += 1;
                    break;
                }
            }
        }
        assert!(opens == 40 && rests > 15_000, "{opens} {rests}");
    }

    #[test]
    fn it_is_raised_as_more_is_affected_and_closes_soon_after() {
        let limit = of_nothing(1_000.0, 30.0);
        let mut stream = HealthStream::Resting;
        let mut rng = Rng::new(4);
        let mut told = Vec::new();
        let mut ended = 0;
        for row in 0..2_000 {
            let share = match row {
                0..300 => 0.25,
                300..400 => 1.0,
                _ => 0.0,
            };
            if row % 83 == 0 {
                stream = round_trip(&stream);
            }
            if let Some(change) = stream.update(&limit, row, rng.uniform() < share).expect("valid") {
                told.push(change);
                ended = row;
            }
        }
        assert_eq!(told.first(), Some(&HealthChange::Opened(Extent::Some)), "{told:?}");
        assert!(told.contains(&HealthChange::Raised(Extent::All)), "{told:?}");
        assert_eq!(told.last(), Some(&HealthChange::Closed), "{told:?}");
        assert!(ended < 400 + 200 && stream.is_resting(), "{ended}");
    }

    /// 100 × 3,000 rows each of a share that lasts: it is not called over; once it is gone, it is within 135 rows.
    #[test]
    fn what_lasts_is_not_called_over_and_what_ended_is() {
        for share in [1.0, 0.5, 0.3] {
            let limit = of_nothing(1_000.0, 30.0);
            let (mut closed, mut rows_to_close) = (0, 0);
            for seed in 0..100 {
                let mut rng = Rng::new(seed);
                let mut stream = HealthStream::Resting;
                let mut opened = false;
                for row in 0..3_000 {
                    match stream.update(&limit, row, rng.uniform() < share).expect("valid") {
                        Some(HealthChange::Closed) => closed += 1,
                        Some(_) => opened = true,
                        None => {}
                    }
                }
                assert!(opened, "{share}");
                let over = (3_000..).find(|&row| {
                    stream.update(&limit, row, false).expect("valid") == Some(HealthChange::Closed)
                });
                rows_to_close += over.map_or(0, |row| row + 1 - 3_000);
            }
            let mean = rows_to_close as f64 / 100.0;
            assert!(closed <= 1 && (20.0..=140.0).contains(&mean), "{share}: {closed} {mean}");
        }
    }

    #[test]
    fn a_stream_that_watches_is_small() {
        let mut stream = HealthStream::Resting;
        let limit = of_nothing(1_000.0, 30.0);
        assert_eq!(postcard::to_allocvec(&stream).expect("serialises").len(), 1);
        (0..1_000).for_each(|row| drop(stream.update(&limit, row, row == 3)));
        assert!(stream.is_resting(), "one hit long ago is forgotten");
        (0..5).for_each(|row| drop(stream.update(&limit, row, row == 3)));
        assert!(postcard::to_allocvec(&stream).expect("serialises").len() <= 40);
    }
}
