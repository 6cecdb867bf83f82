//! Kinds of entries and their numbers, which are stored and never used again for something else.

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A model predicted.
    Prediction = 1,
    /// The world answered.
    Outcome = 2,
    /// An outcome that replaces an earlier one.
    Correction = 3,
    /// Time passed. Has no text.
    Tick = 5,
    /// A configuration is in force.
    Configuration = 6,
    /// A set of policies is in force.
    PolicySet = 7,
    /// A build took over.
    Build = 8,
    /// The kill switch of everything.
    KillSwitch = 9,
    /// A job about everything began.
    JobOfAll = 10,
    /// An act about everything or a tenant.
    ActOfAll = 11,
    /// A subject is held against these numbers.
    Baseline = 16,
    /// Detectors start anew.
    Reset = 17,
    /// A person did something about a model.
    Act = 18,
    /// Rows were redacted.
    Redaction = 19,
    /// A person answered a proposal.
    Approval = 20,
    /// A job about a model began.
    JobStart = 21,
    /// It ended.
    JobResult = 22,
    /// A trainer reported.
    TrainerResult = 23,
    /// A version was registered or staged by a person.
    VersionChange = 24,
    /// A person changed an experiment.
    Experiment = 25,
    /// Outcomes were fetched.
    OutcomesPulled = 26,
    /// What became of an effect.
    EffectResult = 27,
    /// A person wants something done about retrains.
    Retrain = 28,
}

impl Kind {
    /// All kinds by number.
    pub const ALL: [Self; 23] = [
        Self::Prediction,
        Self::Outcome,
        Self::Correction,
        Self::Tick,
        Self::Configuration,
        Self::PolicySet,
        Self::Build,
        Self::KillSwitch,
        Self::JobOfAll,
        Self::ActOfAll,
        Self::Baseline,
        Self::Reset,
        Self::Act,
        Self::Redaction,
        Self::Approval,
        Self::JobStart,
        Self::JobResult,
        Self::TrainerResult,
        Self::VersionChange,
        Self::Experiment,
        Self::OutcomesPulled,
        Self::EffectResult,
        Self::Retrain,
    ];

    /// The first number of those that are neither rows nor ticks.
    pub const FIRST_CHANGE: u8 = 6;

    /// The number that is stored.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// From the number that is stored.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether it goes to every log that is awake.
    pub fn is_control(self) -> bool {
        (Self::Tick.number()..=Self::ActOfAll.number()).contains(&self.number())
    }

    /// Whether it is neither a row nor a tick.
    pub fn is_change(self) -> bool {
        self.number() >= Self::FIRST_CHANGE
    }

    /// The name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prediction => "prediction",
            Self::Outcome => "outcome",
            Self::Correction => "correction",
            Self::Tick => "tick",
            Self::Configuration => "configuration",
            Self::PolicySet => "policy-set",
            Self::Build => "build",
            Self::KillSwitch => "kill-switch",
            Self::JobOfAll => "job-of-all",
            Self::ActOfAll => "act-of-all",
            Self::Baseline => "baseline",
            Self::Reset => "reset",
            Self::Act => "act",
            Self::Redaction => "redaction",
            Self::Approval => "approval",
            Self::JobStart => "job-start",
            Self::JobResult => "job-result",
            Self::TrainerResult => "trainer-result",
            Self::VersionChange => "version-change",
            Self::Experiment => "experiment",
            Self::OutcomesPulled => "outcomes-pulled",
            Self::EffectResult => "effect-result",
            Self::Retrain => "retrain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    /// The numbers of the design's table of kinds; they are in databases.
    #[test]
    fn numbers_never_change() {
        let numbers: Vec<u8> = Kind::ALL.into_iter().map(Kind::number).collect();
        let expected: Vec<u8> = (1..=3).chain(5..=11).chain(16..=28).collect();
        assert_eq!(numbers, expected);
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_number(kind.number()) == Some(kind)));
        for free in [0, 4, 12, 15, 29, 255] {
            assert_eq!(Kind::from_number(free), None);
        }
        let control: Vec<u8> =
            Kind::ALL.into_iter().filter(|kind| kind.is_control()).map(Kind::number).collect();
        assert_eq!(control, (5..=11).collect::<Vec<_>>());
        assert!(!Kind::Tick.is_change() && Kind::Configuration.is_change());
    }
}
