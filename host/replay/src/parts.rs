//! A dry run in parts: each part folds some of the 64 logs, in a process of its own on any machine that has the data, and
//! writes down what it came to. Merged, they are the report of one run, byte for byte, whatever their number and order.

use serde::{Deserialize, Serialize};
use trimtab_core::fold::State;
use trimtab_types::{Digest, ErrorKind, HasKind, Invalid, Shard};

use crate::{
    diff::Diff,
    dry_run::{Report, Stands, Tried, explain, settings},
    period::Period,
    remarks::{Parts, remarks},
};

/// Version of the form of a part. One of another version is refused.
const FORMAT: u32 = 2;

/// Which of the 64 logs: part `number` of `of`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Share {
    number: u8,
    of: u8,
}

impl Share {
    /// All of them.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// From `2/8`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parsed = text.split_once('/').and_then(|(number, of)| {
            let share = Self { number: number.parse().ok()?, of: of.parse().ok()? };
            (1..=share.of).contains(&share.number).then_some(share)
        });
        parsed.filter(|share| usize::from(share.of) <= Shard::COUNT).ok_or_else(|| {
            let problem =
                format!("is `{text}`; write it like 2/8, from 1/8 to 8/8, with at most {}", Shard::COUNT);
            Invalid::new("shard", problem)
        })
    }

    /// Whether a log belongs to it.
    pub(crate) fn has(self, shard: Shard) -> bool {
        shard.number() % self.of == self.number - 1
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What a part of a dry run came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    format: u32,
    /// Of the build that folded.
    rules: u32,
    share: Share,
    candidate: Digest,
    /// What was tried out, in words.
    pub title: String,
    /// Which decisions were compared.
    pub period: Period,
    /// Up to where all 64 logs were folded, also those of other parts: a copy with more rows is another history.
    history: Digest,
    entries: u64,
    instant: u64,
    diff: Diff,
    took_part: Parts,
    recorded: Stands,
    /// `None`: none of its logs is awake.
    tried: Option<Stands>,
}

/// What was folded of the logs of a share.
pub(crate) struct Folded {
    pub(crate) history: Digest,
    pub(crate) entries: u64,
    /// Moments that were told without rows.
    pub(crate) instant: u64,
    pub(crate) diff: Diff,
    pub(crate) took_part: Parts,
    pub(crate) recorded: Stands,
    pub(crate) tried: Option<Stands>,
}

/// Why parts are not those of one run.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Of another build.
    #[error(
        "part {0} was made by a build with other rules or another form of parts; make all parts with one build"
    )]
    Build(Share),
    /// Not of the same run.
    #[error("parts {0} and {1} have another {2}; merge parts of one dry run only")]
    Other(Share, Share, &'static str),
    /// Two of the same logs.
    #[error("part {0} is there twice; give each part once")]
    Twice(Share),
    /// Some are missing.
    #[error("of {of} parts these are missing: {}; make them and merge again", list(missing))]
    Missing {
        /// How many there should be.
        of: u8,
        /// Their numbers.
        missing: Vec<u8>,
    },
}

