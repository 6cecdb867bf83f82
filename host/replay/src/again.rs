//! A replay: the log folded again with what is recorded in force, or with something else that is tried out. Nothing is
//! written, and nothing happens.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_core::{
    Configuration, InForce,
    decide::{self, Lived, Order, Output, Prepared},
    fold::{self, State, StateChange},
};
use trimtab_log::Reader;
use trimtab_policy::{GivenSettings, Loaded, Sandbox};
use trimtab_types::{
    Answer, Ask, Asked, Asking, DecisionRecord, Entry, FailureKind, Finding, ModelKey, Place, PolicyInForce,
    PolicySetEntry, Position, Record, Shard,
};

use crate::{
    due,
    overlay::Overlay,
    prepare::{self, At, Contents, Loading, PrepareError},
    told::{Told, ToldOfRows},
};

/// Decisions that are taken from the record instead of being made again, by id.
#[derive(Default)]
pub struct Recorded(BTreeMap<String, DecisionRecord>);

impl Recorded {
    /// Those that cannot be repeated.
    pub fn once<'a>(decisions: impl IntoIterator<Item = &'a DecisionRecord>) -> Self {
        let once =
            |answer: &Answer| matches!(answer, Answer::Failed(failure) if !failure.kind.is_repeatable());
        Self::all(decisions.into_iter().filter(|decision| once(&decision.answer)))
    }

    /// All of these.
    pub fn all<'a>(decisions: impl IntoIterator<Item = &'a DecisionRecord>) -> Self {
        Self(decisions.into_iter().map(|decision| (decision.id.clone(), decision.clone())).collect())
    }

    /// What was answered to a question.
    fn answer(&self, id: &str) -> Option<Asked> {
        let decision = self.0.get(id)?;
        Some(Asked {
            answer: decision.answer.clone(),
            reads: decision.reads.clone(),
            notebook: decision.notebook.clone(),
            log: decision.log.clone(),
            fuel: decision.fuel,
            duration_us: decision.duration_us,
        })
    }
}

/// Answers from the record alone: nobody is asked.
pub struct Recited<'a>(pub &'a Recorded);

impl Ask for Recited<'_> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        let missing =
            || Asked::failed(FailureKind::Load, "the record has no answer to this question".to_owned());
        self.0.answer(asking.id).unwrap_or_else(missing)
    }
}

/// Answers from the record first, and else asks.
pub(crate) struct Recall<'a> {
    /// What is taken from the record.
    recorded: &'a Recorded,
    /// Who is asked for the rest.
    loaded: &'a mut Loaded,
    /// Whether alerts are put into words.
    writes_alerts: bool,
}

impl Ask for Recall<'_> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        self.recorded.answer(asking.id).unwrap_or_else(|| self.loaded.ask(asking))
    }

    fn writes_alerts(&self) -> bool {
        self.writes_alerts
    }
}

/// A fold of one log.
pub(crate) struct Replay {
    shard: Shard,
    state: State,
    loaded: Loaded,
    sandbox: Arc<Sandbox>,
    /// What is tried out in place of what is in force.
    overlay: Option<Arc<Overlay>>,
    /// The configuration as it is recorded, whatever is tried out.
    recorded_configuration: Arc<Configuration>,
    recorded: Recorded,
    output: Output,
}

impl Replay {
    /// From the beginning.
    pub(crate) fn new(shard: Shard, sandbox: Arc<Sandbox>) -> Self {
        let state = State::default();
        Self {
            shard,
            recorded_configuration: Arc::clone(&state.configuration),
            state,
            loaded: Loaded::default(),
            sandbox,
            overlay: None,
            recorded: Recorded::default(),
            output: Output::default(),
        }
    }

    /// From a state, with what it says is in force.
    pub(crate) fn resume(
        shard: Shard,
        mut state: State,
        sandbox: Arc<Sandbox>,
        reader: &dyn Reader,
    ) -> Result<Self, PrepareError> {
        let contents = Contents { reader, at: At::Place(Place { shard, position: state.position }) };
        let (prepared, loaded) = prepare::in_force(&state, &sandbox, contents)?;
        decide::resume(&mut state, prepared);
        let recorded_configuration = Arc::clone(&state.configuration);
        let loaded = loaded.without_clock();
        Ok(Self { state, loaded, recorded_configuration, ..Self::new(shard, sandbox) })
    }

