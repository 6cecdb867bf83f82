//! What every online detector has in common. Not for tests that compare two finished samples.

use serde::{Deserialize, Serialize};

use crate::StatsError;

/// One online detector of a change in a stream of numbers.
///
/// Feeding the same numbers in the same order always gives the same signals; all state is in the value
/// itself and survives serialisation exactly.
pub trait OnlineDetector {
    /// Feeds one observation and tells whether the detector fires at it.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for NaN, infinities and values outside the detector's range; the
    /// observation is then ignored and the state unchanged.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError>;

    /// Forgets every observation and keeps the configuration.
    fn reset(&mut self);
}

/// What a detector says about one observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// Nothing to report.
    None,
    /// The detector's own early-warning level is reached (only DDM, EDDM and HDDM have one).
    Warning(Alarm),
    /// A change is reported.
    Drift(Alarm),
}

impl Signal {
    /// The alarm if this is a drift.
    pub fn drift(&self) -> Option<&Alarm> {
        match self {
            Self::Drift(alarm) => Some(alarm),
            Self::None | Self::Warning(_) => None,
        }
    }

    /// The alarm if this is a warning.
    pub fn warning(&self) -> Option<&Alarm> {
        match self {
            Self::Warning(alarm) => Some(alarm),
            Self::None | Self::Drift(_) => None,
        }
    }
}

/// The evidence behind a signal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The detector's test statistic, on the detector's own scale.
    pub statistic: f64,
    /// The value that the statistic had to reach, on the same scale.
    pub threshold: f64,
    /// A p-value where the detector computes one.
    pub p_value: Option<f64>,
    /// An e-value where the detector computes one.
    pub e_value: Option<f64>,
    /// Where the mean went; `None` where the detector does not tell.
    pub direction: Option<Direction>,
    /// The mean before the change, where the detector estimates it.
    pub before: Option<Estimate>,
    /// The mean after the change, where the detector estimates it.
    pub after: Option<Estimate>,
}

impl Alarm {
    /// An alarm of which no more is known.
    pub(crate) fn of(statistic: f64, threshold: f64, direction: Option<Direction>) -> Self {
        Self { statistic, threshold, p_value: None, e_value: None, direction, before: None, after: None }
    }
}

/// Which way a mean moved. For a stream of errors `Up` is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// It grew.
    Up,
    /// It fell.
    Down,
}

impl Direction {
    /// From an older and a newer mean; equal means count as `Down`, so that they are never taken for worse.
    pub fn between(before: f64, after: f64) -> Self {
        if after > before { Self::Up } else { Self::Down }
    }
}

