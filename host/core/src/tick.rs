//! Time has passed, as the log's ticks say: what stays away is missed, and stretches of time are held against each other.
//! Nothing here reads a clock of its own: without ticks nothing is late.

use std::{cell::OnceCell, collections::BTreeMap};

use trimtab_types::{Finding, ModelKey, Subject};

use crate::{
    state::State,
    watch::{At, Look, Now, Others},
};

const HOUR: i64 = 3_600_000;

/// When the predictions of a version began, and when the newest arrived; by model.
type Versions<'a> = BTreeMap<ModelKey, BTreeMap<&'a str, (i64, i64)>>;

/// Looks at every subject. Returns the changes of episodes.
pub(crate) fn tick(state: &mut State) -> Vec<Finding> {
    let hour = state.tick.as_millis().div_euclid(HOUR);
    let is_new_hour = hour > state.looked;
    if is_new_hour {
        state.looked = hour;
        state.touch_global();
    }
    let configuration = std::sync::Arc::clone(&state.configuration);
    if !configuration.watches_time() {
        return Vec::new();
    }
    let versions = OnceCell::new();
    let mut looks: Vec<(Subject, Vec<Look>)> = Vec::new();
    for (subject, known) in &state.subjects {
        let model = subject.model_key();
        let clock = state.clock(&model);
        let others = |newest, limit| {
            let versions = versions.get_or_init(|| versions_of(state)).get(&model);
            others(versions, &subject.version, (newest, clock.as_millis()), limit)
        };
        let now = Now { clock, awake: state.awake, others: &others };
        let mut found = known.as_time_passes(configuration.detectors(&model), now, is_new_hour);
        // Only those that change are touched, because what is touched is stored.
        found.retain(|look| known.is_changed_by(look));
        if !found.is_empty() {
            looks.push((subject.clone(), found));
        }
    }
    let position = state.position;
    looks
        .into_iter()
        .flat_map(|(subject, looks)| {
            let clock = state.clock(&subject.model_key());
            state.subject_mut(&subject).conclude(looks, At::new(&subject, position, clock))
        })
        .collect()
}

fn versions_of(state: &State) -> Versions<'_> {
    let mut versions = Versions::new();
    for (subject, known) in &state.subjects {
        let Some((first, newest)) = known.arrivals.span() else { continue };
        let of_model = versions.entry(subject.model_key()).or_default();
        let span = of_model.entry(&subject.version).or_insert((first, newest));
        *span = (span.0.min(first), span.1.max(newest));
    }
    versions
}

/// How the other versions go on, where the newest prediction of this one arrived then and a silence may last for `limit`. One
/// that began when this one ended took over.
fn others(
    versions: Option<&BTreeMap<&str, (i64, i64)>>,
    version: &str,
    (newest, now): (i64, i64),
    limit: u64,
) -> Others {
    let others = || {
        let others = versions.into_iter().flatten().filter(|(other, _)| **other != version);
        others.map(|(_, span)| *span).filter(|(_, heard)| *heard > newest)
    };
    if others().any(|(first, _)| first >= newest.saturating_sub_unsigned(limit)) {
        Others::TookOver
    } else if others().any(|(_, heard)| heard >= now.saturating_sub_unsigned(limit)) {
        Others::GoOn
    } else {
        Others::Silent
    }
}
