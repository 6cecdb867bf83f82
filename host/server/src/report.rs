//! What came of a stretch of time in figures: drifts, alerts, retrains, experiments, promotions, cleanup, answers. Each is measured
//! from what is known, or it is said why it cannot be. Pure; what is known is handed in.

use std::collections::BTreeMap;

use trimtab_api::{Measure, Report};
use trimtab_core::lifecycle::{Outcome, Registry, Reign, Version};
use trimtab_log::{EffectState, StoredEffect};
use trimtab_types::{
    Finding, ModelKey, Phase, ProposalState, RetrainMode, Run, RunState, Timestamp, format_duration, number,
};

const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;

/// What is known of a stretch of time.
pub(crate) struct Seen<'a> {
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) registries: Vec<(&'a ModelKey, &'a Registry)>,
    /// Changes of findings of that time.
    pub(crate) findings: Vec<Finding>,
    /// What was to be sent in that time.
    pub(crate) effects: Vec<StoredEffect>,
}

impl Seen<'_> {
    fn holds(&self, at: Timestamp) -> bool {
        self.since <= at && at <= self.until
    }

    fn days(&self) -> f64 {
        (self.until.since(self.since) as f64 / DAY as f64).max(f64::EPSILON)
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        let runs = self.registries.iter().flat_map(|(_, registry)| &registry.runs);
        runs.filter(|run| self.holds(run.asked))
    }
}

/// The figures.
pub(crate) fn report(seen: &Seen<'_>) -> Report {
    let mut measures = Vec::new();
    measures.extend(drifts(seen));
    measures.extend(alerts(seen));
    measures.extend(retrains(seen));
    measures.extend(experiments(seen));
    measures.extend(serving(seen));
    measures.push(cleanup(seen));
    measures.extend(answers(seen));
    measures.push(unmeasured(
        "detected within 24 h",
        "when a drift began is known only to whoever caused it; `cargo xtask bench run-lengths` measures it on streams that are known",
    ));
    measures.push(unmeasured("snapshot job", "there is no such job yet"));
    Report { since: seen.since, until: seen.until, measures }
}

fn measured(name: &str, value: f64, shown: String) -> Measure {
    Measure { name: name.to_owned(), value: Some(value), shown, target: None, is_met: None, note: None }
}

fn count(name: &str, value: usize) -> Measure {
    measured(name, value as f64, value.to_string())
}

fn unmeasured(name: &str, why: &str) -> Measure {
    Measure {
        name: name.to_owned(),
        value: None,
        shown: "not measurable".to_owned(),
        target: None,
        is_met: None,
        note: Some(why.to_owned()),
    }
}

/// A share of something, held against what is wanted; not measurable where there is nothing to share.
fn share(name: &str, part: usize, whole: usize, target: (&str, fn(f64) -> bool), nothing: &str) -> Measure {
    if whole == 0 {
        return Measure { target: Some(target.0.to_owned()), ..unmeasured(name, nothing) };
    }
    let value = part as f64 / whole as f64;
    Measure {
        target: Some(target.0.to_owned()),
        is_met: Some(target.1(value)),
        ..measured(name, value, format!("{} % ({part} of {whole})", number((value * 1_000.0).round() / 10.0)))
    }
}

