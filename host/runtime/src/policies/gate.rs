//! A new version of a policy is tried out on history before it is put in force, where the operator asks for that: in the
//! background, while the version before serves. What is within the bounds goes in; what is not stays out until a person has
//! looked. Whether a policy can be loaded at all is looked at before.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use trimtab_core::config::Gate;
use trimtab_policy::{Package, Sandbox};
use trimtab_replay::{
    diff::Counts,
    dry_run::{self, Asked, Report},
    overlay::{Overlay, Substitution},
    period::Period,
    standing,
};
use trimtab_sqlite::LogsReader;
use trimtab_types::{Digest, format_duration, number};

use crate::{HostError, progress::lock};

/// How a trial of a version stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// It goes on.
    Running,
    /// It may be put in force.
    Passed,
    /// It may not, unless a person says so.
    Held(String),
}

/// All trials since the host started, by policy and version.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    known: Mutex<BTreeMap<(String, Digest), (Gate, Verdict)>>,
    /// One at a time: a trial takes a core.
    turn: Mutex<()>,
    /// How many have ended.
    ended: AtomicU64,
}

impl Gates {
    /// How many trials have ended: whoever waits for one looks again when there are more.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// A person has looked, and wants this version in force whatever it would change.
    pub(crate) fn approve(&self, name: &str, digest: Digest, gate: Gate) {
        lock(&self.known).insert((name.to_owned(), digest), (gate, Verdict::Passed));
    }

    /// How a version does on history. The first to ask begins the trial.
    pub(crate) fn verdict(
        self: &Arc<Self>,
        package: &Package,
        gate: Gate,
        sandbox: &Arc<Sandbox>,
        directory: PathBuf,
    ) -> Verdict {
        let key = (package.name.clone(), package.digest);
        let mut known = lock(&self.known);
        if let Some((under, verdict)) = known.get(&key)
            && *under == gate
        {
            return verdict.clone();
        }
        known.insert(key.clone(), (gate, Verdict::Running));
        drop(known);
        let (gates, package, sandbox) = (Arc::clone(self), package.clone(), Arc::clone(sandbox));
        let begun = std::thread::Builder::new().name("gate".to_owned()).spawn(move || {
            let _turn = lock(&gates.turn);
            let verdict = match trial(&package, gate, &sandbox, directory) {
                Ok(report) => judge(&report, gate, &package),
                Err(error) => Verdict::Held(format!("it could not be tried out: {error}")),
            };
            let mut known = lock(&gates.known);
            // A person may have decided meanwhile.
            if known.get(&key).is_some_and(|(_, verdict)| *verdict == Verdict::Running) {
                known.insert(key, (gate, verdict));
            }
            drop(known);
            gates.ended.fetch_add(1, Ordering::AcqRel);
        });
        match begun {
            Ok(_) => Verdict::Running,
            Err(error) => Verdict::Held(format!("it could not be tried out: {error}")),
        }
    }
}

fn trial(
    package: &Package,
    gate: Gate,
    sandbox: &Arc<Sandbox>,
    directory: PathBuf,
) -> Result<Report, HostError> {
    let open = || LogsReader::open(&directory);
    let newest = standing::newest(&open()?)?;
    let since = newest.minus(u64::from(gate.period.0));
    let period = Period { since: Some(since), ..Period::default() };
    let overlay =
        Arc::new(Overlay { policies: Substitution::One(Box::new(package.clone())), ..Overlay::default() });
    let asked = Asked { sandbox, overlay: &overlay, period: &period, title: "gate", workers: 1, fold: false };
    Ok(dry_run::dry_run(&open, &asked, &mut |_, _| {})?)
}

/// Holds what would be decided otherwise against the bounds.
fn judge(report: &Report, gate: Gate, package: &Package) -> Verdict {
    let (decisions, messages) = (&report.diff.total, &report.diff.messages);
    let period = format_duration(u64::from(gate.period.0));
    let name = &package.name;
    let way = format!(
        "`trimtab policy dry-run {name} --since {period}` shows what, and `trimtab policy apply {name} --digest {}` puts it in force all the same",
        package.digest
    );
    if report.asked == 0 {
        return Verdict::Held(format!(
            "it would have been asked nothing in the last {period}, so nothing is known of what it would do; {way}"
        ));
    }
    let share = |counts: &Counts| others(counts) as f64 / counts.all().max(1) as f64;
    let is_within = share(decisions) <= gate.changed && share(messages) <= gate.changed;
    if is_within && decisions.looser <= gate.looser {
        return Verdict::Passed;
    }
    let percent = |share: f64| format!("{} %", number((share * 1_000.0).round() / 10.0));
    let part = |counts: &Counts, what: &str| {
        format!(
            "{} of {} {what} of the last {period} would be others ({})",
            others(counts),
            counts.all(),
            percent(share(counts))
        )
    };
    let mut parts = vec![part(decisions, "decisions")];
    if messages.differ() {
        parts.push(part(messages, "messages"));
    }
    Verdict::Held(format!(
        "{}, at most {}; {} of the decisions would be looser (at most {}); {way}",
        parts.join(", "),
        percent(gate.changed),
        decisions.looser,
        gate.looser
    ))
}

fn others(counts: &Counts) -> u64 {
    counts.changed + counts.gone + counts.new
}
