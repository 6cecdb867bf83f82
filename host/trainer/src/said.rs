//! What a trainer says, in bounded memory: the first and the last of it, how much there was, and the progress that it
//! reported. Without end, it is read without end.

use serde::Deserialize;

use crate::Progress;

/// Bytes that are kept of the beginning.
pub const HEAD: usize = 64 << 10;
/// Bytes that are kept of the end.
pub const TAIL: usize = 64 << 10;
/// The longest line that may be a report.
const LONGEST_LINE: usize = 16 << 10;
/// Bytes of a note that are kept.
const LONGEST_NOTE: usize = 500;

/// Everything that was said, as far as it is kept.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) head: Vec<u8>,
    tail: Vec<u8>,
    pub(crate) bytes: u64,
    line: Vec<u8>,
    /// The line is too long to be a report.
    is_long: bool,
    /// The newest report.
    pub(crate) progress: Option<Progress>,
    /// How many reports there were.
    pub(crate) reports: u64,
}

impl Said {
    /// More of it. Only what is said on standard output may report.
    pub(crate) fn add(&mut self, piece: &[u8], may_report: bool) {
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        let room = HEAD.saturating_sub(self.head.len()).min(piece.len());
        self.head.extend_from_slice(&piece[..room]);
        self.tail.extend_from_slice(&piece[room..]);
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        if may_report {
            self.look_for_reports(piece);
        }
    }

    /// What is kept of the end, without what is kept of the beginning.
    pub(crate) fn tail(&self) -> &[u8] {
        &self.tail[self.tail.len().saturating_sub(TAIL)..]
    }

    /// The last `most` bytes as text.
    pub(crate) fn last(&self, most: usize) -> String {
        let end = if self.tail.is_empty() { &self.head } else { &self.tail };
        let text = String::from_utf8_lossy(&end[end.len().saturating_sub(most)..]).into_owned();
        // What was cut within a character begins with a replacement.
        text.trim_start_matches('\u{fffd}').trim_end().to_owned()
    }

    fn look_for_reports(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LONGEST_LINE {
                self.is_long = true;
                self.line.clear();
            } else if !self.is_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                if !self.is_long
                    && let Some(progress) = report(&self.line)
                {
                    self.progress = Some(progress);
                    self.reports += 1;
                }
                self.line.clear();
                self.is_long = false;
            }
        }
    }
}

/// A line that reports: `{"trimtab":{"progress":0.4,"note":"…"}}`.
fn report(line: &[u8]) -> Option<Progress> {
    #[derive(Deserialize)]
    struct Line {
        trimtab: Report,
    }
    #[derive(Deserialize)]
    struct Report {
        #[serde(default)]
        progress: f64,
        #[serde(default)]
        note: String,
    }
    if !line.starts_with(b"{\"trimtab\"") {
        return None;
    }
    let Line { trimtab } = serde_json::from_slice(line).ok()?;
    let mut note = trimtab.note;
    let end = (0..=LONGEST_NOTE.min(note.len())).rev().find(|end| note.is_char_boundary(*end)).unwrap_or(0);
    note.truncate(end);
    Some(Progress { share: trimtab.progress.clamp(0.0, 1.0), note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_without_end_takes_bounded_memory() {
        let mut said = Said::default();
        for n in 0..4_000_u32 {
            said.add(format!("{n:01023}\n").as_bytes(), true);
        }
        assert_eq!(said.bytes, 4_000 * 1_024);
        assert!(said.head.starts_with(b"000") && said.head.len() == HEAD);
        assert_eq!(said.tail().len(), TAIL);
        assert!(said.last(20).ends_with("3999"), "{}", said.last(20));
        assert!(said.head.capacity() + said.tail.capacity() + said.line.capacity() < 1 << 20);
        let mut short = Said::default();
        short.add("schön\n".as_bytes(), true);
        assert_eq!((short.last(4), short.last(100)), ("ön".to_owned(), "schön".to_owned()));
        assert!(short.tail().is_empty(), "nothing stands in both");
    }

    #[test]
    fn reports_are_lines_of_standard_output_and_nothing_else() {
        #[rustfmt::skip]
        let cases: &[(&[&str], bool, Option<f64>)] = &[
            (&["{\"trimtab\":{\"progress\":0.4,\"note\":\"epoch 2\"}}\n"], true,  Some(0.4)),
            (&["{\"trimtab\":{\"prog", "ress\":0.5}}", "\nrest"],          true,  Some(0.5)),
            (&["{\"trimtab\":{\"progress\":7}}\n"],                        true,  Some(1.0)),
            (&["{\"trimtab\":{}}\n"],                                      true,  Some(0.0)),
            (&["{\"trimtab\":{\"progress\":0.4}}\n"],                      false, None),
            (&["{\"trimtab\":{\"progress\":0.4}}"],                        true,  None),
            (&["{\"trimtab\":{\"progress\":NaN}}\n"],                      true,  None),
            (&["epoch 2\n", "{}\n"],                                       true,  None),
        ];
        for (pieces, may_report, expected) in cases {
            let mut said = Said::default();
            pieces.iter().for_each(|piece| said.add(piece.as_bytes(), *may_report));
            assert_eq!(said.progress.map(|progress| progress.share), *expected, "{pieces:?}");
        }
        let mut long = Said::default();
        long.add(&vec![b'x'; LONGEST_LINE + 1], true);
        long.add(b"\n{\"trimtab\":{\"progress\":0.1}}\n", true);
        assert_eq!(long.reports, 1, "a line without end is left out, and the next is read");
    }
}
