//! `cargo xtask demo`: a story that really happens. Two models trade; one loses its edge and gets it back. The rows come
//! from a seeded market; what is found, decided, refused and sent is the host's to say, and is shown as it says it. A
//! step of the story that does not happen ends the demo with an error, so that it is a test of the whole, too.

mod host;
mod market;
mod screen;

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use self::{
    host::{Host, program, short},
    market::{BASELINE, END, FADING, Market, Model, STEADY},
    screen::{Screen, Tone, figure, percent, thousands},
};
use crate::{
    json::Json,
    tools::{Failed, repository, target_directory},
};

/// Bars of one request.
const BATCH: usize = 25;
/// Bars between two lines of progress.
const PROGRESS: usize = 150;
/// Time between two requests, and after something has happened, so that one can read along.
const PACE: Duration = Duration::from_millis(90);
const PAUSE: Duration = Duration::from_millis(700);
/// How long something may take that the host does in the background.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the host is configured to do, besides its defaults.
const CONFIGURATION: &str = r#"
# Rolling accuracy against the baseline, besides the default detector e-sr.
[detectors.accuracy-z]
enabled = true
alpha = 0.01

# A short history: what is less than five points worse is nobody's business. Its errors do not come in runs.
[detectors.e-sr]
tolerance = 0.05
block = 5

# Decisions about this model are acted on; about any other model, only alerts happen.
[[models]]
model = "btc-*"
stage = "act"
retrain = true
"#;

/// What the operator adds on the way.
const ADDED: &str = r#"
[safeguards.retrain]
enabled = true
tenants = ["default"]

[policies.drift-ladder]
settings = { recover = true }
"#;

pub(crate) fn demo(exit: bool) -> Result<(), Failed> {
    let mut screen = Screen::new();
    screen.chapter("Build: the policies (WebAssembly components) and the host");
    let since = Instant::now();
    crate::policies()?;
    crate::build()?;
    screen.say(&format!("built in {} s", since.elapsed().as_secs()));

    let mut story = Story::begin(screen)?;
    story.baselines()?;
    story.market()?;
    story.judge()?;
    story.end(exit)
}

/// What has happened so far, as the host told it.
#[derive(Default)]
struct Seen {
    /// Findings and decisions that were shown: id, and phase of a finding.
    events: BTreeSet<String>,
    /// Severities that episodes of the fading model had.
    severities: BTreeSet<String>,
    closed: bool,
    /// Verdicts as `action verdict`.
    verdicts: BTreeSet<String>,
    /// Decisions that a policy made.
    decisions: usize,
    /// The one that stopped trading.
    halt: Option<String>,
    /// Alerts that were shown, by key.
    alerts: BTreeSet<String>,
    reloaded: bool,
    reduced: bool,
    halted: bool,
    allowed_again: bool,
}

struct Story {
    host: Host,
    market: Market,
    screen: Screen,
    seen: Seen,
    rows: f64,
}

