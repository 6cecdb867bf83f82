//! Experiments: a version is tried beside the champion, in shadow or with a share of the traffic. What ends one is final; a
//! new one of the same version is another.

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Design, DigestBuilder, ErrorKind, ExperimentAct, ExperimentChange, ModelKey, Move, Plan, Proposed,
    Refusal, Stage, Timestamp,
};

use super::{
    Done, no,
    registry::Registry,
    table::{Event, cell},
};

/// Experiments in shadow at once, of one model.
const MOST_SHADOWS: usize = 8;
/// Experiments that are over and remembered.
const MOST_ENDED: usize = 200;
/// The host looks no more often than this, in seconds, unless a policy said when.
const LOOK: u64 = 3_600;

/// An experiment that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its id. Who gets which version is derived from it.
    pub id: String,
    /// The version that is tried.
    pub version: String,
    /// The version that it is held against.
    pub champion: String,
    /// As it was planned.
    pub plan: Plan,
    /// The share that the challenger serves.
    pub fraction: f64,
    /// Whether it goes on.
    pub running: Running,
    /// Since when.
    pub started: Timestamp,
    /// When policies are asked next, at the earliest.
    pub next_look: Timestamp,
    /// Blocks of evidence when policies were asked last.
    pub looked_at: u64,
    /// A promotion was refused by a person at so many blocks.
    pub refused_at: Option<u64>,
}

/// Whether an experiment goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Running {
    /// It does.
    Yes,
    /// Everything goes to the champion since then.
    Paused(Timestamp),
}

/// How an experiment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The challenger serves.
    Promoted,
    /// Somebody ended it, or what it was about has gone; the champion stays.
    Stopped,
    /// Its time is over and nothing was shown; the champion stays.
    Inconclusive,
}

/// An experiment that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// As it was.
    pub trial: Trial,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub why: String,
}

impl Outcome {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Stopped => "stopped",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl Trial {
    /// Whether the challenger serves a share, or would if it were not paused.
    pub fn serves(&self) -> bool {
        self.plan.design != Design::Shadow
    }

    /// The share of the traffic that goes to the challenger now.
    pub fn share(&self) -> f64 {
        if self.running == Running::Yes && self.serves() { self.fraction } else { 0.0 }
    }

    /// For how long it has been running, without pauses that are over.
    pub fn age(&self, now: Timestamp) -> u64 {
        match self.running {
            Running::Yes => now.since(self.started),
            Running::Paused(since) => since.since(self.started),
        }
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.plan.end.is_some_and(|end| self.age(now) >= u64::from(end))
    }

    /// The key by which units are shared out between the arms.
    pub fn salt(&self, model: &ModelKey) -> [u8; 16] {
        let digest = DigestBuilder::new("experiment")
            .part(model.tenant.as_bytes())
            .part(model.model.as_bytes())
            .part(self.id.as_bytes())
            .finish();
        let mut salt = [0; 16];
        salt.copy_from_slice(&digest.as_bytes()[..16]);
        salt
    }
}

impl Registry {
    pub(super) fn change_trial(
        &mut self,
        change: &ExperimentChange,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        let version = change.version.as_str();
        match &change.act {
            ExperimentAct::Start(plan) => self.start(&change.model, version, plan, now),
            ExperimentAct::Fraction(fraction) => self.share_out(version, *fraction),
            ExperimentAct::Pause => self.pause_trial(version, now),
            ExperimentAct::Resume => self.resume_trial(version, now),
            ExperimentAct::Stop => {
                self.led(version, Event::Stop)?;
                self.trial(version)?;
                let moves = self.stop_trial(version, Outcome::Stopped, "a person ended it", now);
                Ok(Done::of(
                    moves,
                    format!("the experiment with `{version}` is over; everything goes to the champion"),
                ))
            }
            ExperimentAct::Promote => {
                self.trial(version)?;
                self.promote(version, false, now)
            }
        }
    }

