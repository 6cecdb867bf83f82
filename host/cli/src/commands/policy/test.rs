//! `trimtab policy test`: a policy's fixtures, and what of it they exercise.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use trimtab_core::config::HostSettings;
use trimtab_files::Directory;
use trimtab_policy::{
    Exercised, FIXTURES, FixtureReport, Manifest, Policy, PolicyKind, Sandbox, run_fixtures,
};
use trimtab_server::{ExitCode, Failure, replace_file};
use trimtab_types::Severity;

use super::{folders, package};
use crate::{
    args::{Global, PolicyTestArgs},
    connect,
    output::{Output, Tone, count},
};

/// What came of one policy's fixtures.
#[derive(Serialize)]
struct Tested {
    name: String,
    passed: usize,
    failed: usize,
    invalid: usize,
    updated: usize,
    fixtures: Vec<Ran>,
    exercised: Exercised,
    /// What no fixture exercises.
    not_exercised: Exercised,
}

#[derive(Serialize)]
struct Ran {
    name: String,
    summary: String,
    outcome: Outcome,
    answer: String,
    problems: Vec<String>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Passed,
    Failed,
    /// The policy could not be asked: the file is wrong.
    Invalid,
    Updated,
}

pub(super) fn test(global: &Global, args: &PolicyTestArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let sandbox = connect::authors_sandbox(&HostSettings::default())?;
    let mut all = Vec::new();
    for folder in folders(global, &args.policies)? {
        let tested = one(&sandbox, &folder, args.update)?;
        if !output.is_json() {
            show(&tested, output)?;
        }
        all.push(tested);
    }
    if output.is_json() {
        output.json(&serde_json::json!({ "policies": all }))?;
    }
    if all.iter().any(|tested| tested.invalid > 0) {
        return Ok(ExitCode::Data);
    }
    if all.iter().any(|tested| tested.failed > 0) {
        return Ok(ExitCode::Different);
    }
    match all.iter().find(|tested| tested.fixtures.is_empty()) {
        Some(empty) if args.fail_on_empty => {
            // No `Failure`: the report is the one JSON document of this run.
            output.note(format!(
                "error: policy `{}` has no fixtures; put some into its folder `{FIXTURES}`",
                empty.name
            ));
            Ok(ExitCode::Missing)
        }
        _ => Ok(ExitCode::Ok),
    }
}

fn one(sandbox: &Arc<Sandbox>, folder: &Path, update: bool) -> Result<Tested, Failure> {
    let package = package(folder)?;
    let policy = Policy::register(sandbox, &package, &BTreeMap::new())
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let mut exercised = Exercised::default();
    let mut fixtures = Vec::new();
    for report in run_fixtures(sandbox, &package, &Directory::named(folder)?) {
        exercised.add(&report.exercised);
        let outcome = match &report.updated {
            _ if report.passed() => Outcome::Passed,
            Some(text) if update => {
                replace_file(&folder.join(FIXTURES).join(&report.file), text.as_bytes())?;
                Outcome::Updated
            }
            _ if !report.asked => Outcome::Invalid,
            _ => Outcome::Failed,
        };
        let name = report.name().to_owned();
        let FixtureReport { summary, answer, problems, .. } = report;
        fixtures.push(Ran { name, summary, outcome, answer, problems });
    }
    let of = |outcome| fixtures.iter().filter(|ran| ran.outcome == outcome).count();
    Ok(Tested {
        name: package.name,
        passed: of(Outcome::Passed),
        failed: of(Outcome::Failed),
        invalid: of(Outcome::Invalid),
        updated: of(Outcome::Updated),
        not_exercised: rest(&policy, &exercised),
        fixtures,
        exercised,
    })
}

/// What there is of a policy and no fixture exercises. Which actions a policy could take, nobody can know.
fn rest(policy: &Policy, exercised: &Exercised) -> Exercised {
    let Manifest { settings, grants, applies_to, .. } = policy.manifest();
    let asks_by_severity =
        policy.kinds().iter().any(|kind| matches!(kind, PolicyKind::DriftAction | PolicyKind::AlertFormat));
    let severities =
        Severity::ALL.into_iter().filter(|severity| asks_by_severity && *severity >= applies_to.severity);
    let granted = [("history", grants.history), ("state", grants.state)];
    let other = |all: BTreeSet<String>, used: &BTreeSet<String>| all.difference(used).cloned().collect();
    Exercised {
        kinds: other(policy.kinds().iter().map(|kind| kind.name().to_owned()).collect(), &exercised.kinds),
        answers: BTreeSet::new(),
        severities: other(severities.map(|severity| severity.to_string()).collect(), &exercised.severities),
        settings: other(settings.keys().cloned().collect(), &exercised.settings),
        grants: other(
            granted.into_iter().filter(|(_, granted)| *granted).map(|(name, _)| name.to_owned()).collect(),
            &exercised.grants,
        ),
        failures: 0,
    }
}

fn show(tested: &Tested, output: &mut Output) -> Result<(), Failure> {
    output.line(&tested.name)?;
    for ran in &tested.fixtures {
        let (word, tone) = match ran.outcome {
            Outcome::Passed => ("pass", Tone::Good),
            Outcome::Failed => ("FAIL", Tone::Bad),
            Outcome::Invalid => ("BAD ", Tone::Bad),
            Outcome::Updated => ("new ", Tone::Warning),
        };
        let colon = if ran.summary.is_empty() { "" } else { ": " };
        output.line(format!("  {}  {}{colon}{}", output.paint(word, tone), ran.name, ran.summary))?;
        for line in ran.problems.iter().flat_map(|problem| problem.lines()) {
            output.line(format!("        {line}"))?;
        }
        if ran.outcome == Outcome::Failed && !ran.answer.is_empty() {
            output.line(format!("        answered {}", ran.answer.replace('\n', "\n        ")))?;
        }
    }
    let mut sums = vec![count(tested.fixtures.len() as u64, "fixture")];
    for (n, what) in [(tested.failed, "failed"), (tested.invalid, "wrong"), (tested.updated, "written again")]
    {
        if n > 0 {
            sums.push(format!("{n} {what}"));
        }
    }
    output.line(format!("  {}", sums.join(", ")))?;
    if !tested.fixtures.is_empty() {
        output.line(format!("  exercised: {}", coverage(&tested.exercised, &tested.not_exercised)))?;
    }
    Ok(())
}

/// What was exercised, and what there is besides.
fn coverage(exercised: &Exercised, rest: &Exercised) -> String {
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let part = |what: &str, used: &BTreeSet<String>, rest: &BTreeSet<String>| {
        if used.is_empty() && rest.is_empty() {
            return None;
        }
        let used = if used.is_empty() { "none".to_owned() } else { list(used) };
        let rest = if rest.is_empty() { String::new() } else { format!(" (not {})", list(rest)) };
        Some(format!("{what} {used}{rest}"))
    };
    let parts = [
        part("questions", &exercised.kinds, &rest.kinds),
        part("answers", &exercised.answers, &rest.answers),
        part("severities", &exercised.severities, &rest.severities),
        part("settings", &exercised.settings, &rest.settings),
        part("grants", &exercised.grants, &rest.grants),
        Some(format!("failures {}", exercised.failures)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}
