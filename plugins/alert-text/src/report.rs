//! An alert in words: every fact that a message states, without a channel's form. Text of others is on one line here and of
//! bounded length; escaping it is the channel's.
//!
//! Drops are taken from the unrounded numbers.

use wording::{count, decimal, difference, p_value, percent, quantity};

use crate::{
    Alert, Estimate, Finding, Occasion, Phase, Severity,
    escape::{clip, flat, units},
};

/// What is not in the alert itself.
#[derive(Debug, Clone)]
pub struct Style {
    /// When the alert started, for people.
    pub started: String,
    /// Findings that are described; the others are counted.
    pub most_findings: usize,
    /// Whether to end with a recommendation.
    pub recommend: bool,
}

/// The alert in words.
#[derive(Debug, Clone)]
pub struct Report {
    /// Stands for level and occasion.
    pub emoji: &'static str,
    /// The level as one word.
    pub level: &'static str,
    /// Level and occasion: "HIGH drift, got worse".
    pub headline: String,
    /// With its tenant, unless that is the default.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// `None`: all segments together.
    pub segment: Option<String>,
    /// Whether it is over.
    pub resolved: bool,
    /// When it started, for people.
    pub started: String,
    /// The findings that are described.
    pub findings: Vec<Measured>,
    /// Findings that are only counted.
    pub more: usize,
    /// Metrics, where no finding says anything: "accuracy 55.0 %".
    pub metrics: Vec<String>,
    /// What was decided, in the deciding policy's words.
    pub decided: String,
    /// What became of each action.
    pub actions: Vec<String>,
    /// Actions that are only counted.
    pub more_actions: usize,
    /// What becomes of a retrain; `None` where the question does not arise.
    pub retrain: Option<String>,
    /// What to do.
    pub recommendation: Option<&'static str>,
    /// The alert's page.
    pub link: Option<String>,
}

/// A finding in words.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was watched.
    pub quantity: String,
    /// Whether it is over.
    pub recovered: bool,
    /// Now.
    pub current: Option<Figure>,
    /// Before.
    pub baseline: Option<Figure>,
    /// Between the two.
    pub change: Option<Change>,
    /// What was tested.
    pub statistic: String,
    /// What it was held against.
    pub threshold: String,
    /// By whom.
    pub detector: String,
    /// What was compared.
    pub window: String,
    /// p-value or e-value, and whether it is significant.
    pub evidence: String,
}

/// A number in words, and what it rests on.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The number.
    pub value: String,
    /// Observations behind it.
    pub samples: u32,
    /// Not from outcomes.
    pub estimated: bool,
}

/// How far it went, and whether down.
#[derive(Debug, Clone)]
pub struct Change {
    /// Down.
    pub fell: bool,
    /// "7.0 points (10.3 %)".
    pub by: String,
}

/// A fact with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub label: &'static str,
    /// What it says.
    pub value: String,
}

/// The host takes no longer title, in bytes.
const LONGEST_TITLE: usize = 512;
/// Of a text of others, in bytes. A name is not longer; the host's reasons may be, up to 4 KiB.
const LONGEST_NAME: usize = 200;
const LONGEST_REASON: usize = 1500;
const LONGEST_ACTION: usize = 300;
/// A longer one is left out: half an address leads nowhere.
const LONGEST_LINK: usize = 500;

