//! Trainers follow the registry: a run that is to begin gets a folder and a supervisor, one that a person cancelled is told so,
//! and what came of one is reported. It looks at what is there and at what should be, so that it can end at any point and go
//! on the next time; nothing is begun twice, because a run has one folder. Whether a model is retrained is not decided here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use trimtab_core::{config::TrainerRule, fold::State};
use trimtab_files::{Directory, FilesError};
use trimtab_trainer::{
    Brought, Ended, Folder, How, LARGEST_RESULT, Order, Progress, SUPERVISE, TrainerError, read_result,
};
use trimtab_types::{
    Baseline, Entry, ModelKey, Registration, RetrainMode, Run, RunState, Seconds, Subject, Timestamp,
    TrainerEnd, TrainerEvent, TrainerReport, VersionAct, VersionChange,
};

use crate::{Host, HostError, progress::lock};

/// Where the folders of runs are, in the data directory.
const RUNS: &str = "runs";
/// The findings that are open, for the trainer.
const FINDINGS: &str = "findings.json";
/// Folders of runs that are kept besides those that go on.
const MOST_FOLDERS: usize = 200;
/// What is older than this is history, in seconds.
const WAITS: u64 = 86_400;

/// What runs trainers.
#[derive(Debug, Clone)]
pub struct Supervisors {
    /// A program that calls [`trimtab_trainer::supervise`] for the subcommand [`SUPERVISE`].
    pub program: PathBuf,
    /// Trainers at the same time.
    pub most: usize,
}

/// A run as its folder shows it.
#[derive(Debug, Default)]
pub struct Watched {
    /// Whether somebody watches it.
    pub is_watched: bool,
    /// What it said of itself last.
    pub progress: Option<Progress>,
    /// First and last bytes of what it said, once it is over.
    pub output: (Vec<u8>, Vec<u8>),
    /// Bytes that it said.
    pub bytes: u64,
}

/// Something that could not be done about a run; it is tried again.
#[derive(Debug, thiserror::Error)]
#[error("run {run} of {model}: {problem}")]
pub struct Untrained {
    /// Of which model.
    pub model: ModelKey,
    /// Which.
    pub run: String,
    /// Why not.
    pub problem: TrainerError,
}

/// What a look at a run's folder comes to.
enum Look {
    /// Nobody has begun it.
    New,
    /// It goes on.
    Busy,
    /// Somebody is to watch it.
    Unwatched(Folder),
    /// It is over.
    Over,
}

impl Host {
    /// Has trainers follow the registry, at this time of the wall. Returns what could not be done.
    pub fn train(&self, supervisors: &Supervisors, now: Timestamp) -> Result<Vec<Untrained>, HostError> {
        let mut children = lock(&self.training);
        // Those that have ended are taken notice of.
        children.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        let has_runs = |state: &State| state.registries.values().any(|known| known.active_run().is_some());
        if !self.snapshot().states().any(has_runs) {
            return Ok(Vec::new());
        }
        // What was reported the last time is known from here on.
        self.settle()?;
        let snapshot = self.snapshot();
        let (mut untrained, mut reports, mut new, mut busy) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for state in snapshot.states() {
            for (model, registry) in &state.registries {
                let Some(run) = registry.active_run() else { continue };
                let mut report = |event, baseline| {
                    let report = TrainerReport { model: model.clone(), run: run.id.clone(), at: now, event };
                    reports.push(Entry::Trainer(report));
                    reports.extend(Option::map(baseline, |baseline| Entry::Baseline(Box::new(baseline))));
                };
                let is_known = |version: &str| registry.versions.contains_key(version);
                let looked = self.look(model, run, &is_known, &mut report);
                match looked {
                    Ok(Look::Busy) => busy += 1,
                    Ok(Look::Over) => {}
                    Ok(Look::New) if run.cancelled_by.is_some() => {
                        report(cancelled("a person ended it before it began"), None);
                    }
                    Ok(Look::New) if is_history(state, model, run, now) => {
                        let why = "what it is about is older than a day: history that is imported begins no trainer";
                        report(cancelled(why), None);
                    }
                    Ok(Look::New) => new.push((state, model, run)),
                    Ok(Look::Unwatched(folder)) => {
                        busy += 1;
                        children.extend(supervise(supervisors, folder.path()));
                    }
                    Err(problem) => {
                        untrained.push(Untrained { model: model.clone(), run: run.id.clone(), problem });
                    }
                }
            }
        }
        if !new.is_empty() {
            let active: Vec<&str> = snapshot
                .states()
                .flat_map(|state| state.registries.values())
                .filter_map(|registry| registry.active_run())
                .map(|run| run.id.as_str())
                .collect();
            forget_old(&self.directory().join(RUNS), |name| active.contains(&name));
        }
        let is_scheduled = |run: &Run| run.cause.mode == RetrainMode::Scheduled;
        new.sort_by_key(|(_, _, run)| (is_scheduled(run), run.asked));
        for (state, model, run) in new.into_iter().take(supervisors.most.saturating_sub(busy)) {
            let Some(trainer) = snapshot.standing().configuration.trainer(model) else { continue };
            match self.begin_run(state, model, run, trainer) {
                Ok(path) => children.extend(supervise(supervisors, &path)),
                Err(problem) => {
                    untrained.push(Untrained { model: model.clone(), run: run.id.clone(), problem });
                }
            }
        }
        if !reports.is_empty() {
            self.append_and_wait(reports)?;
            self.settle()?;
        }
        Ok(untrained)
    }

