//! What leaves a call besides its answer: the lines that the policy wrote, and why the host ended it. Below everything that
//! serves a call, so that all of it can write and stop.

use serde::Serialize;
use trimtab_types::{FailureKind, LogLevel, LogLine, Size};

use crate::limits::Limits;

/// The host ends a call. Travels through wasmtime as the cause of the trap.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Stop {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
}

/// Ends the call.
pub(crate) fn stop<T>(kind: FailureKind, message: String) -> wasmtime::Result<T> {
    Err(Stop { kind, message }.into())
}

/// What a text costs besides the call that carries it.
pub(crate) fn kib(text: &str) -> usize {
    text.len() / 1024
}

/// The beginning of a text that a policy sent, for an error message.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What a policy wrote for the operator: through `log`, and to standard output (`info`) and standard error (`warn`).
pub(crate) struct Log {
    lines: Vec<LogLine>,
    /// Bytes on standard output and standard error that no line end followed yet.
    unfinished: [Vec<u8>; 2],
    most: usize,
    longest: usize,
    /// Bytes that the call may still add to the record, and might from the beginning.
    room: usize,
    record: usize,
}

impl Log {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            lines: Vec::new(),
            unfinished: Default::default(),
            most: limits.log_lines,
            longest: limits.log_line,
            room: limits.record,
            record: limits.record,
        }
    }

    /// Takes room in the record for what is read or written, or ends the call.
    pub(crate) fn take_room(&mut self, what: &impl Serialize) -> Result<(), Stop> {
        let mut counted = Counted(0);
        // Counting fails for nobody.
        let needed = serde_json::to_writer(&mut counted, what).map_or(usize::MAX, |()| counted.0);
        self.room = self.room.checked_sub(needed).ok_or_else(|| Stop {
            kind: FailureKind::HostCall,
            message: format!(
                "what it reads and writes would take more than {} of the record; the limit is limits.record",
                Size(self.record)
            ),
        })?;
        Ok(())
    }

    pub(crate) fn write(&mut self, level: LogLevel, message: &str) -> Result<(), Stop> {
        if self.lines.len() >= self.most {
            return Err(Stop {
                kind: FailureKind::HostCall,
                message: format!(
                    "it wrote more than {} lines of log; the limit is limits.log-lines",
                    self.most
                ),
            });
        }
        let message = if message.len() > self.longest {
            let end = (0..=self.longest).rev().find(|end| message.is_char_boundary(*end)).unwrap_or(0);
            format!("{}… ({} bytes cut)", &message[..end], message.len() - end)
        } else {
            message.to_owned()
        };
        let line = LogLine { level, message };
        self.take_room(&line)?;
        self.lines.push(line);
        Ok(())
    }

    /// Takes what a policy wrote to standard output or standard error and makes lines of it.
    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), Stop> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part {
                [text @ .., b'\n'] => (text, true),
                text => (text, false),
            };
            let unfinished = &mut self.unfinished[stream as usize];
            // One byte more than fits, so that a line that is too long is seen to be.
            let room = (self.longest + 1).saturating_sub(unfinished.len());
            unfinished.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                self.end_line(stream)?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self, stream: Stream) -> Result<(), Stop> {
        let line = std::mem::take(&mut self.unfinished[stream as usize]);
        let level = match stream {
            Stream::Output => LogLevel::Info,
            Stream::Error => LogLevel::Warn,
        };
        self.write(level, &String::from_utf8_lossy(&line))
    }

    /// All lines, the unfinished ones last.
    pub(crate) fn take(&mut self) -> Vec<LogLine> {
        for stream in [Stream::Output, Stream::Error] {
            if !self.unfinished[stream as usize].is_empty() {
                // At the limit the last unfinished line is lost, and nothing else.
                drop(self.end_line(stream));
            }
        }
        std::mem::take(&mut self.lines)
    }
}

/// Counts what is written.
struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Where a policy prints to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Output = 0,
    Error = 1,
}
