//! What people and programs read: data to stdout, everything else to stderr. One table printer, one use of colour, and one
//! place where text from outside is kept from steering the terminal: everything that people read passes here.

use std::io::{IsTerminal, Write};

use serde::Serialize;
pub(crate) use trimtab_replay::words::count;
use trimtab_server::Failure;
use trimtab_types::{Severity, shown, shown_lines};

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

    /// A line to stdout, for people.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = safe(text.as_ref(), self.colour);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(std::io::stdout(), "{text}").map_err(|error| {
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
        self.write(&text)
    }

    /// A text in a tone, where colour is shown.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colour && tone != Tone::Plain {
            format!("{}{text}{PLAIN_AGAIN}", tone.code())
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
        writeln!(std::io::stderr(), "{}", shown_lines(text.as_ref())).ok();
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

/// Ends a tone.
const PLAIN_AGAIN: &str = "\x1b[0m";

/// Text in which nothing steers a terminal but the tones of this file, where colour is shown. Text from outside that holds
/// the very code of a tone has that tone, and can do no more.
fn safe(text: &str, colour: bool) -> String {
    let codes = [Tone::Good, Tone::Warning, Tone::Bad, Tone::Faint].map(Tone::code);
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b').filter(|_| colour) {
        safe.push_str(&shown_lines(&rest[..at]));
        rest = &rest[at..];
        let code = codes.into_iter().chain([PLAIN_AGAIN]).find(|code| rest.starts_with(code));
        let taken = code.map_or(1, str::len);
        match code {
            Some(code) => safe.push_str(code),
            None => safe.push_str(&shown(&rest[..taken])),
        }
        rest = &rest[taken..];
    }
    safe.push_str(&shown_lines(rest));
    safe
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
        // A cell is one line, as wide as it is shown.
        let shown = cells.into_iter().map(|(text, tone)| (shown(&text).into_owned(), tone));
        self.rows.push(shown.collect());
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
    fn nothing_from_outside_steers_a_terminal() {
        const HOSTILE: &str = "a\x1b]0;title\x07\x1b[2J\r\u{202e}b";
        const SHOWN: &str = r"a\u{1b}]0;title\u{7}\u{1b}[2J\r\u{202e}b";
        for colour in [false, true] {
            assert_eq!(safe(HOSTILE, colour), SHOWN);
            assert_eq!(safe("two\nlines", colour), "two\nlines");
        }
        let output = Output { json: false, colour: true, closed: false };
        let painted = output.paint(HOSTILE, Tone::Bad);
        assert_eq!(safe(&painted, true), format!("{}{SHOWN}{PLAIN_AGAIN}", Tone::Bad.code()));
        let mut table = Table::new(&["reason", "model"]);
        table.row([cell("one\ntwo\x1b[1A"), cell("m")]);
        let lines = table.lines(|text, _| text.to_owned());
        assert_eq!(lines, ["reason             model", r"one\ntwo\u{1b}[1A  m"]);
    }

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
