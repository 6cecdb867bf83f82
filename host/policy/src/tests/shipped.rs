//! The shipped policies, end to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use trimtab_types::{Action, Severity};

use super::{finding, noon, register, repository, sandbox, shipped};
use crate::{NoHistory, run_fixtures};

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
        "High: e-sr on accuracy, 61.0 % now (200 samples) against 68.0 % before (1000 samples); e-value 12345.6, significant. Retrain now, and trade with 50.0 % of the exposure."
    );
    println!("{:?} fuel {}", call.duration, call.fuel);
}

/// Every shipped policy has fixtures, and all of them pass.
#[test]
fn fixtures_pass() {
    for (name, least) in [("drift-ladder", 8), ("chat-alert", 4)] {
        let reports = run_fixtures(sandbox(), &shipped(name), &repository().join("policies").join(name));
        assert!(reports.len() >= least, "{name} has {} fixtures", reports.len());
        for report in reports {
            assert!(report.passed(), "{name}/{}: {:#?}\n{}", report.name, report.problems, report.answer);
        }
    }
}
