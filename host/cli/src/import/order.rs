//! The order of time: a file whose rows go back in it is refused, or sorted where that is asked for.
//!
//! A host takes rows in the order of a file. Newest first, or shuffled, they would be judged against a past that had not
//! happened yet.

use trimtab_api::rows::Row;
use trimtab_server::Failure;
use trimtab_types::Timestamp;

use super::FileRow;

/// Memory that rows may take which are to be sorted, by a rough count: about a million rows of a few features.
const MOST_SORTED: usize = 1 << 30;

/// When rows of a file were, and which of them have to be in order: predictions among themselves, and outcomes that stand
/// alone, which may come late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Prediction(Timestamp),
    Outcome(Timestamp),
}

impl At {
    /// Of a row as callers write it; none where its time cannot be read, which is refused elsewhere.
    pub(super) fn of(row: &Row) -> Option<Self> {
        match row {
            Row::Prediction(row) => Timestamp::parse(&row.time).ok().map(Self::Prediction),
            Row::Outcome(row) => Timestamp::parse(&row.time).ok().map(Self::Outcome),
        }
    }

    fn time(self) -> Timestamp {
        match self {
            Self::Prediction(time) | Self::Outcome(time) => time,
        }
    }
}

/// Passes rows on as long as they are in order, and not further apart than so many seconds.
pub(super) fn in_order(
    rows: impl Iterator<Item = Result<FileRow, Failure>> + Send,
    file: String,
    gap: Option<u64>,
) -> impl Iterator<Item = Result<FileRow, Failure>> + Send {
    // The newest prediction and the newest outcome, with their lines.
    let mut newest: [Option<(Timestamp, u64)>; 2] = [None; 2];
    rows.map(move |row| {
        let row = row?;
        let Some(at) = row.at else { return Ok(row) };
        let newest = &mut newest[usize::from(matches!(at, At::Outcome(_)))];
        let time = at.time();
        match *newest {
            Some((before, line)) if time < before => Err(Failure::invalid(format!(
                "{file} line {}: its time {time} is before that of line {line}, {before}; rows are taken in the order of time: sort the file, or say --sort",
                row.line
            ))),
            Some((before, line)) if gap.is_some_and(|gap| time.since(before) > gap) => {
                let days = time.since(before) / 86_400;
                Err(Failure::invalid(format!(
                    "{file} line {}: its time {time} is {days} days after that of line {line}, {before}; is the unit the same in both? If such a gap is meant, say in the map: longest-gap = \"{}d\"",
                    row.line,
                    days + 1
                )))
            }
            _ => {
                *newest = Some((time, row.line));
                Ok(row)
            }
        }
    })
}

/// Reads all rows and puts them in the order of time; those of the same time stay as they are in the file, or the other
/// way round where all of it is newest first.
pub(super) fn sorted(
    rows: impl Iterator<Item = Result<FileRow, Failure>>,
    file: &str,
) -> Result<Vec<FileRow>, Failure> {
    let mut all: Vec<FileRow> = Vec::new();
    let mut taken = 0_usize;
    for row in rows {
        let row = row?;
        taken = taken.saturating_add(row.rows.iter().map(weight).sum());
        if taken > MOST_SORTED {
            return Err(Failure::invalid(format!(
                "{file} line {}: the rows before it fill the memory that --sort may take; sort the file before it is imported",
                row.line
            )));
        }
        all.push(row);
    }
    let times: Vec<Timestamp> = all.iter().filter_map(|row| row.at).map(At::time).collect();
    if times.windows(2).all(|pair| pair[0] >= pair[1]) && times.first() != times.last() {
        all.reverse();
    }
    all.sort_by_key(|row| row.at.map(At::time));
    Ok(all)
}

/// About how much memory a row takes.
fn weight(row: &Row) -> usize {
    let features = match row {
        Row::Prediction(row) => row.features.len(),
        Row::Outcome(_) => 0,
    };
    512 + 128 * features
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows at these seconds, predictions or (below 0) outcomes, each with the line of its place.
    fn rows(seconds: &[i64]) -> impl Iterator<Item = Result<FileRow, Failure>> + Send + use<> {
        let row = |(line, seconds): (u64, &i64)| {
            let time = Timestamp::from_millis(seconds.abs() * 1_000).expect("in range");
            let at = if *seconds < 0 { At::Outcome(time) } else { At::Prediction(time) };
            Ok(FileRow { line, at: Some(at), ..FileRow::default() })
        };
        (1..).zip(seconds).map(row).collect::<Vec<_>>().into_iter()
    }

    fn lines(rows: impl Iterator<Item = Result<FileRow, Failure>>) -> Result<Vec<u64>, String> {
        rows.map(|row| row.map(|row| row.line).map_err(|failure| failure.message)).collect()
    }

    #[test]
    fn rows_that_go_back_in_time_are_refused() {
        for seconds in [&[1, 2, 2, 3][..], &[], &[10, -5, 11, -5, 12, -30], &[-20, 5, -21, 6]] {
            assert!(lines(in_order(rows(seconds), "f".into(), None)).is_ok(), "{seconds:?}");
        }
        for (seconds, line) in
            [(&[1, 3, 2][..], "f line 3"), (&[3, 2], "f line 2"), (&[1, -9, 2, -8], "f line 4")]
        {
            let said = lines(in_order(rows(seconds), "f".into(), None)).expect_err("refused");
            assert!(said.contains(line) && said.contains("--sort"), "{said}");
        }
    }

    #[test]
    fn a_gap_of_years_is_asked_about() {
        let day = 86_400;
        let gap = Some(731 * 86_400);
        assert!(lines(in_order(rows(&[0, 700 * day, 1_400 * day]), "f".into(), gap)).is_ok());
        let said = lines(in_order(rows(&[0, 800 * day]), "f".into(), gap)).expect_err("asked");
        assert!(
            said.contains("f line 2")
                && said.contains("800 days after")
                && said.contains("longest-gap = \"801d\""),
            "{said}"
        );
    }

    #[test]
    fn sorting_keeps_the_order_of_what_came_at_the_same_time() {
        for (seconds, order) in [
            (&[1, 2, 2, 3][..], &[1, 2, 3, 4][..]),
            (&[3, 1, 2, 1], &[2, 4, 3, 1]),
            // Newest first: what came last at a time stands first.
            (&[3, 2, 2, 1], &[4, 3, 2, 1]),
            (&[2, 2, 2], &[1, 2, 3]),
            (&[], &[]),
        ] {
            let sorted = sorted(rows(seconds), "f").expect("sorts").into_iter().map(Ok);
            assert_eq!(lines(sorted).as_deref(), Ok(order), "{seconds:?}");
        }
    }
}
