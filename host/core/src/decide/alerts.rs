//! Who hears what how often. Alerts about one model and kind are a group, and people know each group as one thing: it
//! fires, it becomes worse or more, it is over when the last of it is over. Pure; words, policies and sinks are elsewhere.
//!
//! | what happens | what is told |
//! |---|---|
//! | the first of a group; worse than was told | at once |
//! | another feature or version | at most once in `interval` after the last news |
//! | it was said to be over and is there again within `interval` | at once where high or critical, else when that ends |
//! | the last of it closes | that it is over; before that, nothing |
//! | it is still there | by reminders that thin out, or as often as the policy wants that decided it; until somebody acknowledges it |
//! | a person silenced it | nothing; what is still there afterwards is told then |
//!
//! What is not told is recorded with the rule that held it back.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use trimtab_types::{Finding, Occasion, Phase, Severity, Timestamp, format_duration};

use crate::{
    config::AlertRules,
    ledger::{AlertGroup, Decided, Held, KillNote, Line, MOST_HELD, MOST_LINES, Silence, Told},
};

/// By what alerts are held back, at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) rules: &'a AlertRules,
    /// The silence that holds now.
    pub(crate) silence: Option<&'a Silence>,
    pub(crate) now: Timestamp,
    /// Since when time passes for whoever tells: before that nobody could be reminded.
    pub(crate) back: Timestamp,
}

/// Something that was decided to be told about a group.
pub(crate) struct News<'a> {
    pub(crate) severity: Severity,
    pub(crate) decided: &'a Decided,
    /// The findings of this group; none where a policy failed.
    pub(crate) findings: &'a [Finding],
    /// What is wrong of it.
    pub(crate) lines: Vec<Line>,
}

/// What is open of a group now.
#[derive(Debug, Default)]
pub(crate) struct Open {
    /// How grave each line is.
    pub(crate) lines: BTreeMap<Line, Severity>,
    /// Nobody decides about any of it: nothing is said, and not that it is over.
    pub(crate) muted: bool,
}

/// What a message is about that is due.
pub(crate) struct About {
    pub(crate) decided: Decided,
    /// Since when it fires.
    pub(crate) since: Timestamp,
}

/// What is told, and how grave it is; or the rule that holds it back.
pub(crate) type Verdict = Result<(Occasion, Severity), String>;

impl AlertGroup {
    /// Something was decided to be told.
    pub(crate) fn consider(&mut self, news: &News<'_>, open: &Open, by: Rules<'_>) -> Verdict {
        let closed = |finding: &Finding| finding.phase == Phase::Closed;
        if !news.findings.is_empty() && news.findings.iter().all(closed) {
            return self.closes(open, by);
        }
        if news.severity < by.rules.minimum {
            return Err(format!("{} is below the minimum severity {}", news.severity, by.rules.minimum));
        }
        match self.occasion(news, by) {
            Ok(occasion) => {
                let lines = news.lines.iter().map(|line| (line.clone(), news.severity)).collect();
                // What grew is as grave as the gravest of it.
                let before = self.told.as_ref().filter(|_| occasion == Occasion::Grown);
                let severity = before.map_or(news.severity, |told| told.still(open).max(news.severity));
                self.tell(severity, news.decided, lines, open, by.now);
                Ok((occasion, severity))
            }
            Err(why) => {
                self.hold(news, open);
                Err(why)
            }
        }
    }

    /// As what news are told, if they are told at once.
    fn occasion(&self, news: &News<'_>, by: Rules<'_>) -> Result<Occasion, String> {
        let interval = u64::from(by.rules.interval.0);
        let within = |at: Timestamp| by.now.since(at) < interval;
        if let Some(silence) = by.silence {
            return Err(silenced(silence));
        }
        match (&self.told, self.over) {
            (Some(told), _) if news.severity > told.severity => Ok(Occasion::Escalated),
            // What came and went is news again after a while: nothing says that it is still there.
            (Some(told), _) if told.momentary && !within(told.news) => Ok(Occasion::Firing),
            (Some(told), _) if told.knows(&news.lines) => {
                Err(format!("told at {} already, as {}", told.news.for_people(), told.severity))
            }
            (Some(told), _) if within(told.news) => Err(format!(
                "part of what was told at {}; that it grew is said at most once in {}",
                told.news.for_people(),
                format_duration(interval)
            )),
            (Some(_), _) => Ok(Occasion::Grown),
            (None, Some(over)) if within(over) && news.severity >= Severity::High => Ok(Occasion::Again),
            (None, Some(over)) if within(over) => Err(format!(
                "it was over at {}; that it is back is said after {}, if it still is then",
                over.for_people(),
                format_duration(interval)
            )),
            (None, _) => Ok(Occasion::Firing),
        }
    }