    /// The state after the newest record.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// For the next records these decisions are taken from the record.
    pub(crate) fn recall(&mut self, recorded: Recorded) {
        self.recorded = recorded;
    }

    /// Takes one record through.
    pub(crate) fn step(&mut self, record: &Record, reader: &dyn Reader) -> Result<(), PrepareError> {
        let record = self.with_due(record, reader)?;
        let contents = self.contents(reader, record.position);
        let prepared = self.prepare(&record.entry, contents)?;
        let mut ask = Recall {
            recorded: &self.recorded,
            writes_alerts: writes_alerts(self.overlay.as_deref(), &self.state.policies),
            loaded: &mut self.loaded,
        };
        self.output.append(decide::step(&mut self.state, &record, prepared, &mut ask));
        Ok(())
    }

    /// Takes what was lived at one position through, without rows. Policies read what is told of them; `told` hears what is
    /// asked for besides.
    pub(crate) fn relive(
        &mut self,
        lived: Lived<'_>,
        told: &Told,
        reader: &dyn Reader,
    ) -> Result<Vec<Order>, PrepareError> {
        let prepared = match lived.entry {
            Some(entry) => self.prepare(entry, self.contents(reader, lived.position))?,
            None => None,
        };
        let recall = Recall {
            recorded: &self.recorded,
            writes_alerts: writes_alerts(self.overlay.as_deref(), &self.state.policies),
            loaded: &mut self.loaded,
        };
        let mut ask = ToldOfRows { recall, told };
        let mut output = decide::relive(&mut self.state, lived, prepared, &mut ask);
        let orders = std::mem::take(&mut output.orders);
        self.output.append(output);
        Ok(orders)
    }

    /// Nothing is known of a model any more.
    pub(crate) fn forget(&mut self, model: &ModelKey) {
        self.state.forget(model);
    }

    /// Takes one record through with answers from the record alone.
    pub(crate) fn recite(&mut self, record: &Record, reader: &dyn Reader) -> Result<(), PrepareError> {
        let record = self.with_due(record, reader)?;
        let prepared = self.prepare(&record.entry, self.contents(reader, record.position))?;
        self.output.append(decide::step(&mut self.state, &record, prepared, &mut Recited(&self.recorded)));
        Ok(())
    }

