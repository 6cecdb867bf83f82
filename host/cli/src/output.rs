//! What people and programs read: data to stdout, everything else to stderr. One table printer, one use of colour, and one
//! place where text from outside is kept from steering the terminal: everything that people read passes here.

use std::io::{IsTerminal, Write};

use serde::Serialize;
pub(crate) use trimtab_replay::words::count;
use trimtab_server::Failure;
use trimtab_types::{Severity, decimals, shown, shown_lines};

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
    /// Columns of the terminal; `None`: it is none, and lines are as long as they are.
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let width = terminal_size::terminal_size_of(std::io::stdout())
            .map(|(terminal_size::Width(width), _)| usize::from(width))
            .filter(|width| *width > 0)
            // Who has no terminal and says how wide his page is.
            .or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
            .map(|width| width.max(NARROWEST));
        Self { json, colour: colour(&std::io::stdout()), closed: false, width }
    }

    /// Whether the answer is wanted as JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A line to stdout, for people.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = safe(text.as_ref(), self.colour);
        match self.width {
            Some(width) => self.write(&fitted(&text, width)),
            None => self.write(&text),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        match writeln!(std::io::stdout(), "{text}") {
            // The reader has what he wanted. The exit code still says what came of it.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            written => written.map_err(|error| Failure::files(format!("cannot write to stdout: {error}"))),
        }
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

    /// A line that asks for attention.
    pub(crate) fn warning(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = self.paint(text.as_ref(), Tone::Warning);
        self.line(text)
    }

    /// A table; columns are as wide as their widest cell, as far as the terminal is.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        for line in table.lines(self.width, |text, tone| self.paint(text, tone)) {
            self.line(line)?;
        }
        Ok(())
    }

    /// A remark on stderr.
    pub(crate) fn note(&self, text: impl AsRef<str>) {
        // Nothing can be said where stderr is gone.
        let text = shown_lines(text.as_ref());
        match self.width {
            Some(width) => writeln!(std::io::stderr(), "{}", fitted(&text, width)).ok(),
            None => writeln!(std::io::stderr(), "{text}").ok(),
        };
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

/// Where the host's own log goes. Its lines hold texts from outside, so that nothing in them steers a terminal; colours
/// would, and it has none.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        std::io::stderr().write_all(shown_lines(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
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

/// No terminal is narrower, as far as output is made to fit.
const NARROWEST: usize = 40;
/// No column is made narrower than this.
const NARROWEST_COLUMN: usize = 8;
/// Between two columns.
const GAP: usize = 2;

/// A text whose lines are at most so wide; what follows is indented as the line that it belongs to. Tones take no room.
fn fitted(text: &str, width: usize) -> String {
    let fit = |line: &str| {
        let indent = line.chars().take_while(|c| *c == ' ').count().min(width / 2);
        let (mut fitted, mut used) = (" ".repeat(indent), indent);
        for (number, word) in line.trim_start_matches(' ').split(' ').enumerate() {
            let long = visible(word);
            if number > 0 {
                if used + 1 + long > width && used > indent {
                    fitted.push('\n');
                    fitted.push_str(&" ".repeat(indent));
                    used = indent;
                } else {
                    fitted.push(' ');
                    used += 1;
                }
            }
            if used + long <= width || word.contains('\x1b') {
                fitted.push_str(word);
                used += long;
                continue;
            }
            for c in word.chars() {
                if used == width {
                    fitted.push('\n');
                    fitted.push_str(&" ".repeat(indent));
                    used = indent;
                }
                fitted.push(c);
                used += 1;
            }
        }
        fitted
    };
    let fitted: Vec<_> = text
        .split('\n')
        .map(|line| if visible(line) <= width { line.to_owned() } else { fit(line) })
        .collect();
    fitted.join("\n")
}

/// Characters that are shown: tones are not.
fn visible(text: &str) -> usize {
    let mut rest = text;
    let mut count = 0;
    while let Some(at) = rest.find("\x1b[") {
        count += rest[..at].chars().count();
        rest = rest[at..].split_once('m').map_or("", |(_, after)| after);
    }
    count + rest.chars().count()
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

    /// Its lines. Where they would be wider than `most`, the widest columns are made narrower, and their cells take several
    /// lines.
    fn lines(&self, most: Option<usize>, paint: impl Fn(&str, Tone) -> String) -> Vec<String> {
        let width = |column: usize| {
            let cells =
                self.rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count());
            cells.chain(self.heading.get(column).map(|text| text.chars().count())).max().unwrap_or(0)
        };
        let mut widths: Vec<_> = (0..self.heading.len()).map(width).collect();
        if let Some(most) = most {
            narrow(&mut widths, most);
            // A name that is cut cannot be copied.
            let is_cut = |((text, _), width): (&(String, Tone), &usize)| {
                text.split(' ').any(|word| word.chars().count() > *width)
            };
            if self.rows.iter().any(|row| row.iter().zip(&widths).any(is_cut)) {
                return self.rows.iter().flat_map(|row| self.flowing(row, most, &paint)).collect();
            }
        }
        let line = |cells: Vec<(&str, Tone)>| {
            let last = cells.len().saturating_sub(1);
            let cells = cells.iter().zip(&widths).enumerate().map(|(column, ((text, tone), width))| {
                let padding = if column == last { 0 } else { width - text.chars().count() };
                format!("{}{}", paint(text, *tone), " ".repeat(padding))
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let heading = line(self.heading.iter().map(|text| (*text, Tone::Faint)).collect());
        let rows = self.rows.iter().flat_map(|row| {
            let cells: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|((text, _), width)| in_lines(text, *width)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or(0);
            let of = |number: usize| {
                let cells = row.iter().zip(&cells);
                line(
                    cells
                        .map(|((_, tone), cell)| (cell.get(number).map_or("", String::as_str), *tone))
                        .collect(),
                )
            };
            (0..height).map(of).collect::<Vec<_>>()
        });
        std::iter::once(heading).chain(rows).collect()
    }
}

impl Table {
    /// A row where columns have no room: its cells one after the other, each with its heading, and indented where they take
    /// several lines.
    fn flowing(
        &self,
        row: &[(String, Tone)],
        most: usize,
        paint: &impl Fn(&str, Tone) -> String,
    ) -> Vec<String> {
        const INDENT: &str = "  ";
        let told = row
            .iter()
            .zip(&self.heading)
            .enumerate()
            .filter(|(column, ((text, _), _))| *column == 0 || !(text.is_empty() || text == "-"));
        let mut lines: Vec<String> = Vec::new();
        let mut used = 0;
        for (column, ((text, tone), heading)) in told {
            let whole =
                if column == 0 || heading.is_empty() { text.clone() } else { format!("{heading} {text}") };
            let parts = if column == 0 { fitted(&whole, most) } else { fitted(&whole, most - INDENT.len()) };
            for (number, part) in parts.split('\n').enumerate() {
                let long = part.chars().count();
                match lines.last_mut().filter(|_| number == 0 && used + GAP + long <= most) {
                    Some(line) => {
                        line.push_str(&" ".repeat(GAP));
                        line.push_str(&paint(part, *tone));
                        used += GAP + long;
                    }
                    None => {
                        let indent = if lines.is_empty() { "" } else { INDENT };
                        used = indent.len() + long;
                        lines.push(format!("{indent}{}", paint(part, *tone)));
                    }
                }
            }
        }
        lines
    }
}

/// Makes the widest columns narrower until all together fit, as far as that goes.
fn narrow(widths: &mut [usize], most: usize) {
    let room = most.saturating_sub(GAP * widths.len().saturating_sub(1));
    loop {
        let all: usize = widths.iter().sum();
        let Some(widest) = widths.iter_mut().max() else { return };
        if all <= room || *widest <= NARROWEST_COLUMN {
            return;
        }
        *widest -= 1;
    }
}

/// A cell in lines of at most this width.
fn in_lines(text: &str, width: usize) -> Vec<String> {
    if text.chars().count() <= width {
        return vec![text.to_owned()];
    }
    fitted(text, width).split('\n').map(str::to_owned).collect()
}

/// A cell without a tone.
pub(crate) fn cell(text: impl ToString) -> (String, Tone) {
    (text.to_string(), Tone::Plain)
}

/// A share as people read it: `82.3 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", decimals(share * 100.0, 1))
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
        let output = Output { json: false, colour: true, closed: false, width: None };
        let painted = output.paint(HOSTILE, Tone::Bad);
        assert_eq!(safe(&painted, true), format!("{}{SHOWN}{PLAIN_AGAIN}", Tone::Bad.code()));
        let mut table = Table::new(&["reason", "model"]);
        table.row([cell("one\ntwo\x1b[1A"), cell("m")]);
        let lines = table.lines(None, |text, _| text.to_owned());
        assert_eq!(lines, ["reason             model", r"one\ntwo\u{1b}[1A  m"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut table = Table::new(&["model", "because", "open"]);
        let long = "trading is stopped on this model (ada: it looks wrong, and nobody knows why)";
        table.row([cell("btc"), cell(long), cell("e-sr critical since yesterday, psi high since Monday")]);
        table.row([
            cell("a-model-with-a-long-name-in-one-word-of-sixty-two-letters-or-so"),
            cell("-"),
            cell("-"),
        ]);
        for width in [40, 60, 80, 100] {
            let lines = table.lines(Some(width), |text, _| text.to_owned());
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:#?}");
            let letters = |text: &str| text.chars().filter(|c| *c == 'w').count();
            assert_eq!(
                lines.iter().map(|line| letters(line)).sum::<usize>(),
                6,
                "nothing is cut: {lines:#?}"
            );
        }
        let id = "d-961059cdaf9b74c2";
        let mut table = Table::new(&["decision", "at", "subject", "because", ""]);
        table.row([
            cell(id),
            cell("2025-04-12T05:45"),
            cell("house@v1"),
            cell("one two three four"),
            cell("-"),
        ]);
        assert_eq!(
            table.lines(Some(40), |text, _| text.to_owned()),
            ["d-961059cdaf9b74c2  at 2025-04-12T05:45", "  subject house@v1", "  because one two three four"],
            "what does not fit into columns is told one after the other, and no name is cut"
        );
        assert_eq!(fitted("  one two three", 9), "  one two\n  three");
        assert_eq!(fitted("short\n  abcdefgh", 6), "short\n  abcd\n  efgh");
        let painted = format!("{}one two\x1b[0m three", Tone::Bad.code());
        assert_eq!(fitted(&painted, 13), painted, "tones take no room");
    }

    #[test]
    fn tables_line_up_and_do_without_colour() {
        let mut table = Table::new(&["model", "health"]);
        table.row([cell("btc"), ("ok".to_owned(), Tone::Good)]);
        table.row([cell("ä-long-name"), ("critical".to_owned(), Tone::Bad)]);
        assert_eq!(
            table.lines(None, |text, _| text.to_owned()),
            ["model        health", "btc          ok", "ä-long-name  critical"]
        );
    }
}
