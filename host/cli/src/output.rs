//! What people and programs read: data to stdout, everything else to stderr. One table printer, one use of colour.

use std::io::{IsTerminal, Write};

use serde::Serialize;
pub(crate) use trimtab_replay::words::count;
use trimtab_server::Failure;
use trimtab_types::Severity;

/// Whether a stream shows colour: only a terminal, and not if `NO_COLOR` is set.
pub(crate) fn colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A colour with a meaning; the text says the same without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
    Faint,
}

impl Tone {
    pub(crate) fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info | Severity::Low => Self::Plain,
            Severity::Medium | Severity::High => Self::Warning,
            Severity::Critical => Self::Bad,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[31;1m",
            Self::Faint => "\x1b[2m",
        }
    }
}

/// Where a command writes.
pub(crate) struct Output {
    json: bool,
    colour: bool,
    closed: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, colour: colour(&std::io::stdout()), closed: false }
    }

    /// Whether the answer is wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether the reader of stdout has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A line to stdout.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        writeln!(std::io::stdout(), "{}", text.as_ref()).map_err(|error| {
            self.closed = error.kind() == std::io::ErrorKind::BrokenPipe;
            Failure::files(format!("cannot write to stdout: {error}"))
        })
    }

    /// An answer, as JSON. The host's answers carry their schema version.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut value = serde_json::to_value(value).map_err(|error| Failure::files(error.to_string()))?;
        if let Some(object) = value.as_object_mut() {
            object.entry("schema_version").or_insert(trimtab_server::SCHEMA_VERSION.into());
        }
        let text = serde_json::to_string_pretty(&value).map_err(|error| Failure::files(error.to_string()))?;
        self.line(text)
    }

    /// A text in a tone, where colour is shown.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colour && tone != Tone::Plain {
            format!("{}{text}\x1b[0m", tone.code())
        } else {
            text.to_owned()
        }
    }

    /// A table; columns are as wide as their widest cell.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        for line in table.lines(|text, tone| self.paint(text, tone)) {
            self.line(line)?;
        }
        Ok(())
    }

    /// A remark on stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        // Nothing can be said where stderr is gone.
        writeln!(std::io::stderr(), "{}", text.as_ref()).ok();
    }

    /// Progress on one line of a terminal; nothing elsewhere.
    pub(crate) fn progress(&self, text: &str) {
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush()).ok();
        }
    }

    /// Why a command failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let value =
                serde_json::json!({ "schema_version": trimtab_server::SCHEMA_VERSION, "error": failure });
            writeln!(std::io::stdout(), "{value:#}").ok();
        }
        self.note(format!("error: {}", failure.message));
    }
}

/// Rows of cells under a heading.
pub(crate) struct Table {
    heading: Vec<&'static str>,
    rows: Vec<Vec<(String, Tone)>>,
}

impl Table {
    pub(crate) fn new(heading: &[&'static str]) -> Self {
        Self { heading: heading.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (String, Tone)>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn lines(&self, paint: impl Fn(&str, Tone) -> String) -> Vec<String> {
        let width = |column: usize| {
            let cells =
                self.rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count());
            cells.chain(self.heading.get(column).map(|text| text.chars().count())).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.heading.len()).map(width).collect();
        let line = |cells: Vec<(&str, Tone)>| {
            let last = cells.len().saturating_sub(1);
            let cells = cells.iter().zip(&widths).enumerate().map(|(column, ((text, tone), width))| {
                let padding = if column == last { 0 } else { width - text.chars().count() };
                format!("{}{}", paint(text, *tone), " ".repeat(padding))
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let heading = line(self.heading.iter().map(|text| (*text, Tone::Faint)).collect());
        let rows =
            self.rows.iter().map(|row| line(row.iter().map(|(text, tone)| (text.as_str(), *tone)).collect()));
        std::iter::once(heading).chain(rows).collect()
    }
}

/// A cell without a tone.
pub(crate) fn cell(text: impl ToString) -> (String, Tone) {
    (text.to_string(), Tone::Plain)
}

/// A share as people read it: `82.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up_and_do_without_colour() {
        let mut table = Table::new(&["model", "health"]);
        table.row([cell("btc"), ("ok".to_owned(), Tone::Good)]);
        table.row([cell("ä-long-name"), ("critical".to_owned(), Tone::Bad)]);
        assert_eq!(
            table.lines(|text, _| text.to_owned()),
            ["model        health", "btc          ok", "ä-long-name  critical"]
        );
    }
}