    /// What the folder of a run shows; what the trainer said only where it is wanted.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn watched(&self, run: &str, with_output: bool) -> Result<Watched, TrainerError> {
        let Some(folder) = Folder::open(&self.run_path(run))? else { return Ok(Watched::default()) };
        Ok(Watched {
            is_watched: folder.is_watched()?,
            progress: folder.progress()?,
            output: if with_output { folder.output()? } else { Default::default() },
            bytes: folder.ended()?.map_or(0, |ended| ended.bytes),
        })
    }

    fn run_path(&self, run: &str) -> PathBuf {
        self.directory().join(RUNS).join(run)
    }

    fn look(
        &self,
        model: &ModelKey,
        run: &Run,
        is_known: &dyn Fn(&str) -> bool,
        report: &mut dyn FnMut(TrainerEvent, Option<Baseline>),
    ) -> Result<Look, TrainerError> {
        let Some(folder) = Folder::open(&self.run_path(&run.id))? else { return Ok(Look::New) };
        if run.cancelled_by.is_some() {
            folder.cancel()?;
        }
        // Whether somebody watches is asked first: whoever ends meanwhile has written how.
        let is_watched = folder.is_watched()?;
        let (started, over) = (folder.started()?, folder.ended()?);
        if started.is_some() && run.state == RunState::Starting {
            report(TrainerEvent::Started, None);
        }
        match over {
            Some(over) => {
                let (event, baseline) = self.event(model, run, (&folder, &over), is_known);
                report(event, baseline);
                Ok(Look::Over)
            }
            None if is_watched => Ok(Look::Busy),
            None if started.is_some() => {
                report(ended(TrainerEnd::Lost, 0, None, String::new()), None);
                Ok(Look::Over)
            }
            None => Ok(Look::Unwatched(folder)),
        }
    }

    /// What is reported of a trainer that has ended, and what its version is held against.
    fn event(
        &self,
        model: &ModelKey,
        run: &Run,
        (folder, over): (&Folder, &Ended),
        is_known: &dyn Fn(&str) -> bool,
    ) -> (TrainerEvent, Option<Baseline>) {
        let ended = |end, cost| ended(end, over.took, cost, over.said.clone());
        let failed = |why: &str| (ended(TrainerEnd::Failed { why: excerpt(why) }, None), None);
        match &over.how {
            How::Exit(0) => match self.brought(run, folder, is_known) {
                Ok((brought, registration)) => {
                    let subject = Subject {
                        tenant: model.tenant.clone(),
                        model: model.model.clone(),
                        version: brought.version.clone(),
                        segment: String::new(),
                    };
                    let given = brought.baseline.filter(|_| !is_known(&brought.version));
                    let baseline =
                        given.map(|(samples, accuracy)| Baseline::given(subject, samples, accuracy));
                    if let Some(Err(invalid)) = baseline.as_ref().map(Baseline::validate) {
                        return failed(&format!("its baseline cannot be used: {invalid}"));
                    }
                    let (version, registration) = (brought.version, Box::new(registration));
                    (ended(TrainerEnd::Trained { version, registration }, brought.cost), baseline)
                }
                Err(why) => failed(&why),
            },
            How::Exit(3) => (ended(TrainerEnd::NoModel, None), None),
            How::Exit(75) => failed(&format!("it asked to be tried later, {} times", over.attempt)),
            How::Exit(code) => failed(&format!("exit code {code}")),
            How::Signal(signal) => failed(&format!("it was ended by signal {signal}")),
            How::CannotStart(why) => failed(why),
            How::TimedOut(why) => (ended(TrainerEnd::TimedOut { why: why.clone() }, None), None),
            How::Cancelled => {
                (ended(TrainerEnd::Cancelled { why: "a person ended it".to_owned() }, None), None)
            }
        }
    }

    /// What a trainer brings and is registered with, or why it cannot be used.
    fn brought(
        &self,
        run: &Run,
        folder: &Folder,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Result<(Brought, Registration), String> {
        let bytes =
            folder.result(LARGEST_RESULT).map_err(|error| format!("its result cannot be read: {error}"))?;
        let bytes = bytes.ok_or(
            "exit 0 but no result: a trainer writes one to the file that TRIMTAB_RESULT names, or ends with 3",
        )?;
        let brought = read_result(&bytes).map_err(|unusable| unusable.to_string())?;
        let registration = self.registration(run, &brought, is_known(&brought.version))?;
        Ok((brought, registration))
    }

    /// What a version is registered with, or why it cannot be.
    fn registration(&self, run: &Run, brought: &Brought, is_known: bool) -> Result<Registration, String> {
        // The registry says so, and nothing needs to be looked at.
        if is_known {
            return Ok(Registration::default());
        }
        let artifact = match &brought.artifact {
            Some(path) => Some(self.measure(path).map_err(|error| match error {
                FilesError::Elsewhere { .. } | FilesError::Link { .. } => {
                    format!("artifact outside the root: {error}")
                }
                error => format!("its artifact cannot be used: {error}"),
            })?),
            // What it left in the folder that it was given.
            None => match self.measure(&run.id) {
                Ok(left) => Some(left).filter(|left| left.size_bytes > 0),
                Err(error) if error.is_missing() => None,
                Err(error) => {
                    return Err(format!("what it left in TRIMTAB_ARTIFACTS cannot be used: {error}"));
                }
            },
        };
        let registration = Registration {
            artifact,
            metrics: brought.metrics.clone(),
            tags: brought.tags.iter().cloned().chain([format!("run:{}", run.id)]).collect(),
            champion: false,
        };
        let change = VersionChange {
            model: ModelKey { tenant: Subject::DEFAULT_TENANT.to_owned(), model: "model".to_owned() },
            version: brought.version.clone(),
            act: VersionAct::Register(Box::new(registration.clone())),
            seen: None,
            actor: "trainer".to_owned(),
            at: run.asked,
            reason: String::new(),
        };
        change.validate().map_err(|invalid| format!("its result cannot be used: {invalid}"))?;
        Ok(registration)
    }

    /// Makes the folder of a run.
    fn begin_run(
        &self,
        state: &State,
        model: &ModelKey,
        run: &Run,
        trainer: &TrainerRule,
    ) -> Result<PathBuf, TrainerError> {
        let system = |action| move |source| TrainerError::System { action, source };
        let absolute = |path: &Path| std::path::absolute(path).map_err(system("find the data directory"));
        let path = absolute(&self.run_path(&run.id))?;
        Directory::private(&absolute(&self.directory().join(RUNS))?)?;
        let artifacts = absolute(&self.artifacts)?.join(&run.id);
        Directory::private(&artifacts)?;
        let folder = Directory::private(&path)?;
        let open: Vec<_> = state.diaries_of(model).flat_map(|(_, diary)| &diary.open).collect();
        // Findings are plain data, which always serialises.
        folder.replace(FINDINGS, &[&serde_json::to_vec_pretty(&open).unwrap_or_default()])?;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let activated = state.models.get(model).and_then(|known| known.activated);
        let variables = [
            ("RETRAIN_MODE", run.cause.mode.name().to_owned()),
            (
                "DRIFT_THRESHOLD",
                run.cause.threshold.map(|threshold| threshold.to_string()).unwrap_or_default(),
            ),
            ("TRIMTAB_RUN", run.id.clone()),
            ("TRIMTAB_TENANT", model.tenant.clone()),
            ("TRIMTAB_MODEL", model.model.clone()),
            ("TRIMTAB_SEGMENT", run.cause.segment.clone()),
            ("TRIMTAB_CHAMPION", run.champion.clone().unwrap_or_default()),
            ("TRIMTAB_FINDINGS", text(path.join(FINDINGS))),
            ("TRIMTAB_FROM", activated.map(|at| at.to_string()).unwrap_or_default()),
            ("TRIMTAB_UNTIL", state.clock(model).to_string()),
            ("TRIMTAB_RESULT", text(Folder::result_path(&path))),
            ("TRIMTAB_ARTIFACTS", text(artifacts)),
        ];
        let order = Order {
            run: run.id.clone(),
            command: trainer.command.clone(),
            directory: absolute(self.directory())?,
            environment: trainer.environment.clone(),
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            limit: u64::from(trainer.limit.0),
            heartbeat: u64::from(trainer.heartbeat.0),
            attempts: trainer.attempts,
            pause: u64::from(trainer.pause.0),
            memory: trainer.memory.map(|memory| memory.0 as u64),
        };
        Folder::make(&path, &order)?;
        Ok(path)
    }
}

