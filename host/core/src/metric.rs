//! The metrics that this build knows, by their well-known names. Not how they are computed; see `measure`.

use serde::{Deserialize, Serialize};

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own; `measure::of` says how each is computed")]
pub enum Metric {
    Accuracy,
    WinRate,
    Precision,
    Recall,
    F1,
    PrAuc,
    #[serde(rename = "precision-at-80-recall")]
    PrecisionAt80Recall,
    Ece,
    IntervalCoverage,
    IntervalWidth,
    Sharpe,
    Drawdown,
    CumulativeReturn,
    Pnl,
    DailyVolatility,
    Mae,
    Rmse,
    SharpeDaily,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Accuracy,
        Self::WinRate,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::PrAuc,
        Self::PrecisionAt80Recall,
        Self::Ece,
        Self::IntervalCoverage,
        Self::IntervalWidth,
        Self::Sharpe,
        Self::Drawdown,
        Self::CumulativeReturn,
        Self::Pnl,
        Self::DailyVolatility,
        Self::Mae,
        Self::Rmse,
        Self::SharpeDaily,
    ];

    /// The name in configuration, findings and what policies read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::WinRate => "win-rate",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::PrAuc => "pr-auc",
            Self::PrecisionAt80Recall => "precision-at-80-recall",
            Self::Ece => "ece",
            Self::IntervalCoverage => "interval-coverage",
            Self::IntervalWidth => "interval-width",
            Self::Sharpe => "sharpe",
            Self::Drawdown => "drawdown",
            Self::CumulativeReturn => "cumulative-return",
            Self::Pnl => "pnl",
            Self::DailyVolatility => "daily-volatility",
            Self::Mae => "mae",
            Self::Rmse => "rmse",
            Self::SharpeDaily => "sharpe-daily",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether more is better and the value does not grow with the number of rows, so that a drop by a share means
    /// something.
    pub fn can_drop(self) -> bool {
        match self {
            Self::Accuracy
            | Self::WinRate
            | Self::Precision
            | Self::Recall
            | Self::F1
            | Self::PrAuc
            | Self::PrecisionAt80Recall
            | Self::IntervalCoverage
            | Self::Sharpe
            | Self::SharpeDaily => true,
            Self::Ece
            | Self::IntervalWidth
            | Self::Drawdown
            | Self::CumulativeReturn
            | Self::Pnl
            | Self::DailyVolatility
            | Self::Mae
            | Self::Rmse => false,
        }
    }
}
