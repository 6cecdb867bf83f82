//! The tables that a run ends with.

use serde::Serialize;

use crate::{detection::Detection, run_lengths::RunLengths};

/// What was measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_lengths: Option<RunLengths>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detection: Option<Detection>,
}

#[derive(Debug, Serialize)]
struct Row {
    what: String,
    ours: f64,
    unit: String,
    peer: Option<f64>,
    /// Ours over the peer's: for rates more is better, for times less.
    ratio: Option<f64>,
    target: String,
}

impl Report {
    /// A rate: more is better.
    pub(crate) fn rate(&mut self, what: &str, ours: f64, unit: &str, peer: Option<f64>, target: &str) {
        self.push(what, ours, unit, peer, target);
    }

    /// A time: less is better.
    pub(crate) fn time(&mut self, what: &str, ours: f64, unit: &str, peer: Option<f64>, target: &str) {
        self.push(what, ours, unit, peer, target);
    }

    fn push(&mut self, what: &str, ours: f64, unit: &str, peer: Option<f64>, target: &str) {
        let ratio = peer.map(|peer| ours / peer);
        let row = Row {
            what: what.to_owned(),
            ours,
            unit: unit.to_owned(),
            peer,
            ratio,
            target: target.to_owned(),
        };
        eprintln_progress(&row.what);
        self.rows.push(row);
    }
}

#[expect(clippy::print_stderr, reason = "progress of a long run")]
fn eprintln_progress(what: &str) {
    eprintln!("measured: {what}");
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(run_lengths) = &self.run_lengths {
            write!(f, "{run_lengths}")?;
        }
        if let Some(detection) = &self.detection {
            write!(f, "{detection}")?;
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        let widest = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        writeln!(f, "{:widest$}  {:>12}  {:>12}  {:>6}  target", "what", "ours", "peer", "ratio")?;
        for row in &self.rows {
            let peer = row.peer.map_or("-".to_owned(), figure);
            let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            writeln!(
                f,
                "{:widest$}  {:>12}  {peer:>12}  {ratio:>6}  {} ({})",
                row.what,
                figure(row.ours),
                row.target,
                row.unit
            )?;
        }
        Ok(())
    }
}

fn figure(number: f64) -> String {
    if number >= 1_000.0 { grouped(number) } else { format!("{number:.2}") }
}

/// A whole number in groups of three digits.
pub(crate) fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
