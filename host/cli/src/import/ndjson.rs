//! NDJSON files: `{"prediction": {…}}` or `{"outcome": {…}}` on each line.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
};

use trimtab_api::rows::{FeatureValue, Row, parse_row};
use trimtab_server::Failure;

use super::{FileRow, guard::LineGuard, order::At, unreadable};

/// Features whose kind is remembered, to tell of changes.
const REMEMBERED: usize = 10_000;

/// The rows of a file, in its order.
pub(super) fn rows<R: Read + Send>(
    reader: R,
    name: &str,
) -> impl Iterator<Item = Result<FileRow, Failure>> + Send + use<R> {
    let name = name.to_owned();
    // Whether a feature was a number when it came first.
    let mut kinds: BTreeMap<String, bool> = BTreeMap::new();
    BufReader::new(LineGuard::new(reader)).lines().zip(1..).map(move |(text, line)| {
        let text = text.map_err(|error| unreadable(&format!("{name} line {line}"), &error))?;
        if text.contains('\0') {
            return Err(Failure::invalid(format!("{name} line {line}: {}", super::records::ZERO)));
        }
        if text.trim().is_empty() {
            return Ok(FileRow::blank(line));
        }
        let row: Row = parse_row(line, &text)
            .map_err(|bad| Failure::invalid(format!("{name} line {line}: {}", bad.problem)))?;
        let remarks = changes(&row, &mut kinds);
        Ok(FileRow { line, at: At::of(&row), rows: vec![row], remarks, ..FileRow::default() })
    })
}

/// What is to be said of features that are a number here and a text there.
fn changes(row: &Row, kinds: &mut BTreeMap<String, bool>) -> Vec<String> {
    let Row::Prediction(row) = row else { return Vec::new() };
    let mut remarks = Vec::new();
    for (name, value) in &row.features {
        let is_number = matches!(value, FeatureValue::Number(_));
        match kinds.get(name) {
            Some(before) if *before && !is_number => {
                remarks.push(format!("feature `{name}`: a text, where a number came first"));
            }
            Some(before) if !*before && is_number => {
                remarks.push(format!("feature `{name}`: a number, where a text came first"));
            }
            None if kinds.len() < REMEMBERED => {
                kinds.insert(name.clone(), is_number);
            }
            _ => {}
        }
    }
    remarks
}
