//! What tests of several crates need: a finding and a decision to begin with. Behind the feature `testing`.

use std::sync::Arc;

use crate::{
    Actual, Answer, Decision, DecisionRecord, Digest, Features, Finding, Mode, Outcome, Phase, PolicyRef,
    Position, Predicted, Prediction, Question, Severity, Subject, Timestamp, Trade,
};

/// A subject.
pub fn subject() -> Subject {
    Subject { tenant: "default".into(), model: "btc".into(), version: "v1".into(), segment: String::new() }
}

/// A change of an episode of e-sr.
pub fn finding(severity: Severity, phase: Phase) -> Finding {
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
        chance: None,
        sizes: None,
    }
}

/// A decision to do nothing, of a day for each position; without a policy, the host's own.
pub fn decided(position: u64, policy: Option<&str>, findings: Vec<Finding>) -> DecisionRecord {
    let reference = |name: &str| PolicyRef { name: name.to_owned(), digest: Digest::of(name.as_bytes()) };
    DecisionRecord {
        id: format!("d{position}"),
        position: Position(position),
        at: Timestamp::EPOCH.plus(position * 86_400),
        subject: subject(),
        policy: policy.map(reference),
        mode: Mode::Enforce,
        question: Question::DriftAction { findings },
        reads: Vec::new(),
        notebook: Vec::new(),
        answer: Answer::Decision(Decision { actions: Vec::new(), reason: String::new() }),
        log: Vec::new(),
        verdicts: Vec::new(),
        fuel: 7,
        duration_us: 7,
    }
}

/// A prediction of the model `m`.
pub fn prediction(predicted: Predicted, entry_price: Option<f64>) -> Prediction {
    Prediction {
        id: "p1".into(),
        subject: Arc::new(Subject {
            tenant: "default".into(),
            model: "m".into(),
            version: "v1".into(),
            segment: String::new(),
        }),
        time: Timestamp::EPOCH,
        predicted,
        confidence: None,
        interval: None,
        features: Features::default(),
        trade: Trade { entry_price, ..Trade::default() },
        served: true,
        horizon: None,
    }
}

/// Its outcome.
pub fn outcome(actual: Option<Actual>, exit_price: Option<f64>, pnl: Option<f64>) -> Outcome {
    Outcome {
        tenant: "default".into(),
        model: "m".into(),
        id: "p1".into(),
        time: Timestamp::EPOCH,
        actual,
        exit_price,
        pnl,
        correction: false,
    }
}
