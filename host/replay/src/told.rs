//! What policies are told of rows that nobody folds: what moments say, and what was read when they were recorded. What is
//! asked for besides is noted: it cannot be told without the rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use trimtab_types::{
    Ask, Asked, Asking, Estimate, Facts, Finding, ModelKey, ModelVersion, Question, Read, Seconds, Severity,
    Subject, View,
};

use crate::again::Recall;

/// What is told about one position.
#[derive(Default)]
pub(crate) struct Told {
    subjects: BTreeMap<Subject, Arc<Rows>>,
    /// Models about which more was asked.
    asked_more: Arc<Mutex<BTreeSet<ModelKey>>>,
    /// The rows are folded: everything is told.
    folded: bool,
}

/// What is told of a subject's rows.
#[derive(Default)]
struct Rows {
    recent: BTreeMap<(String, u32), Option<Estimate>>,
    between: BTreeMap<(String, Seconds, Seconds), Option<Estimate>>,
}

impl Told {
    /// The rows are folded, so that everything is told.
    pub(crate) fn all() -> Self {
        Self { folded: true, ..Self::default() }
    }

    /// A moment of a subject was recorded.
    pub(crate) fn lived(&mut self, subject: &Subject, facts: &Facts) {
        let rows = self.rows(subject);
        let facts = facts.recent.iter().map(|one| ((one.metric.clone(), one.last), one.answer));
        rows.recent.extend(facts);
    }

    /// Some policy had read this of a subject.
    pub(crate) fn read(&mut self, subject: &Subject, reads: &[Read]) {
        for read in reads {
            match read {
                Read::Recent { metric, last, answer } => {
                    self.rows(subject).recent.insert((metric.clone(), *last), *answer);
                }
                Read::Between { metric, from_ago, until_ago, answer } => {
                    let key = (metric.clone(), *from_ago, *until_ago);
                    self.rows(subject).between.insert(key, *answer);
                }
                // The rest is told by diary and ledger.
                _ => {}
            }
        }
    }

    /// A question was put: one about the life of a model says itself what its rows are like.
    pub(crate) fn asked(&self, question: &Question, subject: &Subject) {
        let of_rows = match question {
            Question::CanaryPromotion { .. }
            | Question::Cleanup { .. }
            | Question::RetrainSchedule { .. } => true,
            Question::DriftAction { .. } | Question::AlertFormat { .. } | Question::Request(_) => false,
        };
        if of_rows && !self.folded {
            self.asked_more.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.model_key());
        }
    }

    fn rows(&mut self, subject: &Subject) -> &mut Rows {
        // Nobody has it yet.
        Arc::make_mut(self.subjects.entry(subject.clone()).or_default())
    }

    /// What may be read for a question.
    pub(crate) fn view(&self, asking: &Asking<'_>) -> Arc<dyn View> {
        if self.folded {
            return Arc::clone(&asking.view);
        }
        Arc::new(ToldView {
            rest: Arc::clone(&asking.view),
            rows: self.subjects.get(asking.subject).cloned().unwrap_or_default(),
            model: asking.subject.model_key(),
            asked_more: Arc::clone(&self.asked_more),
        })
    }

    /// The models about which something was asked that is not told here.
    pub(crate) fn asked_more(&self) -> BTreeSet<ModelKey> {
        std::mem::take(&mut self.asked_more.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Clone for Rows {
    fn clone(&self) -> Self {
        Self { recent: self.recent.clone(), between: self.between.clone() }
    }
}

/// Asks policies that read what is told.
pub(crate) struct ToldOfRows<'a> {
    pub(crate) recall: Recall<'a>,
    pub(crate) told: &'a Told,
}

impl Ask for ToldOfRows<'_> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        self.told.asked(asking.question, asking.subject);
        self.recall.ask(&Asking { view: self.told.view(asking), ..*asking })
    }

    fn writes_alerts(&self) -> bool {
        self.recall.writes_alerts()
    }
}

/// A subject whose rows nobody folded.
struct ToldView {
    rest: Arc<dyn View>,
    rows: Arc<Rows>,
    model: ModelKey,
    asked_more: Arc<Mutex<BTreeSet<ModelKey>>>,
}

impl ToldView {
    fn told(&self, answer: Option<&Option<Estimate>>) -> Option<Estimate> {
        match answer {
            Some(answer) => *answer,
            None => {
                let mut asked_more = self.asked_more.lock().unwrap_or_else(PoisonError::into_inner);
                asked_more.insert(self.model.clone());
                None
            }
        }
    }
}

impl View for ToldView {
    fn recent(&self, metric: &str, last: u32) -> Option<Estimate> {
        self.told(self.rows.recent.get(&(metric.to_owned(), last)))
    }

    fn between(&self, metric: &str, from_ago: Seconds, until_ago: Seconds) -> Option<Estimate> {
        self.told(self.rows.between.get(&(metric.to_owned(), from_ago, until_ago)))
    }

    fn baseline(&self, metric: &str) -> Option<Estimate> {
        self.rest.baseline(metric)
    }

    fn findings(&self, within: Seconds, at_least: Severity, limit: u32) -> Vec<Finding> {
        self.rest.findings(within, at_least, limit)
    }

    fn drift_count(&self, detector: &str) -> u32 {
        self.rest.drift_count(detector)
    }

    fn versions(&self) -> Vec<ModelVersion> {
        let versions = self.rest.versions();
        if !versions.is_empty() {
            // They state the accuracy of the newest rows.
            self.told(None);
        }
        versions
    }

    fn since_activation(&self) -> Option<Seconds> {
        self.rest.since_activation()
    }

    fn since_retrain(&self) -> Option<Seconds> {
        self.rest.since_retrain()
    }
}
