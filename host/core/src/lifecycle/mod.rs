//! The life of a model: its versions, who serves, what is tried, and what waits for a person. Pure: what is asked for goes
//! in, and what the registry looks like afterwards comes out, or why it stays as it is. Who may ask, which policies are
//! asked about it and what follows for detectors is not decided here.

mod evidence;
mod proposals;
mod registry;
mod runs;
mod table;
#[cfg(test)]
mod tests;
mod trials;
mod versions;

use trimtab_types::{ErrorKind, ModelKey, Move, Refusal, Request, Ruled, Timestamp};

use crate::{Configuration, config::TrainerRule};

pub use evidence::{Tally, TallyArm};
pub(crate) use proposals::Put;
pub use registry::{Registry, Reign, Version};
pub use runs::run_id;
pub use table::{Event, cell};
pub use trials::{Ended, Outcome, Running, Trial};
pub(crate) use versions::names as protected;

/// What a request depends on besides the registry: the time, and what the operator configured for the model.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The model's clock.
    pub now: Timestamp,
    /// What retrains it.
    pub trainer: Option<&'a TrainerRule>,
    /// Which switches keep it from being retrained; each is named.
    pub off: Vec<String>,
}

impl<'a> Setting<'a> {
    /// As a configuration has it.
    pub fn of(configuration: &'a Configuration, model: &ModelKey, now: Timestamp) -> Self {
        Self { now, trainer: configuration.trainer(model), off: configuration.retrain_switches_off(model) }
    }
}

#[cfg(test)]
impl From<Timestamp> for Setting<'_> {
    /// At a time, where nothing is configured.
    fn from(now: Timestamp) -> Self {
        Self { now, trainer: None, off: Vec::new() }
    }
}

/// What a request comes to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Done {
    /// Versions whose stage changed.
    pub(crate) moves: Vec<Move>,
    /// What was done, for people.
    pub(crate) says: String,
    /// Whether anything changed at all.
    pub(crate) changed: bool,
}

impl Done {
    fn of(moves: Vec<Move>, says: impl Into<String>) -> Self {
        Self { moves, says: says.into(), changed: true }
    }

    fn unchanged(says: impl Into<String>) -> Self {
        Self { moves: Vec::new(), says: says.into(), changed: false }
    }
}

fn no<T>(kind: ErrorKind, problem: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { kind: kind.name().to_owned(), problem: problem.into() })
}

impl Registry {
    /// Does what is asked for, or says why not; then nothing has changed. The revision rises with each change.
    pub fn take<'a>(&mut self, request: &Request, setting: impl Into<Setting<'a>>) -> Ruled {
        let setting = setting.into();
        let now = setting.now;
        let seen = match request {
            Request::Version(change) => change.seen,
            Request::Experiment(change) => change.seen,
            Request::Answer(_) | Request::Retrain(_) | Request::Trainer(_) => None,
        };
        let done = self.expect(seen).and_then(|()| match request {
            Request::Version(change) => self.change_version(change, now),
            Request::Experiment(change) => self.change_trial(change, now),
            Request::Answer(answer) => self.answer(answer, &setting),
            Request::Retrain(change) => self.change_retrain(change, &setting),
            Request::Trainer(report) => self.report(report, &setting),
        });
        self.ruled(done)
    }

    /// Says what was made of it, and counts changes.
    pub(crate) fn ruled(&mut self, done: Result<Done, Refusal>) -> Ruled {
        match done {
            Ok(Done { moves, says, changed }) => {
                self.revision += u64::from(changed);
                Ruled { refusal: None, revision: self.revision, moves, says }
            }
            Err(refusal) => Ruled {
                refusal: Some(refusal),
                revision: self.revision,
                moves: Vec::new(),
                says: String::new(),
            },
        }
    }

    fn expect(&self, seen: Option<u64>) -> Result<(), Refusal> {
        match seen {
            Some(seen) if seen != self.revision => no(
                ErrorKind::Stale,
                format!(
                    "this was decided on revision {seen}, and the model is at {}; look again, and decide again",
                    self.revision
                ),
            ),
            _ => Ok(()),
        }
    }
}
