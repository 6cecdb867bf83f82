//! Why two moments differ, as far as the records show: in sentences.

use trimtab_types::{Answer, DecisionRecord, Finding, Verdict};

use super::side::{actions, findings, is_message};
use crate::words::read;

/// Reasons why that are given for one example.
const MOST_REASONS: usize = 6;

/// Why two moments differ, as far as the records show. Those of one policy are held against each other.
pub(super) fn why(
    recorded: &[&DecisionRecord],
    candidate: &[&DecisionRecord],
    other_tables: &[&str],
) -> Vec<String> {
    match (recorded, candidate) {
        ([before, ..], []) => return vec![missing(before, "with the candidate")],
        ([], [now, ..]) => return vec![missing(now, "in the record")],
        _ => {}
    }
    let mut why: Vec<_> = others_decide(recorded, candidate).into_iter().collect();
    for now in candidate {
        let Some(before) = recorded.iter().find(|before| before.decided_by() == now.decided_by()) else {
            continue;
        };
        if let (Some(a), Some(b)) = (&before.policy, &now.policy)
            && a.digest != b.digest
        {
            why.push(format!(
                "another version of `{}` decides: {} instead of {}",
                b.name,
                b.digest.short(),
                a.digest.short()
            ));
        }
        why.extend(fails_otherwise(before, now));
        why.extend(found_otherwise(before, now));
        why.extend(read_otherwise(before, now));
        if actions(before) == actions(now) && before.verdicts != now.verdicts {
            why.extend(judged_otherwise(before, now, other_tables));
        }
    }
    why.truncate(MOST_REASONS);
    why
}

/// Why a policy says something else in shadow than what was decided. Where several decided together, none of them is
/// what it stands in for.
pub(super) fn why_in_shadow(recorded: &[&DecisionRecord], shadow: &[&DecisionRecord]) -> Vec<String> {
    match (recorded, shadow) {
        ([], [now, ..]) => vec![missing(now, "in the record")],
        ([before], [now]) => {
            [fails_otherwise(before, now), found_otherwise(before, now), read_otherwise(before, now)]
                .into_iter()
                .flatten()
                .collect()
        }
        _ => Vec::new(),
    }
}

fn missing(decision: &DecisionRecord, where_not: &str) -> String {
    let findings: Vec<_> = findings(decision)
        .iter()
        .map(|finding| format!("{} on {} {}", finding.detector, finding.quantity, finding.phase.name()))
        .collect();
    let findings = findings.join(", ");
    if is_message(decision) {
        format!("{where_not} no policy puts an alert into words at this moment ({findings})")
    } else {
        format!("{where_not} nothing was put to a policy at this moment ({findings})")
    }
}

/// Who decides that did not, and the other way round.
fn others_decide(recorded: &[&DecisionRecord], candidate: &[&DecisionRecord]) -> Option<String> {
    let only = |these: &[&DecisionRecord], those: &[&DecisionRecord]| -> Vec<String> {
        let missing = |decision: &&&DecisionRecord| {
            those.iter().all(|other| other.decided_by() != decision.decided_by())
        };
        these.iter().filter(missing).map(|decision| format!("`{}`", decision.decided_by())).collect()
    };
    let (before, now) = (only(recorded, candidate), only(candidate, recorded));
    let decide = |names: &[String], one: &str, several: &str| {
        format!("{} {}", names.join(" and "), if names.len() == 1 { one } else { several })
    };
    match (before.is_empty(), now.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("{} as well", decide(&now, "decides", "decide"))),
        (false, true) => Some(format!("{} any more", decide(&before, "does not decide", "do not decide"))),
        (false, false) => {
            Some(format!("{}, and not {}", decide(&now, "decides", "decide"), before.join(" and ")))
        }
    }
}

fn fails_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    match (&before.answer, &now.answer) {
        (Answer::Failed(_), Answer::Failed(_)) => None,
        (_, Answer::Failed(failure)) => Some(format!("`{}` fails ({failure})", now.decided_by())),
        // Where no policy applied, none has failed.
        (Answer::Failed(failure), _) if before.policy.is_some() => {
            Some(format!("`{}` had failed ({failure})", before.decided_by()))
        }
        _ => None,
    }
}

fn found_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    let shown = |decision: &DecisionRecord| -> Vec<String> {
        let one = |finding: &Finding| {
            format!(
                "{} on {} {} ({})",
                finding.detector,
                finding.quantity,
                finding.phase.name(),
                finding.severity
            )
        };
        findings(decision).iter().map(one).collect()
    };
    let (asked_before, asked_now) = (shown(before).join(", "), shown(now).join(", "));
    let (by_before, by_now) = (before.decided_by(), now.decided_by());
    if asked_before == asked_now {
        None
    } else if by_before == by_now {
        Some(format!("`{by_now}` was asked about {asked_now}, and not about {asked_before}"))
    } else {
        Some(format!("`{by_now}` was asked about {asked_now}, and `{by_before}` about {asked_before}"))
    }
}

/// The first thing that was read otherwise.
fn read_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    let (by_before, by_now) = (before.decided_by(), now.decided_by());
    let had = if by_before == by_now { "it had".to_owned() } else { format!("`{by_before}`") };
    let (before, now) = (&before.reads, &now.reads);
    let differs = before.iter().zip(now).find(|(before, now)| before != now);
    match differs {
        Some((before, now)) => {
            Some(format!("`{by_now}` read {}, where {had} read {}", read(now), read(before)))
        }
        None if now.len() > before.len() => {
            now.get(before.len()).map(|extra| format!("`{by_now}` read {} as well", read(extra)))
        }
        None => before.get(now.len()).map(|less| format!("`{by_now}` did not read {}", read(less))),
    }
}

/// The host's other answer to the same action, with what it comes from.
fn judged_otherwise(before: &DecisionRecord, now: &DecisionRecord, other_tables: &[&str]) -> Option<String> {
    let mut pairs = before.verdicts.iter().zip(&now.verdicts);
    let ((action, before), (_, now)) = pairs.find(|(before, now)| before != now)?;
    let overruled = |verdict: &Verdict| matches!(verdict, Verdict::Overruled { .. });
    let because = if overruled(before) || overruled(now) {
        // Who overrules is part of the answer.
        String::new()
    } else if other_tables.is_empty() {
        ", because of what came of earlier decisions".to_owned()
    } else {
        format!(", because the configuration says otherwise in {}", other_tables.join(" and "))
    };
    Some(format!("the host answers {action} with \"{now}\" and not with \"{before}\"{because}"))
}
