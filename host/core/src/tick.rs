//! Time has passed, as the log's ticks say: what stays away is missed, and stretches of time are held against each other.
//! Nothing here reads a clock of its own: without ticks nothing is late.

use trimtab_types::{Finding, Subject};

use crate::{
    state::State,
    watch::{At, Look},
};

const HOUR: i64 = 3_600_000;

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
    let mut looks: Vec<(Subject, Vec<Look>)> = Vec::new();
    for (subject, known) in &state.subjects {
        let model = subject.model_key();
        let settings = configuration.detectors(&model);
        let mut found = known.as_time_passes(settings, state.clock(&model), is_new_hour);
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
