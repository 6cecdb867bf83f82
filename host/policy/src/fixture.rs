//! Fixtures: a policy's own examples, as files beside it. Each holds a question, what history and notebook answer, and
//! what the policy must answer. They are run before a policy is put in force, by its author, and by whoever wants to see
//! what a policy does; they never touch real data.
//!
//! ```toml
//! summary = "High: retrain, halve exposure, alert"
//! [[findings]]
//! detector = "e-sr"
//! severity = "high"
//! current = { value = 0.61, samples = 200 }
//! [[history.recent]]
//! metric = "accuracy"
//! value = 0.6
//! samples = 100
//! [settings]
//! act-exposure = 0.3
//! [expect]
//! actions = ["retrain-now", { scale-exposure = 0.3 }, { alert = "high" }]
//! reason = ["61.0 %"]
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use trimtab_types::{
    Action, Alert, Decision, Estimate, Finding, Interval, Message, Metric, ModelVersion, Occasion, Phase,
    Position, Protection, Seconds, Severity, Stage, StateChange, Subject, Timestamp, parse_duration,
};

use crate::package::{Package, PackageError, read_inside};
use crate::policy::{Call, Policy};
use crate::sandbox::Sandbox;
use crate::view::View;

/// The folder of fixtures in a policy's folder.
pub const FIXTURES: &str = "fixtures";
const LONGEST_FIXTURE: u64 = 256 << 10;
const MOST_FIXTURES: usize = 1000;

/// What came of one fixture.
#[derive(Debug, Clone, PartialEq)]
pub struct FixtureReport {
    /// The file's name without `.toml`.
    pub name: String,
    /// What it is an example of.
    pub summary: String,
    /// What the policy answered, or why it did not.
    pub answer: String,
    /// What differs from what was expected; empty: passed.
    pub problems: Vec<String>,
}

impl FixtureReport {
    /// Whether the policy answered as expected.
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }

    fn failed(name: &str, problem: String) -> Self {
        Self { name: name.to_owned(), summary: String::new(), answer: String::new(), problems: vec![problem] }
    }
}

/// Runs all fixtures of a policy's folder, sorted by name. A fixture that cannot be read is one that failed.
pub fn run_fixtures(sandbox: &Arc<Sandbox>, package: &Package, folder: &Path) -> Vec<FixtureReport> {
    let fixtures = folder.join(FIXTURES);
    if fixtures.symlink_metadata().is_err() {
        return Vec::new();
    }
    let names = match names(&fixtures) {
        Ok(names) => names,
        Err(error) => return vec![FixtureReport::failed(FIXTURES, error.to_string())],
    };
    // Held until the end: each fixture registers the policy with settings of its own, and none need compile it again.
    let _code = sandbox.compile(&package.component);
    let report = |name: &String| match read(folder, &fixtures.join(format!("{name}.toml"))) {
        Ok(fixture) => fixture.run(sandbox, package, name),
        Err(problem) => FixtureReport::failed(name, problem),
    };
    names.iter().map(report).collect()
}

fn names(fixtures: &Path) -> Result<Vec<String>, PackageError> {
    let error = |cause| PackageError::Read { path: fixtures.to_owned(), cause };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(fixtures).map_err(error)? {
        let name = entry.map_err(error)?.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".toml").filter(|name| !name.starts_with('.')) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    names.truncate(MOST_FIXTURES);
    Ok(names)
}