fn list(numbers: &[u8]) -> String {
    numbers.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

impl HasKind for MergeError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Folded {
    /// Adds what a task came to.
    pub(crate) fn add(&mut self, tried: Tried) {
        self.diff.merge(tried.compared.diff);
        self.took_part.merge(tried.compared.parts);
        self.tried = self.tried.take().or(Some(tried.stands));
    }
}

impl Part {
    pub(crate) fn new(
        share: Share,
        candidate: Digest,
        title: String,
        period: Period,
        folded: Folded,
    ) -> Self {
        let Folded { history, entries, instant, diff, took_part, recorded, tried } = folded;
        Self {
            format: FORMAT,
            rules: State::RULES,
            share,
            candidate,
            title,
            period,
            history,
            entries,
            instant,
            diff,
            took_part,
            recorded,
            tried,
        }
    }

    /// The report of parts that are all of one run; with their title and period.
    pub fn merge(mut parts: Vec<Self>) -> Result<(Report, String, Period), MergeError> {
        parts.sort_by_key(|part| part.share);
        if let Some(part) = parts.iter().find(|part| (part.format, part.rules) != (FORMAT, State::RULES)) {
            return Err(MergeError::Build(part.share));
        }
        for (one, other) in parts.iter().zip(parts.iter().skip(1)) {
            one.check(other)?;
        }
        let of = parts.first().map_or(1, |part| part.share.of);
        let is_there = |number: &u8| parts.iter().any(|part| part.share.number == *number);
        let missing: Vec<u8> = (1..=of).filter(|number| !is_there(number)).collect();
        let mut parts = parts.into_iter();
        let Some(mut sum) = parts.next().filter(|_| missing.is_empty()) else {
            return Err(MergeError::Missing { of, missing });
        };
        for part in parts {
            sum.entries += part.entries;
            sum.instant += part.instant;
            sum.diff.merge(part.diff);
            sum.took_part.merge(part.took_part);
            sum.tried = sum.tried.or(part.tried);
        }
        let (title, period) = (std::mem::take(&mut sum.title), sum.period.clone());
        Ok((sum.report(), title, period))
    }

    fn check(&self, other: &Self) -> Result<(), MergeError> {
        if self.share == other.share {
            return Err(MergeError::Twice(self.share));
        }
        let same = [
            (self.share.of == other.share.of, "number of parts"),
            (self.candidate == other.candidate, "candidate"),
            (self.period == other.period, "period"),
            (self.recorded == other.recorded, "set of policies in force"),
            (
                self.history == other.history,
                "history, because rows came in between or a copy of the data has others; make all parts of the same data \
                 while no host writes, and",
            ),
        ];
        match same.into_iter().find(|(same, _)| !same) {
            Some((_, what)) => Err(MergeError::Other(self.share, other.share, what)),
            None => Ok(()),
        }
    }

    pub(crate) fn report(self) -> Report {
        let mut report = Report {
            entries: self.entries,
            instant: self.instant,
            diff: self.diff,
            asked: self.took_part.asked(),
            settings: Vec::new(),
            remarks: Vec::new(),
        };
        if let Some(tried) = &self.tried {
            report.settings = settings(&self.recorded, tried);
            report.remarks =
                remarks(&self.took_part, &self.recorded.policies, &tried.policies, tried.left_aside);
            explain(&mut report.diff, &report.settings);
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(share: &str, candidate: &str) -> Part {
        let folded = Folded {
            history: Digest::of(b"history"),
            entries: 10,
            instant: 0,
            diff: Diff::default(),
            took_part: Parts::default(),
            recorded: Stands::default(),
            tried: None,
        };
        let share = Share::parse(share).expect("a share");
        Part::new(share, Digest::of(candidate.as_bytes()), "a try".to_owned(), Period::default(), folded)
    }

    #[test]
    fn parts_of_one_run_are_merged_and_others_refused() {
        fn check(parts: Vec<Part>, expected: &str) {
            let told = match Part::merge(parts) {
                Ok((report, title, _)) => format!("{title}: {} entries", report.entries),
                Err(error) => error.to_string(),
            };
            assert!(told.contains(expected), "{told}");
        }
        check(vec![part("1/1", "a")], "a try: 10 entries");
        check(vec![part("2/3", "a"), part("3/3", "a"), part("1/3", "a")], "a try: 30 entries");
        check(vec![], "these are missing: 1");
        check(vec![part("4/4", "a"), part("2/4", "a")], "of 4 parts these are missing: 1, 3");
        check(vec![part("1/2", "a"), part("1/2", "a"), part("2/2", "a")], "part 1/2 is there twice");
        check(vec![part("1/2", "a"), part("2/2", "b")], "parts 1/2 and 2/2 have another candidate");
        check(vec![part("1/2", "a"), part("2/3", "a")], "another number of parts");
        let later = Period { since: Some(trimtab_types::Timestamp::EPOCH), ..Period::default() };
        check(vec![part("1/2", "a"), Part { period: later, ..part("2/2", "a") }], "another period");
        let longer = Part { history: Digest::of(b"longer"), ..part("2/2", "a") };
        check(vec![part("1/2", "a"), longer], "parts 1/2 and 2/2 have another history");
        check(vec![part("1/2", "a"), Part { rules: 0, ..part("2/2", "a") }], "part 2/2 was made by a build");
        check(vec![Part { format: 9, ..part("1/1", "a") }], "part 1/1 was made by a build");
    }

    #[test]
    fn each_log_belongs_to_one_part() {
        for of in 1..=64 {
            let shares = (1..=of).map(|number| Share { number, of });
            let owners = |shard| shares.clone().filter(|share| share.has(shard)).count();
            assert!(Shard::all().all(|shard| owners(shard) == 1), "{of} parts");
        }
        for wrong in ["", "1", "0/2", "3/2", "1/65", "a/b", "1/2/3", "-1/2"] {
            assert!(Share::parse(wrong).is_err(), "{wrong}");
        }
    }
}