    /// The record with what it makes due.
    fn with_due<'r>(&self, record: &'r Record, reader: &dyn Reader) -> Result<Cow<'r, Record>, PrepareError> {
        let due = due::due(&self.state, record, reader)?;
        Ok(match due.is_empty() {
            true => Cow::Borrowed(record),
            false => Cow::Owned(Record { due, ..record.clone() }),
        })
    }

    /// What is known after the newest record.
    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// Everything up to here is folded, by this replay or by another.
    pub(crate) fn passed(&mut self, position: Position) {
        fold::passed(&mut self.state, position);
    }

    fn contents<'r>(&self, reader: &'r dyn Reader, position: Position) -> Contents<'r> {
        Contents { reader, at: At::Place(Place { shard: self.shard, position }) }
    }

    /// Tries something else out from here on.
    pub(crate) fn try_out(
        &mut self,
        overlay: Arc<Overlay>,
        told: &Told,
        reader: &dyn Reader,
    ) -> Result<(), PrepareError> {
        let configuration = Arc::new(overlay.configuration(&self.state.configuration));
        self.overlay = Some(overlay);
        let contents = self.contents(reader, self.state.position);
        let set = self.state.policies.clone();
        let prepared = self.load(Some(configuration), &set, contents)?;
        let recall = Recall {
            recorded: &self.recorded,
            writes_alerts: writes_alerts(self.overlay.as_deref(), &set),
            loaded: &mut self.loaded,
        };
        let mut ask = ToldOfRows { recall, told };
        self.output.append(decide::try_out(&mut self.state, prepared, &mut ask));
        Ok(())
    }

    fn prepare(&mut self, entry: &Entry, contents: Contents<'_>) -> Result<Option<Prepared>, PrepareError> {
        let (configuration, set) = match entry {
            Entry::Configuration(digest) => {
                let recorded = Arc::new(contents.configuration(digest)?);
                let configuration = match &self.overlay {
                    Some(overlay) => Arc::new(overlay.configuration(&recorded)),
                    None => Arc::clone(&recorded),
                };
                self.recorded_configuration = recorded;
                (Some(configuration), self.state.policies.clone())
            }
            Entry::PolicySet(set) => (None, set.clone()),
            _ => return Ok(None),
        };
        self.load(configuration, &set, contents).map(Some)
    }

    /// Makes ready what was recorded, or what is tried out in its place.
    fn load(
        &mut self,
        configuration: Option<Arc<Configuration>>,
        set: &PolicySetEntry,
        contents: Contents<'_>,
    ) -> Result<Prepared, PrepareError> {
        let under = configuration.as_deref().unwrap_or(&self.state.configuration);
        let mut loading = Loading {
            sandbox: &self.sandbox,
            configuration: under,
            contents,
            loaded: Loaded::default().without_clock(),
        };
        let policies = match &self.overlay {
            Some(overlay) => tried_out(overlay, set, &mut loading)?,
            None => loading.set(set)?,
        };
        // The code of versions that stay is compiled once: what was loaded before lives until here.
        self.loaded = loading.loaded;
        Ok(Prepared { configuration, policies })
    }

    /// Everything that came since the last call.
    pub(crate) fn take(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// What has to be stored of the state, with keys; nothing is touched afterwards.
    pub(crate) fn take_states(&mut self) -> Result<Vec<StateChange>, PrepareError> {
        Ok(self.state.take_touched()?)
    }

    /// Models of which experiments are under way: what decides about them is told by rows.
    pub(crate) fn tried(&self) -> BTreeSet<ModelKey> {
        let under_way = self.state.tallies.iter().filter(|(_, tallies)| !tallies.is_empty());
        under_way.map(|(model, _)| model.clone()).collect()
    }

    /// Nothing of the state is going to be stored.
    pub(crate) fn forget_touched(&mut self) {
        self.state.touched.clear();
    }

    /// Whether alerts are put into words.
    pub(crate) fn writes_alerts(&self) -> bool {
        writes_alerts(self.overlay.as_deref(), &self.state.policies)
    }

    /// The policies that are asked, as they stand.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &PolicyInForce> {
        self.state.in_force.iter().map(|policy| &policy.entry)
    }

    /// The settings of the policies in force, of those that can be loaded.
    pub(crate) fn settings_in_force(&self) -> BTreeMap<String, GivenSettings> {
        self.in_force()
            .filter_map(|entry| Some((entry.policy.name.clone(), self.loaded.settings(&entry.policy)?)))
            .collect()
    }

    /// Whether the newest version of a policy in force would be asked about a finding.
    pub(crate) fn applies_to(&self, policy: &str, finding: &Finding) -> bool {
        let in_force = &self.state.in_force;
        in_force.iter().any(|known| known.entry.policy.name == policy && known.applies_to(finding))
    }

    /// Tables of the configuration that is tried out which let other things happen than those of the recorded one.
    pub(crate) fn other_tables(&self) -> Vec<&'static str> {
        let (recorded, tried) = (&self.recorded_configuration, &self.state.configuration);
        [
            ("[[models]]", recorded.models != tried.models),
            ("[safeguards]", recorded.safeguards != tried.safeguards),
            ("[alerts]", recorded.alerts != tried.alerts),
        ]
        .into_iter()
        .filter_map(|(table, differs)| differs.then_some(table))
        .collect()
    }
}

/// Whether alerts are put into words: not where something is tried out that would not change them.
fn writes_alerts(overlay: Option<&Overlay>, recorded: &PolicySetEntry) -> bool {
    overlay.is_none_or(|overlay| overlay.rewrites_alerts(recorded))
}

/// What an overlay has in place of a recorded set.
fn tried_out(
    overlay: &Overlay,
    recorded: &PolicySetEntry,
    loading: &mut Loading<'_>,
) -> Result<Vec<InForce>, PrepareError> {
    let configuration = loading.configuration;
    let mut policies = Vec::new();
    for entry in recorded.policies.iter().filter(|entry| overlay.keeps(&entry.policy.name)) {
        let rules = loading.stored(&entry.policy.name, &entry.policy.digest)?;
        let entry = overlay.kept(rules.as_ref().ok(), configuration, entry);
        policies.push(InForce::new(entry, rules, |name, digest| loading.stored(name, digest))?);
    }
    for package in overlay.packages() {
        // One that cannot be loaded is refused before anything is folded, and nothing is known of it.
        let Ok(rules) = loading.add(package) else { continue };
        let entry = overlay.entry(package, &rules, configuration, recorded.policy(&package.name));
        policies.push(InForce::new(entry, Ok(rules), |name, digest| loading.stored(name, digest))?);
    }
    Ok(InForce::in_order(policies))
}
