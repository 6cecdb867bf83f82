//! What no policy may answer, whatever it computed: numbers that are not finite, rates outside 0..1, texts that are
//! too long. Pure functions over answers; whether an answer is *wise* is the safeguards' question, not this module's.

use std::collections::BTreeSet;

use trimtab_types::{Action, Decision, Inventory, Judgement, Message, Recommendation, Ruling, Schedule};

/// More actions than there are kinds of action make no sense.
const MOST_ACTIONS: usize = 32;
/// Names are at most this long everywhere in Trimtab.
const LONGEST_NAME: usize = 200;
/// Of a reason and of a title; a body may be as long as the whole answer.
const LONGEST_REASON: usize = 4096;
const LONGEST_TITLE: usize = 512;

/// Checks a decision; `most` is the limit on all texts of an answer together.
pub(crate) fn check_decision(decision: &Decision, most: usize) -> Result<(), String> {
    if decision.actions.len() > MOST_ACTIONS {
        return Err(format!("has {} actions; at most {MOST_ACTIONS} are allowed", decision.actions.len()));
    }
    check_reason(&decision.reason)?;
    let names = decision.actions.iter().map(check_action).sum::<Result<usize, _>>()?;
    check_size(names + decision.reason.len(), most)
}

/// Checks one action and returns the bytes of its text.
fn check_action(action: &Action) -> Result<usize, String> {
    match action {
        Action::ScaleExposure(fraction)
        | Action::MinimumConfidence(fraction)
        | Action::SetFraction(fraction) => {
            if (0.0..=1.0).contains(fraction) {
                Ok(0)
            } else {
                Err(format!("has {}({fraction}); a fraction must lie in 0..1", action.name()))
            }
        }
        Action::RollbackTo(name) | Action::ResetDetector(name) | Action::Promote(name) => {
            if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
                return Err(format!(
                    "has {} with a name that is empty, longer than {LONGEST_NAME} bytes or not printable",
                    action.name()
                ));
            }
            Ok(name.len())
        }
        Action::Delete(versions) => Ok(versions.iter().map(String::len).sum()),
        Action::Monitor
        | Action::Alert(_)
        | Action::RetrainEvery(_)
        | Action::ScheduleRetrain(_)
        | Action::RetrainNow
        | Action::KillSwitchOn
        | Action::KillSwitchOff
        | Action::Rollback
        | Action::Pause
        | Action::Resume
        | Action::StopCanary
        | Action::MarkDegraded => Ok(0),
    }
}

/// Checks a message.
pub(crate) fn check_message(message: &Message, most: usize) -> Result<(), String> {
    if message.title.trim().is_empty() || message.body.trim().is_empty() {
        return Err("has an empty title or body".to_owned());
    }
    if message.title.contains(['\n', '\r']) {
        return Err("has a title of more than one line".to_owned());
    }
    check_text("title", &message.title, LONGEST_TITLE)?;
    check_size(message.title.len() + message.body.len() + message.rich.as_ref().map_or(0, String::len), most)
}

/// Checks a judgement on an experiment.
pub(crate) fn check_judgement(judgement: &Judgement, most: usize) -> Result<(), String> {
    check_reason(&judgement.reason)?;
    match judgement.verdict {
        Ruling::SetFraction(fraction) if !(0.0..=1.0).contains(&fraction) => {
            Err(format!("has set-fraction({fraction}); a fraction must lie in 0..1"))
        }
        Ruling::ExtendBy(0) => Err("has extend-by(0s); extend by a second or more".to_owned()),
        _ => check_size(judgement.reason.len(), most),
    }
}

/// Checks a review: one recommendation for every version, and for nothing else. Whether a version may go is the host's.
pub(crate) fn check_review(
    review: &[Recommendation],
    inventory: &Inventory,
    most: usize,
) -> Result<(), String> {
    let known: BTreeSet<&str> = inventory.versions.iter().map(|version| version.version.as_str()).collect();
    let mut seen = BTreeSet::new();
    for recommendation in review {
        let version = recommendation.version.as_str();
        if !known.contains(version) {
            return Err(format!("speaks of a version `{}` that it was not asked about", excerpt(version)));
        }
        if !seen.insert(version) {
            return Err(format!("speaks of version `{version}` twice"));
        }
        check_reason(&recommendation.reason)?;
    }
    if let Some(missing) = known.difference(&seen).next() {
        return Err(format!("says nothing of version `{missing}`"));
    }
    check_size(review.iter().map(|r| r.version.len() + r.reason.len()).sum(), most)
}

/// Checks a schedule.
pub(crate) fn check_schedule(schedule: &Schedule, most: usize) -> Result<(), String> {
    check_reason(&schedule.reason)?;
    if schedule.every == 0 {
        return Err("has a retrain every 0 seconds".to_owned());
    }
    check_size(schedule.reason.len(), most)
}

fn check_reason(reason: &str) -> Result<(), String> {
    if reason.trim().is_empty() {
        return Err("has no reason; a decision that nobody can explain is not recorded".to_owned());
    }
    check_text("reason", reason, LONGEST_REASON)
}

/// The beginning of a name that a policy made up.
fn excerpt(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() > most {
        return Err(format!("has a {what} of {} bytes; at most {most} are allowed", text.len()));
    }
    Ok(())
}

fn check_size(bytes: usize, most: usize) -> Result<(), String> {
    if bytes > most {
        return Err(format!("has {bytes} bytes; limits.answer allows {most}"));
    }
    Ok(())
}
