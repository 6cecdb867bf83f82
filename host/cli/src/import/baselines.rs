//! Baselines that a map asks for: set as soon as the host has judged as many different predictions as they want. The host
//! counts, because a file may bring the same rows twice, and rows that were there before.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trimtab_api::rows::PredictionRow;
use trimtab_server::{BaselineRequest, BaselineStatus, Failure, Status, client::Client};
use trimtab_types::Subject;

use super::map::BaselineMap;
use crate::commands::escape;

/// Subjects of a file that are remembered, to name them where a baseline asks for another.
const REMEMBERED: usize = 1_000;
/// Subjects that are named.
const NAMED: usize = 10;

/// Segments that one entry of a map makes baselines for.
const MOST_SEGMENTS: usize = 1_000;

/// The baselines of a map while its file is fed.
pub(super) struct Baselines {
    waiting: BTreeMap<Subject, Waiting>,
    /// Those that entries name.
    named: BTreeSet<Subject>,
    /// Entries that want one for each segment.
    each: Vec<Each>,
    seen: BTreeSet<Subject>,
}

/// An entry that wants one for each segment.
struct Each {
    map: BaselineMap,
    begun: BTreeSet<String>,
    /// Whether there are more segments than baselines are made for.
    too_many: bool,
}

/// A baseline that waits for its rows.
struct Waiting {
    map: BaselineMap,
    /// Outcomes before which the host cannot have judged enough.
    missing: u64,
}

/// A baseline that was asked for and not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct NotSet {
    pub(crate) subject: Subject,
    pub(crate) why: String,
    /// It has rows, and not enough of them yet: more may come in another file.
    pub(crate) has_rows: bool,
}

impl Baselines {
    /// What a map asks for, less what the host has judged already.
    pub(super) async fn new(client: &Client, maps: &[BaselineMap]) -> Result<Self, Failure> {
        let mut waiting = BTreeMap::new();
        let (each, one): (Vec<_>, Vec<_>) = maps.iter().partition(|map| map.segment == BaselineMap::EACH);
        for map in one {
            let subject = map.subject();
            let missing = map.first.saturating_sub(judged(client, &subject).await?).max(1);
            waiting.insert(subject, Waiting { map: map.clone(), missing });
        }
        let each =
            each.into_iter().map(|map| Each { map: map.clone(), begun: BTreeSet::new(), too_many: false });
        let named = waiting.keys().cloned().collect();
        Ok(Self { waiting, named, each: each.collect(), seen: BTreeSet::new() })
    }

    /// Notes whose predictions a file has.
    pub(super) fn saw(&mut self, subject: &Subject) {
        for each in &mut self.each {
            let is_of_it = Subject { segment: subject.segment.clone(), ..each.map.subject() } == *subject;
            // Who names a segment means that one.
            if !is_of_it || each.begun.contains(&subject.segment) || self.named.contains(subject) {
                continue;
            }
            if each.begun.len() == MOST_SEGMENTS {
                each.too_many = true;
                continue;
            }
            each.begun.insert(subject.segment.clone());
            let map = BaselineMap { segment: subject.segment.clone(), ..each.map.clone() };
            // The host may have judged some already: it is asked with the first outcome, and counts.
            self.waiting.insert(subject.clone(), Waiting { missing: 1, map });
        }
        if self.seen.len() < REMEMBERED && !self.seen.contains(subject) {
            self.seen.insert(subject.clone());
        }
    }

    /// An outcome is on its way to the host; whether that could be the last one that a baseline wants.
    pub(super) fn outcome(&mut self, subject: &Subject) -> bool {
        let Some(waiting) = self.waiting.get_mut(subject) else { return false };
        waiting.missing = waiting.missing.saturating_sub(1);
        waiting.missing == 0
    }

    /// An outcome of a model is on its way, and nobody knows of which version: the subjects for which that could be the last
    /// one that a baseline wants.
    pub(super) fn outcome_of(&mut self, tenant: &str, model: &str) -> Vec<Subject> {
        let of_it = self.waiting.keys().filter(|subject| subject.tenant == tenant && subject.model == model);
        let of_it: Vec<Subject> = of_it.cloned().collect();
        of_it.into_iter().filter(|subject| self.outcome(subject)).collect()
    }

