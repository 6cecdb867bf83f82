//! What rows say about an experiment: how many each arm has, and blocks of differences. Changed by rows alone; nothing that
//! is decided changes it but the beginning and the end of the experiment.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use trimtab_stats::{BlockComparison, ShareTest};
use trimtab_types::{
    Actual, Concern, Difference, Estimate, Interval, Judged, Outcome, Predicted, Prediction, Timestamp,
};

use super::trials::Trial;

/// Predictions that wait for that of the other arm at most.
const MOST_WAITING: usize = 10_000;
/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;
/// Resolved predictions of an arm under which nothing is said of it.
const ENOUGH: u64 = 100;
/// Share of outcomes that may be missing in one arm more than in the other.
const COVERAGE: f64 = 0.05;
/// Evidence from which the arms are not shared out as they should be, and by how much they have to differ.
const OFF: (f64, f64) = (1_000.0, 0.01);

/// A stream has dried up after so many times the usual distance, …
const QUIET: u64 = 20;
/// … an hour at least, in seconds, where it had so many rows.
const HOUR: u64 = 3_600;
const FEWEST: u64 = 20;

/// What arms are compared by: more is better.
const METRICS: [&str; 3] = ["accuracy", "win-rate", "brier"];

/// What has come in of both arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Of which experiment.
    trial: String,
    champion: TallyArm,
    challenger: TallyArm,
    /// By segment and time: the first of a pair.
    waiting: BTreeMap<(String, Timestamp), Half>,
    order: VecDeque<(String, Timestamp)>,
    /// One for each metric.
    blocks: [Blocks; 3],
    /// How traffic was shared out; `None`: the challenger serves nothing, or everything.
    shares: Option<ShareTest>,
}

/// What has come in of one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TallyArm {
    /// Predictions.
    pub rows: u64,
    /// Of which somebody acted on.
    pub served: u64,
    /// Of which the outcome is known.
    pub resolved: u64,
    /// How many count towards each metric, and their sum.
    sums: [(u64, f64); 3],
    /// When the first prediction was made, and the newest.
    span: Option<(Timestamp, Timestamp)>,
}

/// A prediction that waits for that of the other arm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Half {
    of_challenger: bool,
    values: [Option<f64>; 3],
}

/// Blocks of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Blocks {
    /// `None`: the margin is out of range, and nothing is compared.
    full: Option<BlockComparison>,
    /// Of the block that is not full: rows and sum, of each arm where they are not paired.
    rows: [u32; 2],
    sums: [f64; 2],
}

impl Blocks {
    fn new(margin: f64) -> Self {
        Self { full: BlockComparison::new(margin, CONFIDENCE).ok(), rows: [0; 2], sums: [0.0; 2] }
    }

    fn close(&mut self, mean: f64) {
        if let Some(full) = &mut self.full {
            // A mean of values in 0..1 is finite.
            full.add(mean).ok();
        }
        (self.rows, self.sums) = ([0; 2], [0.0; 2]);
    }

    fn len(&self) -> usize {
        self.full.as_ref().map_or(0, BlockComparison::blocks)
    }

    /// A difference of a pair.
    fn pair(&mut self, difference: f64, block: u32) {
        self.rows[0] += 1;
        self.sums[0] += difference;
        if self.rows[0] >= block {
            self.close(self.sums[0] / f64::from(self.rows[0]));
        }
    }

    /// A value of one arm: a block ends with so many of the challenger.
    fn single(&mut self, of_challenger: bool, value: f64, block: u32) {
        let arm = usize::from(of_challenger);
        self.rows[arm] = self.rows[arm].saturating_add(1);
        self.sums[arm] += value;
        if self.rows[1] >= block && self.rows[0] > 0 {
            self.close(self.sums[1] / f64::from(self.rows[1]) - self.sums[0] / f64::from(self.rows[0]));
        }
    }
}

impl Tally {
    /// Nothing has come yet.
    pub(crate) fn new(trial: &Trial) -> Self {
        Self {
            trial: trial.id.clone(),
            champion: TallyArm::default(),
            challenger: TallyArm::default(),
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
            blocks: std::array::from_fn(|_| Blocks::new(trial.plan.margin)),
            shares: ShareTest::new(trial.share()).ok(),
        }
    }

