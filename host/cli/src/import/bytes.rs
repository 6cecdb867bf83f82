//! From a file to the UTF-8 text in it: gzip and Zstandard are unpacked, a byte order mark is taken off, and what is no
//! text is refused by its name. Files are told by their first bytes, not by what they are called.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use trimtab_server::Failure;

use super::unreadable;

/// Text that is read bit by bit.
pub(super) type Text = BufReader<Box<dyn Read + Send>>;

/// Unpacked data may be so many times as large as packed ones: a table has some ten times, a bomb thousands …
const MOST_EXPANSION: u64 = 250;
/// … once there are so many bytes.
const FREE: u64 = 64 << 20;

/// What a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Gzip,
    Zstandard,
    /// With a byte order mark.
    Marked,
    Plain,
    /// By name, with what to do.
    Other(&'static str),
}

/// As many bytes as tell one from the other.
const HEAD: usize = 8;

impl Content {
    fn of(head: &[u8]) -> Self {
        const SHEET: &str =
            "is a ZIP archive, perhaps a spreadsheet; unpack it, or save the sheet as CSV in UTF-8";
        const UTF_16: &str = "is UTF-16; save it as UTF-8";
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstandard,
            [0xef, 0xbb, 0xbf, ..] => Self::Marked,
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Self::Other(UTF_16),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::Other(SHEET),
            [0xd0, 0xcf, 0x11, 0xe0, ..] => {
                Self::Other("is an old spreadsheet; save the sheet as CSV in UTF-8")
            }
            [b'P', b'A', b'R', b'1', ..] => Self::Other("is Parquet; write it as CSV or NDJSON"),
            [b'B', b'Z', b'h', ..] => Self::Other("is packed with bzip2; unpack it"),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Other("is packed with xz; unpack it"),
            _ => Self::Plain,
        }
    }
}

/// Opens what a reader gives as text; `name` is how errors call it.
pub(super) fn text(reader: Box<dyn Read + Send>, name: &str) -> Result<Text, Failure> {
    let (content, reader) = peek(reader, name)?;
    let taken = Arc::new(AtomicU64::new(0));
    let packed = Counting { inner: reader, taken: Arc::clone(&taken) };
    let unpacked: Box<dyn Read + Send> = match content {
        Content::Gzip => {
            let gzip = flate2::bufread::MultiGzDecoder::new(BufReader::new(packed));
            Box::new(Unpacking { inner: gzip, format: "gzip", taken, given: 0 })
        }
        Content::Zstandard => {
            let zstandard = Zstandard::new(BufReader::new(packed));
            Box::new(Unpacking { inner: zstandard, format: "Zstandard", taken, given: 0 })
        }
        content => return plain(content, Box::new(packed), name),
    };
    let (content, reader) = peek(unpacked, name)?;
    plain(content, reader, name)
}

fn plain(content: Content, mut reader: Box<dyn Read + Send>, name: &str) -> Result<Text, Failure> {
    match content {
        Content::Plain => {}
        Content::Marked => {
            let mut mark = [0; 3];
            reader.read_exact(&mut mark).map_err(|error| unreadable(name, &error))?;
        }
        Content::Other(problem) => return Err(Failure::invalid(format!("{name}: {problem}"))),
        Content::Gzip | Content::Zstandard => {
            return Err(Failure::invalid(format!("{name}: is packed twice; unpack it once")));
        }
    }
    Ok(BufReader::with_capacity(1 << 16, reader))
}

/// Looks at the first bytes, and puts them back.
fn peek(mut reader: Box<dyn Read + Send>, name: &str) -> Result<(Content, Box<dyn Read + Send>), Failure> {
    let mut head = Vec::with_capacity(HEAD);
    reader.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| unreadable(name, &error))?;
    Ok((Content::of(&head), Box::new(Cursor::new(head).chain(reader))))
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// What comes out of packed data: damage is named, and a bomb ends it.
struct Unpacking<R> {
    inner: R,
    format: &'static str,
    /// Packed bytes that were read.
    taken: Arc<AtomicU64>,
    /// Unpacked bytes that came of them.
    given: u64,
}

impl<R: Read> Read for Unpacking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidData, problem);
        let read = self.inner.read(buffer).map_err(|error| match error.kind() {
            // The disk is to blame, and not the file.
            _ if error.raw_os_error().is_some() => error,
            io::ErrorKind::UnexpectedEof => {
                invalid(format!("the {} data end too early; the file was cut off", self.format))
            }
            _ => invalid(match error.to_string() {
                // The library says it in the words of its own types.
                said if said.contains("UnexpectedEof") => {
                    format!("the {} data end too early; the file was cut off", self.format)
                }
                said if said.contains("window_size is too big") => format!(
                    "the {} data were packed with a larger window than is taken here (`--long`); unpack the file before it is imported",
                    self.format
                ),
                said if said.contains("BadMagicNumber") => {
                    format!("there is something behind the {} data that is none; cut it off", self.format)
                }
                said => format!("the {} data are damaged: {said}", self.format),
            }),
        })?;
        self.given += read as u64;
        let most = self.taken.load(Ordering::Relaxed).saturating_mul(MOST_EXPANSION);
        if self.given > FREE && self.given > most {
            return Err(invalid(format!(
                "the {} data unpack to more than {MOST_EXPANSION} times their size; if that is meant, unpack the file before it is imported",
                self.format
            )));
        }
        Ok(read)
    }
}

