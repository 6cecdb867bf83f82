//! NDJSON files: `{"prediction": {…}}` or `{"outcome": {…}}` on each line.

use std::io::{BufRead, BufReader, Read};

use trimtab_api::rows::parse_row;
use trimtab_server::Failure;

use super::{FileRow, guard::LineGuard, unreadable};

/// The rows of a file, in its order.
pub(super) fn rows(
    reader: Box<dyn Read + Send>,
    name: &str,
) -> impl Iterator<Item = Result<FileRow, Failure>> + Send + use<> {
    let name = name.to_owned();
    let lines = BufReader::new(LineGuard::new(reader)).lines().zip(1..);
    lines.filter(|(line, _)| !line.as_ref().is_ok_and(|line| line.trim().is_empty())).map(
        move |(line, number)| {
            let text = line.map_err(|error| unreadable(&format!("{name} line {number}"), &error))?;
            let row = parse_row(number, &text)
                .map_err(|bad| Failure::invalid(format!("{name} line {number}: {}", bad.problem)))?;
            Ok(FileRow { line: number, rows: vec![row] })
        },
    )
}