    /// Sets a subject's baseline, if the host has judged enough of its predictions; else it waits for as many as are
    /// missing.
    pub(super) async fn set(
        &mut self,
        client: &Client,
        subject: &Subject,
    ) -> Result<Option<BaselineStatus>, Failure> {
        let Some(waiting) = self.waiting.get_mut(subject) else { return Ok(None) };
        let judged = judged(client, subject).await?;
        if judged < waiting.map.first {
            waiting.missing = waiting.map.first - judged;
            return Ok(None);
        }
        let request = BaselineRequest {
            tenant: Some(subject.tenant.clone()),
            model: subject.model.clone(),
            version: subject.version.clone(),
            segment: subject.segment.clone(),
            first: Some(waiting.map.first),
            ..BaselineRequest::default()
        };
        self.waiting.remove(subject);
        client.post("/v1/baselines", &request).await.map(Some)
    }

    /// At the end of a file: sets what the rows suffice for, and says of the others why not.
    pub(super) async fn finish(
        mut self,
        client: &Client,
    ) -> Result<(Vec<BaselineStatus>, Vec<NotSet>), Failure> {
        let (mut set, mut not_set) = (Vec::new(), Vec::new());
        let left: Vec<Subject> = self.waiting.keys().cloned().collect();
        for subject in left {
            let first = self.waiting.get(&subject).map_or(0, |waiting| waiting.map.first);
            match self.set(client, &subject).await? {
                Some(baseline) => set.push(baseline),
                None => {
                    let missing = self.waiting.get(&subject).map_or(0, |waiting| waiting.missing);
                    let judged = first - missing.min(first);
                    let has_rows = self.has_rows(&subject, judged);
                    not_set.push(NotSet { why: self.why(&subject, first, judged), subject, has_rows });
                }
            }
        }
        for each in &self.each {
            let subject = each.map.subject();
            if each.begun.is_empty() {
                let has_rows = self.has_rows(&subject, 0);
                not_set.push(NotSet { why: self.why(&subject, each.map.first, 0), subject, has_rows });
            } else if each.too_many {
                let why = format!("there are more than {MOST_SEGMENTS} segments; name those that matter");
                not_set.push(NotSet { subject, why, has_rows: false });
            }
        }
        Ok((set, not_set))
    }

    fn has_rows(&self, subject: &Subject, judged: u64) -> bool {
        self.seen.contains(subject) || judged > 0
    }

    fn why(&self, subject: &Subject, first: u64, judged: u64) -> String {
        if self.has_rows(subject, judged) {
            return format!("{judged} different predictions of it are judged, and it wants {first}");
        }
        let mut there: Vec<String> =
            self.seen.iter().filter(|seen| seen.model == subject.model).map(ToString::to_string).collect();
        if there.is_empty() {
            there = self.seen.iter().map(ToString::to_string).collect();
        }
        let more =
            if there.len() > NAMED { format!(" and {} more", there.len() - NAMED) } else { String::new() };
        there.truncate(NAMED);
        match there.is_empty() {
            true => "the file has no predictions".to_owned(),
            false => format!("the file has no prediction of it; it has those of {}{more}", there.join(", ")),
        }
    }
}

/// Whose prediction a row is.
pub(super) fn subject_of(row: &PredictionRow) -> Subject {
    Subject {
        tenant: row.tenant.clone().unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
        model: row.model.clone(),
        version: row.version.clone(),
        segment: row.segment.clone(),
    }
}

/// How many different predictions of a subject the host has judged.
async fn judged(client: &Client, subject: &Subject) -> Result<u64, Failure> {
    let path = format!(
        "/v1/status?settled=true&limit=10000&tenant={}&model={}",
        escape(&subject.tenant),
        escape(&subject.model)
    );
    let mut status: Status = client.get(&path).await?;
    loop {
        if let Some(known) = status.subjects.iter().find(|known| known.subject == *subject) {
            return Ok(known.resolved);
        }
        let Some(next) = &status.next else { return Ok(0) };
        status = client.get(&format!("{path}&after={next}")).await?;
    }
}
