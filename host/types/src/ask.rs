//! The one way in which anybody is asked: the question, everything that may be read for it, and the answer. Who answers is
//! the caller's choice: the sandbox in a live host, the record in a replay, a script in tests.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    Answer, Failure, FailureKind, LogLine, PolicyRef, Question, Read, StateChange, Subject, Timestamp, View,
};

/// A question to a version of a policy.
pub struct Asking<'a> {
    /// The id that the decision will have.
    pub id: &'a str,
    /// Who is asked.
    pub policy: &'a PolicyRef,
    /// What the policy's own clock says.
    pub at: Timestamp,
    /// Whom it is about.
    pub subject: &'a Subject,
    /// What is asked.
    pub question: &'a Question,
    /// The policy's notebook about the subject.
    pub notebook: &'a BTreeMap<String, String>,
    /// What it may read.
    pub view: Arc<dyn View>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The answer, or why there is none.
    pub answer: Answer,
    /// What the policy read, in order.
    pub reads: Vec<Read>,
    /// What it wrote into its notebook; nothing if there is no answer.
    pub notebook: Vec<StateChange>,
    /// Its log.
    pub log: Vec<LogLine>,
    /// Fuel used.
    pub fuel: u64,
    /// Time taken, in microseconds.
    pub duration_us: u64,
}

impl Asked {
    /// An answer of which nothing else is known.
    pub fn of(answer: Answer) -> Self {
        Self { answer, reads: Vec::new(), notebook: Vec::new(), log: Vec::new(), fuel: 0, duration_us: 0 }
    }

    /// No answer.
    pub fn failed(kind: FailureKind, message: String) -> Self {
        Self::of(Answer::Failed(Failure { kind, message }))
    }
}

/// Somebody who answers.
pub trait Ask {
    /// Answers one question. Whatever the policy does, this returns.
    fn ask(&mut self, asking: &Asking<'_>) -> Asked;

    /// Whether alerts are put into words: not where something is tried out that would not change them.
    fn writes_alerts(&self) -> bool {
        true
    }
}
