//! The grammar of CSV (RFC 4180): bytes become records of cells, with the line in the file where each begins. What a cell
//! means is not its business.
//!
//! It is stricter than most readers where leniency loses rows: a quote that is opened has to be closed, behind a closing
//! quote comes the next cell, and a cell that goes on for many lines is a quote too many. Lines end with LF, CRLF or CR.

use std::io::{self, BufRead};

use trimtab_api::rows::LONGEST_LINE;

/// What is wrong with text that has a zero in it.
pub(super) const ZERO: &str = "holds a zero byte; the file is damaged, or it is UTF-16: convert it to UTF-8";

/// A record: its cells, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// The line where it begins, from 1.
    pub(super) line: u64,
    text: String,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    /// The cells that hold line breaks, each with the line where it begins.
    pub(super) broken: Vec<(usize, u64)>,
}

impl Record {
    /// A cell, by its place from 0.
    pub(super) fn get(&self, cell: usize) -> Option<&str> {
        let end = *self.ends.get(cell)?;
        let start = cell.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// All cells.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|cell| self.get(cell))
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        self.text.len()
    }

    /// Whether there is nothing in any cell: a blank line, or a spreadsheet's empty row.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// Why there is no record.
#[derive(Debug)]
pub(super) enum Problem {
    /// The bytes could not be had.
    Unreadable(io::Error),
    /// They are no CSV.
    Malformed {
        /// Where, from 1.
        line: u64,
        /// In which cell, from 0, if it is about one.
        cell: Option<usize>,
        /// With cause and fix.
        problem: String,
    },
}

/// Reads records.
pub(super) struct Records<R> {
    inner: R,
    delimiter: u8,
    /// A quoted cell may have so many lines.
    most_lines: u64,
    /// The line that comes next byte.
    line: u64,
    /// A CR was the last byte: an LF behind it ends no other line.
    after_cr: bool,
}

/// Where in a cell the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before its first character.
    Start,
    /// In a cell without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote between quotes: the closing one, or the first of two.
    Quote,
    /// Behind the closing quote.
    Closed,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(inner: R, delimiter: u8, most_lines: u64) -> Self {
        Self { inner, delimiter, most_lines, line: 1, after_cr: false }
    }

    /// The next record, blank lines included; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Problem> {
        let mut record = Record { line: self.line, ..Record::default() };
        let mut bytes = Vec::new();
        let (mut at, mut opened) = (At::Start, self.line);
        loop {
            let cell = record.ends.len();
            let malformed = |line, problem: String| Problem::Malformed { line, cell: Some(cell), problem };
            let before = self.line;
            let byte = self.byte().map_err(Problem::Unreadable)?;
            match (at, byte) {
                (At::Quoted, None) => {
                    return Err(malformed(
                        opened,
                        "a quote opens a cell here and is never closed; close it, or remove it".to_owned(),
                    ));
                }
                (At::Start, None) if bytes.is_empty() && record.ends.is_empty() => return Ok(None),
                (At::Quoted, Some(b'"')) => at = At::Quote,
                (At::Quoted, Some(byte)) => {
                    bytes.push(byte);
                    if byte == b'\n' && record.broken.last().is_none_or(|(last, _)| *last != cell) {
                        record.broken.push((cell, opened));
                    }
                    if self.line - opened >= self.most_lines {
                        return Err(malformed(
                            opened,
                            format!(
                                "a quoted cell begins here and has more than {} lines; look for a quote that is opened and not closed, or say in the map how many lines a cell may have, such as cell-lines = {}",
                                self.most_lines,
                                self.most_lines.saturating_mul(10)
                            ),
                        ));
                    }
                }
                (At::Quote, Some(b'"')) => {
                    bytes.push(b'"');
                    at = At::Quoted;
                }
                (_, Some(byte)) if byte == self.delimiter => {
                    record.ends.push(bytes.len());
                    at = At::Start;
                }
                (_, None | Some(b'\n')) => {
                    record.ends.push(bytes.len());
                    return finish(record, bytes).map(Some);
                }
                (At::Start, Some(b'"')) => {
                    // Blanks before a quote are not part of the cell.
                    bytes.truncate(record.ends.last().copied().unwrap_or(0));
                    (at, opened) = (At::Quoted, before);
                }
                (At::Start, Some(b' ' | b'\t')) => bytes.push(b' '),
                (At::Start | At::Plain, Some(byte)) => {
                    bytes.push(byte);
                    at = At::Plain;
                }
                (At::Quote | At::Closed, Some(b' ' | b'\t')) => at = At::Closed,
                (At::Quote | At::Closed, Some(_)) => {
                    let problem = if opened == before {
                        "there is text behind a closing quote; double a quote that belongs to the text"
                            .to_owned()
                    } else {
                        format!(
                            "a quote opens a cell here, and there is text behind the one that closes it in line {before}; one of the two is too many, and the lines between them would be lost"
                        )
                    };
                    return Err(malformed(opened, problem));
                }
            }
            if bytes.len() > LONGEST_LINE {
                let problem = format!("is longer than {LONGEST_LINE} bytes");
                return Err(Problem::Malformed { line: record.line, cell: None, problem });
            }
        }
    }

    /// The next byte; each end of a line as one LF.
    fn byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            let Some(&byte) = self.inner.fill_buf()?.first() else { return Ok(None) };
            self.inner.consume(1);
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    return Ok(Some(b'\n'));
                }
                byte => return Ok(Some(byte)),
            }
        }
    }
}

