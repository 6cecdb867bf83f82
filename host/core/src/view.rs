//! What a policy may read of the subject that it is asked about: the fold's state at that position, and nothing else.

use std::sync::Arc;

use trimtab_stats::Window;
use trimtab_types::{Estimate, Finding, ModelKey, ModelVersion, Seconds, Severity, Subject, Timestamp, View};

use crate::{
    config::MetricSettings,
    ledger::Diary,
    measure::{self, rate},
    metric::Metric,
    state::State,
    watch::SubjectState,
};

/// What a policy asks for to hold an accuracy against it: what pure chance would have got right of the same rows.
const CHANCE: &str = "chance";
/// Resolved predictions over which versions are compared.
const VERSION_OVER: usize = 200;

/// A subject as of a position.
pub struct SubjectView {
    subject: Arc<SubjectState>,
    diary: Arc<Diary>,
    now: Timestamp,
    activated: Option<Timestamp>,
    last_retrain: Option<Timestamp>,
    versions: Vec<ModelVersion>,
    metrics: MetricSettings,
    /// A score from here on predicts the positive class.
    threshold: f64,
}

impl SubjectView {
    /// Of this subject, in this state.
    pub fn of(state: &State, subject: &Subject) -> Self {
        let model = state.models.get(&subject.model_key());
        // All segments together are the only one where there is no other.
        let of_whole = if subject.segment.is_empty() { whole(state, subject) } else { None };
        Self {
            subject: of_whole.or_else(|| state.subjects.get(subject)).cloned().unwrap_or_default(),
            diary: state.diaries.get(subject).cloned().unwrap_or_default(),
            now: state.now(&subject.model_key()),
            activated: model.and_then(|model| model.activated),
            last_retrain: model.and_then(|model| model.last_retrain),
            versions: versions(state, &subject.model_key()),
            metrics: state.configuration.metrics.clone(),
            threshold: state.configuration.judging(&subject.model_key()).binary_threshold,
        }
    }

    /// Most rows that metrics are computed over; detectors may keep more for themselves.
    fn kept(&self) -> usize {
        self.metrics.window as usize
    }

    fn ago(&self, time: Option<Timestamp>) -> Option<Seconds> {
        time.map(|time| Seconds::try_from(self.now.since(time)).unwrap_or(Seconds::MAX))
    }
}

/// What is known of a version over all segments: where all its rows are of one segment, that is it.
pub(crate) fn whole<'a>(state: &'a State, subject: &Subject) -> Option<&'a Arc<SubjectState>> {
    let known = state.subjects.get(subject);
    known.or_else(|| {
        let mut of_it = state.subjects_of_version(subject);
        let only = of_it.next();
        if of_it.next().is_none() { only } else { None }
    })
}

/// The versions of a model that are registered, newest first, with what is known of each from its newest rows.
pub fn versions(state: &State, model: &ModelKey) -> Vec<ModelVersion> {
    let Some(registry) = state.registries.get(model) else { return Vec::new() };
    registry.seen(state.now(model), |version| {
        let ModelKey { tenant, model } = model.clone();
        let subject = Subject { tenant, model, version: version.to_owned(), segment: String::new() };
        let accuracy = whole(state, &subject).and_then(|known| known.accuracy(VERSION_OVER));
        accuracy
            .map(|estimate| trimtab_types::Metric { name: "accuracy".to_owned(), estimate })
            .into_iter()
            .collect()
    })
}

impl View for SubjectView {
    fn recent(&self, metric: &str, last: u32) -> Option<Estimate> {
        let (subject, last) = (&self.subject, last as usize);
        if let Some(estimated) = metric.strip_prefix("estimated-") {
            return subject.estimated(Metric::from_name(estimated)?, last, self.threshold);
        }
        if metric == CHANCE {
            let value = subject.pairs.chance(last).filter(|_| subject.pairs.len() >= last)?;
            let samples = u32::try_from(last).unwrap_or(u32::MAX);
            return Some(Estimate { value, samples, interval: None, from_outcomes: true });
        }
        let metric = Metric::from_name(metric)?;
        let of_window = |window: &Window| {
            let counts = window.newest(last);
            (counts.n as usize >= last.max(1)).then(|| rate(counts.successes, counts.n))?
        };
        let counted = match metric {
            Metric::Accuracy => of_window(&subject.right),
            Metric::WinRate => of_window(&subject.won),
            _ => None,
        };
        let measured = counted.or_else(|| {
            let is_kept = (1..=self.kept()).contains(&last) && subject.rows.len() >= last;
            is_kept.then(|| measure::of(metric, &subject.rows.newest(last), &self.metrics))?
        });
        // While outcomes are missing scores say what they can.
        measured.or_else(|| subject.estimated(metric, last, self.threshold))
    }

