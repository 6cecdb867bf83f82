//! How numbers, findings and what a policy read are put into words, on a terminal as on a page.

use trimtab_types::{Estimate, Finding, Read, decimals, format_duration, number};

/// What `held back` means beside an action.
pub const HELD_BACK: &str =
    "held back: overruled by another policy, suppressed, refused, or waiting for a person";

/// So many of something: `1 alert`, `3 alerts`.
pub fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// How often an action was proposed, and of these how often nothing came of it.
pub fn proposed(n: u64, held_back: u64) -> String {
    if held_back == 0 { n.to_string() } else { format!("{n}, {held_back} held back") }
}

/// Three figures, in the form that reads best.
pub fn figure(number: f64) -> String {
    let size = number.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        format!("{number:.2e}")
    } else if size >= 100.0 {
        decimals(number, 0)
    } else {
        decimals(number, 3)
    }
}

/// How much it is of what a finding is about: most of that are shares.
pub fn amount(quantity: &str, value: f64) -> String {
    if quantity.starts_with("sharpe") {
        decimals(value, 2)
    } else {
        format!("{} %", decimals(100.0 * value, 1))
    }
}

/// The evidence of a finding.
pub fn evidence(finding: &Finding) -> String {
    match (finding.e_value, finding.p_value) {
        (Some(e), _) => format!("e = {} against {}", figure(e), figure(finding.threshold)),
        (_, Some(p)) => {
            format!("{} against {}, p = {}", figure(finding.statistic), figure(finding.threshold), figure(p))
        }
        _ => format!("{} against {}", figure(finding.statistic), figure(finding.threshold)),
    }
}

/// What was found: what changed, how bad it is, now and before, and the evidence.
pub fn found(finding: &Finding) -> String {
    let now = finding
        .current
        .map_or(String::new(), |now| format!(", now {} over {}", figure(now.value), now.samples));
    let before =
        finding.baseline.map_or(String::new(), |before| format!(", before {}", figure(before.value)));
    format!(
        "{} on {} {}: {}{now}{before}; {}",
        finding.detector,
        finding.quantity,
        finding.phase.name(),
        finding.severity,
        evidence(finding)
    )
}

/// What was read, in words.
pub fn read(read: &Read) -> String {
    let estimate = |estimate: &Option<Estimate>| {
        estimate.as_ref().map_or("nothing".to_owned(), |known| {
            format!("{} ({} samples)", number(known.value), known.samples)
        })
    };
    let ago = |seconds: &u32| format_duration(u64::from(*seconds));
    let time = |known: &Option<u32>| {
        known.as_ref().map_or("never".to_owned(), |known| format!("{} ago", ago(known)))
    };
    match read {
        Read::Recent { metric, last, answer } => {
            format!("{metric} over the last {last}: {}", estimate(answer))
        }
        Read::Between { metric, from_ago, until_ago, answer } => {
            format!("{metric} from {} to {} ago: {}", ago(from_ago), ago(until_ago), estimate(answer))
        }
        Read::Baseline { metric, answer } => format!("the baseline's {metric}: {}", estimate(answer)),
        Read::Findings { within, at_least, limit, answer } => format!(
            "findings of the last {}, at least {at_least}, at most {limit}: {}",
            ago(within),
            answer.len()
        ),
        Read::DriftCount { detector, answer } => format!("drifts of {detector}: {answer}"),
        Read::Versions { answer } => format!("the versions: {}", answer.len()),
        Read::SinceActivation { answer } => format!("when the champion was activated: {}", time(answer)),
        Read::SinceRetrain { answer } => format!("when the last retrain began: {}", time(answer)),
        Read::State { key, answer } => {
            format!("`{key}` in its notebook: {}", answer.as_deref().unwrap_or("nothing"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::testing::finding;
    use trimtab_types::{Phase, Severity};

    #[test]
    fn numbers_read_in_three_figures() {
        for (number, text) in [
            (0.0, "0.000"),
            (-0.0, "0.000"),
            (0.593_796, "0.594"),
            (593.796_576, "594"),
            (2e-5, "2.00e-5"),
            (123_456.0, "1.23e5"),
        ] {
            assert_eq!(figure(number), text);
        }
        assert_eq!((count(1, "moment"), count(0, "moment")), ("1 moment".into(), "0 moments".into()));
        assert_eq!((proposed(3, 0), proposed(3, 1)), ("3".into(), "3, 1 held back".into()));
    }

    #[test]
    fn a_finding_reads_as_a_sentence() {
        let finding =
            Finding { e_value: Some(593.796), threshold: 500.0, ..finding(Severity::High, Phase::Opened) };
        assert_eq!(found(&finding), "e-sr on error opened: high; e = 594 against 500");
    }
}