/// Folders of old runs go, but for the newest; what came of them is in the log. Where one cannot be removed, it stays.
fn forget_old(runs: &Path, is_active: impl Fn(&str) -> bool) {
    let Ok(listed) = std::fs::read_dir(runs) else { return };
    let mut folders: Vec<_> = listed
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| !is_active(name)))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    folders.sort();
    let old = folders.len().saturating_sub(MOST_FOLDERS);
    for (_, path) in folders.into_iter().take(old) {
        std::fs::remove_dir_all(&path).ok();
    }
}

/// A process that watches a run. Where it cannot be begun, nobody watches, and that is seen the next time.
fn supervise(supervisors: &Supervisors, path: &Path) -> Option<Child> {
    let begun = Command::new(&supervisors.program)
        .arg(SUPERVISE)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    begun.inspect_err(|error| tracing::error!(path = %path.display(), "cannot watch a trainer: {error}")).ok()
}

fn ended(end: TrainerEnd, took: u64, cost: Option<f64>, said: String) -> TrainerEvent {
    let took = Seconds::try_from(took).unwrap_or(Seconds::MAX);
    TrainerEvent::Ended { end, took, cost: cost.filter(|cost| cost.is_finite()), said }
}

fn cancelled(why: &str) -> TrainerEvent {
    ended(TrainerEnd::Cancelled { why: why.to_owned() }, 0, None, String::new())
}

