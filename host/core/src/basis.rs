//! What the plan of an experiment starts from: how good the champion is on its newest rows, how much that varies, how alike rows
//! that follow each other are, and how many come. For people who plan; nothing is decided by it.

use trimtab_types::{ModelKey, Subject};

use crate::{judged::JudgedRow, state::State, view::whole};

/// Rows under which nothing is said.
const FEWEST: usize = 30;
const DAY: f64 = 86_400.0;

/// What is known of a metric of the champion. More is better; values lie in 0..1.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    /// The champion.
    pub version: String,
    /// Mean of the newest rows.
    pub mean: f64,
    /// How much single rows vary.
    pub variance: f64,
    /// Whether each row is right or wrong, so that the mean says how much they vary.
    pub is_share: bool,
    /// Rows.
    pub rows: usize,
    /// Correlation of a row with the next.
    pub correlation: f64,
    /// Rows a day, over these rows.
    pub rows_per_day: f64,
}

/// Of a model's champion; `None`: there is none, or it has too few judged rows that the metric is made of.
pub fn basis(state: &State, model: &ModelKey, metric: &str) -> Option<Basis> {
    let champion = state.registries.get(model)?.champion()?;
    let ModelKey { tenant, model } = model.clone();
    let subject = Subject { tenant, model, version: champion.to_owned(), segment: String::new() };
    let known = whole(state, &subject)?;
    let value = |row: &&JudgedRow| -> Option<f64> {
        let share = |yes: bool| f64::from(u8::from(yes));
        match metric {
            "accuracy" => row.right.map(share),
            "win-rate" => row.won.map(share),
            "brier" => row.claim.filter(|_| row.is_score).map(|(score, actual)| {
                let miss = score - share(actual);
                1.0 - miss * miss
            }),
            _ => None,
        }
    };
    let rows = known.rows.newest(known.rows.len());
    let with_value: Vec<(&JudgedRow, f64)> =
        rows.iter().filter_map(|row| Some((*row, value(row)?))).collect();
    if with_value.len() < FEWEST {
        return None;
    }
    let values: Vec<f64> = with_value.iter().map(|(_, value)| *value).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    let made = with_value.iter().map(|(row, _)| row.made);
    let (first, last) = (made.clone().min()?, made.max()?);
    let days = last.since(first) as f64 / DAY;
    Some(Basis {
        version: champion.to_owned(),
        mean,
        variance,
        is_share: metric != "brier",
        rows: values.len(),
        correlation: trimtab_stats::dependence::autocorrelation(&values, 1).unwrap_or(0.0),
        rows_per_day: if days > 0.0 { values.len() as f64 / days } else { 0.0 },
    })
}