fn read(folder: &Path, path: &Path) -> Result<Fixture, String> {
    let bytes = read_inside(folder, path, LONGEST_FIXTURE).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Fixture {
    #[serde(default)]
    summary: String,
    #[serde(default = "default_now")]
    now: Timestamp,
    #[serde(default)]
    settings: BTreeMap<String, toml::Value>,
    #[serde(default)]
    findings: Vec<FixtureFinding>,
    /// With it the question is how this alert reads; without it, what should be done about the findings.
    alert: Option<FixtureAlert>,
    #[serde(default = "default_channel")]
    channel: String,
    #[serde(default)]
    history: History,
    #[serde(default)]
    state: BTreeMap<String, String>,
    expect: Expected,
}

fn default_now() -> Timestamp {
    // 2026-01-01T00:00:00Z; a fixture that cares about the time says which.
    Timestamp::EPOCH.plus(1_767_225_600)
}

fn default_channel() -> String {
    "chat".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct FixtureSubject {
    tenant: String,
    model: String,
    version: String,
    segment: String,
}

impl Default for FixtureSubject {
    fn default() -> Self {
        Self {
            tenant: Subject::DEFAULT_TENANT.into(),
            model: "demo".into(),
            version: "v1".into(),
            segment: String::new(),
        }
    }
}

impl From<&FixtureSubject> for Subject {
    fn from(subject: &FixtureSubject) -> Self {
        Self {
            tenant: subject.tenant.clone(),
            model: subject.model.clone(),
            version: subject.version.clone(),
            segment: subject.segment.clone(),
        }
    }
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FixtureEstimate {
    value: f64,
    #[serde(default = "default_samples")]
    samples: u32,
    lower: Option<f64>,
    upper: Option<f64>,
    #[serde(default = "yes")]
    from_outcomes: bool,
}

fn default_samples() -> u32 {
    100
}

fn yes() -> bool {
    true
}

impl From<&FixtureEstimate> for Estimate {
    fn from(estimate: &FixtureEstimate) -> Self {
        Self {
            value: estimate.value,
            samples: estimate.samples,
            interval: estimate.lower.zip(estimate.upper).map(|(lower, upper)| Interval { lower, upper }),
            from_outcomes: estimate.from_outcomes,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FixtureFinding {
    id: Option<String>,
    #[serde(default)]
    subject: FixtureSubject,
    #[serde(default = "opened")]
    phase: Phase,
    opened: Option<Timestamp>,
    detector: String,
    #[serde(default = "default_quantity")]
    quantity: String,
    severity: Severity,
    #[serde(default)]
    statistic: f64,
    #[serde(default)]
    threshold: f64,
    p_value: Option<f64>,
    e_value: Option<f64>,
    #[serde(default = "yes")]
    significant: bool,
    baseline: Option<FixtureEstimate>,
    current: Option<FixtureEstimate>,
    #[serde(default)]
    window: String,
}

fn opened() -> Phase {
    Phase::Opened
}

fn default_quantity() -> String {
    "accuracy".to_owned()
}

impl FixtureFinding {
    fn finding(&self, now: Timestamp, number: usize) -> Finding {
        let subject = Subject::from(&self.subject);
        let position = Position(number as u64 + 1);
        let id = || Finding::episode_id(&subject, &self.detector, &self.quantity, position);
        Finding {
            id: self.id.clone().unwrap_or_else(id),
            phase: self.phase,
            position,
            at: now,
            opened: self.opened.unwrap_or(now),
            detector: self.detector.clone(),
            quantity: self.quantity.clone(),
            severity: self.severity,
            statistic: self.statistic,
            threshold: self.threshold,
            p_value: self.p_value,
            e_value: self.e_value,
            significant: self.significant,
            baseline: self.baseline.as_ref().map(Into::into),
            current: self.current.as_ref().map(Into::into),
            window: self.window.clone(),
            subject,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FixtureAlert {
    #[serde(default)]
    subject: FixtureSubject,
    severity: Severity,
    #[serde(default = "firing")]
    occasion: Occasion,
    #[serde(default)]
    metrics: BTreeMap<String, FixtureEstimate>,
    reason: String,
    #[serde(default)]
    actions: Vec<String>,
    link: Option<String>,
}

fn firing() -> Occasion {
    Occasion::Firing
}

impl FixtureAlert {
    fn alert(&self, now: Timestamp, findings: Vec<Finding>) -> Alert {
        let metric = |(name, estimate): (&String, &FixtureEstimate)| Metric {
            name: name.clone(),
            estimate: estimate.into(),
        };
        Alert {
            id: "a-fixture".into(),
            subject: (&self.subject).into(),
            severity: self.severity,
            occasion: self.occasion,
            started: findings.iter().map(|finding| finding.opened).min().unwrap_or(now),
            findings,
            metrics: self.metrics.iter().map(metric).collect(),
            reason: self.reason.clone(),
            actions: self.actions.clone(),
            link: self.link.clone(),
        }
    }
}

/// What the history answers; everything that is not here has no answer.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct History {
    recent: Vec<Recent>,
    between: Vec<Between>,
    baseline: BTreeMap<String, FixtureEstimate>,
    findings: Vec<FixtureFinding>,
    drift_count: BTreeMap<String, u32>,
    versions: Vec<FixtureVersion>,
    #[serde(deserialize_with = "duration")]
    since_activation: Option<Seconds>,
    #[serde(deserialize_with = "duration")]
    since_retrain: Option<Seconds>,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Seconds>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).map(Some).map_err(|invalid| serde::de::Error::custom(invalid.problem))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Recent {
    metric: String,
    /// Not given: whatever number the policy asks for.
    last: Option<u32>,
    #[serde(flatten)]
    estimate: FixtureEstimate,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Between {
    metric: String,
    #[serde(default, deserialize_with = "duration")]
    from_ago: Option<Seconds>,
    #[serde(default, deserialize_with = "duration")]
    until_ago: Option<Seconds>,
    #[serde(flatten)]
    estimate: FixtureEstimate,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FixtureVersion {
    version: String,
    stage: Stage,
    #[serde(default)]
    protections: Vec<Protection>,
    #[serde(default, deserialize_with = "duration")]
    age: Option<Seconds>,
    #[serde(default)]
    size_bytes: u64,
    #[serde(default)]
    metrics: BTreeMap<String, FixtureEstimate>,
}

/// The fixture's history as the policy sees it.
struct FixtureView {
    now: Timestamp,
    history: History,
}

impl View for FixtureView {
    fn recent(&self, metric: &str, last: u32) -> Option<Estimate> {
        let fits =
            |recent: &&Recent| recent.metric == metric && recent.last.is_none_or(|given| given == last);
        self.history.recent.iter().find(fits).map(|recent| (&recent.estimate).into())
    }
    fn between(&self, metric: &str, from_ago: Seconds, until_ago: Seconds) -> Option<Estimate> {
        let fits = |between: &&Between| {
            between.metric == metric
                && between.from_ago.is_none_or(|given| given == from_ago)
                && between.until_ago.is_none_or(|given| given == until_ago)
        };
        self.history.between.iter().find(fits).map(|between| (&between.estimate).into())
    }
    fn baseline(&self, metric: &str) -> Option<Estimate> {
        self.history.baseline.get(metric).map(Into::into)
    }
    fn findings(&self, within: Seconds, at_least: Severity, limit: u32) -> Vec<Finding> {
        let findings = self.history.findings.iter().enumerate();
        findings
            .map(|(number, finding)| finding.finding(self.now, number + 1000))
            .filter(|f| f.severity >= at_least && self.now.since(f.opened) <= u64::from(within))
            .take(limit as usize)
            .collect()
    }
    fn drift_count(&self, detector: &str) -> u32 {
        self.history.drift_count.get(detector).copied().unwrap_or_default()
    }
    fn versions(&self) -> Vec<ModelVersion> {
        let version = |v: &FixtureVersion| ModelVersion {
            version: v.version.clone(),
            stage: v.stage,
            protections: v.protections.clone(),
            age: v.age.unwrap_or_default(),
            size_bytes: v.size_bytes,
            metrics: v
                .metrics
                .iter()
                .map(|(name, e)| Metric { name: name.clone(), estimate: e.into() })
                .collect(),
        };
        self.history.versions.iter().map(version).collect()
    }
    fn since_activation(&self) -> Option<Seconds> {
        self.history.since_activation
    }
    fn since_retrain(&self) -> Option<Seconds> {
        self.history.since_retrain
    }
}

/// What the policy must answer. What is not here is not looked at.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Expected {
    /// Exactly these, in this order.
    actions: Option<Vec<Action>>,
    /// These among others.
    #[serde(default)]
    includes: Vec<Action>,
    /// None of these, by name.
    #[serde(default)]
    excludes: Vec<String>,
    /// Parts of the reason.
    #[serde(default)]
    reason: Vec<String>,
    /// Parts of the title.
    #[serde(default)]
    title: Vec<String>,
    /// Parts of the body.
    #[serde(default)]
    body: Vec<String>,
    /// What is in the notebook afterwards.
    state: Option<BTreeMap<String, String>>,
    /// Part of the failure.
    fails: Option<String>,
}

impl Fixture {
    fn run(self, sandbox: &Arc<Sandbox>, package: &Package, name: &str) -> FixtureReport {
        let settings = |(key, value): (&String, &toml::Value)| {
            (key.clone(), serde_json::to_value(value).unwrap_or_default())
        };
        let overrides = self.settings.iter().map(settings).collect();
        let policy = match Policy::register(sandbox, package, &overrides) {
            Ok(policy) => policy,
            Err(error) => {
                return FixtureReport {
                    summary: self.summary,
                    ..FixtureReport::failed(name, error.to_string())
                };
            }
        };
        let Self { now, state, expect, .. } = self;
        let findings: Vec<_> = self.findings.iter().enumerate().map(|(n, f)| f.finding(now, n)).collect();
        let (answer, problems) = match &self.alert {
            Some(alert) => {
                let call = policy.render(now, &alert.alert(now, findings), &self.channel);
                (
                    show(&call, |message| format!("{}\n\n{}", message.title, message.body)),
                    expect.message(&call),
                )
            }
            None if findings.is_empty() => {
                (String::new(), vec!["asks nothing: add [[findings]] or [alert]".to_owned()])
            }
            None => {
                let view = Arc::new(FixtureView { now, history: self.history });
                let call = policy.decide(now, &findings, view, &state);
                (
                    show(&call, |decision| format!("{}: {}", list(&decision.actions), decision.reason)),
                    expect.decision(&call, state),
                )
            }
        };
        FixtureReport { name: name.to_owned(), summary: self.summary, answer, problems }
    }
}

impl Expected {
    fn decision(&self, call: &Call<Decision>, mut notebook: BTreeMap<String, String>) -> Vec<String> {
        let mut problems = self.failure(call);
        let Ok(decision) = &call.answer else { return problems };
        if let Some(actions) = self.actions.as_ref().filter(|actions| **actions != decision.actions) {
            problems.push(format!("actions: expected {}, got {}", list(actions), list(&decision.actions)));
        }
        for action in self.includes.iter().filter(|action| !decision.actions.contains(action)) {
            problems.push(format!("actions: expected {action} among {}", list(&decision.actions)));
        }
        for name in
            self.excludes.iter().filter(|name| decision.actions.iter().any(|action| action.name() == *name))
        {
            problems.push(format!("actions: expected no {name}, got {}", list(&decision.actions)));
        }
        problems.extend(missing("reason", &self.reason, &decision.reason));
        for StateChange { key, value } in &call.notebook {
            match value {
                Some(value) => drop(notebook.insert(key.clone(), value.clone())),
                None => drop(notebook.remove(key)),
            }
        }
        if let Some(state) = self.state.as_ref().filter(|state| **state != notebook) {
            problems.push(format!("state: expected {state:?}, got {notebook:?}"));
        }
        problems
    }

    fn message(&self, call: &Call<Message>) -> Vec<String> {
        let mut problems = self.failure(call);
        let Ok(message) = &call.answer else { return problems };
        problems.extend(missing("title", &self.title, &message.title));
        problems.extend(missing("body", &self.body, &message.body));
        problems
    }

    fn failure<T>(&self, call: &Call<T>) -> Vec<String> {
        match (&self.fails, &call.answer) {
            (None, Ok(_)) => Vec::new(),
            (None, Err(failure)) => vec![failure.to_string()],
            (Some(part), Ok(_)) => vec![format!("expected a failure with `{part}`, got an answer")],
            (Some(part), Err(failure)) => {
                missing("failure", std::slice::from_ref(part), &failure.to_string())
            }
        }
    }
}

fn missing(what: &str, parts: &[String], text: &str) -> Vec<String> {
    let absent = parts.iter().filter(|part| !text.contains(part.as_str()));
    absent.map(|part| format!("{what}: expected `{part}` in `{text}`")).collect()
}

fn show<T>(call: &Call<T>, answer: impl Fn(&T) -> String) -> String {
    call.answer.as_ref().map_or_else(ToString::to_string, answer)
}

fn list(actions: &[Action]) -> String {
    let names: Vec<_> = actions.iter().map(ToString::to_string).collect();
    format!("[{}]", names.join(", "))
}
