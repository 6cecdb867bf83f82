//! `policy.toml`: what a policy applies to, what it may use, and which settings it has. Parsing and checking only; a
//! mistake names the file, the line, the key and what to write instead.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use toml::Spanned;
use trimtab_types::{
    Action, AppliesTo, Caps, Globs, Mode, PolicyKind, Rules, Seconds, Severity, Size, Time, parse_duration,
};

use crate::limits::Limits;
use crate::settings::{Setting, SettingKind};

/// Policies are asked again at ticks, which come once a minute.
const LEAST_RECONSIDERED: Seconds = 60;

/// A mistake in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {key}: {problem}")]
pub struct ManifestError {
    /// The file as the caller named it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The key, with its table.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

/// What a policy's manifest says.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// One line for people.
    pub summary: String,
    /// File name of the component; `None`: the only `.wasm` file in the folder.
    pub component: Option<String>,
    /// Whether answers are acted on.
    pub mode: Mode,
    /// Policies of lower order are asked first.
    pub order: i32,
    /// Channels that an alert-format policy writes for.
    pub channels: Globs,
    /// What the policy is asked about.
    pub applies_to: AppliesTo,
    /// Imports that the operator allows.
    pub grants: Grants,
    /// What one call may use.
    pub limits: Limits,
    /// What it asks to be allowed to use; the operator may grant less.
    pub asked: Limits,
    /// What happens if the policy cannot answer.
    pub fail_safe: Vec<Action>,
    /// How long after it was asked about a subject it is asked again, while something that it applies to is open.
    pub reconsider: Option<Seconds>,
    /// Whether it is asked about what is open when it comes into force under a new name.
    pub on_swap: OnSwap,
    /// How long after it was said that something is open this is said again, where its alert said so.
    pub repeat: Option<Seconds>,
    /// Its settings, by key.
    pub settings: BTreeMap<String, Setting>,
}

/// What becomes of what is open when a policy comes into force under a new name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSwap {
    /// It is asked about it, once.
    #[default]
    Ask,
    /// It waits for the next change.
    Wait,
}

/// Imports that have to be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Metrics, findings and versions of the subject that it is asked about.
    pub history: bool,
    /// A small notebook per policy and subject.
    pub state: bool,
}

impl Manifest {
    /// Reads a manifest; `file` is only for error messages.
    pub fn parse(text: &str, file: &str) -> Result<Self, ManifestError> {
        let source = Source { text, file };
        let raw: Raw = toml::from_str(text).map_err(|error| source.syntax(&error))?;
        let limits = source.limits(&raw.limits)?;
        Ok(Self {
            summary: source.summary(&raw.summary)?,
            component: raw.component.map(|name| source.component(&name)).transpose()?,
            mode: raw.mode,
            order: raw.order,
            channels: Globs::new(&raw.channels),
            applies_to: AppliesTo {
                tenant: source.globs("tenant", raw.applies_to.tenant.as_ref())?,
                model: source.globs("model", raw.applies_to.model.as_ref())?,
                segment: source.globs("segment", raw.applies_to.segment.as_ref())?,
                detector: source.globs("detector", raw.applies_to.detector.as_ref())?,
                severity: raw.applies_to.severity.unwrap_or(Severity::Info),
            },
            grants: raw.grants,
            limits,
            asked: limits,
            fail_safe: source.fail_safe(&raw.fail_safe)?,
            reconsider: raw.reconsider.map(|every| source.every("reconsider", &every)).transpose()?,
            on_swap: raw.on_swap,
            repeat: raw.repeat.map(|every| source.every("repeat", &every)).transpose()?,
            settings: source.settings(&raw.settings)?,
        })
    }

    /// Grants no more than the operator lets policies have.
    pub fn cap(&mut self, caps: &Caps) {
        self.limits = self.asked.within(caps);
    }

