//! A reader that refuses endless lines before they fill the memory.

use std::io::{self, Read};

use trimtab_api::rows::LONGEST_LINE;

/// Passes bytes on and fails at a line that is too long.
pub(super) struct LineGuard<R> {
    inner: R,
    line: u64,
    length: usize,
}

impl<R> LineGuard<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, line: 1, length: 0 }
    }
}

impl<R: Read> Read for LineGuard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for byte in &buffer[..read] {
            if *byte == b'\n' {
                self.line += 1;
                self.length = 0;
            } else {
                self.length += 1;
            }
            if self.length > LONGEST_LINE {
                let message = format!("line {} is longer than {LONGEST_LINE} bytes", self.line);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_line_ends_the_reading_early() {
        let mut endless = LineGuard::new(io::repeat(b'x'));
        let mut sink = Vec::new();
        let error = endless.read_to_end(&mut sink).expect_err("refused");
        assert!(error.to_string().contains("line 1 is longer"), "{error}");
        assert!(sink.len() < 2 * LONGEST_LINE, "it was read no further than needed");
        let mut text = String::new();
        LineGuard::new(&b"a\nb\n"[..]).read_to_string(&mut text).expect("short lines pass");
        assert_eq!(text, "a\nb\n");
    }
}