    pub(super) fn start(
        &mut self,
        model: &ModelKey,
        name: &str,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        let event = if plan.design == Design::Shadow { Event::StartShadow } else { Event::StartServing };
        let (from, to) = self.led(name, event)?;
        let Some(champion) = self.champion().map(str::to_owned) else {
            return no(
                ErrorKind::WrongStage,
                "no version serves yet, so there is nothing to hold it against; promote one",
            );
        };
        if from == to {
            return Ok(Done::unchanged(format!("`{name}` is tried in shadow already")));
        }
        self.unless_degraded(name, plan.again)?;
        if let Some(taken) = self.challenger().filter(|_| event == Event::StartServing) {
            return no(
                ErrorKind::Occupied,
                format!("`{taken}` serves a share already; end that experiment first"),
            );
        }
        let shadows = self.trials.values().filter(|trial| !trial.serves() && trial.version != name).count();
        if event == Event::StartShadow && shadows >= MOST_SHADOWS {
            return no(
                ErrorKind::Occupied,
                format!("{shadows} versions are tried in shadow already; end one first"),
            );
        }
        self.end_trial(name, Outcome::Stopped, "it is tried in another way", now);
        let number = self.ended.len() as u64;
        let id = DigestBuilder::new("trial")
            .part(model.to_string().as_bytes())
            .part(name.as_bytes())
            .number(self.revision)
            .number(number)
            .id('e');
        let trial = Trial {
            id: id.clone(),
            version: name.to_owned(),
            champion: champion.clone(),
            plan: *plan,
            fraction: if plan.design == Design::Shadow { 0.0 } else { plan.fraction },
            running: Running::Yes,
            started: now,
            next_look: now.plus(LOOK),
            looked_at: 0,
            refused_at: None,
        };
        self.trials.insert(name.to_owned(), trial);
        let moves = self.set_stage(name, to).into_iter().collect();
        let how = match plan.design {
            Design::Shadow => "in shadow".to_owned(),
            Design::Canary => format!("as a canary with {} of the traffic", share(plan.fraction)),
            Design::AbTest => format!("with {} of the traffic", share(plan.fraction)),
        };
        Ok(Done::of(moves, format!("`{name}` is tried against `{champion}` {how}, as experiment {id}")))
    }

    /// An experiment that is under way.
    pub(super) fn trial(&mut self, version: &str) -> Result<&mut Trial, Refusal> {
        self.known(version)?;
        match self.trials.get_mut(version) {
            Some(trial) => Ok(trial),
            None => no(ErrorKind::WrongStage, format!("no experiment is under way with `{version}`")),
        }
    }

    pub(crate) fn share_out(&mut self, version: &str, fraction: f64) -> Result<Done, Refusal> {
        let stage = self.known(version)?.stage;
        if let Err(kind) = cell(stage, Event::Fraction) {
            return no(kind, format!("`{version}` is {stage} and serves no share that could be changed"));
        }
        let trial = self.trial(version)?;
        let before = std::mem::replace(&mut trial.fraction, fraction);
        if before == fraction {
            return Ok(Done::unchanged(format!("`{version}` gets {} already", share(fraction))));
        }
        self.outdate("its share has changed", |what| matches!(what, Proposed::Fraction { .. }));
        Ok(Done::of(
            Vec::new(),
            format!("`{version}` gets {} of the traffic, before {}", share(fraction), share(before)),
        ))
    }

    fn pause_trial(&mut self, version: &str, now: Timestamp) -> Result<Done, Refusal> {
        let trial = self.trial(version)?;
        if trial.running != Running::Yes {
            return Ok(Done::unchanged(format!("the experiment with `{version}` is paused already")));
        }
        trial.running = Running::Paused(now);
        Ok(Done::of(
            Vec::new(),
            format!("the experiment with `{version}` is paused; everything goes to the champion"),
        ))
    }

    fn resume_trial(&mut self, version: &str, now: Timestamp) -> Result<Done, Refusal> {
        let trial = self.trial(version)?;
        let Running::Paused(since) = trial.running else {
            return Ok(Done::unchanged(format!("the experiment with `{version}` is running")));
        };
        trial.running = Running::Yes;
        // Time that it was paused does not count towards its end.
        trial.started = trial.started.plus(now.since(since));
        Ok(Done::of(
            Vec::new(),
            format!("the experiment with `{version}` goes on; the same units get it as before"),
        ))
    }

    /// An experiment is over, and its version is put aside.
    pub(crate) fn stop_trial(
        &mut self,
        version: &str,
        outcome: Outcome,
        why: &str,
        now: Timestamp,
    ) -> Vec<Move> {
        if !self.end_trial(version, outcome, why, now) {
            return Vec::new();
        }
        self.set_stage(version, Stage::Archived).into_iter().collect()
    }

    /// An experiment is over, if one is under way. What was proposed about its version is stale.
    pub(super) fn end_trial(&mut self, version: &str, outcome: Outcome, why: &str, now: Timestamp) -> bool {
        let Some(trial) = self.trials.remove(version) else { return false };
        if self.ended.len() == MOST_ENDED {
            self.ended.remove(0);
        }
        self.ended.push(Ended { trial, at: now, outcome, why: why.to_owned() });
        self.outdate(&format!("the experiment with `{version}` is over"), |what| match what {
            Proposed::Promote { version: about } | Proposed::Fraction { version: about, .. } => {
                about == version
            }
            Proposed::Act { .. }
            | Proposed::Change { .. }
            | Proposed::Cleanup { .. }
            | Proposed::Retrain { .. } => false,
        });
        true
    }
}

/// A share, as people read it.
fn share(fraction: f64) -> String {
    format!("{} %", trimtab_types::number((fraction * 1e6).round() / 1e4))
}