    /// The challenger's share of the traffic is another from here on.
    pub(crate) fn share_out(&mut self, share: f64) {
        match &mut self.shares {
            Some(shares) if shares.share() == share => {}
            // Paused, or everything: what comes meanwhile says nothing about shares.
            Some(shares) => drop(shares.change(share)),
            none => *none = ShareTest::new(share).ok(),
        }
    }

    /// Whether it is of this experiment, and not of an earlier one with the same version.
    pub(crate) fn is_of(&self, trial: &Trial) -> bool {
        self.trial == trial.id
    }

    /// The arms: the champion's, then the challenger's.
    pub fn arms(&self) -> [&TallyArm; 2] {
        [&self.champion, &self.challenger]
    }

    /// Blocks of evidence, of the metric that has most.
    pub fn blocks(&self) -> u64 {
        self.blocks.iter().map(|blocks| blocks.len() as u64).max().unwrap_or(0)
    }

    fn arm(&mut self, of_challenger: bool) -> &mut TallyArm {
        if of_challenger { &mut self.challenger } else { &mut self.champion }
    }

    /// A prediction has come.
    pub(crate) fn predicted(&mut self, trial: &Trial, prediction: &Prediction) {
        let Some(of_challenger) = arm_of(trial, prediction) else { return };
        let arm = self.arm(of_challenger);
        arm.rows += 1;
        let (first, newest) = arm.span.unwrap_or((prediction.time, prediction.time));
        arm.span = Some((first.min(prediction.time), newest.max(prediction.time)));
        arm.served += u64::from(prediction.served);
        if prediction.served
            && trial.share() > 0.0
            && let Some(shares) = &mut self.shares
        {
            shares.add(of_challenger);
        }
    }

    /// Its outcome has come.
    pub(crate) fn resolved(
        &mut self,
        trial: &Trial,
        prediction: &Prediction,
        outcome: &Outcome,
        judged: Judged,
    ) {
        let Some(of_challenger) = arm_of(trial, prediction) else { return };
        let values = values(prediction, outcome, judged);
        let arm = self.arm(of_challenger);
        arm.resolved += 1;
        for (sum, value) in arm.sums.iter_mut().zip(values) {
            if let Some(value) = value {
                *sum = (sum.0 + 1, sum.1 + value);
            }
        }
        if trial.plan.affected {
            if prediction.served {
                for (blocks, value) in self.blocks.iter_mut().zip(values) {
                    if let Some(value) = value {
                        blocks.single(of_challenger, value, trial.plan.block);
                    }
                }
            }
            return;
        }
        let key = (prediction.subject.segment.clone(), prediction.time);
        match self.waiting.remove(&key) {
            Some(half) if half.of_challenger != of_challenger => {
                let (challenger, champion) =
                    if of_challenger { (values, half.values) } else { (half.values, values) };
                for (blocks, (challenger, champion)) in
                    self.blocks.iter_mut().zip(challenger.iter().zip(champion))
                {
                    if let (Some(challenger), Some(champion)) = (challenger, champion) {
                        blocks.pair(challenger - champion, trial.plan.block);
                    }
                }
            }
            // Two of one arm at once: the newer one counts.
            _ => {
                self.waiting.insert(key.clone(), Half { of_challenger, values });
                self.order.push_back(key);
                self.forget();
            }
        }
    }

    /// What has waited longest is not waited for.
    fn forget(&mut self) {
        while self.waiting.len() > MOST_WAITING || self.order.len() > 2 * MOST_WAITING {
            let Some(oldest) = self.order.pop_front() else { return };
            self.waiting.remove(&oldest);
        }
    }

    /// Challenger minus champion, for each metric that has a block.
    pub fn differences(&self) -> Vec<Difference> {
        let of = |(name, blocks): (&&str, &Blocks)| {
            let evidence = blocks.full.as_ref()?.evidence()?;
            let interval = Interval { lower: evidence.interval.low, upper: evidence.interval.high };
            let samples = u32::try_from(evidence.blocks).unwrap_or(u32::MAX);
            Some(Difference {
                name: (*name).to_owned(),
                estimate: Estimate {
                    value: evidence.mean,
                    samples,
                    interval: Some(interval),
                    from_outcomes: true,
                },
                better: evidence.better,
                worse: evidence.worse,
            })
        };
        METRICS.iter().zip(&self.blocks).filter_map(of).collect()
    }

