//! Outcomes that do not count yet, and those that were corrected after they had counted, as people are shown them.

use serde::{Deserialize, Serialize};

use crate::{Seconds, Subject, format_duration};

/// Of a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provisional {
    /// Predictions with an outcome that wait for their horizon.
    pub waiting: u64,
    /// Outcomes that came after the horizon of a prediction that had been judged, and changed nothing.
    pub after_horizon: u64,
    /// The share of the judged predictions whose outcome was corrected after it had judged, where it is so large that they were
    /// judged too early.
    pub corrected: Option<f64>,
    /// A class that outcomes become by correction, with the share of them that do, where that is much.
    pub class: Option<(String, f64)>,
    /// Within what time after the prediction nine of ten of those corrections came.
    pub within: Option<Seconds>,
}

impl Provisional {
    /// What is to be said of it about a subject; nothing where all is well.
    pub fn words(&self, subject: &Subject) -> Option<String> {
        let what = match (&self.class, self.corrected) {
            (Some((class, share)), _) => {
                format!(
                    "{:.0} % of the outcomes of {subject} that are {class} became so only after something else had judged",
                    100.0 * share
                )
            }
            (None, Some(share)) => {
                format!(
                    "{:.1} % of the outcomes of {subject} were corrected after they had judged",
                    100.0 * share
                )
            }
            (None, None) => return None,
        };
        let horizon = match self.within {
            Some(within) => {
                // What comes at the very end of a horizon comes after it.
                let (within, longer) = (u64::from(within), u64::from(within) + longer_than(within));
                format!(
                    "nine of ten of them within {}; a prediction that is sent with `horizon = \"{}\"` is judged when that has passed",
                    format_duration(within),
                    format_duration(longer)
                )
            }
            None => "too late for any horizon".to_owned(),
        };
        Some(format!("{what}, {horizon}"))
    }
}

/// What a horizon is longer than what it is to cover: a day, or an hour where that is much.
fn longer_than(within: u32) -> u64 {
    const HOUR: u64 = 3_600;
    if u64::from(within) >= 48 * HOUR { 24 * HOUR } else { HOUR }
}
