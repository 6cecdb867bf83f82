//! E-detectors against the stream's own past: a first stretch of the stream says what is normal, and evidence for
//! a change in either direction is gathered from then on. Not for streams with a baseline: give that to
//! [`EDetector`].
//!
//! The null means are the confidence bounds of the stretch's mean, widened by a tolerance, so the promised run
//! length holds with at least the stated confidence. The bounds are Chernoff's (by the Kullback–Leibler
//! divergence), which hold for any independent values in [0, 1]; correlation within the stretch shrinks its
//! effective size, estimated from the variance of block means.
//! Sources: as [`crate::e_detector`]; W. Hoeffding (1963), theorem 1, for the bounds.

use serde::{Deserialize, Serialize};

use crate::error::{require, unit};
use crate::moments::Moments;
use crate::null_mean::chernoff_upper;
use crate::page_hinkley::Sides;
use crate::{
    AfterAlarm, Alarm, EDetector, EDetectorConfig, EDetectorKind, Estimate, OnlineDetector, Side, Signal,
    StatsError,
};

/// Parameters of [`OwnPast`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OwnPastConfig {
    /// How evidence is combined.
    pub kind: EDetectorKind,
    /// Which changes are sought. Both sides share the run length: each gets twice of it.
    pub sides: Sides,
    /// Observations that say what is normal, 100 to 1,000,000.
    pub reference: u32,
    /// Change of the mean that is tolerated, in [0, 1).
    pub tolerance: f64,
    /// Confidence that the true mean lies within the bounds, in (0, 1).
    pub confidence: f64,
    /// Observations between false alarms, at least, on average.
    pub average_run_length: f64,
    /// Observations whose mean is one bet, 1 to 10,000.
    pub block: u32,
}

impl Default for OwnPastConfig {
    fn default() -> Self {
        Self {
            kind: EDetectorKind::ShiryaevRoberts,
            sides: Sides::Both,
            reference: 1000,
            tolerance: 0.02,
            confidence: 0.95,
            average_run_length: 10_000.0,
            block: 20,
        }
    }
}

/// The detector. After an alarm it learns anew what is normal, from the next observation on, and is blind
/// meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnPast {
    config: OwnPastConfig,
    phase: Phase,
    observations: u64,
    restart: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Phase {
    Learning(Stretch),
    Watching(Box<Watch>),
}

/// What is normal, and the sides that are watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Watch {
    normal: Estimate,
    upper: Option<EDetector>,
    lower: Option<EDetector>,
}

/// Moments of the values and of their blocks' means.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Stretch {
    values: Moments,
    blocks: Moments,
    block_sum: f64,
    block_count: u32,
}

impl Stretch {
    /// Length of the blocks by which correlation is measured, whatever the length of the bets'.
    const BLOCK: u32 = 20;

    fn add(&mut self, x: f64) {
        self.values.add(x);
        self.block_sum += x;
        self.block_count += 1;
        if self.block_count == Self::BLOCK {
            self.blocks.add(self.block_sum / f64::from(Self::BLOCK));
            (self.block_sum, self.block_count) = (0.0, 0);
        }
    }

    /// The number of independent values that would leave the mean as uncertain. Block means of independent values
    /// vary by 1/20 of the values' variance; if they vary more, neighbours are alike.
    fn effective_size(&self) -> f64 {
        let n = self.values.count() as f64;
        let independent = self.values.variance() / f64::from(Self::BLOCK);
        if independent <= 0.0 {
            return n;
        }
        n / (self.blocks.variance() / independent).clamp(1.0, f64::from(Self::BLOCK))
    }
}

