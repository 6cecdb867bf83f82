//! `trimtab policy compare`: what a policy in shadow mode says, held against what was decided. It only reads, as a dry run
//! does.

use trimtab_log::{Reader, decision_of};
use trimtab_replay::{
    Standing,
    diff::{Diff, Side},
    standing,
};
use trimtab_server::{ExitCode, Failure, page::DiffPage};
use trimtab_types::{DecisionRecord, Mode, Position, Timestamp};

use super::{diff, dry_run::settled, period};
use crate::{
    args::{CompareArgs, Global},
    output::Output,
};

/// Positions whose decisions are held against each other at once.
const STEP: u64 = 100_000;

pub(super) async fn compare(
    global: &Global,
    args: &CompareArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let reader = settled(global).await?;
    let in_force = Standing::read(&reader)?;
    let newest = standing::newest(&reader)?;
    let period = period::read(&args.period, newest, &reader)?;
    let said_in_shadow =
        |decision: &&DecisionRecord| decision.mode == Mode::Shadow && decision.decided_by() == args.name;
    let mut found = Diff::default();
    let mut last = None;
    for state in reader.shards()? {
        let mut at = Position(0);
        while at < state.cursor {
            let until = Position(state.cursor.0.min(at.0 + STEP));
            let stored = reader.decided(state.shard, at, until)?;
            let decisions: Vec<DecisionRecord> = stored
                .iter()
                .map(|stored| decision_of(state.shard, &stored.decision))
                .collect::<Result<_, _>>()?;
            last = last.max(decisions.iter().filter(said_in_shadow).map(|decision| decision.at).max());
            let within = || decisions.iter().filter(|decision| period.is_about(decision));
            let shadow = Side::shadow(within(), &args.name);
            found.compare(&Side::enforced(within(), false).where_also(&shadow), &shadow);
            at = until;
        }
    }
    let compared = period::described(&period, newest);
    if found.is_empty() {
        return Err(Failure::missing(nothing_said(&args.name, &in_force, last, &compared)));
    }
    let page = DiffPage {
        title: &format!("`{}` in shadow mode, held against what was decided", args.name),
        about: &[compared],
        labels: ["decided", "in shadow"],
        diff: &found,
        settings: &[],
    };
    diff::publish(&page, &found, &args.period.shown(), output)
}

/// Why there is nothing to compare, and what to do. `last` is when it last said something.
fn nothing_said(name: &str, in_force: &Standing, last: Option<Timestamp>, compared: &str) -> String {
    let entry = in_force.policies.policy(name);
    match (entry, last) {
        (_, Some(last)) => format!(
            "`{name}` said nothing in shadow mode about {compared}; it last said something at {}",
            last.for_people()
        ),
        (None, None) => format!(
            "no policy `{name}` is in force, and none of this name ever was in shadow mode; `trimtab policy list` shows those in force"
        ),
        (Some(entry), None) if entry.kinds.iter().all(|kind| kind != "drift-action") => {
            format!("`{name}` answers {}; only answers about drift are compared", entry.kinds.join(", "))
        }
        (Some(entry), None) if entry.mode == Mode::Shadow => {
            format!("`{name}` said nothing in shadow mode so far; wait for findings that it applies to")
        }
        (Some(entry), None) => format!(
            "`{name}` said nothing in shadow mode so far, because its mode is `{}`; set `mode = \"shadow\"` under [policies.{name}] and wait for findings",
            entry.mode.name()
        ),
    }
}
