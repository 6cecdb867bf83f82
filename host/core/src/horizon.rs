//! When predictions with a horizon count: once it has passed, by the newest outcome known then. What comes before is
//! provisional, and changes nothing. What comes after judges a prediction that nothing has judged, and no other.
//!
//! Whether a horizon has passed is told by the model's own rows, so that history that is imported years later has its horizons,
//! too. Ticks let time pass where no rows come. Which rows came due is read by whoever has the log.

use serde::{Deserialize, Serialize};
use trimtab_types::{Due, Entry, Finding, ModelKey, Position, Prediction, Timestamp, When};

use crate::{fold, ledger::ModelState, state::State};

/// Most predictions of a model that are judged because of one entry; the others are because of the next.
pub const MOST: usize = 20_000;

/// What time it is for horizons: the newest time of a model's rows, and how much has passed since it rose.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    now: Timestamp,
    /// The newest time of rows.
    rows: Timestamp,
    /// The newest tick when that rose; `MIN` before the first.
    since: Timestamp,
}

impl Clock {
    /// Before the first row.
    pub const START: Self = Self { now: Timestamp::MIN, rows: Timestamp::MIN, since: Timestamp::MIN };

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A row is there. `tick` is the newest tick before it.
    pub fn row(&mut self, time: Timestamp, tick: Timestamp) {
        if time > self.rows {
            (self.rows, self.since) = (time, tick);
        }
        self.now = self.now.max(time);
    }

    /// Time passes. It goes on from the newest row, and never beyond the tick.
    pub fn tick(&mut self, tick: Timestamp) {
        if self.since == Timestamp::MIN {
            self.since = tick;
        }
        let passed = self.rows.plus(tick.since(self.since));
        self.now = self.now.max(passed.min(tick));
    }

    /// An entry brings its time, or nothing.
    pub fn take(&mut self, entry: &Entry, tick: Timestamp) {
        match entry {
            Entry::Prediction(prediction) => self.row(prediction.time, tick),
            Entry::Outcome(outcome) => self.row(outcome.time, tick),
            Entry::Tick(at) => self.tick(*at),
            _ => {}
        }
    }
}

/// How far the predictions of a model are judged at their horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Horizon {
    clock: Clock,
    /// Predictions up to here are judged on arrival: nobody waited for their horizon.
    since: Position,
    /// Stretches behind that in which the operator wanted it so: after a position, and up to one; the last may go on.
    on_arrival: Vec<(Position, Option<Position>)>,
    /// All that came due up to here are judged: a time, and a position among those of the same time.
    upto: (Timestamp, Position),
}

/// Most changes of the operator's mind that are remembered; of older ones the predictions are judged at their horizon once more.
const MOST_STRETCHES: usize = 32;

impl Horizon {
    /// Whether a prediction waits for its horizon.
    fn waits(&self, position: Position) -> bool {
        let is_in = |(after, upto): &(Position, Option<Position>)| {
            position > *after && upto.is_none_or(|upto| position <= upto)
        };
        position > self.since && !self.on_arrival.iter().any(is_in)
    }

    /// From behind this position on predictions are judged so. Those that wait go on waiting.
    fn switch(&mut self, when: When, behind: Position) {
        let is_on_arrival = self.on_arrival.last().is_some_and(|(_, upto)| upto.is_none());
        match (when, is_on_arrival) {
            (When::OnArrival, false) => {
                if self.on_arrival.len() == MOST_STRETCHES {
                    self.on_arrival.remove(0);
                }
                self.on_arrival.push((behind, None));
            }
            (When::AtHorizon, true) => {
                if let Some((_, upto)) = self.on_arrival.last_mut() {
                    *upto = Some(behind);
                }
            }
            _ => {}
        }
    }
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
    /// Up to this time.
    pub until: Timestamp,
    /// The model's clock from this entry on, which its ticks move, too.
    pub clock: Timestamp,
}

