//! What no policy may answer, whatever it computed: numbers that are not finite, rates outside 0..1, texts that are
//! too long. Pure functions over answers; whether an answer is *wise* is the safeguards' question, not this module's.

use trimtab_types::{Action, Decision, Message};

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
    if decision.reason.trim().is_empty() {
        return Err("has no reason; a decision that nobody can explain is not recorded".to_owned());
    }
    check_text("reason", &decision.reason, LONGEST_REASON)?;
    let names = decision.actions.iter().map(check_action).sum::<Result<usize, _>>()?;
    check_size(names + decision.reason.len(), most)
}

/// Checks one action and returns the bytes of its text.
fn check_action(action: &Action) -> Result<usize, String> {
    match action {
        Action::ScaleExposure(fraction) | Action::MinimumConfidence(fraction) => {
            if (0.0..=1.0).contains(fraction) {
                Ok(0)
            } else {
                Err(format!("has {}({fraction}); a fraction must lie in 0..1", action.name()))
            }
        }
        Action::RollbackTo(name) | Action::ResetDetector(name) => {
            if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
                return Err(format!(
                    "has {} with a name that is empty, longer than {LONGEST_NAME} bytes or not printable",
                    action.name()
                ));
            }
            Ok(name.len())
        }
        Action::Monitor
        | Action::Alert(_)
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
