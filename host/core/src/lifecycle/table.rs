//! Which event leads a version from which stage to which. One table, so that a test can walk every cell.

use trimtab_types::{ErrorKind, Stage};

/// Something that happens to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the table")]
pub enum Event {
    StartShadow,
    /// As a canary, or as the second arm of an A/B test.
    StartServing,
    Fraction,
    PauseOrResume,
    Promote,
    /// Its experiment ends, and the champion stays.
    Stop,
    RollBackTo,
    Archive,
    MarkDegraded,
    Delete,
    Restore,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::StartShadow,
        Self::StartServing,
        Self::Fraction,
        Self::PauseOrResume,
        Self::Promote,
        Self::Stop,
        Self::RollBackTo,
        Self::Archive,
        Self::MarkDegraded,
        Self::Delete,
        Self::Restore,
    ];
}

/// The stage to which an event leads; the same one: nothing moves. Or why it does not happen. A degraded version serves or
/// is tried only where somebody says `--again`, and a restored one goes back to the stage that it had: both are the
/// caller's.
pub fn cell(stage: Stage, event: Event) -> Result<Stage, ErrorKind> {
    use ErrorKind::{InUse, Occupied, Protected, WrongStage};
    use Event as E;
    use Stage::{Archived, Canary, Candidate, Degraded, Deleted, Production, Shadow};
    match (stage, event) {
        (Deleted, E::Delete) => Ok(Deleted),
        (Deleted, E::Restore) => Ok(Archived),
        (Deleted, _) | (_, E::Restore) => Err(WrongStage),

        (Candidate | Shadow | Archived | Degraded, E::StartShadow) => Ok(Shadow),
        (Candidate | Shadow | Archived | Degraded, E::StartServing) => Ok(Canary),
        (Canary, E::StartServing) => Err(Occupied),
        (Canary | Production, E::StartShadow) | (Production, E::StartServing) => Err(WrongStage),

        (Canary, E::Fraction | E::PauseOrResume) => Ok(Canary),
        (Shadow, E::PauseOrResume) => Ok(Shadow),
        (_, E::Fraction | E::PauseOrResume) => Err(WrongStage),

        (_, E::Promote) => Ok(Production),
        (Production, E::RollBackTo) => Ok(Production),
        (Archived | Degraded, E::RollBackTo) => Ok(Production),
        (_, E::RollBackTo) => Err(WrongStage),

        (Candidate | Shadow | Canary | Archived, E::Stop) => Ok(Archived),
        (Production | Degraded, E::Stop) => Err(WrongStage),

        (Candidate | Archived | Degraded, E::Archive) => Ok(Archived),
        (Shadow | Canary | Production, E::Archive) => Err(InUse),

        // A champion serves on, marked, and is degraded once it has left.
        (Production, E::MarkDegraded) => Ok(Production),
        (_, E::MarkDegraded) => Ok(Degraded),

        (Candidate | Archived | Degraded, E::Delete) => Ok(Deleted),
        (Shadow | Canary, E::Delete) => Err(InUse),
        (Production, E::Delete) => Err(Protected),
    }
}