/// What an entry makes due, because it moves the clock. Whoever takes it through has to bring all of it; see
/// [`trimtab_types::Record::due`].
pub fn wanted(state: &State, entry: &Entry) -> Vec<Wanted> {
    let Some(time) = entry.time().filter(|_| state.has_horizons) else { return Vec::new() };
    let of = |(model, known): (&ModelKey, &ModelState)| {
        let Horizon { clock, upto: after, .. } = known.horizon.as_ref()?;
        let (mut clock, after) = (*clock, *after);
        clock.take(entry, state.tick);
        let until = clock.now();
        let (model, clock) = (model.clone(), known.clock.max(state.tick).max(time));
        ((until, Position(u64::MAX)) > after).then_some(Wanted { model, after, until, clock })
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

/// An entry moves the clocks of horizons. `tick` is the newest tick before it.
pub(crate) fn advance(state: &mut State, entry: &Entry, tick: Timestamp) {
    if !state.has_horizons {
        return;
    }
    let models: Vec<ModelKey> = match (entry, entry.model()) {
        (Entry::Tick(_), _) => {
            let known = state.models.iter().filter(|(_, known)| known.horizon.is_some());
            known.map(|(model, _)| model.clone()).collect()
        }
        (Entry::Prediction(_) | Entry::Outcome(_), Some((tenant, model))) => {
            vec![ModelKey { tenant: tenant.to_owned(), model: model.to_owned() }]
        }
        _ => Vec::new(),
    };
    for model in models {
        if let Some(horizon) = state.models.get_mut(&model).and_then(|known| known.horizon.as_mut()) {
            horizon.clock.take(entry, tick);
            state.model_mut(&model);
        }
    }
}

/// Judges what came due.
pub(crate) fn judge(state: &mut State, due: &[Due]) -> Vec<Finding> {
    let mut found = Vec::new();
    for Due { model, rows, upto, clock } in due {
        let Some(horizon) = state.models.get(model).and_then(|known| known.horizon.clone()) else { continue };
        for row in rows.iter().filter(|row| horizon.waits(row.position)) {
            found.extend(fold::judge_at_horizon(state, row, *clock));
        }
        state.model_mut(model).horizon = Some(Horizon { upto: *upto, ..horizon });
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
        let mut clock = Clock::START;
        clock.row(prediction.time, self.tick);
        let upto = (clock.now(), Position(u64::MAX));
        self.model_mut(&model).horizon = Some(Horizon { clock, since, on_arrival: Vec::new(), upto });
        self.has_horizons = true;
    }

    /// The operator wants the predictions of a model to be judged so from here on.
    pub(crate) fn judge_when(&mut self, model: &ModelKey, when: When) {
        let position = self.position;
        if self.models.get(model).is_some_and(|known| known.horizon.is_some())
            && let Some(horizon) = &mut self.model_mut(model).horizon
        {
            horizon.switch(when, position);
        }
    }

    /// What happens to the outcome of a prediction at a position; `is_first`: none came before.
    pub(crate) fn counts(&self, position: Position, prediction: &Prediction, is_first: bool) -> Counts {
        let Some(due) = prediction.due().filter(|_| self.has_horizons) else { return Counts::Now };
        let known = self.models.get(&prediction.subject.model_key());
        let horizon = known.and_then(|known| known.horizon.as_ref());
        let Some(horizon) = horizon.filter(|known| known.waits(position)) else { return Counts::Now };
        match (due, position) <= horizon.upto {
            false => Counts::AtHorizon,
            true if is_first => Counts::Now,
            true => Counts::NoMore,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row at a time or a tick, and what time it is then for horizons.
    #[test]
    fn rows_tell_the_time_and_ticks_let_it_pass() {
        enum Comes {
            Row(u64),
            Tick(u64),
        }
        use Comes::{Row, Tick};
        let year = 365 * 86_400;
        let cases: [(&str, &[(Comes, u64)]); 4] = [
            (
                "live",
                &[(Tick(100), 100), (Row(110), 110), (Tick(160), 160), (Tick(220), 220), (Row(215), 220)],
            ),
            ("late rows", &[(Tick(1_000), 0), (Row(400), 400), (Tick(1_060), 460), (Row(430), 460)]),
            (
                "history of a year ago, into a host that serves",
                &[(Tick(year), 0), (Row(100), 100), (Row(500), 500), (Tick(year + 60), 560), (Row(900), 900)],
            ),
            ("history first, then a host", &[(Row(100), 100), (Tick(year), 100), (Tick(year + 60), 160)]),
        ];
        for (name, steps) in cases {
            let (mut clock, mut tick) = (Clock::START, Timestamp::MIN);
            for (number, (comes, expected)) in steps.iter().enumerate() {
                let at = |seconds: u64| Timestamp::EPOCH.plus(seconds);
                match comes {
                    Row(seconds) => clock.row(at(*seconds), tick),
                    Tick(seconds) => {
                        clock.tick(at(*seconds));
                        tick = at(*seconds);
                    }
                }
                if clock.rows > Timestamp::MIN {
                    assert_eq!(clock.now(), at(*expected), "{name}: step {number}");
                }
            }
        }
    }
}
