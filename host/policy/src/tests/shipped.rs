//! The shipped policies, end to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use trimtab_types::{Action, Estimate, FailureKind, Finding, ModelVersion, Phase, Read, Severity};

use super::{alert, estimate, finding, names, noon, register, repository, sandbox, shipped};
use trimtab_files::Directory;

use crate::{NoHistory, Policy, PolicyKind, Sandbox, View, run_fixtures};

#[test]
fn the_ladder_decides() {
    let ladder = register(&shipped("drift-ladder"));
    let call = ladder.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &BTreeMap::new());
    let decision = call.answer.expect("a decision");
    assert_eq!(
        decision.actions,
        [Action::RetrainNow, Action::ScaleExposure(0.5), Action::Alert(Severity::High)],
        "{}",
        decision.reason
    );
    assert_eq!(
        decision.reason,
        "High: e-sr on accuracy, 61.0 % now (200 samples) against 68.0 % before (1000 samples); e-value 12345.6, significant. Retrain now, and give it 50.0 % of its weight."
    );
}

/// Every shipped policy has fixtures, and all of them pass.
#[test]
fn fixtures_pass() {
    let mut problems = Vec::new();
    for name in names() {
        let folder = Directory::named(&repository().join("policies").join(&name)).expect("opens");
        let reports = run_fixtures(sandbox(), &shipped(&name), &folder);
        if reports.is_empty() {
            problems.push(format!("{name} has no fixtures"));
        }
        let failed = reports.iter().filter(|report| !report.passed());
        problems.extend(failed.map(|report| {
            format!("{name}/{}: {}\n{}", report.name(), report.problems.join("\n"), report.answer)
        }));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// A subject whose recent accuracy is known.
struct Recent(f64);

impl View for Recent {
    fn recent(&self, metric: &str, last: u32) -> Option<Estimate> {
        (metric == "accuracy").then_some(estimate(self.0, last))
    }
    fn between(&self, _: &str, _: u32, _: u32) -> Option<Estimate> {
        None
    }
    fn baseline(&self, _: &str) -> Option<Estimate> {
        None
    }
    fn findings(&self, _: u32, _: Severity, _: u32) -> Vec<Finding> {
        vec![finding(Severity::High)]
    }
    fn drift_count(&self, _: &str) -> u32 {
        0
    }
    fn versions(&self) -> Vec<ModelVersion> {
        Vec::new()
    }
    fn since_activation(&self) -> Option<u32> {
        None
    }
    fn since_retrain(&self) -> Option<u32> {
        None
    }
}

#[test]
fn what_a_policy_reads_is_recorded_as_it_was_told() {
    let ladder = register(&shipped("drift-ladder"));
    assert_eq!(ladder.imports(), ["history", "settings"]);
    let ask = |finding: Finding, accuracy| {
        ladder.decide(noon(), &[finding], Arc::new(Recent(accuracy)), &BTreeMap::new())
    };
    let recent = |answer| Read::Recent { metric: "accuracy".into(), last: 100, answer };
    assert_eq!(ask(finding(Severity::Medium), 0.6).reads, [recent(Some(estimate(0.6, 100)))]);
    // A policy is never told what is not a number, and the record says the same.
    let call = ask(finding(Severity::Medium), f64::NAN);
    assert_eq!(call.reads, [recent(None)]);
    assert!(call.log.is_empty(), "accuracy is a metric that there is");

    let closed = Finding { phase: Phase::Closed, ..finding(Severity::High) };
    let findings = Read::Findings {
        within: 604_800,
        at_least: Severity::High,
        limit: 100,
        answer: vec![finding(Severity::High)],
    };
    assert_eq!(ask(closed, 0.6).reads, [recent(Some(estimate(0.6, 100))), findings]);
}

#[test]
fn the_same_question_has_the_same_answer_and_fuel() {
    // On this machine's way of calling and on those of others.
    let package = shipped("drift-ladder");
    let elsewhere = Sandbox::slower_ones();
    let elsewhere = elsewhere.iter().map(|other| Policy::register(other, &package, &BTreeMap::new()));
    let mut policies = vec![register(&package)];
    policies.extend(elsewhere.map(|policy| policy.expect("is accepted")));
    let severities = [Severity::Medium, Severity::High, Severity::Critical];
    let ask = |policy: &Policy| {
        let ask = |severity: Severity| {
            let call = policy.decide(noon(), &[finding(severity)], Arc::new(Recent(0.6)), &BTreeMap::new());
            (serde_json::to_string(&call.answer.expect("a decision")).expect("JSON"), call.fuel, call.reads)
        };
        severities.map(ask)
    };
    let expected = ask(&policies[0]);
    for policy in policies.iter().cycle().take(6) {
        assert_eq!(ask(policy), expected);
    }
}

#[test]
fn alerts_go_to_the_channels_of_the_manifest() {
    let chat = register(&shipped("chat-alert"));
    assert_eq!(chat.kinds(), [PolicyKind::AlertFormat]);
    let alert = alert();
    assert!(chat.formats("chat", &alert) && !chat.formats("slack", &alert));
    assert!(!chat.applies_to(&finding(Severity::High)), "it decides nothing");
    let message = chat.render(noon(), &alert, "chat").answer.expect("a message");
    assert_eq!(message.title, "🔴 HIGH drift: acme/btc v7 [BTC/USDT]");
    // Asked what it does not answer, a policy fails like any other.
    let call = chat.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &BTreeMap::new());
    assert_eq!(call.answer.expect_err("no decision").kind, FailureKind::Load);
}

/// The interface counts seconds from 1970 without a sign: a policy is not told that 1969 was 1970.
#[test]
fn a_question_about_a_time_before_1970_fails_by_name() {
    let at = |text| trimtab_types::Timestamp::parse(text).expect("a time");
    let (before, after) = (at("1969-12-31T23:59:59Z"), at("1970-01-01T00:00:00Z"));
    let ladder = register(&shipped("drift-ladder"));
    let opened = |opened| Finding { opened, ..finding(Severity::High) };
    for (now, opened, fails) in
        [(after, opened(after), false), (before, opened(after), true), (after, opened(before), true)]
    {
        let call = ladder.decide(now, &[opened], Arc::new(NoHistory), &BTreeMap::new());
        match call.answer {
            Ok(_) => assert!(!fails, "asked at {now}"),
            Err(failure) => {
                assert!(fails, "asked at {now}: {failure:?}");
                assert_eq!(failure.kind, FailureKind::Load);
                assert!(failure.message.contains("0.1.0 has no times before 1970"), "{}", failure.message);
            }
        }
    }
    let chat = register(&shipped("chat-alert"));
    let early = trimtab_types::Alert { started: before, ..alert() };
    let failure = chat.render(after, &early, "chat").answer.expect_err("fails");
    assert!(failure.message.contains("1969-12-31T23:59:59Z"), "{}", failure.message);
}