/// Frames of Zstandard, one behind the other, with their checksums held against what comes out.
struct Zstandard<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether a frame is being read.
    within: bool,
}

impl<R: BufRead> Zstandard<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), within: false }
    }

    /// Begins the next frame; false at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.within = true,
            // Somebody's remarks, which are not of the data.
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let skipped = io::copy(&mut self.source.by_ref().take(u64::from(length)), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(true)
    }

    fn end(&mut self) -> io::Result<()> {
        self.within = false;
        let (written, computed) =
            (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        if written.is_some() && written != computed {
            return Err(io::Error::other("its checksum is another"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstandard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.within {
                if !self.begin()? {
                    return Ok(0);
                }
            } else if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            } else if self.decoder.is_finished() {
                self.end()?;
            } else if self.source.fill_buf()?.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            } else {
                let decoded =
                    self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(io::Error::other)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(text).expect("packs");
        gzip.finish().expect("packs")
    }

    fn zstandard(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    /// The text that these bytes hold, or why there is none.
    fn read(bytes: Vec<u8>) -> Result<String, String> {
        let mut reader = text(Box::new(Cursor::new(bytes)), "f").map_err(|failure| failure.message)?;
        let mut read = String::new();
        reader.read_to_string(&mut read).map_err(|error| error.to_string())?;
        Ok(read)
    }

    #[test]
    fn text_is_read_however_it_is_packed() {
        let mark = b"\xef\xbb\xbfa,b\n".to_vec();
        // A frame that may be skipped, as the format's description has it: its number, its length, and what it holds.
        let skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz".to_vec();
        for bytes in [
            b"a,b\n".to_vec(),
            mark.clone(),
            gzip(b"a,b\n"),
            gzip(&mark),
            [gzip(b"a,"), gzip(b"b\n")].concat(),
            zstandard(b"a,b\n"),
            zstandard(&mark),
            [zstandard(b"a,"), skipped.clone(), zstandard(b"b\n")].concat(),
            [skipped, zstandard(b"a,b\n")].concat(),
        ] {
            assert_eq!(read(bytes.clone()).as_deref(), Ok("a,b\n"), "{bytes:?}");
        }
        assert_eq!(read(Vec::new()).as_deref(), Ok(""));
        assert_eq!(read(vec![0xef]).map_err(|_| ()), Err(()), "half a mark is no text");
        let long = "0123456789,".repeat(100_000);
        assert_eq!(read(gzip(long.as_bytes())).as_deref(), Ok(long.as_str()));
        assert_eq!(read(zstandard(long.as_bytes())).as_deref(), Ok(long.as_str()));
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, part) in [
            (&b"\xff\xfet\0i\0"[..], "f: is UTF-16"),
            (b"PK\x03\x04....", "ZIP archive, perhaps a spreadsheet"),
            (b"PAR1....", "Parquet"),
            (b"BZh9....", "bzip2"),
            (b"\xfd7zXZ\0", "xz"),
            (b"\xd0\xcf\x11\xe0", "old spreadsheet"),
        ] {
            let said = read(bytes.to_vec()).expect_err("refused");
            assert!(said.contains(part), "{said}");
        }
        for bytes in [gzip(&gzip(b"a")), gzip(&zstandard(b"a")), gzip(b"PK\x03\x04....")] {
            let said = read(bytes).expect_err("refused");
            assert!(said.contains("packed twice") || said.contains("ZIP"), "{said}");
        }
    }

    #[test]
    fn packed_data_that_are_cut_off_or_damaged_are_no_end_of_a_file() {
        // Digits of a counter, which do not pack to almost nothing.
        let text: String = (0..20_000).map(|n| format!("{n}\n")).collect();
        for whole in [gzip(text.as_bytes()), zstandard(text.as_bytes())] {
            for cut in [whole.len() / 2, whole.len() - 1] {
                let said = read(whole[..cut].to_vec()).expect_err("cut off");
                assert!(said.contains("too early") || said.contains("damaged"), "{said}");
            }
            let mut damaged = whole.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0xff;
            let said = read(damaged).expect_err("damaged");
            assert!(
                said.contains("damaged") || said.contains("too early") || said.contains("UTF-8"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_bomb_is_left_before_it_fills_anything() {
        let bomb = gzip(&vec![b'\n'; 80 << 20]);
        assert!(bomb.len() < 1 << 20, "a bomb is small");
        let mut reader = text(Box::new(Cursor::new(bomb)), "f").expect("opens");
        let error = io::copy(&mut reader, &mut io::sink()).expect_err("refused");
        assert!(error.to_string().contains("more than 250 times their size"), "{error}");
    }
}