fn finish(mut record: Record, bytes: Vec<u8>) -> Result<Record, Problem> {
    let lines_before = |end: usize| bytes[..end].iter().filter(|byte| **byte == b'\n').count() as u64;
    if let Some(zero) = bytes.iter().position(|byte| *byte == 0) {
        return Err(Problem::Malformed {
            line: record.line + lines_before(zero),
            cell: None,
            problem: ZERO.to_owned(),
        });
    }
    match String::from_utf8(bytes) {
        Ok(text) => {
            record.text = text;
            Ok(record)
        }
        Err(error) => {
            let bytes = error.as_bytes();
            let valid = error.utf8_error().valid_up_to();
            let before = bytes[..valid].iter().filter(|byte| **byte == b'\n').count() as u64;
            Err(Problem::Malformed {
                line: record.line + before,
                cell: None,
                problem: "is not UTF-8; convert the file first".to_owned(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as `line: cell|cell`, one after another; a problem ends them.
    fn read(text: &str) -> String {
        let mut records = Records::new(text.as_bytes(), b',', 4);
        let mut seen = Vec::new();
        loop {
            match records.next() {
                Ok(Some(record)) => {
                    let cells: Vec<_> = record.iter().collect();
                    seen.push(format!("{}: {}", record.line, cells.join("|")));
                }
                Ok(None) => return seen.join("; "),
                Err(Problem::Malformed { line, cell, problem }) => {
                    seen.push(format!("line {line} cell {cell:?} {problem}"));
                    return seen.join("; ");
                }
                Err(Problem::Unreadable(error)) => return error.to_string(),
            }
        }
    }

    #[test]
    fn cells_are_as_rfc_4180_has_them() {
        for (text, expected) in [
            ("", ""),
            ("a,b\n1,2", "1: a|b; 2: 1|2"),
            ("a,b\n1,2\n", "1: a|b; 2: 1|2"),
            ("a,\n,b\n", "1: a|; 2: |b"),
            ("\"a,b\",\"c \"\"d\"\"\"\n", "1: a,b|c \"d\""),
            ("\"\",x\n", "1: |x"),
            ("a, \"b,c\" ,d\n", "1: a|b,c|d"),
            ("5\" pipe,x\n", "1: 5\" pipe|x"),
            ("a\n\nb\n", "1: a; 2: ; 3: b"),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_those_of_the_file_however_they_end() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "\"1", "1\",2", "", "x,y", ""].join(end);
            assert_eq!(read(&text), "1: a|b; 2: 1\n1|2; 4: ; 5: x|y", "{end:?}");
        }
        assert_eq!(read("a\r\nb\nc\rd"), "1: a; 2: b; 3: c; 4: d");
    }

    #[test]
    fn quotes_that_would_swallow_rows_are_refused_where_they_open() {
        for (text, expected) in [
            ("a,b\n1,\"oops\n2,x\n", "1: a|b; line 2 cell Some(1) a quote opens a cell here and is never"),
            ("1,\"oops\n2,x\n3,\"oops\n", "line 1 cell Some(1) a quote opens a cell here, and there is text"),
            ("1,\"oops\n2,x\n3,\"oops\n", "in line 3"),
            ("1,\"a\"b\n", "line 1 cell Some(1) there is text behind a closing quote"),
            ("1,\"a\nb\nc\nd\ne\"\n", "line 1 cell Some(1) a quoted cell begins here and has more than 4"),
            ("1,a\0b\n", "line 1 cell None holds a zero byte"),
        ] {
            let got = read(text);
            assert!(got.contains(expected), "{text:?} gave {got}");
        }
    }

    #[test]
    fn an_endless_line_ends_the_reading_early() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        let problem = Records::new(endless, b',', 4).next().expect_err("refused");
        let Problem::Malformed { line: 1, problem, .. } = problem else { panic!("{problem:?}") };
        assert!(problem.contains("longer than"), "{problem}");
    }
}
