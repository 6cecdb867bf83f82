//! Subjects at a glance, for everything that shows them.

use std::cmp::Reverse;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use trimtab_api::{Failure, Health, SubjectStatus, Totals};
use trimtab_core::{Configuration, fold::SubjectState, strength};
use trimtab_runtime::Snapshot;
use trimtab_types::{Finding, Subject};

use super::questions::ListQuery;

/// Subjects of a page where nothing is said.
const USUAL: u32 = 200;

/// Some subjects, the worst first, and how many there are in all.
pub(super) struct Page {
    pub(super) totals: Totals,
    pub(super) subjects: Vec<SubjectStatus>,
    pub(super) next: Option<String>,
}

/// The place of a subject in the order of a page: the worst first, then by name.
type Place<'a> = (Reverse<Health>, &'a Subject);

/// A page of the subjects that a question is about; with `open`, of those of which something is open, or which are paused.
pub(super) fn page(snapshot: &Snapshot, query: &ListQuery) -> Result<Page, Failure> {
    let limit = query.limit(USUAL)? as usize;
    let after = query.after.as_deref().map(place).transpose()?;
    let after: Option<Place<'_>> = after.as_ref().map(|(health, subject)| (Reverse(*health), subject));
    let configuration = &snapshot.standing().configuration;
    let mut totals = Totals::default();
    let mut wanted: Vec<(Place<'_>, &SubjectState)> = Vec::new();
    for (subject, known) in snapshot.all_subjects() {
        if !query.is_about(&subject.tenant, &subject.model) {
            continue;
        }
        let health = health_of(configuration, subject, known);
        totals.count(health);
        let is_open = || known.open_findings().next().is_some() || is_paused(snapshot, subject);
        let place = (Reverse(health), subject);
        if after.is_none_or(|after| place > after) && (!query.open || is_open()) {
            wanted.push((place, known));
        }
    }
    let is_more = wanted.len() > limit;
    // What is not on the page need not be sorted.
    if is_more {
        wanted.select_nth_unstable_by_key(limit, |(place, _)| *place);
    }
    wanted.truncate(limit);
    wanted.sort_unstable_by_key(|(place, _)| *place);
    let last = wanted.last().filter(|_| is_more);
    let next = last.map(|((Reverse(health), subject), _)| cursor(*health, subject));
    let subjects = wanted.iter().map(|((_, subject), known)| status_of(snapshot, subject, known)).collect();
    Ok(Page { totals, subjects, next })
}

/// A place as whoever asks for the next page says it.
fn cursor(health: Health, subject: &Subject) -> String {
    let place = serde_json::to_vec(&(health, subject)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(place)
}

fn place(cursor: &str) -> Result<(Health, Subject), Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or_else(|| {
        Failure::invalid("after: is not what a page said is `next`; leave it out for the first page")
    })
}

/// Open findings, the gravest first, and of these the newest.
pub(super) fn open(snapshot: &Snapshot, query: &ListQuery, limit: usize) -> Vec<Finding> {
    let subjects =
        snapshot.all_subjects().filter(|(subject, _)| query.is_about(&subject.tenant, &subject.model));
    let mut open: Vec<&Finding> =
        subjects.flat_map(|(_, known)| known.open_findings().map(|(_, finding)| finding)).collect();
    open.sort_by(|a, b| {
        let newest = || (b.at, &b.subject, &b.id).cmp(&(a.at, &a.subject, &a.id));
        b.severity.cmp(&a.severity).then_with(newest)
    });
    open.into_iter().take(limit).cloned().collect()
}

fn is_paused(snapshot: &Snapshot, subject: &Subject) -> bool {
    snapshot.diary(subject).is_some_and(|diary| diary.paused)
}

/// How a subject is, without looking at its rows.
pub(super) fn health_of(configuration: &Configuration, subject: &Subject, known: &SubjectState) -> Health {
    let judging = configuration.judging(&subject.model_key());
    // Of what is retired nobody wants to know more.
    let can_tell = known.is_retired()
        || strength::unknown(judging, known.baseline.as_deref(), known.predictions > 0).is_none();
    Health::of(can_tell, known.worst())
}

/// All that is shown of a subject.
pub(super) fn status_of(snapshot: &Snapshot, subject: &Subject, known: &SubjectState) -> SubjectStatus {
    let configuration = &snapshot.standing().configuration;
    let kept = &configuration.metrics;
    let detectors = configuration.detectors(&subject.model_key());
    SubjectStatus {
        subject: subject.clone(),
        health: health_of(configuration, subject, known),
        predictions: known.predictions,
        resolved: known.resolved,
        unjudged: known.unjudged,
        accuracy: [50, 100, 200]
            .map(|last| known.accuracy(last).filter(|estimate| estimate.samples as usize == last)),
        baseline: known.baseline.as_ref().map(|baseline| baseline.accuracy),
        losing_run: known.right.losing_run() as u64,
        newest: known.newest,
        metrics: known.metrics(kept),
        estimated: known.estimates(configuration.judging(&subject.model_key()).binary_threshold),
        confusion: known.confusion(kept),
        cannot_tell: known.cannot_tell(detectors, kept),
        strength: strength::strength(
            detectors,
            configuration.judging(&subject.model_key()),
            known.baseline.as_deref(),
            known.predictions > 0,
        ),
        provisional: known.provisional(),
        unseen: known.unseen(),
        retired: known.is_retired(),
        paused: is_paused(snapshot, subject),
        open: known.open_findings().map(|(_, finding)| finding.clone()).collect(),
    }
}