    /// Something of the group closed.
    fn closes(&mut self, open: &Open, by: Rules<'_>) -> Verdict {
        if !open.lines.is_empty() {
            self.let_go(open);
            return Err(format!("part of a group closes; still open: {}", open.names()));
        }
        if let Some(told) = self.told.as_ref().filter(|told| !told.momentary) {
            let severity = told.severity;
            return match by.silence {
                Some(silence) => Err(silenced(silence)),
                None => {
                    self.is_over(by.now);
                    Ok((Occasion::Resolved, severity))
                }
            };
        }
        self.held.clear();
        Err(match self.over {
            Some(over) if over == by.now => "told already to be over".to_owned(),
            _ => "what is over had not been told".to_owned(),
        })
    }

    /// Time has passed: what is due to be told, if anything is.
    pub(crate) fn due(&mut self, open: &Open, by: Rules<'_>) -> Option<(Occasion, Severity)> {
        let interval = u64::from(by.rules.interval.0);
        let passed = |at: Timestamp| by.now.since(at) >= interval;
        self.held.retain(|line, held| held.momentary || open.lines.contains_key(line));
        if !open.lines.is_empty() {
            self.let_go(open);
        }
        if by.silence.is_some() || open.muted {
            return None;
        }
        let worst = self.held.values().map(|held| held.severity).max();
        let Some(told) = &self.told else {
            return worst.and_then(|worst| match self.over {
                Some(over) if !passed(over) && worst < Severity::High => None,
                Some(_) => Some((Occasion::Again, worst)),
                None => Some((Occasion::Firing, worst)),
            });
        };
        if let Some(worst) = worst.filter(|worst| *worst > told.severity) {
            return Some((Occasion::Escalated, worst));
        }
        if !told.momentary && open.lines.is_empty() {
            return Some((Occasion::Resolved, told.severity));
        }
        if self.held.keys().any(|line| !told.knows(std::slice::from_ref(line))) && passed(told.news) {
            return Some((Occasion::Grown, told.severity));
        }
        let due =
            by.rules.reminder_after(told.said.since(told.grave_since), told.severity, told.decided.repeat);
        let severity = told.still(open);
        let is_due = !told.momentary
            && told.acknowledged.is_none()
            && severity >= by.rules.minimum
            && passed(told.said.max(by.back))
            && by.now.since(told.grave_since) >= due;
        is_due.then_some((Occasion::Repeated, severity))
    }

    /// What was due is told: whom it is about, and what was decided.
    pub(crate) fn tell_what_is_due(
        &mut self,
        (occasion, severity): (Occasion, Severity),
        open: &Open,
        now: Timestamp,
    ) -> Option<About> {
        let since = self.told.as_ref().map_or(now, |told| told.since);
        let about = |decided: &Decided| About { decided: decided.clone(), since };
        let told = self.told.as_ref().map(|told| about(&told.decided));
        let held = self.held.values().max_by_key(|held| held.severity);
        let of_held = held.map(|held| about(&held.decided));
        match occasion {
            Occasion::Resolved => {
                self.is_over(now);
                told.or(of_held)
            }
            Occasion::Repeated => {
                if let Some(told) = &mut self.told {
                    (told.said, told.severity) = (now, severity);
                }
                told.or(of_held)
            }
            _ => {
                let about = of_held.or(told);
                if let Some(About { decided, .. }) = &about {
                    // All that is open is in the message.
                    let told = self.told.iter().flat_map(|told| told.lines.clone());
                    // What the message does not call graver, a reminder does not either.
                    let known = open.lines.iter().map(|(line, grave)| (line.clone(), severity.min(*grave)));
                    let lines = known.chain(told).chain(self.held_lines()).collect();
                    self.tell(severity, decided, lines, open, now);
                }
                about
            }
        }
    }