    /// What was asked for and is not granted: key, asked, granted.
    pub fn cut(&self) -> Vec<(&'static str, String, String)> {
        let both = self.asked.shown().into_iter().zip(self.limits.shown());
        both.filter(|(asked, granted)| asked != granted)
            .map(|((key, asked), (_, granted))| (key, asked, granted))
            .collect()
    }

    /// What deciding needs of it, for a policy that answers these questions.
    pub(crate) fn rules(&self, kinds: Vec<PolicyKind>) -> Rules {
        Rules {
            kinds,
            mode: self.mode,
            order: self.order,
            channels: self.channels.clone(),
            applies_to: self.applies_to.clone(),
            fail_safe: self.fail_safe.clone(),
            reconsider: self.reconsider,
            asked_on_swap: self.on_swap == OnSwap::Ask,
            repeat: self.repeat,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    summary: Spanned<String>,
    component: Option<Spanned<String>>,
    #[serde(default)]
    mode: Mode,
    #[serde(default = "default_order")]
    order: i32,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    applies_to: RawAppliesTo,
    #[serde(default)]
    grants: Grants,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    fail_safe: RawFailSafe,
    reconsider: Option<Spanned<String>>,
    #[serde(default)]
    on_swap: OnSwap,
    repeat: Option<Spanned<String>>,
    #[serde(default)]
    settings: BTreeMap<Spanned<String>, RawSetting>,
}

fn default_order() -> i32 {
    100
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawAppliesTo {
    tenant: Option<Spanned<Vec<String>>>,
    model: Option<Spanned<Vec<String>>>,
    segment: Option<Spanned<Vec<String>>>,
    detector: Option<Spanned<Vec<String>>>,
    severity: Option<Severity>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RawLimits {
    fuel: Option<Spanned<u64>>,
    time: Option<Spanned<String>>,
    memory: Option<Spanned<String>>,
    answer: Option<Spanned<String>>,
    log_lines: Option<Spanned<u64>>,
    log_line: Option<Spanned<String>>,
    host_calls: Option<Spanned<u64>>,
    record: Option<Spanned<String>>,
    state_keys: Option<Spanned<u64>>,
    state: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawFailSafe {
    actions: Option<Spanned<Vec<Action>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSetting {
    r#type: SettingKind,
    default: Spanned<toml::Value>,
    min: Option<Spanned<toml::Value>>,
    max: Option<Spanned<toml::Value>>,
    #[serde(default)]
    choices: Vec<String>,
    summary: String,
}

/// The text of a manifest, to say where a mistake is.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl Source<'_> {
    fn error(&self, offset: usize, key: impl Into<String>, problem: impl Into<String>) -> ManifestError {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        ManifestError {
            file: self.file.to_owned(),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            key: key.into(),
            problem: problem.into(),
        }
    }

    /// What the TOML reader says, with the key from the line that it points to.
    fn syntax(&self, error: &toml::de::Error) -> ManifestError {
        let offset = error.span().map_or(0, |span| span.start);
        let mut mistake = self.error(offset, "", error.message().replace('\n', "; "));
        let line = self.text.lines().nth(mistake.line - 1).unwrap_or_default();
        let key = line.split('=').next().unwrap_or_default().trim().trim_matches(['[', ']']);
        mistake.key = if key.is_empty() { "policy.toml".to_owned() } else { key.chars().take(80).collect() };
        mistake
    }

    fn summary(&self, summary: &Spanned<String>) -> Result<String, ManifestError> {
        let text = summary.get_ref().trim();
        if text.is_empty() || text.contains('\n') {
            return Err(self.error(
                summary.span().start,
                "summary",
                "must be one line that says what the policy does",
            ));
        }
        Ok(text.to_owned())
    }

    fn every(&self, key: &str, every: &Spanned<String>) -> Result<Seconds, ManifestError> {
        let parsed = parse_duration(every.get_ref()).ok();
        parsed.filter(|seconds| *seconds >= LEAST_RECONSIDERED).ok_or_else(|| {
            let problem =
                format!("is `{}`; write a length of time of at least 1m, such as 24h", every.get_ref());
            self.error(every.span().start, key, problem)
        })
    }

    fn component(&self, name: &Spanned<String>) -> Result<String, ManifestError> {
        let plain = !name.get_ref().contains(['/', '\\', '\0']) && name.get_ref().ends_with(".wasm");
        if !plain || name.get_ref().starts_with('.') {
            let problem = "must be the name of a .wasm file in the policy's own folder, without any path";
            return Err(self.error(name.span().start, "component", problem));
        }
        Ok(name.get_ref().clone())
    }

    fn globs(&self, key: &str, given: Option<&Spanned<Vec<String>>>) -> Result<Globs, ManifestError> {
        let Some(given) = given else { return Ok(Globs::new(&["*".to_owned()])) };
        if given.get_ref().is_empty() {
            let problem =
                "is empty, so nothing matches; leave it out for everything, or write `mode = \"off\"`";
            return Err(self.error(given.span().start, format!("applies-to.{key}"), problem));
        }
        Ok(Globs::new(given.get_ref()))
    }

    fn limits(&self, raw: &RawLimits) -> Result<Limits, ManifestError> {
        let (default, most) = (Limits::DEFAULT, Limits::MOST);
        Ok(Limits {
            fuel: self.number("fuel", raw.fuel.as_ref(), default.fuel, 1000..=most.fuel)?,
            time: self.time(raw.time.as_ref())?,
            memory: self.size("memory", raw.memory.as_ref(), default.memory, 64 << 10..=most.memory)?,
            answer: self.size("answer", raw.answer.as_ref(), default.answer, 256..=most.answer)?,
            log_lines: self.count("log-lines", raw.log_lines.as_ref(), default.log_lines, most.log_lines)?,
            log_line: self.size("log-line", raw.log_line.as_ref(), default.log_line, 16..=most.log_line)?,
            host_calls: self.number(
                "host-calls",
                raw.host_calls.as_ref(),
                default.host_calls,
                1..=most.host_calls,
            )?,
            record: self.size("record", raw.record.as_ref(), default.record, 4 << 10..=most.record)?,
            state_keys: self.count(
                "state-keys",
                raw.state_keys.as_ref(),
                default.state_keys,
                most.state_keys,
            )?,
            state: self.size("state", raw.state.as_ref(), default.state, 0..=most.state)?,
        })
    }

    fn number(
        &self,
        key: &str,
        given: Option<&Spanned<u64>>,
        default: u64,
        allowed: RangeInclusive<u64>,
    ) -> Result<u64, ManifestError> {
        let Some(given) = given else { return Ok(default) };
        if allowed.contains(given.get_ref()) {
            return Ok(*given.get_ref());
        }
        let problem =
            format!("is {}; it must lie in {}..{}", given.get_ref(), allowed.start(), allowed.end());
        Err(self.error(given.span().start, format!("limits.{key}"), problem))
    }

    fn count(
        &self,
        key: &str,
        given: Option<&Spanned<u64>>,
        default: usize,
        most: usize,
    ) -> Result<usize, ManifestError> {
        self.number(key, given, default as u64, 0..=most as u64).map(|number| number as usize)
    }

    fn size(
        &self,
        key: &str,
        given: Option<&Spanned<String>>,
        default: usize,
        allowed: RangeInclusive<usize>,
    ) -> Result<usize, ManifestError> {
        let Some(given) = given else { return Ok(default) };
        Size::parse(given.get_ref())
            .map(|Size(bytes)| bytes)
            .filter(|size| allowed.contains(size))
            .ok_or_else(|| {
                let (least, most) = (Size(*allowed.start()), Size(*allowed.end()));
                let problem = format!(
                    "`{}` is not a size from {least} to {most}; write it as 64KiB or 16MiB",
                    given.get_ref()
                );
                self.error(given.span().start, format!("limits.{key}"), problem)
            })
    }

    fn time(&self, given: Option<&Spanned<String>>) -> Result<std::time::Duration, ManifestError> {
        let Some(given) = given else { return Ok(Limits::DEFAULT.time) };
        let allowed = std::time::Duration::from_millis(1)..=Limits::MOST.time;
        Time::parse(given.get_ref()).map(|Time(time)| time).filter(|time| allowed.contains(time)).ok_or_else(
            || {
                let most = Limits::MOST.time.as_secs();
                let problem = format!(
                    "`{}` is not a time from 1ms to {most}s; write it as 100ms or 2s",
                    given.get_ref()
                );
                self.error(given.span().start, "limits.time", problem)
            },
        )
    }

    /// What a policy that cannot answer may cause: nothing that moves a model or spends money.
    fn fail_safe(&self, raw: &RawFailSafe) -> Result<Vec<Action>, ManifestError> {
        let Some(actions) = &raw.actions else { return Ok(vec![Action::Alert(Severity::Critical)]) };
        let error = |problem: String| self.error(actions.span().start, "fail-safe.actions", problem);
        if actions.get_ref().is_empty() {
            return Err(error(
                "is empty; a finding is never dropped in silence: write at least [\"monitor\"]".to_owned(),
            ));
        }
        let allowed =
            |action: &&Action| matches!(action, Action::Monitor | Action::Alert(_) | Action::KillSwitchOn);
        if let Some(action) = actions.get_ref().iter().find(|action| !allowed(action)) {
            let problem = "is not allowed here; choose from \"monitor\", { alert = \"critical\" } and \"kill-switch-on\"";
            return Err(error(format!("{} {problem}", action.name())));
        }
        Ok(actions.get_ref().clone())
    }

    fn settings(
        &self,
        raw: &BTreeMap<Spanned<String>, RawSetting>,
    ) -> Result<BTreeMap<String, Setting>, ManifestError> {
        raw.iter().map(|(key, setting)| Ok((key.get_ref().clone(), self.setting(key, setting)?))).collect()
    }

    fn setting(&self, key: &Spanned<String>, raw: &RawSetting) -> Result<Setting, ManifestError> {
        let name = key.get_ref();
        let table = format!("settings.{name}");
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let problem = "a key has at most 64 lower-case letters, digits and dashes";
            return Err(self.error(key.span().start, table, problem));
        }
        let read = |part: &str, value: &Spanned<toml::Value>| {
            let json = serde_json::to_value(value.get_ref()).unwrap_or_default();
            raw.r#type
                .read(&json)
                .map_err(|problem| self.error(value.span().start, format!("{table}.{part}"), problem))
        };
        let bound = |part: &str, value: &Option<Spanned<toml::Value>>| {
            let Some(value) = value else { return Ok(None) };
            if !matches!(raw.r#type, SettingKind::Number | SettingKind::Count | SettingKind::Duration) {
                let problem =
                    format!("is only for numbers, counts and durations; this is a {}", raw.r#type.name());
                return Err(self.error(value.span().start, format!("{table}.{part}"), problem));
            }
            read(part, value).map(Some)
        };
        if !raw.choices.is_empty() && !matches!(raw.r#type, SettingKind::Text | SettingKind::Texts) {
            let problem = "is only for text and texts; use min and max";
            return Err(self.error(key.span().start, format!("{table}.choices"), problem));
        }
        let setting = Setting {
            default: read("default", &raw.default)?,
            min: bound("min", &raw.min)?,
            max: bound("max", &raw.max)?,
            choices: raw.choices.clone(),
            summary: raw.summary.clone(),
        };
        setting
            .check(&setting.default)
            .map_err(|problem| self.error(raw.default.span().start, format!("{table}.default"), problem))?;
        Ok(setting)
    }
}