fn middle(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

fn time(name: &str, values: Vec<u64>, nothing: &str) -> Measure {
    match middle(values) {
        Some(value) => measured(name, value as f64, format_duration(value)),
        None => unmeasured(name, nothing),
    }
}

fn drifts(seen: &Seen<'_>) -> Vec<Measure> {
    let opened = || seen.findings.iter().filter(|finding| finding.phase == Phase::Opened);
    let mut by_severity: BTreeMap<_, usize> = BTreeMap::new();
    opened().for_each(|finding| *by_severity.entry(finding.severity).or_default() += 1);
    let parts: Vec<_> =
        by_severity.iter().rev().map(|(severity, count)| format!("{count} {severity}")).collect();
    let all = opened().count();
    let per_day = all as f64 / seen.days();
    vec![
        Measure { note: (all > 0).then(|| parts.join(", ")), ..count("drifts", all) },
        measured("drifts a day", per_day, number((per_day * 100.0).round() / 100.0)),
    ]
}

fn alerts(seen: &Seen<'_>) -> Vec<Measure> {
    let all = seen.effects.len();
    let of = |state: EffectState| seen.effects.iter().filter(|stored| stored.state == state).count();
    let (delivered, refused, expired) =
        (of(EffectState::Delivered), of(EffectState::Refused), of(EffectState::Expired));
    let note = format!(
        "{delivered} delivered, {refused} refused, {expired} expired, {} waiting",
        of(EffectState::Waiting)
    );
    vec![
        Measure { note: (all > 0).then_some(note), ..count("alerts sent", all) },
        Measure {
            target: Some("< 5 %".to_owned()),
            ..unmeasured("false alerts", "nobody can mark an alert as false yet")
        },
    ]
}

fn retrains(seen: &Seen<'_>) -> Vec<Measure> {
    let runs: Vec<&Run> = seen.runs().collect();
    let emergency = runs.iter().filter(|run| run.cause.mode == RetrainMode::Emergency).count();
    let over = |run: &&&Run| !run.state.is_active() && run.state != RunState::Cancelled;
    let all = runs.iter().filter(over).count();
    let well =
        |run: &&&Run| matches!(run.state, RunState::Validated | RunState::Rejected | RunState::NoModel);
    let went_well = runs.iter().filter(well).count();
    let latency = runs.iter().filter(well).filter_map(|run| Some(run.ended?.since(run.asked))).collect();
    let costs: Vec<f64> = runs.iter().filter_map(|run| run.cost).collect();
    let cost = if costs.is_empty() {
        unmeasured("cost of retrains", "no trainer reported one")
    } else {
        let sum = costs.iter().sum::<f64>();
        measured("cost of retrains", sum, number(sum))
    };
    vec![
        Measure {
            note: (emergency > 0).then(|| format!("{emergency} for a drift")),
            ..count("retrains", runs.len())
        },
        share(
            "retrains that went well",
            went_well,
            all,
            ("> 90 %", |share| share > 0.9),
            "none was begun and is over",
        ),
        time("from request to result", latency, "none went well"),
        cost,
    ]
}

fn experiments(seen: &Seen<'_>) -> Vec<Measure> {
    let ended = seen.registries.iter().flat_map(|(_, registry)| &registry.ended);
    let ended: Vec<_> = ended.filter(|ended| seen.holds(ended.at)).collect();
    let mut outcomes: BTreeMap<&str, usize> = BTreeMap::new();
    ended.iter().for_each(|ended| *outcomes.entry(ended.outcome.name()).or_default() += 1);
    let parts: Vec<_> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
    let promoted: Vec<u64> = ended
        .iter()
        .filter(|ended| ended.outcome == Outcome::Promoted)
        .map(|ended| ended.at.since(ended.trial.started))
        .collect();
    let quick = promoted.iter().filter(|time| **time <= WEEK).count();
    vec![
        Measure {
            note: (!ended.is_empty()).then(|| parts.join(", ")),
            ..count("experiments over", ended.len())
        },
        share(
            "better version found within a week",
            quick,
            promoted.len(),
            ("all", |share| share >= 1.0),
            "no experiment promoted a version",
        ),
    ]
}

fn serving(seen: &Seen<'_>) -> Vec<Measure> {
    let (mut promotions, mut back, mut undone) = (0, 0, 0);
    for (_, registry) in &seen.registries {
        let reigns = &registry.reigns;
        let served_before =
            |version: &str, place: usize| reigns[..place].iter().any(|reign| reign.version == version);
        for (place, reign) in reigns.iter().enumerate().skip(1).filter(|(_, reign)| seen.holds(reign.from)) {
            let left = &reigns[place - 1].version;
            // What has served before serves instead of what was new.
            let is_back = served_before(&reign.version, place) && !served_before(left, place - 1);
            if !is_back {
                promotions += 1;
                continue;
            }
            back += 1;
            let again = |later: &Reign| later.version == *left && later.from.since(reign.from) <= WEEK;
            undone += usize::from(reigns[place + 1..].iter().any(again));
        }
    }
    let undone = Measure {
        target: Some("0".to_owned()),
        is_met: Some(undone == 0),
        note: Some("gone back from, and served again within a week".to_owned()),
        ..count("false rollbacks", undone)
    };
    vec![count("promotions", promotions), count("rollbacks", back), undone]
}

fn cleanup(seen: &Seen<'_>) -> Measure {
    let versions = || seen.registries.iter().flat_map(|(_, registry)| registry.versions.values());
    let size =
        |known: &Version| known.registration.artifact.as_ref().map_or(0, |artifact| artifact.size_bytes);
    let is_freed = |known: &&Version| known.purged && known.deleted.is_some_and(|(at, _)| seen.holds(at));
    let freed: u64 = versions().filter(is_freed).map(size).sum();
    let kept: u64 = versions().filter(|known| !known.purged).map(size).sum();
    let target = Some("30 to 50 %".to_owned());
    if freed + kept == 0 {
        return Measure { target, ..unmeasured("disk freed", "no version has files that the host knows of") };
    }
    let value = freed as f64 / (freed + kept) as f64;
    Measure {
        target,
        is_met: (freed > 0).then_some((0.3..=0.5).contains(&value)),
        note: Some(format!("{freed} bytes freed, {kept} kept")),
        ..measured("disk freed", value, format!("{} %", number((value * 1_000.0).round() / 10.0)))
    }
}

fn answers(seen: &Seen<'_>) -> Vec<Measure> {
    let proposals = || seen.registries.iter().flat_map(|(_, registry)| &registry.proposals);
    let answered = proposals().filter_map(|proposal| match &proposal.state {
        ProposalState::Approved { at, .. } | ProposalState::Rejected { at, .. } => {
            seen.holds(*at).then(|| at.since(proposal.opened))
        }
        _ => None,
    });
    let answered: Vec<u64> = answered.collect();
    // One that nobody answered in time waits for nobody.
    let open: usize = seen.registries.iter().map(|(_, registry)| registry.waiting(seen.until).count()).sum();
    vec![
        Measure { note: Some(format!("{open} open now")), ..count("proposals answered", answered.len()) },
        time("from proposal to answer", answered, "none was answered"),
    ]
}

#[cfg(test)]
mod tests {
    use trimtab_types::{RetrainCause, Severity, testing};

    use super::*;

    fn at(day: u64) -> Timestamp {
        Timestamp::EPOCH.plus(day * DAY)
    }

    fn figures(registry: &Registry, findings: Vec<Finding>) -> BTreeMap<String, Measure> {
        let model = ModelKey { tenant: "default".into(), model: "m".into() };
        let seen = Seen {
            since: at(10),
            until: at(40),
            registries: vec![(&model, registry)],
            findings,
            effects: Vec::new(),
        };
        report(&seen).measures.into_iter().map(|measure| (measure.name.clone(), measure)).collect()
    }

    fn reigns(of: &[(&str, u64)]) -> Registry {
        let reign = |(place, (version, day)): (usize, &(&str, u64))| Reign {
            version: (*version).to_owned(),
            from: at(*day),
            revision: place as u64,
        };
        Registry { reigns: of.iter().enumerate().map(reign).collect(), ..Registry::default() }
    }

    #[test]
    fn a_rollback_that_was_undone_within_a_week_was_a_false_one() {
        type Case<'a> = (&'a [(&'a str, u64)], [f64; 3]);
        #[rustfmt::skip]
        let cases: &[Case<'_>] = &[
            (&[("a", 1)],                                          [0.0, 0.0, 0.0]),
            (&[("a", 1), ("b", 12)],                               [1.0, 0.0, 0.0]),
            (&[("a", 1), ("b", 5)],                                [0.0, 0.0, 0.0]),
            (&[("a", 1), ("b", 12), ("a", 14)],                    [1.0, 1.0, 0.0]),
            (&[("a", 1), ("b", 12), ("a", 14), ("b", 16)],         [2.0, 1.0, 1.0]),
            (&[("a", 1), ("b", 12), ("a", 14), ("b", 30)],         [2.0, 1.0, 0.0]),
            (&[("a", 1), ("b", 12), ("a", 14), ("c", 16)],         [2.0, 1.0, 0.0]),
            // The second time it goes back from what had served before.
            (&[("a", 1), ("b", 12), ("c", 14), ("b", 15), ("a", 16)], [3.0, 1.0, 0.0]),
        ];
        for (story, expected) in cases {
            let found = figures(&reigns(story), Vec::new());
            let values = ["promotions", "rollbacks", "false rollbacks"].map(|name| found[name].value);
            assert_eq!(values, expected.map(Some), "{story:?}");
        }
    }

    #[test]
    fn retrains_count_by_what_became_of_them() {
        let run = |state: RunState, day: u64| Run {
            id: "r".into(),
            cause: RetrainCause {
                mode: RetrainMode::Emergency,
                by: "ladder".into(),
                reason: String::new(),
                threshold: None,
                segment: String::new(),
            },
            champion: None,
            state,
            asked: at(day),
            waits: at(day),
            started: Some(at(day)),
            ended: Some(at(day).plus(3_600)),
            took: 3_000,
            cost: Some(2.0),
            version: None,
            says: String::new(),
            said: String::new(),
            joined: 0,
            cancelled_by: None,
        };
        let runs = vec![
            run(RunState::Validated, 5),
            run(RunState::Validated, 12),
            run(RunState::Rejected, 13),
            run(RunState::Failed, 14),
            run(RunState::Cancelled, 15),
            run(RunState::Running, 16),
        ];
        let found = figures(&Registry { runs, ..Registry::default() }, Vec::new());
        assert_eq!(found["retrains"].value, Some(5.0), "of that time");
        let well = &found["retrains that went well"];
        assert_eq!((well.shown.as_str(), well.is_met), ("66.7 % (2 of 3)", Some(false)));
        assert_eq!(found["from request to result"].shown, "1h");
        assert_eq!(found["cost of retrains"].value, Some(10.0));
        let none = figures(&Registry::default(), Vec::new());
        assert_eq!(none["retrains that went well"].value, None);
        assert!(
            none["retrains that went well"]
                .note
                .as_deref()
                .is_some_and(|note| note.contains("none was begun"))
        );
    }

    #[test]
    fn drifts_are_openings_and_each_figure_says_what_it_is_of() {
        let findings = vec![
            testing::finding(Severity::High, Phase::Opened),
            testing::finding(Severity::High, Phase::Raised),
            testing::finding(Severity::Medium, Phase::Opened),
            testing::finding(Severity::High, Phase::Closed),
        ];
        let found = figures(&Registry::default(), findings);
        assert_eq!(
            (found["drifts"].value, found["drifts"].note.as_deref()),
            (Some(2.0), Some("1 high, 1 medium"))
        );
        assert_eq!(found["drifts a day"].shown, "0.07");
        for (name, measure) in &found {
            assert!(measure.value.is_some() || measure.note.is_some(), "{name} says why it is not measured");
        }
    }
}