    /// Forgets what matters no more. Says whether nothing is left.
    pub(crate) fn forget(&mut self, by: Rules<'_>) -> bool {
        let passed = |at: Timestamp| by.now.since(at) >= u64::from(by.rules.interval.0);
        self.told.take_if(|told| told.momentary && passed(told.news));
        if self.held.is_empty() {
            self.over.take_if(|over| passed(*over));
        }
        *self == Self::default()
    }

    /// A person knows of it.
    pub(crate) fn acknowledge(&mut self, note: &KillNote) {
        if let Some(told) = &mut self.told {
            told.acknowledged = Some(note.clone());
        }
    }

    /// Of what closed while the rest stays open nobody has to be told; where it opens again, it is news.
    fn let_go(&mut self, open: &Open) {
        if let Some(told) = self.told.as_mut().filter(|told| !told.momentary) {
            told.lines.retain(|line, _| open.lines.contains_key(line));
        }
    }

    /// What was held back, and how grave it is.
    fn held_lines(&self) -> impl Iterator<Item = (Line, Severity)> {
        self.held.iter().map(|(line, held)| (line.clone(), held.severity))
    }

    fn tell(
        &mut self,
        severity: Severity,
        decided: &Decided,
        news: BTreeMap<Line, Severity>,
        open: &Open,
        now: Timestamp,
    ) {
        let before = self.told.take();
        let grave_since = before.as_ref().filter(|told| severity <= told.severity && !told.momentary);
        let grave_since = grave_since.map_or(now, |told| told.grave_since);
        let (since, mut lines) = before.map_or((now, BTreeMap::new()), |told| (told.since, told.lines));
        // What was held back is in the message, too.
        let news: Vec<_> = self.held_lines().chain(news).collect();
        self.held.clear();
        for (line, severity) in news {
            if lines.len() < MOST_LINES || lines.contains_key(&line) {
                lines.insert(line, severity);
            }
        }
        self.told = Some(Told {
            severity,
            since,
            grave_since,
            news: now,
            said: now,
            lines,
            momentary: open.lines.is_empty(),
            decided: decided.clone(),
            acknowledged: None,
        });
        self.over = None;
    }

    /// People are told that it is over.
    fn is_over(&mut self, now: Timestamp) {
        *self = Self { over: Some(now), ..Self::default() };
    }

    fn hold(&mut self, news: &News<'_>, open: &Open) {
        for line in &news.lines {
            let told = self.told.as_mut().filter(|told| news.severity <= told.severity);
            if let Some(known) = told.and_then(|told| told.lines.get_mut(line)) {
                // A reminder says how grave it is now.
                *known = news.severity.max(*known);
                continue;
            }
            if self.held.get(line).is_some_and(|held| held.severity >= news.severity) {
                continue;
            }
            if self.held.len() >= MOST_HELD && !self.held.contains_key(line) {
                let mildest = self.held.iter().min_by_key(|(_, held)| held.severity);
                let mildest = mildest.filter(|(_, held)| held.severity < news.severity);
                match mildest.map(|(line, _)| line.clone()) {
                    Some(mildest) => self.held.remove(&mildest),
                    None => continue,
                };
            }
            let held = Held {
                severity: news.severity,
                momentary: !open.lines.contains_key(line),
                decided: news.decided.clone(),
            };
            self.held.insert(line.clone(), held);
        }
    }
}

impl Told {
    /// Whether people know of all of these.
    fn knows(&self, lines: &[Line]) -> bool {
        self.lines.len() >= MOST_LINES || lines.iter().all(|line| self.lines.contains_key(line))
    }

    /// How grave what is still open was said to be.
    fn still(&self, open: &Open) -> Severity {
        let said = open.lines.keys().filter_map(|line| self.lines.get(line));
        said.copied().max().unwrap_or(self.severity)
    }
}

impl Open {
    /// The first few, by name.
    fn names(&self) -> String {
        const SHOWN: usize = 3;
        let name = |(version, what): &Line| format!("{what} of {version}");
        let mut names: Vec<_> = self.lines.keys().take(SHOWN).map(name).collect();
        if self.lines.len() > SHOWN {
            names.push(format!("{} more", self.lines.len() - SHOWN));
        }
        names.join(", ")
    }
}

fn silenced(silence: &Silence) -> String {
    let KillNote { by, reason, .. } = &silence.note;
    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!("{by} wants to hear nothing until {}{because}", silence.until.for_people())
}
