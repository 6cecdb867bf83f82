//! Files of history: how they are read, what their columns mean, and in which order their rows arrive.

mod baselines;
mod bytes;
mod csv_rows;
mod feed;
mod guard;
mod kinds;
mod map;
mod ndjson;
mod order;
mod records;
mod tasks;
mod times;
mod values;

pub(crate) use baselines::NotSet;
pub(crate) use feed::{Feed, Times};
pub(crate) use map::Map;

use std::{io::Read, path::Path};

use trimtab_api::rows::Row;
use trimtab_server::Failure;

use crate::{
    args::{Format, SourceArgs},
    connect,
};

/// A row of a file, as rows of the interface.
#[derive(Default)]
pub(crate) struct FileRow {
    /// The line in the file, from 1.
    pub(crate) line: u64,
    /// What it says; predictions and outcomes that belong together.
    pub(crate) rows: Vec<Row>,
    /// When it was; none for a line without rows.
    at: Option<order::At>,
    /// What of it became no row, and why: "blank line", "outcome without `label`".
    pub(crate) left_out: Vec<String>,
    /// What was taken, and deserves a word.
    pub(crate) remarks: Vec<String>,
}

impl FileRow {
    /// A line without anything on it.
    fn blank(line: u64) -> Self {
        Self { line, left_out: vec!["blank line".to_owned()], ..Self::default() }
    }
}

/// A file that is open, with its map if it has one.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) map: Option<Map>,
    pub(crate) rows: Box<dyn Iterator<Item = Result<FileRow, Failure>> + Send>,
}

impl Source {
    /// Opens what the arguments name.
    pub(crate) fn open(args: &SourceArgs) -> Result<Self, Failure> {
        let name = if is_stdin(&args.file) { "stdin".to_owned() } else { args.file.display().to_string() };
        let said = args.format.or_else(|| by_name(&args.file));
        let of_columns = !matches!(said, Some(Format::Ndjson));
        let map = args.map.as_deref().map(|map| Map::read(map, of_columns)).transpose()?;
        let format = said.or(map.as_ref().map(|_| Format::Csv));
        let reader: Box<dyn Read + Send> = if is_stdin(&args.file) {
            Box::new(std::io::stdin())
        } else {
            Box::new(connect::open_file(&args.file)?)
        };
        let reader = bytes::text(reader, &name)?;
        let rows: Box<dyn Iterator<Item = Result<FileRow, Failure>> + Send> = match (format, &map) {
            (Some(Format::Csv), Some(map)) => Box::new(csv_rows::rows(reader, &name, map.clone())?),
            (Some(Format::Csv), None) => {
                return Err(Failure::invalid(format!("{name}: CSV needs a column map; name one with --map")));
            }
            (Some(Format::Ndjson), _) => Box::new(ndjson::rows(reader, &name)),
            (None, _) => {
                return Err(Failure::invalid(format!(
                    "{name}: what format is it? Say --format csv or --format ndjson"
                )));
            }
        };
        let gap = map.as_ref().and_then(Map::gap);
        let rows: Box<dyn Iterator<Item = Result<FileRow, Failure>> + Send> = if args.sort {
            Box::new(order::in_order(order::sorted(rows, &name)?.into_iter().map(Ok), name.clone(), gap))
        } else {
            Box::new(order::in_order(rows, name.clone(), gap))
        };
        Ok(Self { name, map, rows })
    }
}

/// Why reading failed: what the file holds is wrong, or it cannot be read at all.
fn unreadable(place: &str, error: &std::io::Error) -> Failure {
    match error.to_string() {
        text if error.kind() != std::io::ErrorKind::InvalidData => {
            Failure::files(format!("cannot read {place}: {text}"))
        }
        text if text.contains("UTF-8") => {
            Failure::invalid(format!("{place}: is not UTF-8; convert the file first"))
        }
        text => Failure::invalid(format!("{place}: {text}")),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// By what a file is called, packed or not.
fn by_name(path: &Path) -> Option<Format> {
    let packed = path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
    let path = if packed { Path::new(path.file_stem()?) } else { path };
    match path.extension()?.to_str()? {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        _ => None,
    }
}