impl Report {
    /// Of this alert.
    pub fn of(alert: &Alert, style: &Style) -> Self {
        let subject = &alert.subject;
        let (emoji, level, headline) = headline(alert);
        let resolved = alert.occasion == Occasion::Resolved;
        let described = alert.findings.iter().take(style.most_findings);
        let metrics = alert.metrics.iter().filter(|_| alert.findings.is_empty());
        Self {
            emoji,
            level,
            headline,
            model: match subject.tenant.as_str() {
                "default" => name(&subject.model),
                tenant => format!("{}/{}", name(tenant), name(&subject.model)),
            },
            version: name(&subject.version),
            segment: (!subject.segment.is_empty()).then(|| name(&subject.segment)),
            resolved,
            started: style.started.clone(),
            findings: described.map(Measured::of).collect(),
            more: alert.findings.len().saturating_sub(style.most_findings),
            metrics: metrics
                .map(|metric| {
                    format!("{} {}", name(&metric.name), quantity(&metric.name, metric.estimate.value))
                })
                .collect(),
            decided: flat(&alert.reason, LONGEST_REASON),
            actions: alert.actions.iter().map(|action| flat(action, LONGEST_ACTION)).collect(),
            more_actions: 0,
            retrain: (!alert.findings.is_empty() && !resolved)
                .then(|| flat(&retrain(&alert.actions), LONGEST_ACTION)),
            recommendation: style.recommend.then(|| recommendation(alert)),
            link: alert.link.as_deref().filter(|link| is_page(link)).map(str::to_owned),
        }
    }

    /// Model, version and segment: "acme/btc v7 [BTC/USDT]".
    pub fn about(&self) -> String {
        let segment = self.segment.as_ref().map_or_else(String::new, |segment| format!(" [{segment}]"));
        format!("{} {}{segment}", self.model, self.version)
    }

    /// One line, in words only.
    pub fn title(&self) -> String {
        clip(&format!("{}: {}", self.headline, self.about()), LONGEST_TITLE)
    }

    /// One line that begins with the emoji.
    pub fn title_with_emoji(&self) -> String {
        clip(&format!("{} {}: {}", self.emoji, self.headline, self.about()), LONGEST_TITLE)
    }

    /// "Since", or "Started" where it is over.
    pub fn since(&self) -> &'static str {
        if self.resolved { "Started" } else { "Since" }
    }

    /// "… and 2 findings more", if there are.
    pub fn uncounted(&self) -> Option<String> {
        (self.more > 0).then(|| format!("… and {} more", count(self.more, "finding")))
    }

    /// Whom and what it is about.
    pub fn subject_facts(&self) -> Vec<Fact> {
        let all = || "all segments".to_owned();
        vec![
            fact("Level", self.level),
            fact("Model", &self.model),
            fact("Version", &self.version),
            fact("Segment", self.segment.clone().unwrap_or_else(all)),
            fact(self.since(), &self.started),
        ]
    }

    /// Metrics, what was decided and done, and what to do.
    pub fn decision_facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        if !self.metrics.is_empty() {
            facts.push(fact("Metrics", self.metrics.join(", ")));
        }
        facts.push(fact("Decided", &self.decided));
        facts.extend(self.actions.iter().map(|action| fact("Action", action)));
        if self.more_actions > 0 {
            facts.push(fact("Actions", format!("… and {} more", self.more_actions)));
        }
        facts.extend(self.retrain.iter().map(|retrain| fact("Retrain", retrain)));
        facts.extend(self.recommendation.map(|advice| fact("Advice", advice)));
        facts
    }

    /// As text and nothing else: headline, then a fact a line. What every channel has to show where it cannot show its own
    /// form; at most `most` units long.
    pub fn text(&self, most: usize) -> String {
        let fits = |text: &String| units(text) <= most;
        lines(&fitted(self, |report| report.text_lines().join("\n"), fits), most)
    }

    fn text_lines(&self) -> Vec<String> {
        let fact = |fact: Fact| format!("{}: {}", fact.label, fact.value);
        let mut text = vec![self.title(), String::new()];
        text.extend(self.subject_facts().into_iter().map(fact));
        for finding in &self.findings {
            text.push(String::new());
            text.extend(finding.facts().into_iter().map(fact));
        }
        text.extend(self.uncounted());
        text.push(String::new());
        text.extend(self.decision_facts().into_iter().map(fact));
        text.extend(self.link.iter().map(|link| format!("Link: {link}")));
        text
    }

    /// How often `shortened` can say less.
    fn steps(&self) -> usize {
        self.findings.len() + self.actions.len() + 1
    }

    /// Says less by so many steps, the least important first: findings and then actions are counted, and at last names and
    /// reasons are short. What becomes of a retrain and what to do are said to the last.
    fn shortened(&self, steps: usize) -> Self {
        const SHORT_NAME: usize = 80;
        const SHORT_REASON: usize = 200;
        let mut report = self.clone();
        let findings = steps.min(self.findings.len());
        let actions = (steps - findings).min(self.actions.len());
        report.findings.truncate(self.findings.len() - findings);
        report.actions.truncate(self.actions.len() - actions);
        report.more += findings;
        report.more_actions += actions;
        if steps >= self.steps() {
            for name in [&mut report.model, &mut report.version].into_iter().chain(&mut report.segment) {
                *name = clip(name, SHORT_NAME);
            }
            for reason in std::iter::once(&mut report.decided).chain(&mut report.retrain) {
                *reason = clip(reason, SHORT_REASON);
            }
        }
        report
    }
}

