//! When predictions with a horizon count: once it has passed, by the newest outcome known then. What comes before is
//! provisional, and changes nothing. What comes after judges a prediction that nothing has judged, and no other. Which rows
//! came due is read by whoever has the log.

use serde::{Deserialize, Serialize};
use trimtab_types::{Due, Entry, Finding, ModelKey, Position, Prediction, Timestamp, When};

use crate::{fold, ledger::ModelState, state::State};

/// Most predictions of a model that are judged because of one entry; the others are because of the next.
pub const MOST: usize = 20_000;

/// How far the predictions of a model are judged at their horizon.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Horizon {
    /// Predictions up to here are judged on arrival: nobody waited for their horizon.
    since: Position,
    /// All that came due up to here are judged: a time, and a position among those of the same time.
    upto: (Timestamp, Position),
}

/// What happens to an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// It judges, or corrects what judged.
    Now,
    /// Its prediction waits for its horizon.
    AtHorizon,
    /// It comes after the horizon, and something has judged: nothing changes.
    NoMore,
}

/// Predictions that an entry makes due.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Of which model.
    pub model: ModelKey,
    /// Those after this time and position.
    pub after: (Timestamp, Position),
    /// Up to this time, which is the model's clock from this entry on.
    pub until: Timestamp,
}

/// What an entry makes due, because it moves the clock. Whoever takes it through has to bring all of it; see
/// [`trimtab_types::Record::due`].
pub fn wanted(state: &State, entry: &Entry) -> Vec<Wanted> {
    let Some(time) = entry.time().filter(|_| state.has_horizons) else { return Vec::new() };
    let of = |(model, known): (&ModelKey, &ModelState)| {
        let after = known.horizon?.upto;
        let until = known.clock.max(state.tick).max(time);
        let model = model.clone();
        ((until, Position(u64::MAX)) > after).then_some(Wanted { model, after, until })
    };
    match (entry, entry.model()) {
        (Entry::Tick(_), _) => state.models.iter().filter_map(of).collect(),
        (_, Some((tenant, model))) => {
            let key = ModelKey { tenant: tenant.to_owned(), model: model.to_owned() };
            state.models.get_key_value(&key).and_then(of).into_iter().collect()
        }
        (_, None) => Vec::new(),
    }
}

/// Judges what came due.
pub(crate) fn judge(state: &mut State, due: &[Due]) -> Vec<Finding> {
    let mut found = Vec::new();
    for Due { model, rows, upto, clock } in due {
        let Some(Horizon { since, .. }) = state.models.get(model).and_then(|known| known.horizon) else {
            continue;
        };
        for row in rows.iter().filter(|row| row.position > since) {
            found.extend(fold::judge_at_horizon(state, row, *clock));
        }
        state.model_mut(model).horizon = Some(Horizon { since, upto: *upto });
    }
    found
}

impl State {
    /// A prediction is there: if it is the first of its model that has a horizon, horizons count from here on.
    pub(crate) fn expect(&mut self, prediction: &Prediction) {
        if prediction.horizon.is_none() {
            return;
        }
        let model = prediction.subject.model_key();
        let is_known = self.models.get(&model).is_some_and(|known| known.horizon.is_some());
        if is_known || self.configuration.judging(&model).when == When::OnArrival {
            return;
        }
        let since = Position(self.position.0.saturating_sub(1));
        let upto = (self.clock(&model), Position(u64::MAX));
        self.model_mut(&model).horizon = Some(Horizon { since, upto });
        self.has_horizons = true;
    }

    /// What happens to the outcome of a prediction at a position; `is_first`: none came before.
    pub(crate) fn counts(&self, position: Position, prediction: &Prediction, is_first: bool) -> Counts {
        let Some(due) = prediction.due().filter(|_| self.has_horizons) else { return Counts::Now };
        let known = self.models.get(&prediction.subject.model_key());
        let Some(horizon) = known.and_then(|known| known.horizon).filter(|known| position > known.since)
        else {
            return Counts::Now;
        };
        match (due, position) <= horizon.upto {
            false => Counts::AtHorizon,
            true if is_first => Counts::Now,
            true => Counts::NoMore,
        }
    }
}
