//! Moments as a fold makes them: what an entry changed, with what deciding needs to know of the rows besides.

use trimtab_types::{
    About, Entry, Facts, Finding, Metric, ModelKey, Moment, MomentKind, Recent, Subject, View as _,
};

use super::life;
use crate::{
    fold::{self, State},
    view::SubjectView,
};

/// Resolved predictions over which an alert states the subject's metrics.
const METRICS_OVER: usize = 200;
/// What policies read most, so that a candidate that reads it needs no rows.
const READ_MOST: [(&str, u32); 7] = [
    ("accuracy", 50),
    ("accuracy", 100),
    ("accuracy", 200),
    ("win-rate", 200),
    ("chance", 50),
    ("chance", 100),
    ("chance", 200),
];

/// The moments of an entry: changes of findings, those of one subject together, or what was done about a model.
pub(super) fn moments(state: &State, entry: &Entry, findings: Vec<Finding>) -> Vec<Moment> {
    let kind = if matches!(entry, Entry::Tick(_)) { MomentKind::Tick } else { MomentKind::Found };
    let mut moments: Vec<Moment> = Vec::new();
    if let Some(model) = fold::acted_on(entry) {
        let facts = Facts { resolved: resolved(state, &model), ..Facts::default() };
        let at = state.clock(&model);
        let (position, about) = (state.position, About::Model(model));
        moments.push(Moment { position, about, kind: MomentKind::Act, at, facts, findings: Vec::new() });
    }
    for finding in findings {
        match moments.last_mut() {
            Some(Moment { about: About::Subject(subject), findings, .. }) if *subject == finding.subject => {
                findings.push(finding);
            }
            _ => {
                let subject = finding.subject.clone();
                moments.push(moment(state, kind, &subject, vec![finding]));
            }
        }
    }
    moments.extend(looks(state, entry));
    moments
}

/// Experiments that are to be looked at now.
fn looks(state: &State, entry: &Entry) -> Vec<Moment> {
    if state.tallies.is_empty() {
        return Vec::new();
    }
    let models = match (entry, entry.model()) {
        (Entry::Tick(_), _) => state.tallies.keys().cloned().collect(),
        (_, Some((tenant, model))) => vec![ModelKey { tenant: tenant.to_owned(), model: model.to_owned() }],
        _ => Vec::new(),
    };
    let look = |model: ModelKey| {
        let at = state.clock(&model);
        let facts = Facts { resolved: resolved(state, &model), ..Facts::default() };
        let (position, about) = (state.position, About::Model(model));
        Moment { position, about, kind: MomentKind::Look, at, facts, findings: Vec::new() }
    };
    models.into_iter().filter(|model| life::is_due(state, model)).map(look).collect()
}

/// A moment of a subject, here and now.
pub(super) fn moment(state: &State, kind: MomentKind, subject: &Subject, findings: Vec<Finding>) -> Moment {
    let model = subject.model_key();
    let at = if kind == MomentKind::Ordered { state.now(&model) } else { state.clock(&model) };
    let resolved = resolved(state, &model);
    let facts = match kind {
        // What is known of the rows was said by the moment at which it was decided.
        MomentKind::Ordered => Facts { resolved: samples(state, &model), ..Facts::default() },
        _ => facts(state, subject, resolved),
    };
    Moment { position: state.position, about: About::Subject(subject.clone()), kind, at, facts, findings }
}

fn resolved(state: &State, model: &ModelKey) -> u64 {
    state.models.get(model).map_or(0, |model| model.resolved)
}

/// The same as of the newest moment.
fn samples(state: &State, model: &ModelKey) -> u64 {
    state.models.get(model).map_or(0, |model| model.samples)
}

fn facts(state: &State, subject: &Subject, resolved: u64) -> Facts {
    let known = state.subjects.get(subject);
    let metric =
        |(name, estimate): (&str, Option<_>)| Some(Metric { name: name.to_owned(), estimate: estimate? });
    let metrics = known.map(|known| {
        let named = [("accuracy", known.accuracy(METRICS_OVER)), ("win-rate", known.win_rate(METRICS_OVER))];
        named.into_iter().filter_map(metric).collect()
    });
    let view = SubjectView::of(state, subject);
    let recent = READ_MOST.map(|(metric, last)| Recent {
        metric: metric.to_owned(),
        last,
        answer: view.recent(metric, last),
    });
    Facts { resolved, metrics: metrics.unwrap_or_default(), recent: recent.into() }
}