impl Measured {
    fn of(finding: &Finding) -> Self {
        let level = |estimate: Estimate| Figure {
            value: quantity(&finding.quantity, estimate.value),
            samples: estimate.samples,
            estimated: !estimate.from_outcomes,
        };
        let change = finding.current.zip(finding.baseline).map(|(now, before)| {
            let fall = before.value - now.value;
            let by = difference(&finding.quantity, fall);
            let relative = match before.value {
                0.0 => String::new(),
                from => format!(" ({})", percent((fall / from).abs())),
            };
            Change { fell: fall >= 0.0, by: by + &relative }
        });
        let evidence = match (finding.p_value, finding.e_value) {
            (Some(p), _) => format!("{}, ", p_value(p)),
            (None, Some(e)) => format!("e-value {}, ", decimal(e, 1)),
            (None, None) => String::new(),
        };
        Self {
            quantity: name(&finding.quantity),
            recovered: finding.phase == Phase::Closed,
            current: finding.current.map(level),
            baseline: finding.baseline.map(level),
            change,
            statistic: decimal(finding.statistic, 3),
            threshold: decimal(finding.threshold, 3),
            detector: name(&finding.detector),
            window: name(&finding.window),
            evidence: evidence + if finding.significant { "significant" } else { "not significant" },
        }
    }

    /// What was measured, and how sure that is.
    pub fn facts(&self) -> Vec<Fact> {
        let over = if self.recovered { " (recovered)" } else { "" };
        let mut facts = vec![fact("Watched", format!("{}{over}", self.quantity))];
        match &self.current {
            Some(current) => facts.push(fact("Current", current.text())),
            None => facts.push(fact("Statistic", format!("{}, limit {}", self.statistic, self.threshold))),
        }
        if self.current.is_some() || self.baseline.is_some() {
            facts.push(fact(
                "Baseline",
                self.baseline.as_ref().map_or_else(|| "none".to_owned(), Figure::text),
            ));
        }
        let change = self.change.as_ref();
        facts.extend(change.map(|change| fact(if change.fell { "Drop" } else { "Rise" }, &change.by)));
        facts.extend([
            fact("Window", &self.window),
            fact("Detector", &self.detector),
            fact("Evidence", &self.evidence),
        ]);
        facts.retain(|fact| !fact.value.is_empty());
        facts
    }
}

impl Figure {
    /// "61.0 % (n = 200)".
    pub fn text(&self) -> String {
        let estimated = if self.estimated { ", estimated without outcomes" } else { "" };
        format!("{} (n = {}{estimated})", self.value, self.samples)
    }
}

fn fact(label: &'static str, value: impl Into<String>) -> Fact {
    Fact { label, value: value.into() }
}

/// The fullest form of a report that fits, or the shortest that there is: a form that is cut at its end would lose what
/// becomes of a retrain and what to do.
pub fn fitted<T>(report: &Report, form: impl Fn(&Report) -> T, fits: impl Fn(&T) -> bool) -> T {
    let whole = form(report);
    if fits(&whole) {
        return whole;
    }
    // Bisected, because forming takes most of the time: too long after `above` steps, and `best` is what fits after `fewest`.
    let (mut above, mut fewest) = (0, report.steps());
    let mut best = form(&report.shortened(fewest));
    while fewest - above > 1 {
        let steps = above.midpoint(fewest);
        let formed = form(&report.shortened(steps));
        if fits(&formed) {
            (fewest, best) = (steps, formed);
        } else {
            above = steps;
        }
    }
    best
}