impl OwnPast {
    /// A detector that has yet to learn what is normal.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: OwnPastConfig) -> Result<Self, StatsError> {
        require(
            (100..=1_000_000).contains(&config.reference),
            "reference",
            config.reference.into(),
            "100 to 1000000",
        )?;
        require((0.0..1.0).contains(&config.tolerance), "tolerance", config.tolerance, "0 up to but not 1")?;
        require(
            config.confidence > 0.0 && config.confidence < 1.0,
            "confidence",
            config.confidence,
            "between 0 and 1, both excluded",
        )?;
        // The rest is checked by the detector it is for.
        EDetector::new(one_side(&config, Side::Upper, 0.5))?;
        Ok(Self { config, phase: Phase::Learning(Stretch::default()), observations: 0, restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &OwnPastConfig {
        &self.config
    }

    /// Mean and count of the stretch that says what is normal; `None` while it is being learned.
    pub fn normal(&self) -> Option<Estimate> {
        match &self.phase {
            Phase::Learning(_) => None,
            Phase::Watching(watch) => Some(watch.normal),
        }
    }

    /// The present evidence for a change in either direction, as one e-value; 0 while learning.
    pub fn e_value(&self) -> f64 {
        match &self.phase {
            Phase::Learning(_) => 0.0,
            Phase::Watching(watch) => {
                let sides = || watch.upper.iter().chain(&watch.lower);
                sides().map(EDetector::e_value).sum::<f64>() / sides().count().max(1) as f64
            }
        }
    }

    /// Observations since construction or reset.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    fn start_watching(&self, stretch: &Stretch) -> Result<Phase, StatsError> {
        let sides = [self.config.sides.up(), self.config.sides.down()];
        let wanted = sides.iter().filter(|&&side| side).count() as f64;
        // Each bound fails with its part of what the confidence leaves.
        let risk = (1.0 - self.config.confidence) / wanted;
        let mean = stretch.values.mean().clamp(0.0, 1.0);
        let size = stretch.effective_size();
        let tolerance = self.config.tolerance;
        let upper = chernoff_upper(mean, size, risk) + tolerance;
        let lower = 1.0 - chernoff_upper(1.0 - mean, size, risk) - tolerance;
        // A bound beyond the range of the values can never be crossed; the detector then has nothing to watch.
        let detector = |wanted: bool, side, null_mean: f64| {
            let possible = (1e-6..=1.0 - 1e-6).contains(&null_mean);
            let config = one_side(&self.config, side, null_mean);
            (wanted && possible).then(|| EDetector::new(config)).transpose()
        };
        Ok(Phase::Watching(Box::new(Watch {
            normal: Estimate { mean, count: stretch.values.count() },
            upper: detector(sides[0], Side::Upper, upper)?,
            lower: detector(sides[1], Side::Lower, lower)?,
        })))
    }
}

fn one_side(config: &OwnPastConfig, side: Side, null_mean: f64) -> EDetectorConfig {
    let wanted = if config.sides == Sides::Both { 2.0 } else { 1.0 };
    EDetectorConfig {
        kind: config.kind,
        null_mean,
        side,
        average_run_length: config.average_run_length * wanted,
        block: config.block,
        after_alarm: AfterAlarm::Restart,
    }
}

impl OnlineDetector for OwnPast {
    /// Accepts [0, 1]. A drift carries the e-value of its side, the learned mean as `before` and the mean since the
    /// estimated onset as `after`.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = unit(x)?;
        if core::mem::take(&mut self.restart) {
            self.phase = Phase::Learning(Stretch::default());
        }
        self.observations += 1;
        let mut found: Option<Alarm> = None;
        match &mut self.phase {
            Phase::Learning(stretch) => {
                stretch.add(x);
                if stretch.values.count() >= u64::from(self.config.reference) {
                    let learned = *stretch;
                    self.phase = self.start_watching(&learned)?;
                }
            }
            Phase::Watching(watch) => {
                let Watch { normal, upper, lower } = watch.as_mut();
                for detector in upper.iter_mut().chain(lower) {
                    if let Signal::Drift(alarm) = detector.update(x)? {
                        found = found.or(Some(Alarm { before: Some(*normal), ..alarm }));
                    }
                }
            }
        }
        self.restart = found.is_some();
        Ok(found.map_or(Signal::None, Signal::Drift))
    }

    fn reset(&mut self) {
        self.phase = Phase::Learning(Stretch::default());
        self.observations = 0;
        self.restart = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;
    use crate::testing::Rng;

    fn detector(config: OwnPastConfig) -> OwnPast {
        OwnPast::new(config).expect("valid parameters")
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let base = OwnPastConfig::default();
        for (name, config) in [
            ("reference", OwnPastConfig { reference: 99, ..base }),
            ("tolerance", OwnPastConfig { tolerance: 1.0, ..base }),
            ("confidence", OwnPastConfig { confidence: f64::NAN, ..base }),
            ("block", OwnPastConfig { block: 0, ..base }),
            ("average_run_length", OwnPastConfig { average_run_length: 1.0, ..base }),
        ] {
            match OwnPast::new(config) {
                Err(StatsError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    /// As many observations as promised pass on average without an alarm, learning left out.
    #[test]
    fn false_alarms_are_as_rare_as_promised() {
        let promised = 2_000.0;
        for rate in [0.05, 0.3] {
            let config = OwnPastConfig { average_run_length: promised, ..OwnPastConfig::default() };
            let runs = 60;
            let total: u64 = (0..runs)
                .map(|seed| {
                    let (mut rng, mut detector) = (Rng::new(seed), detector(config));
                    let limit = 1_000 + 10_000;
                    (1..=limit)
                        .find(|_| detector.update(rng.bernoulli(rate)).expect("usable").drift().is_some())
                        .unwrap_or(limit)
                        - 1_000
                })
                .sum();
            let mean = total as f64 / runs as f64;
            assert!(mean >= promised, "{rate}: {mean}");
        }
    }

    #[test]
    fn changes_in_either_direction_are_seen_and_then_normal() {
        for (after, direction) in [(0.6, Direction::Up), (0.05, Direction::Down)] {
            let (mut rng, mut detector) = (Rng::new(42), detector(OwnPastConfig::default()));
            for _ in 0..2_000 {
                assert_eq!(detector.update(rng.bernoulli(0.3)), Ok(Signal::None));
            }
            let alarm = (0..1_500)
                .find_map(|_| detector.update(rng.bernoulli(after)).expect("usable").drift().copied())
                .expect("seen");
            assert_eq!(alarm.direction, Some(direction));
            assert!((alarm.before.expect("known").mean - 0.3).abs() < 0.06);
            assert!((alarm.after.expect("known").mean - after).abs() < 0.15);
            for _ in 0..3_000 {
                assert_eq!(detector.update(rng.bernoulli(after)), Ok(Signal::None), "it is normal now");
            }
            assert!((detector.normal().expect("learned").mean - after).abs() < 0.06);
        }
    }

    /// From a stretch of nothing but zeros no decrease can come.
    #[test]
    fn a_side_that_cannot_be_crossed_is_not_watched() {
        let mut detector = detector(OwnPastConfig { sides: Sides::Down, ..OwnPastConfig::default() });
        for _ in 0..5_000 {
            assert_eq!(detector.update(0.0), Ok(Signal::None));
        }
        assert_eq!(detector.e_value(), 0.0);
    }
}
