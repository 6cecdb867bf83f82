//! What a subject's baseline can show, as people read it. Not how that is found out; see `core`.

use serde::{Deserialize, Serialize};

/// What a baseline can show.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strength {
    /// Why nobody can say how the subject is, for a sentence that begins with the subject; `None`: it can be said.
    pub unknown: Option<String>,
    /// How much more errors would be found after how many predictions.
    pub rises: Vec<Rise>,
    /// Neither ten points more errors nor twice as many are found within 2,000 predictions.
    pub finds_too_little: bool,
}

/// More errors than in the baseline, and when that is found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rise {
    /// As people say it.
    pub by: String,
    /// The error rate that it leads to.
    pub to: f64,
    /// About so many predictions, from a cold start; `None`: more than 2,000, or never.
    pub rows: Option<u32>,
    /// Whether the baseline allows this rate, so that it is never found.
    pub never: bool,
}

impl Strength {
    /// When what is found, in one line.
    pub fn words(&self) -> String {
        let rises: Vec<String> =
            self.rises.iter().map(|rise| format!("{} {}", rise.by, rise.words())).collect();
        rises.join(", ")
    }
}

impl Rise {
    /// When it is found.
    pub fn words(&self) -> String {
        match self.rows {
            Some(rows) => format!("after about {rows}"),
            None if self.never => "never".to_owned(),
            None => "after more than 2000".to_owned(),
        }
    }
}