/// The longest layout of a report that is at most `most` units long: findings are counted instead of described until it
/// fits, because what was decided matters more than the fourth finding. The chat's: it cuts what is too long even so.
pub fn within(report: &Report, most: usize, layout: impl Fn(&Report) -> Vec<String>) -> String {
    let mut report = report.clone();
    loop {
        let text = layout(&report).join("\n");
        if units(&text) <= most || report.findings.pop().is_none() {
            return lines(&text, most);
        }
        report.more += 1;
    }
}

/// Whole lines of a text, at most `most` units long: markup that a line opens and closes stays whole.
pub fn lines(text: &str, most: usize) -> String {
    const CUT: &str = "\n…";
    if units(text) <= most {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for line in text.lines() {
        used += units(line) + 1;
        if used + units(CUT) > most {
            return kept.trim_end().to_owned() + CUT;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept.trim_end().to_owned()
}

fn headline(alert: &Alert) -> (&'static str, &'static str, String) {
    let (emoji, level) = match alert.severity {
        Severity::Info => ("ℹ️", "INFO"),
        Severity::Low => ("🟡", "LOW"),
        Severity::Medium => ("🟠", "MEDIUM"),
        Severity::High => ("🔴", "HIGH"),
        Severity::Critical => ("🚨", "CRITICAL"),
    };
    let what = if alert.findings.is_empty() { "alert" } else { "drift" };
    match alert.occasion {
        Occasion::Firing => (emoji, level, format!("{level} {what}")),
        Occasion::Repeated => (emoji, level, format!("{level} {what}, still there")),
        Occasion::Escalated => (emoji, level, format!("{level} {what}, got worse")),
        Occasion::Resolved => ("✅", level, format!("Resolved: {level} {what}")),
    }
}

/// From the texts of the actions: what becomes of a retrain.
pub(crate) fn retrain(actions: &[String]) -> String {
    let Some(action) = actions
        .iter()
        .find(|action| action.starts_with("retrain-now") || action.starts_with("schedule-retrain"))
    else {
        return "not proposed".to_owned();
    };
    match action.split_once(": ") {
        Some((_, verdict)) if verdict.starts_with("refused") => {
            format!("not eligible, {}", verdict.trim_start_matches("refused").trim_start_matches(": "))
        }
        Some((_, verdict)) if verdict.starts_with("waits") => "eligible, waits for approval".to_owned(),
        Some((_, verdict)) if verdict.starts_with("suppressed") => "suppressed".to_owned(),
        Some((_, verdict)) if verdict.starts_with("overruled") => verdict.replacen(": ", " ", 1),
        _ => "eligible, on its way".to_owned(),
    }
}

fn recommendation(alert: &Alert) -> &'static str {
    match (alert.occasion, alert.severity) {
        (Occasion::Resolved, _) => {
            "Look at the kill switch and the exposure: a recovery does not restore them."
        }
        (_, Severity::Critical) => "Stop trusting this model now. Check its data, then roll back or retrain.",
        (_, Severity::High) => "Check the data first, then decide on a retrain or a rollback.",
        (_, Severity::Medium) => "Keep an eye on it and have a retrain ready.",
        (_, Severity::Low | Severity::Info) => "Nothing to do.",
    }
}

/// A name of others.
fn name(text: &str) -> String {
    flat(text, LONGEST_NAME)
}

/// Channels make a link of it, so it is nothing but a page, and whole.
fn is_page(link: &str) -> bool {
    let scheme = link.starts_with("https://") || link.starts_with("http://");
    scheme && link.len() <= LONGEST_LINK && link.chars().all(|c| c.is_ascii_graphic())
}
