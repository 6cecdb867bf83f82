//! What several tests of this crate need.

use trimtab_types::{Finding, Phase, Position, Severity, Subject, Timestamp};

pub(crate) fn subject() -> Subject {
    Subject { tenant: "default".into(), model: "btc".into(), version: "v1".into(), segment: String::new() }
}

pub(crate) fn finding(severity: Severity, phase: Phase) -> Finding {
    Finding {
        id: "f-1".into(),
        subject: subject(),
        phase,
        position: Position(1),
        at: Timestamp::EPOCH,
        opened: Timestamp::EPOCH,
        detector: "e-sr".into(),
        quantity: "error".into(),
        severity,
        statistic: 1.0,
        threshold: 1.0,
        p_value: None,
        e_value: None,
        significant: true,
        baseline: None,
        current: None,
        window: String::new(),
    }
}