/// A mean and how many observations it is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Observations in it.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    //! What holds for every online detector.

    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::testing::{Rng, round_trip};
    use crate::{
        Adwin, AdwinConfig, AdwinVariant, AfterAlarm, Bets, Betting, Ddm, DdmConfig, EDetector,
        EDetectorConfig, EDetectorKind, Eddm, EddmConfig, HddmA, HddmAConfig, HddmW, HddmWConfig, Kswin,
        KswinConfig, OwnPast, OwnPastConfig, PageHinkley, PageHinkleyConfig,
    };

    /// Errors whose rate goes up and down again.
    fn errors(seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        let rates = [0.1, 0.6, 0.2];
        rates.iter().flat_map(|&rate| (0..700).map(|_| rng.bernoulli(rate)).collect::<Vec<f64>>()).collect()
    }

    fn keeps_the_contract<D>(name: &str, new: impl Fn() -> Result<D, StatsError>)
    where
        D: OnlineDetector + Clone + PartialEq + Debug + Serialize + DeserializeOwned,
    {
        let new = || new().expect("valid parameters");
        for seed in 0..4 {
            let values = errors(seed);
            // State that was stored and read back goes on as if nothing had been.
            let (mut whole, mut parted, mut drifts) = (new(), new(), 0);
            for (i, &x) in values.iter().enumerate() {
                if i % 97 == 0 {
                    parted = round_trip(&parted);
                }
                let signal = whole.update(x).expect("usable");
                assert_eq!(Ok(signal), parted.update(x), "{name} at {i}");
                drifts += u32::from(signal.drift().is_some());
            }
            assert_eq!(whole, parted, "{name}");
            assert!(drifts > 0, "{name} sees errors grow from 10 to 60 %");

            // What cannot be used is refused and changes nothing, also right after a drift.
            for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e101] {
                assert!(matches!(whole.update(x), Err(StatsError::Observation { .. })), "{name} takes {x}");
            }
            assert_eq!(whole, parted, "{name}");

            whole.reset();
            assert_eq!(whole, new(), "{name}: reset is like new");
        }
    }

    #[test]
    fn every_detector_keeps_the_contract() {
        for variant in [AdwinVariant::KeepWindow, AdwinVariant::ResetOnDrift] {
            keeps_the_contract("ADWIN", || {
                Adwin::new(AdwinConfig { variant, clock: 3, ..AdwinConfig::default() })
            });
        }
        for kind in [EDetectorKind::ShiryaevRoberts, EDetectorKind::Cusum] {
            for after_alarm in [AfterAlarm::Restart, AfterAlarm::Continue] {
                let config =
                    EDetectorConfig { kind, after_alarm, null_mean: 0.3, ..EDetectorConfig::default() };
                keeps_the_contract("e-detector", || EDetector::new(config));
            }
        }
        for (bets, head_start) in [(Bets::FiveLargest, false), (Bets::Three, true)] {
            let betting = Betting { bets, inflation: 1.7, head_start };
            let config = EDetectorConfig { null_mean: 0.3, block: 5, ..EDetectorConfig::default() };
            keeps_the_contract("e-detector", || EDetector::with_betting(config, betting));
        }
        let reference = 300;
        keeps_the_contract("own past", || {
            OwnPast::new(OwnPastConfig { reference, ..OwnPastConfig::default() })
        });
        keeps_the_contract("Page-Hinkley", || PageHinkley::new(PageHinkleyConfig::default()));
        keeps_the_contract("DDM", || Ddm::new(DdmConfig::default()));
        keeps_the_contract("EDDM", || Eddm::new(EddmConfig::default()));
        keeps_the_contract("HDDM-A", || HddmA::new(HddmAConfig::default()));
        keeps_the_contract("HDDM-W", || HddmW::new(HddmWConfig::default()));
        keeps_the_contract("KSWIN", || Kswin::new(KswinConfig::default()));
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let cases: [(&str, Option<StatsError>); 13] = [
            ("delta", PageHinkley::new(PageHinkleyConfig { delta: -1.0, ..Default::default() }).err()),
            ("threshold", PageHinkley::new(PageHinkleyConfig { threshold: 0.0, ..Default::default() }).err()),
            ("alpha", PageHinkley::new(PageHinkleyConfig { alpha: f64::NAN, ..Default::default() }).err()),
            ("warning_threshold", Ddm::new(DdmConfig { warning_threshold: 0.0, ..Default::default() }).err()),
            ("drift_threshold", Ddm::new(DdmConfig { drift_threshold: 1.0, ..Default::default() }).err()),
            ("alpha", Eddm::new(EddmConfig { alpha: 1.1, ..Default::default() }).err()),
            ("beta", Eddm::new(EddmConfig { beta: 0.96, ..Default::default() }).err()),
            (
                "drift_confidence",
                HddmA::new(HddmAConfig { drift_confidence: 0.0, ..Default::default() }).err(),
            ),
            (
                "warning_confidence",
                HddmW::new(HddmWConfig { warning_confidence: 0.0, ..Default::default() }).err(),
            ),
            ("lambda", HddmW::new(HddmWConfig { lambda: 1.0, ..Default::default() }).err()),
            ("alpha", Kswin::new(KswinConfig { alpha: 0.0, ..Default::default() }).err()),
            ("window_size", Kswin::new(KswinConfig { window_size: 1, ..Default::default() }).err()),
            ("stat_size", Kswin::new(KswinConfig { stat_size: 100, ..Default::default() }).err()),
        ];
        for (name, error) in cases {
            assert!(
                matches!(error, Some(StatsError::Parameter { parameter, .. }) if parameter == name),
                "{name}: {error:?}"
            );
        }
    }
}