impl Story {
    /// A fresh data directory, its configuration, and the host on it.
    fn begin(mut screen: Screen) -> Result<Self, Failed> {
        let directory = target_directory().join("demo");
        if Host::new(&directory.join("data")).answers() {
            return Err(Failed(format!(
                "a host of an earlier demo still runs on `{}`; stop it first",
                directory.display()
            )));
        }
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(|error| {
                Failed(format!("cannot remove `{}` of an earlier run: {error}", directory.display()))
            })?;
        }
        let mut host = Host::new(&directory.join("data"));
        screen.chapter("Start: a fresh data directory, and the host on it");
        let policies = repository().join("policies");
        screen.command(&["init", "--policies", "policies"]);
        host.run(&["init", "--policies", &policies.display().to_string()])?;
        let text = format!("[host]\npolicies = '{}'\n{CONFIGURATION}", policies.display());
        write(&config(&host), &text)?;
        screen.block(CONFIGURATION.trim(), Tone::Faint);
        screen.command(&["serve"]);
        let ready = host.start()?;
        screen.say(&ready);
        for policy in host.ask(&["policy", "list"])?.list("policies") {
            let kinds: Vec<_> = policy.list("kinds").iter().map(Json::as_text).collect();
            screen.say(&format!(
                "policy {} {:.12} answers {}",
                policy.text("name"),
                policy.text("digest"),
                kinds.join(", ")
            ));
        }
        Ok(Self { host, market: Market::until_now(), screen, seen: Seen::default(), rows: 0.0 })
    }

    /// Rows to hold the models against, and the baselines from them.
    fn baselines(&mut self) -> Result<(), Failed> {
        self.screen.chapter("Rows come in; the first of them become the baselines");
        self.screen.say("By the market's own time: rows so far, and each model's accuracy over its newest 100 predictions.");
        while self.market.bar() < BASELINE {
            self.feed()?;
        }
        for model in [FADING, STEADY] {
            let first = (BASELINE - 1).to_string();
            let args = [
                "baseline",
                "set",
                "--model",
                model.name,
                "--version",
                model.version,
                "--segment",
                model.segment,
                "--first",
                &first,
            ];
            self.screen.command(&args);
            let output = self.host.run(&args)?;
            self.screen.block(output.stdout.trim_end(), Tone::Plain);
        }
        self.may_trade(FADING)?;
        Ok(())
    }

    /// The rest of the market, with what the host makes of it, and a person who answers.
    fn market(&mut self) -> Result<(), Failed> {
        self.screen.chapter("The market goes on");
        self.screen
            .say("A month of rows in half a minute: to the host, whatever it finds in them happens now.");
        while self.market.bar() < END {
            self.feed()?;
            self.events()?;
            self.person()?;
        }
        Ok(())
    }

    fn feed(&mut self) -> Result<(), Failed> {
        let answer = self.host.rows(&self.market.rows(BATCH))?;
        self.rows += answer.number("new").unwrap_or(0.0);
        if self.market.bar().is_multiple_of(PROGRESS) {
            let status = self.host.get("/v1/status?settled=true")?;
            let models = status.list("subjects").iter().map(|subject| {
                let share = subject.list("accuracy").get(1).and_then(|estimate| estimate.number("value"));
                let bar = "▇".repeat((share.unwrap_or(0.0) * 20.0).round() as usize);
                let share = share.map_or("-".to_owned(), percent);
                let health = subject.text("health");
                let tone = match health {
                    "ok" => Tone::Good,
                    "warning" => Tone::Warning,
                    "critical" => Tone::Bad,
                    _ => Tone::Faint,
                };
                let painted = self.screen.paint(&format!("{health:<8}"), tone);
                format!("{} {share:>7} {bar:<18} {painted}", subject.get("subject").text("model"))
            });
            let time = self.market.time();
            let line = format!(
                "{} {}  {:>6} rows  {}",
                &time[..10],
                &time[11..16],
                thousands(self.rows),
                models.collect::<Vec<_>>().join("  ")
            );
            self.screen.say(line.trim_end());
        }
        std::thread::sleep(PACE);
        Ok(())
    }

    /// Shows what was found and decided since the last look, in the order of the models' clocks.
    fn events(&mut self) -> Result<(), Failed> {
        let findings = self.host.get("/v1/findings?settled=true&limit=100")?;
        let decisions = self.host.get("/v1/decisions?limit=100")?;
        let mut events: Vec<(&str, u8, &Json)> = Vec::new();
        for (kind, items) in [(0, findings.list("findings")), (1, decisions.list("decisions"))] {
            for item in items.iter().rev() {
                let name = format!("{} {}", item.text("id"), item.text("phase"));
                if self.seen.events.insert(name) {
                    events.push((item.text("at"), kind, item));
                }
            }
        }
        let mut after_finding = false;
        events.sort_by(|a, b| a.0.cmp(b.0).then(a.1.cmp(&b.1)));
        for (_, kind, event) in &events {
            if *kind == 0 {
                if !after_finding {
                    self.screen.gap();
                }
                self.finding(event);
            } else {
                self.decision(event);
            }
            after_finding = *kind == 0;
        }
        if events.is_empty() {
            return Ok(());
        }
        self.alerts()?;
        self.screen.gap();
        std::thread::sleep(PAUSE);
        Ok(())
    }

    fn finding(&mut self, finding: &Json) {
        let (phase, severity) = (finding.text("phase"), finding.text("severity"));
        let tone = match phase {
            "closed" => Tone::Good,
            _ if severity == "critical" => Tone::Bad,
            _ => Tone::Warning,
        };
        let evidence = match (finding.number("e_value"), finding.number("p_value")) {
            (Some(e), _) => {
                format!("e = {} against {}", figure(e), figure(finding.number("threshold").unwrap_or(0.0)))
            }
            (_, Some(p)) => format!("p = {}", figure(p)),
            _ => format!("statistic {}", figure(finding.number("statistic").unwrap_or(0.0))),
        };
        let share = |of: &str| finding.get(of).number("value").map_or("-".to_owned(), percent);
        let subject = finding.get("subject");
        let head = self
            .screen
            .paint(&format!("{} {phase}: {severity}", if phase == "closed" { "▼" } else { "▲" }), tone);
        self.screen.say(&format!(
            "{head}  {}  {} on {}: {} before, {} now; {evidence}",
            subject.text("model"),
            finding.text("detector"),
            finding.text("quantity"),
            share("baseline"),
            share("current"),
        ));
        if subject.text("model") == FADING.name {
            self.seen.severities.insert(severity.to_owned());
            self.seen.closed |= phase == "closed";
        }
    }

    fn decision(&mut self, decision: &Json) {
        let (kind, answer) = decision.get("answer").variant();
        let policy = decision.get("policy").text("name");
        match kind {
            // How an alert reads is shown with the alert.
            "message" => return,
            "decision" => self.screen.entry(&format!("{policy} decided"), answer.text("reason"), Tone::Plain),
            _ => self.screen.entry(&format!("{policy} failed"), answer.text("message"), Tone::Bad),
        }
        self.seen.decisions += usize::from(!policy.is_empty());
        for pair in decision.list("verdicts") {
            let [action, verdict] = pair.as_list() else { continue };
            let (name, parameter) = action.variant();
            let (verdict, detail) = verdict.variant();
            let detail = match detail.list("reasons") {
                [] => [detail.text("what"), detail.text("why")].concat(),
                reasons => reasons.iter().map(Json::as_text).collect::<Vec<_>>().join("; "),
            };
            let tone = match verdict {
                "refused" => Tone::Bad,
                "suppressed" | "waits" => Tone::Warning,
                _ => Tone::Good,
            };
            let parameter = match (name, parameter) {
                (_, Json::Null) => String::new(),
                ("schedule-retrain", Json::Number(seconds)) => format!(" {} h", seconds / 3_600.0),
                (_, parameter) => format!(" {parameter}"),
            };
            let word = self.screen.paint(verdict, tone);
            self.screen.entry(&format!("{name}{parameter}"), &format!("{word}: {detail}"), Tone::Plain);
            if decision.get("subject").text("model") == FADING.name {
                self.seen.verdicts.insert(format!("{name} {verdict}"));
                if (name, verdict) == ("kill-switch-on", "done") {
                    self.seen.halt.get_or_insert_with(|| decision.text("id").to_owned());
                }
            }
        }
    }

    /// Shows the alerts in the queue file that are new, once everything is in it.
    fn alerts(&mut self) -> Result<(), Failed> {
        let host = &self.host;
        wait(|| {
            let effects = host.get("/v1/effects?limit=100")?;
            Ok(effects.list("effects").iter().all(|effect| *effect.get("delivered") != Json::Null))
        })?
        .ok_or_else(|| Failed("an alert was not delivered in time".to_owned()))?;
        let Ok(text) = fs::read_to_string(repository().join(self.queue())) else { return Ok(()) };
        let queue =
            Json::parse(&text).map_err(|problem| Failed(format!("{}: {problem}", self.queue().display())))?;
        for entry in queue.list("alerts") {
            if self.seen.alerts.insert(entry.text("key").to_owned()) {
                self.screen.entry(&format!("alert on {}", entry.text("channel")), "", Tone::Plain);
                self.screen.quote(entry.get("message").text("body"));
            }
        }
        Ok(())
    }

    /// The operator: looks when something happens, and changes what only a person may change.
    fn person(&mut self) -> Result<(), Failed> {
        if !self.seen.reduced && self.seen.verdicts.contains("scale-exposure done") {
            self.seen.reduced = true;
            let (allowed, exposure) = self.may_trade(FADING)?;
            if !allowed || exposure >= 1.0 {
                return Err(Failed(format!(
                    "exposure was scaled, but may-trade says {allowed} with {exposure}"
                )));
            }
        }
        if !self.seen.reloaded && self.seen.verdicts.contains("retrain-now refused") {
            self.seen.reloaded = true;
            self.change_configuration()?;
        }
        if !self.seen.halted && self.seen.halt.is_some() {
            self.seen.halted = true;
            if self.may_trade(FADING)?.0 {
                return Err(Failed("trading was stopped, but may-trade says yes".to_owned()));
            }
            self.may_trade(STEADY)?;
        }
        if !self.seen.allowed_again && self.seen.halted && self.seen.closed && self.all_quiet()? {
            self.seen.allowed_again = true;
            self.may_trade(FADING)?;
            self.screen.gap();
            self.screen.say("A person allows trading again, and restores the full exposure:");
            for what in [&["kill", "off"], &["exposure", "clear"]] {
                let who = [FADING.name, "--reason", "recovered, checked by hand", "--actor", "demo"];
                let args = [&what[..], &who].concat();
                self.screen.command(&args);
                let output = self.host.run(&args)?;
                self.screen.block(output.stdout.trim_end(), Tone::Plain);
            }
            let (allowed, exposure) = self.may_trade(FADING)?;
            if !allowed || exposure < 1.0 {
                return Err(Failed("a person allowed trading again, but may-trade does not".to_owned()));
            }
            self.screen.gap();
        }
        Ok(())
    }

    fn all_quiet(&self) -> Result<bool, Failed> {
        Ok(self.host.get("/v1/findings?settled=true&open=true")?.list("findings").is_empty())
    }

    fn change_configuration(&mut self) -> Result<(), Failed> {
        self.screen.gap();
        self.screen.say("A person opens the safeguard, sets the policy to lift its own stop after a recovery, and sends SIGHUP:");
        self.screen.block(ADDED.trim(), Tone::Faint);
        let before = self.in_force()?;
        let path = config(&self.host);
        let text =
            fs::read_to_string(&path).map_err(|error| Failed(format!("{}: {error}", path.display())))?;
        write(&path, &format!("{text}{ADDED}"))?;
        self.host.reload()?;
        let changed = wait(|| {
            let now = self.in_force()?;
            Ok(now != before)
        })?;
        if changed.is_none() {
            return Err(Failed("SIGHUP put nothing else in force; see the host's messages above".to_owned()));
        }
        let now = self.in_force()?;
        self.screen.say(&format!(
            "configuration in force: {before:.12} before, {now:.12} now; the host never stopped"
        ));
        self.screen.gap();
        Ok(())
    }

    fn in_force(&self) -> Result<String, Failed> {
        Ok(self.host.get("/v1/status")?.text("configuration").to_owned())
    }

    /// "May I trade, and how much?" Shows the answer and returns it.
    fn may_trade(&mut self, model: Model) -> Result<(bool, f64), Failed> {
        self.screen.gap();
        let args = ["may-trade", model.name];
        self.screen.command(&args);
        let output = self.host.run(&args)?;
        self.screen
            .wrapped(output.stdout.trim_end(), if output.code == Some(0) { Tone::Good } else { Tone::Bad });
        let answer = self.host.ask(&args)?;
        Ok((answer.is_true("allowed"), answer.number("exposure").unwrap_or(0.0)))
    }

    /// Everything that the story promises must have happened.
    fn judge(&mut self) -> Result<(), Failed> {
        self.screen.chapter("At the end");
        for args in [&["check"][..], &["verify"]] {
            self.screen.command(args);
            let output = self.host.run(args)?;
            self.screen.block(output.stdout.trim_end(), Tone::Plain);
            self.screen.gap();
        }
        let verify = self.host.ask(&["verify"])?;
        let check = self.host.ask(&["check"])?;
        let healthy = self.host.get(&format!("/v1/findings?settled=true&model={}", STEADY.name))?;
        let seen = &self.seen;
        let verdict = |text: &str| seen.verdicts.contains(text);
        let promised = [
            (self.rows >= (4 * END - 4) as f64, "every row is in the log"),
            (seen.severities.contains("medium"), "a finding of medium severity"),
            (seen.severities.contains("high"), "a finding of high severity"),
            (seen.severities.contains("critical"), "a finding of critical severity"),
            (seen.decisions > 0, "a decision of a policy"),
            (verdict("scale-exposure done"), "an exposure that was reduced"),
            (verdict("retrain-now refused"), "a retrain that the safeguards refused"),
            (seen.reloaded, "a configuration that changed while the host ran"),
            (verdict("retrain-now allowed"), "a retrain that the safeguards allowed"),
            (seen.halted, "a kill switch that a policy turned on"),
            (!seen.alerts.is_empty(), "an alert in the queue file"),
            (seen.closed, "an episode that closed"),
            (seen.allowed_again, "trading that is allowed again"),
            (healthy.list("findings").is_empty(), "no finding on the healthy model"),
            (check.number("critical") == Some(0.0), "nothing critical at the end"),
            (
                *verify.get("difference") == Json::Null && verify.number("entries").is_some(),
                "a replay that is identical",
            ),
        ];
        let missing: Vec<_> =
            promised.iter().filter(|(happened, _)| !happened).map(|(_, what)| *what).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Failed(format!("the story lacks: {}", missing.join("; "))))
        }
    }

    fn queue(&self) -> PathBuf {
        self.host.data.join("trade_alerts.json")
    }

    fn end(mut self, exit: bool) -> Result<(), Failed> {
        let data = self.host.data.display().to_string();
        let trimtab = format!("{} --data {data}", program().display());
        self.screen.chapter("Where things are");
        for (what, path) in [
            ("database", self.host.data.join("logs.db")),
            ("alerts", self.queue()),
            ("configuration", short(&config(&self.host))),
            ("policies", short(&repository().join("policies"))),
        ] {
            self.screen.entry(what, &path.display().to_string(), Tone::Plain);
        }
        let halt = self.seen.halt.clone().unwrap_or_default();
        self.screen.chapter("To look further");
        for command in [
            format!("{trimtab} status"),
            format!("{trimtab} findings"),
            format!("{trimtab} decisions show {halt}"),
        ] {
            self.screen.say(&command);
        }
        if exit {
            self.host.stop()?;
            return Ok(());
        }
        self.screen
            .say(&format!("curl --unix-socket {} http://localhost/v1/status", self.host.socket().display()));
        self.screen.gap();
        self.screen.say("The host starts once more, in this terminal, with all that it knew. Look around in another one; Ctrl-C stops it.");
        Err(self.host.become_it())
    }
}

fn config(host: &Host) -> PathBuf {
    repository().join(&host.data).join("trimtab.toml")
}

fn write(path: &std::path::Path, text: &str) -> Result<(), Failed> {
    fs::write(path, text).map_err(|error| Failed(format!("cannot write `{}`: {error}", path.display())))
}

/// Asks until the answer is yes; none if it never is.
fn wait(mut ask: impl FnMut() -> Result<bool, Failed>) -> Result<Option<()>, Failed> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if ask()? {
            return Ok(Some(()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}