/// Whether a run is about what happened long ago by the wall clock: it was asked for then, or for the drift of rows of then.
fn is_history(state: &State, model: &ModelKey, run: &Run, now: Timestamp) -> bool {
    let newest = state.subjects_of(model).filter_map(|(_, known)| known.newest).max();
    let is_old = |at: Timestamp| now.since(at) >= WAITS;
    is_old(run.waits) || (run.cause.mode == RetrainMode::Emergency && newest.is_some_and(is_old))
}

/// The beginning of a text that may hold anything.
fn excerpt(text: &str) -> String {
    text.chars().take(1_000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "tests make the folders that are looked at")]
    fn folders_of_the_newest_runs_are_kept_and_of_those_that_go_on() {
        let runs = tempfile::tempdir().expect("a folder");
        for n in 0..MOST_FOLDERS + 3 {
            let folder = runs.path().join(format!("r-{n:04}"));
            std::fs::create_dir(&folder).expect("makes");
            let made = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000 + n as u64);
            std::fs::File::open(&folder).and_then(|opened| opened.set_modified(made)).expect("dates");
        }
        forget_old(runs.path(), |name| name == "r-0001");
        let left: Vec<_> = std::fs::read_dir(runs.path())
            .expect("lists")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        assert_eq!(left.len(), MOST_FOLDERS + 1);
        let has = |name: &str| left.iter().any(|left| left == name);
        assert!(has("r-0001") && !has("r-0000") && !has("r-0002") && has("r-0003"));
    }
}