    fn between(&self, metric: &str, from_ago: Seconds, until_ago: Seconds) -> Option<Estimate> {
        let metric = Metric::from_name(metric)?;
        if metric == Metric::Accuracy {
            let count = self.subject.times.between(self.now, from_ago, until_ago);
            return rate(u64::from(count.right), u64::from(count.all));
        }
        let ago = |seconds: Seconds| self.now.minus(u64::from(seconds));
        if self.kept() == 0 {
            return None;
        }
        // What becomes known now counts, too.
        let until = if until_ago == 0 { self.now.plus(1) } else { ago(until_ago) };
        measure::of(metric, &self.subject.rows.between(ago(from_ago), until)?, &self.metrics)
    }

    fn baseline(&self, metric: &str) -> Option<Estimate> {
        let baseline = self.subject.baseline.as_ref()?;
        let value = measure::of_baseline(Metric::from_name(metric)?, baseline, &self.metrics)?;
        let samples = u32::try_from(baseline.samples).unwrap_or(u32::MAX);
        Some(Estimate { value, samples, interval: None, from_outcomes: true })
    }

    fn findings(&self, within: Seconds, at_least: Severity, limit: u32) -> Vec<Finding> {
        let is_recent = |finding: &&Finding| self.now.since(finding.at) <= u64::from(within);
        let recent: Vec<&Finding> = self.diary.findings.iter().rev().take_while(is_recent).collect();
        // What is open is remembered however long ago it changed, and however much happened since.
        let mut open: Vec<&Finding> = self.diary.open.iter().collect();
        open.retain(|open| recent.iter().all(|finding| finding.id != open.id));
        open.sort_by_key(|finding| std::cmp::Reverse(finding.position));
        recent
            .into_iter()
            .chain(open)
            .filter(|finding| finding.severity >= at_least)
            .take(limit as usize)
            .cloned()
            .collect()
    }

    fn drift_count(&self, detector: &str) -> u32 {
        self.diary.drift_counts.get(detector).copied().unwrap_or(0)
    }

    fn versions(&self) -> Vec<ModelVersion> {
        self.versions.clone()
    }

    fn since_activation(&self) -> Option<Seconds> {
        self.ago(self.activated)
    }

    fn since_retrain(&self) -> Option<Seconds> {
        self.ago(self.last_retrain)
    }
}

#[cfg(test)]
mod tests {
    use trimtab_types::Phase;

    use super::*;
    use trimtab_types::testing::{finding, subject};

    #[test]
    fn closings_are_among_the_findings_so_that_a_policy_can_tell_what_is_still_open() {
        let mut state = State::default();
        for phase in [Phase::Opened, Phase::Closed] {
            state.diary_mut(&subject()).note(&finding(Severity::High, phase));
        }
        let view = SubjectView::of(&state, &subject());
        let phases = |at_least, limit| {
            let findings = view.findings(60, at_least, limit);
            findings.into_iter().map(|finding| finding.phase).collect::<Vec<_>>()
        };
        assert_eq!(phases(Severity::High, 10), [Phase::Closed, Phase::Opened]);
        assert_eq!(phases(Severity::High, 1), [Phase::Closed]);
        assert_eq!(phases(Severity::Critical, 10), []);
    }

    /// A drift of ten days ago that lasts is no less open than one of today.
    #[test]
    fn what_is_open_is_among_the_findings_however_old_it_is() {
        let mut state = State::default();
        state.diary_mut(&subject()).note(&finding(Severity::High, Phase::Opened));
        state.tick = finding(Severity::High, Phase::Opened).at.plus(10 * 86_400);
        let phases = |state: &State| {
            let findings = SubjectView::of(state, &subject()).findings(7 * 86_400, Severity::High, 10);
            findings.into_iter().map(|finding| finding.phase).collect::<Vec<_>>()
        };
        assert_eq!(phases(&state), [Phase::Opened]);
        state.diary_mut(&subject()).note(&finding(Severity::High, Phase::Closed));
        assert_eq!(phases(&state), []);
    }
}
