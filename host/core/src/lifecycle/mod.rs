//! The life of a model: its versions, who serves, what is tried, and what waits for a person. Pure: what is asked for goes
//! in, and what the registry looks like afterwards comes out, or why it stays as it is. Who may ask, which policies are
//! asked about it and what follows for detectors is not decided here.

mod evidence;
mod proposals;
mod registry;
mod table;
#[cfg(test)]
mod tests;
mod trials;
mod versions;

use trimtab_types::{ErrorKind, Move, Refusal, Request, Ruled, Timestamp};

pub use evidence::{Tally, TallyArm};
pub(crate) use proposals::Put;
pub use registry::{Registry, Reign, Version};
pub use table::{Event, cell};
pub use trials::{Ended, Outcome, Running, Trial};
pub(crate) use versions::names as protected;

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
    pub fn take(&mut self, request: &Request, now: Timestamp) -> Ruled {
        let seen = match request {
            Request::Version(change) => change.seen,
            Request::Experiment(change) => change.seen,
            Request::Answer(_) => None,
        };
        let done = self.expect(seen).and_then(|()| match request {
            Request::Version(change) => self.change_version(change, now),
            Request::Experiment(change) => self.change_trial(change, now),
            Request::Answer(answer) => self.answer(answer, now),
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
