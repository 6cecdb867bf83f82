//! Episodes: how what a detector says becomes findings that open, rise and close. What a detector watches and when it
//! speaks is not decided here.

use trimtab_types::{
    Baseline, Estimate, Finding, Interval, Phase, Position, Severity, Sizes, Subject, Timestamp,
};

/// What a detector says about its episode.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Open(Severity, Evidence),
    Raise(Severity, Evidence),
    Close(Evidence),
    /// Begins and ends at once.
    Instant(Severity, Evidence),
}

/// Why it says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    pub(crate) statistic: f64,
    pub(crate) threshold: f64,
    pub(crate) p_value: Option<f64>,
    pub(crate) e_value: Option<f64>,
    pub(crate) significant: bool,
    pub(crate) baseline: Option<Estimate>,
    pub(crate) current: Option<Estimate>,
    pub(crate) window: String,
    pub(crate) chance: Option<f64>,
    pub(crate) sizes: Option<Sizes>,
}

/// Where and about whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) subject: &'a Subject,
    pub(crate) position: Position,
    /// The row that says so, which names an episode that it opens: of several that are judged at one position each is another.
    pub(crate) row: Position,
    pub(crate) clock: Timestamp,
}

impl<'a> At<'a> {
    /// What the entry at a position says itself.
    pub(crate) fn new(subject: &'a Subject, position: Position, clock: Timestamp) -> Self {
        Self { subject, position, row: position, clock }
    }
}

/// The newest change of an open episode; `None`: none is open.
pub(crate) type Episode = Option<Box<Finding>>;

/// How grave the open episode is.
pub(crate) fn severity_of(episode: &Episode) -> Option<Severity> {
    episode.as_deref().map(|finding| finding.severity)
}

/// What a level that was found does to an episode: it opens, rises, or, once recovered, closes. It never falls.
pub(crate) fn change(
    open: Option<Severity>,
    level: Option<Severity>,
    recovered: bool,
    evidence: impl FnOnce() -> Evidence,
) -> Option<Change> {
    match (open, level) {
        (None, Some(level)) => Some(Change::Open(level, evidence())),
        (Some(severity), Some(level)) if level > severity => Some(Change::Raise(level, evidence())),
        (Some(_), _) if recovered => Some(Change::Close(evidence())),
        _ => None,
    }
}

/// Brings an episode forward. Returns what happened to it, in order.
pub(crate) fn advance(
    episode: &mut Episode,
    (detector, quantity): (&str, &str),
    change: Change,
    at: At<'_>,
) -> Vec<Finding> {
    let open = episode.take();
    let (phase, severity, evidence, ends) = match change {
        Change::Open(severity, evidence) => (Phase::Opened, Some(severity), evidence, false),
        Change::Raise(severity, evidence) => (Phase::Raised, Some(severity), evidence, false),
        Change::Close(evidence) => (Phase::Closed, None, evidence, false),
        // A drift after a warning raises the warning's episode and ends it.
        Change::Instant(severity, evidence) if open.is_some() => {
            (Phase::Raised, Some(severity), evidence, true)
        }
        Change::Instant(severity, evidence) => (Phase::Opened, Some(severity), evidence, true),
    };
    let finding = Finding {
        id: match &open {
            Some(open) => open.id.clone(),
            None => Finding::episode_id(at.subject, detector, quantity, at.row),
        },
        subject: at.subject.clone(),
        phase,
        position: at.position,
        at: at.clock,
        opened: open.as_ref().map_or(at.clock, |open| open.opened),
        detector: detector.to_owned(),
        quantity: quantity.to_owned(),
        severity: severity.or(open.map(|open| open.severity)).unwrap_or(Severity::Info),
        statistic: evidence.statistic,
        threshold: evidence.threshold,
        p_value: evidence.p_value,
        e_value: evidence.e_value,
        significant: evidence.significant,
        baseline: evidence.baseline,
        current: evidence.current,
        window: evidence.window,
        chance: evidence.chance,
        sizes: evidence.sizes,
    };
    if ends {
        let closing = Finding { phase: Phase::Closed, ..finding.clone() };
        return vec![finding, closing];
    }
    if phase != Phase::Closed {
        *episode = Some(Box::new(finding.clone()));
    }
    vec![finding]
}

/// Ends an episode because its detector starts anew.
pub(crate) fn end(episode: Episode, at: At<'_>) -> Option<Finding> {
    episode.map(|open| ended(*open, at))
}

/// The closing of an episode whose detector starts anew.
pub(crate) fn ended(open: Finding, at: At<'_>) -> Finding {
    Finding {
        phase: Phase::Closed,
        position: at.position,
        at: at.clock,
        window: "closed because the detector was started anew".to_owned(),
        ..open
    }
}

/// The baseline's accuracy, as evidence shows it.
pub(super) fn accuracy_of(baseline: &Baseline) -> Estimate {
    Estimate {
        value: baseline.accuracy,
        samples: u32::try_from(baseline.samples).unwrap_or(u32::MAX),
        interval: None,
        from_outcomes: true,
    }
}

/// The baseline's error rate, as evidence shows it.
pub(super) fn error_of(baseline: &Baseline) -> Estimate {
    complement(accuracy_of(baseline))
}

/// The error rate of an accuracy.
pub(super) fn complement(estimate: Estimate) -> Estimate {
    Estimate {
        value: 1.0 - estimate.value,
        interval: estimate
            .interval
            .map(|interval| Interval { lower: 1.0 - interval.upper, upper: 1.0 - interval.lower }),
        ..estimate
    }
}