    /// Correlation of a block with the next, of the metric that has most blocks.
    pub fn correlation(&self) -> Option<f64> {
        self.blocks.iter().max_by_key(|blocks| blocks.len())?.full.as_ref()?.correlation()
    }

    /// Why the numbers should not be trusted yet.
    pub fn concerns(&self, trial: &Trial) -> Vec<Concern> {
        let arms = self.arms();
        let mut concerns = Vec::new();
        let has_dried_up = arms[0].is_behind(arms[1]) || arms[1].is_behind(arms[0]);
        if arms.iter().any(|arm| arm.resolved == 0) || has_dried_up {
            concerns.push(Concern::NoData);
        } else if arms.iter().any(|arm| arm.resolved < ENOUGH) {
            concerns.push(Concern::TooFewSamples);
        }
        let is_off = |shares: &ShareTest| shares.e_value() >= OFF.0 && shares.off().abs() > OFF.1;
        if trial.serves() && self.shares.as_ref().is_some_and(is_off) {
            concerns.push(Concern::SampleRatioMismatch);
        }
        let coverage = arms.map(|arm| arm.resolved as f64 / arm.rows.max(1) as f64);
        let least = arms.iter().map(|arm| arm.rows).min().unwrap_or(0).max(1) as f64;
        // Beyond what chance does at four standard deviations.
        let chance = 4.0 * (0.5 / least).sqrt();
        if (coverage[0] - coverage[1]).abs() > COVERAGE.max(chance) {
            concerns.push(Concern::OutcomeCoverageMismatch);
        }
        concerns
    }
}

impl TallyArm {
    /// Whether it has had no prediction for twenty times as long as they are usually apart, while the other arm went on. By time
    /// and not by rows, because rows of one arm may come after all of the other.
    fn is_behind(&self, other: &Self) -> bool {
        let (Some((first, newest)), Some((_, others))) = (self.span, other.span) else { return false };
        let apart = newest.since(first) / self.rows.saturating_sub(1).max(1);
        self.rows >= FEWEST && others.since(newest) > (QUIET * apart).max(HOUR)
    }

    /// Each metric with how many rows it has and their mean. Brier's is turned round: less of it is better.
    pub fn means(&self) -> impl Iterator<Item = (&'static str, u64, f64)> + '_ {
        METRICS.into_iter().zip(self.sums).filter(|(_, (rows, _))| *rows > 0).map(|(name, (rows, sum))| {
            let mean = sum / rows as f64;
            (name, rows, if name == "brier" { 1.0 - mean } else { mean })
        })
    }
}

/// Whether a prediction is the challenger's; `None`: of neither arm.
fn arm_of(trial: &Trial, prediction: &Prediction) -> Option<bool> {
    let version = &prediction.subject.version;
    if *version == trial.version {
        return Some(true);
    }
    (*version == trial.champion).then_some(false)
}

/// What a row is worth, by metric: 0..1, and more is better.
fn values(prediction: &Prediction, outcome: &Outcome, judged: Judged) -> [Option<f64>; 3] {
    let trades =
        prediction.trade.side.is_some() || prediction.trade.entry_price.is_some() || outcome.pnl.is_some();
    let brier = match (prediction.predicted, outcome.actual) {
        (Predicted::Binary(score), Some(Actual::Label(label))) => {
            let miss = score - f64::from(u8::from(label > 0));
            Some(1.0 - miss * miss)
        }
        _ => None,
    };
    let share = |yes: bool| f64::from(u8::from(yes));
    // Of a regression there is no right and wrong that everybody means: the size of its error counts.
    let right = match prediction.predicted {
        Predicted::Regression(_) => judged.error.map(|error| 1.0 - error.clamp(0.0, 1.0)),
        _ => judged.right.map(share),
    };
    [right, judged.won.filter(|_| trades).map(share), brier]
}
