//! Safeguards: what the host makes of a proposed action. Pure: the answer is a verdict and a plan, which `findings`
//! carries out. No policy, manifest or setting of a policy can relax what is decided here.

use trimtab_types::{Action, Finding, ModelKey, Severity, Subject, Timestamp, Verdict};

use crate::{
    Configuration,
    config::ReleaseStage,
    fold::{DetectorKind, Exposure, ModelState},
    lifecycle::Registry,
};

/// The circumstances of a proposal.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The configuration in force.
    pub configuration: &'a Configuration,
    /// Whom it is about.
    pub subject: &'a Subject,
    /// The model's state.
    pub model: &'a ModelState,
    /// The registry of its versions, if it has one.
    pub registry: Option<&'a Registry>,
    /// Whether nobody decides about the subject.
    pub paused: bool,
    /// The findings that led to it.
    pub findings: &'a [Finding],
    /// Who proposes: a policy, or `host`.
    pub by: &'a str,
    /// The log's clock.
    pub now: Timestamp,
}

/// What is to be changed in the host's own state.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Nothing.
    Nothing,
    /// Stop trading, in the policy's name.
    Kill,
    /// Take back what a policy stopped.
    Unkill,
    /// The model's exposure becomes this.
    Exposure(Exposure),
    /// The model's minimum confidence becomes this.
    MinimumConfidence(f64),
    /// A retrain is planned to begin until then.
    PlanRetrain(Timestamp),
    /// A retrain begins as soon as a trainer is free.
    Retrain,
    /// A retrain may begin now, and somebody else begins it.
    AskForRetrain,
    /// The subject's findings are kept and not decided on.
    Pause(bool),
    /// A detector starts anew.
    ResetDetector(String),
    /// The version is marked degraded.
    MarkDegraded,
    /// A person is asked whether this is done about the version.
    Propose(Action),
    /// A person is asked whether this is changed for the model.
    ProposeChange {
        /// What.
        action: Action,
        /// What led to it.
        cause: String,
    },
    /// The experiment with the subject's version is over.
    StopExperiment,
}

/// Judges any action except an alert, which has rules of its own.
pub fn judge(action: &Action, case: &Case<'_>) -> (Verdict, Plan) {
    if *action == Action::Monitor {
        return (done("watching on"), Plan::Nothing);
    }
    let model = case.subject.model_key();
    let stage = case.configuration.stage(&model);
    let is_enough = stage == ReleaseStage::Act || (stage == ReleaseStage::Protect && action.tightens());
    let unstaged = (!is_enough).then(|| {
        format!("the stage of `{model}` is not `act`; set `stage = \"act\"` under [[models]] once its decisions are trusted")
    });
    if let Some(reason) = other_arm(action, case) {
        return (refused(reason), Plan::Nothing);
    }
    if *action == Action::RetrainNow {
        return retrain(case, &model, unstaged);
    }
    let is_registered = |registry: &&Registry| {
        *action != Action::MarkDegraded || registry.versions.contains_key(&case.subject.version)
    };
    if let Some(registry) =
        case.registry.filter(|registry| !registry.versions.is_empty()).filter(is_registered)
        && matches!(
            action,
            Action::Rollback | Action::RollbackTo(_) | Action::StopCanary | Action::MarkDegraded
        )
    {
        return of_version(action, case, registry, unstaged.is_none());
    }
    let cause = cause(case);
    let Some(reason) = unstaged else { return effect(action, case, &cause) };
    match effect(action, case, &cause) {
        // What would change nothing need not be asked.
        (said @ Verdict::Done { .. }, Plan::Nothing) => (said, Plan::Nothing),
        (Verdict::Done { .. }, plan) if is_so(&plan, case) => {
            (Verdict::Suppressed { why: "it is so already".to_owned() }, Plan::Nothing)
        }
        (Verdict::Done { .. }, _) if case.configuration.proposes(&model) => {
            (Verdict::Waits { why: reason }, Plan::ProposeChange { action: action.clone(), cause })
        }
        (Verdict::Refused { reasons }, _) => {
            (Verdict::Refused { reasons: [vec![reason], reasons].concat() }, Plan::Nothing)
        }
        _ => (refused(reason), Plan::Nothing),
    }
}

/// Whether a plan would change nothing.
fn is_so(plan: &Plan, case: &Case<'_>) -> bool {
    let model = case.model;
    match plan {
        Plan::Kill => model.killed_by_policy.is_some() || model.killed_by_operator.is_some(),
        Plan::Unkill => model.killed_by_policy.is_none(),
        Plan::Exposure(exposure) => *exposure == model.exposure,
        Plan::MinimumConfidence(confidence) => model.minimum_confidence == Some(*confidence),
        Plan::PlanRetrain(until) => model.retrain_planned == Some(*until),
        Plan::Pause(paused) => case.paused == *paused,
        Plan::MarkDegraded => model.degraded.contains(&case.subject.version),
        Plan::Nothing
        | Plan::Retrain
        | Plan::AskForRetrain
        | Plan::ResetDetector(_)
        | Plan::Propose(_)
        | Plan::ProposeChange { .. }
        | Plan::StopExperiment => false,
    }
}

/// What comes of an action that may go ahead: because the stage lets it, or because a person approved.
pub fn effect(action: &Action, case: &Case<'_>, cause: &str) -> (Verdict, Plan) {
    let model = case.subject.model_key();
    match action {
        Action::Monitor | Action::Alert(_) | Action::RetrainNow => (done(""), Plan::Nothing),
        Action::ScheduleRetrain(within) => {
            let asked = case.now.plus(u64::from(*within));
            let until = case.model.retrain_planned.map_or(asked, |planned| planned.min(asked));
            let is_begun = case.configuration.trainer(&model).is_some_and(|trainer| trainer.scheduled);
            let by_whom = if is_begun {
                String::new()
            } else {
                "; a person begins it: no trainer of this model has `scheduled = true`".to_owned()
            };
            (
                done(format!("a retrain is planned to begin until {}{by_whom}", until.for_people())),
                Plan::PlanRetrain(until),
            )
        }
        Action::KillSwitchOn => (done(format!("trading on `{model}` is stopped")), Plan::Kill),
        Action::KillSwitchOff => match &case.model.killed_by_operator {
            Some(note) => (
                refused(format!("{} stopped trading on `{model}`; only a person allows it again", note.by)),
                Plan::Nothing,
            ),
            None => (done("what policies had stopped is allowed again"), Plan::Unkill),
        },
        Action::ScaleExposure(factor) => {
            let exposure = case.model.exposure.reduced(cause, *factor);
            let share = exposure.share();
            if exposure == case.model.exposure {
                return (
                    done(format!("exposure of `{model}` is {share} already, by {cause}")),
                    Plan::Nothing,
                );
            }
            (done(format!("exposure of `{model}` is now {share}")), Plan::Exposure(exposure))
        }
        Action::MinimumConfidence(confidence) => match case.model.minimum_confidence {
            Some(current) if *confidence < current => (
                refused(format!(
                    "the minimum confidence is {current}; a policy may raise it and not lower it"
                )),
                Plan::Nothing,
            ),
            _ => (
                done(format!("predictions of `{model}` below confidence {confidence} are not to be served")),
                Plan::MinimumConfidence(*confidence),
            ),
        },
        Action::Pause => (done("findings are kept and not decided on"), Plan::Pause(true)),
        Action::Resume => (done("findings are decided on again"), Plan::Pause(false)),
        Action::ResetDetector(name) => match DetectorKind::from_name(name) {
            Some(_) => (done(format!("detector `{name}` starts anew")), Plan::ResetDetector(name.clone())),
            None => {
                let known: Vec<_> = DetectorKind::ALL.iter().map(|kind| kind.name()).collect();
                (
                    refused(format!("there is no detector `{name}`; there are {}", known.join(", "))),
                    Plan::Nothing,
                )
            }
        },
        Action::MarkDegraded => {
            (done(format!("version `{}` is marked degraded", case.subject.version)), Plan::MarkDegraded)
        }
        // What only life-cycle policies and people bring about.
        Action::Promote(_) | Action::SetFraction(_) | Action::Delete(_) | Action::RetrainEvery(_) => {
            (refused(format!("{action} is not for a drift policy to do")), Plan::Nothing)
        }
        Action::Rollback | Action::RollbackTo(_) | Action::StopCanary => (
            refused(format!(
                "no version of `{model}` is registered, so there is nothing to switch; `trimtab model register` does it"
            )),
            Plan::Nothing,
        ),
    }
}

/// Why a finding of a version that does not serve cannot do this: it would change what serves.
fn other_arm(action: &Action, case: &Case<'_>) -> Option<String> {
    let registry = case.registry?;
    let (version, champion) = (&case.subject.version, registry.champion()?);
    let of_the_model = match action {
        Action::KillSwitchOn
        | Action::KillSwitchOff
        | Action::ScaleExposure(_)
        | Action::MinimumConfidence(_)
        | Action::ScheduleRetrain(_)
        | Action::RetrainNow
        | Action::Rollback
        | Action::RollbackTo(_) => true,
        Action::Monitor
        | Action::Alert(_)
        | Action::Pause
        | Action::Resume
        | Action::StopCanary
        | Action::ResetDetector(_)
        | Action::MarkDegraded
        | Action::Promote(_)
        | Action::SetFraction(_)
        | Action::Delete(_)
        | Action::RetrainEvery(_) => false,
    };
    let stage = registry.versions.get(version).filter(|_| version != champion)?.stage;
    of_the_model.then(|| {
        format!(
            "other-arm: `{version}` is {stage} and `{champion}` serves; {} would touch what serves",
            action.name()
        )
    })
}

/// What is done about a version that is registered: from the stage `protect` on what tightens, else a person is asked.
fn of_version(action: &Action, case: &Case<'_>, registry: &Registry, is_enough: bool) -> (Verdict, Plan) {
    let version = &case.subject.version;
    let waits = || (Verdict::Waits { why: String::new() }, Plan::Propose(action.clone()));
    match action {
        Action::StopCanary if !registry.trials.contains_key(version) => {
            (refused(format!("no experiment is under way with `{version}`")), Plan::Nothing)
        }
        Action::StopCanary if is_enough => (
            done(format!("the experiment with `{version}` is over; everything goes to the champion")),
            Plan::StopExperiment,
        ),
        Action::MarkDegraded if is_enough => {
            (done(format!("version `{version}` is marked degraded")), Plan::MarkDegraded)
        }
        Action::Rollback if registry.previous().is_none() => (
            refused("no-previous: no version that served before is left to go back to".to_owned()),
            Plan::Nothing,
        ),
        Action::RollbackTo(to) if !registry.versions.contains_key(to) => {
            (refused(format!("there is no version `{to}` of this model")), Plan::Nothing)
        }
        _ => waits(),
    }
}

/// Before a drift-triggered retrain may begin (requirement A3). Every reason against it is named.
fn retrain(case: &Case<'_>, model: &ModelKey, unstaged: Option<String>) -> (Verdict, Plan) {
    let rules = &case.configuration.safeguards.retrain;
    let mut reasons = case.configuration.retrain_switches_off(model);
    let mut unless = |ok: bool, reason: &dyn Fn() -> String| {
        if !ok {
            reasons.push(reason());
        }
    };
    let worst = case.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
    unless(worst >= Severity::High, &|| format!("the severity is {worst}; it takes high or critical"));
    let since = case.model.last_retrain.map(|last| case.now.since(last));
    let cooldown = u64::from(rules.cooldown.0);
    unless(since.is_none_or(|since| since >= cooldown), &|| {
        format!(
            "the last retrain began {} ago; the cooldown is {}",
            trimtab_types::format_duration(since.unwrap_or(0)),
            trimtab_types::format_duration(cooldown)
        )
    });
    let samples = case.model.samples - case.model.resolved_at_retrain;
    unless(samples >= rules.minimum_samples, &|| {
        format!("{samples} resolved predictions since the last retrain; it takes {}", rules.minimum_samples)
    });
    let asked = case.model.retrain_asked.map(|asked| case.now.since(asked));
    unless(asked.is_none_or(|asked| asked >= cooldown), &|| {
        format!(
            "a retrain was asked for {} ago and nothing was reported of it; it counts as under way for {}",
            trimtab_types::format_duration(asked.unwrap_or(0)),
            trimtab_types::format_duration(cooldown)
        )
    });
    let run = case.registry.and_then(Registry::active_run);
    unless(run.is_none(), &|| {
        run.map_or_else(String::new, |run| format!("run {} of this model is {}", run.id, run.state))
    });
    unless(!case.registry.is_some_and(Registry::is_retrain_stopped), &|| {
        "runs failed again and again; `trimtab retrain close-breaker` has them begun again".to_owned()
    });
    let is_connected = case.configuration.trainer(model).is_some();
    if !reasons.is_empty() || (unstaged.is_some() && !is_connected) {
        // What can be approved waits for a person; what cannot is refused with every reason.
        let reasons = unstaged.into_iter().chain(reasons).collect();
        return (Verdict::Refused { reasons }, Plan::Nothing);
    }
    let waits = unstaged
        .or_else(|| rules.approval.then(|| "`safeguards.retrain.approval` asks for a person".to_owned()));
    match waits {
        Some(why) if is_connected => (Verdict::Waits { why }, Plan::Propose(Action::RetrainNow)),
        Some(why) => (Verdict::Waits { why: format!("{why}; no trainer is configured") }, Plan::Nothing),
        None if is_connected => (Verdict::Allowed { what: "an emergency retrain".to_owned() }, Plan::Retrain),
        None => (
            Verdict::Allowed {
                what: "an emergency retrain may begin; no trainer is configured, so somebody else begins it"
                    .to_owned(),
            },
            Plan::AskForRetrain,
        ),
    }
}

/// What an exposure is reduced by: a policy, and the gravest finding that it was asked about.
fn cause(case: &Case<'_>) -> String {
    match case.findings.first() {
        Some(finding) => {
            format!("{}: {} on {} of {}", case.by, finding.detector, finding.quantity, finding.subject)
        }
        None => case.by.to_owned(),
    }
}

fn done(what: impl Into<String>) -> Verdict {
    Verdict::Done { what: what.into() }
}

fn refused(reason: String) -> Verdict {
    Verdict::Refused { reasons: vec![reason] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::KillNote;
    use trimtab_types::testing::{finding, subject};

    const ACT: &str = "[[models]]\nmodel = \"btc\"\nstage = \"act\"\nretrain = true\n";
    const TRAINER: &str = "[[trainers]]\nmodel = \"*\"\ncommand = [\"train\"]\n";
    const RETRAIN: &str = "[safeguards.retrain]\nenabled = true\ntenants = [\"default\"]\n";

    /// The verdict, in words.
    fn check(
        config: &str,
        change: impl Fn(&mut ModelState),
        severity: Severity,
        action: &Action,
    ) -> (String, Plan) {
        let configuration = Configuration::parse(config, "test").expect("valid");
        let mut model = ModelState { samples: 1_000, ..ModelState::default() };
        change(&mut model);
        let findings = [finding(severity, trimtab_types::Phase::Opened)];
        let now = Timestamp::EPOCH.plus(100 * 86_400);
        let case = Case {
            configuration: &configuration,
            subject: &subject(),
            model: &model,
            registry: None,
            paused: false,
            findings: &findings,
            by: "ladder",
            now,
        };
        let (verdict, plan) = judge(action, &case);
        (verdict.to_string(), plan)
    }

    #[test]
    fn a_retrain_needs_every_switch_and_every_refusal_is_named() {
        let full = format!("{RETRAIN}{ACT}");
        let approval = full.replace("enabled = true", "enabled = true\napproval = true");
        let days = |n: u64| Some(Timestamp::EPOCH.plus((100 - n) * 86_400));
        type Change = Box<dyn Fn(&mut ModelState)>;
        let same: fn() -> Change = || Box::new(|_| {});
        #[rustfmt::skip]
        let cases: Vec<(&str, Change, Severity, &[&str])> = vec![
            ("", same(), Severity::High, &["refused", "stage", "master switch", "tenants", "own switch"]),
            (ACT, same(), Severity::High, &["refused", "master switch", "tenants"]),
            (&full, same(), Severity::Medium, &["refused: the severity is medium"]),
            (&full, Box::new(move |m| m.last_retrain = days(3)), Severity::High, &["refused: the last retrain began 3d ago; the cooldown is 7d"]),
            (&full, Box::new(|m| m.resolved_at_retrain = 901), Severity::High, &["refused: 99 resolved"]),
            (&approval, same(), Severity::High, &["waits"]),
        ];
        for (config, change, severity, parts) in cases {
            let (verdict, plan) = check(config, change, severity, &Action::RetrainNow);
            assert!(parts.iter().all(|part| verdict.contains(part)), "{verdict}");
            assert_eq!(plan, Plan::Nothing);
        }
        let (verdict, plan) = check(&full, same(), Severity::High, &Action::RetrainNow);
        assert!(verdict.starts_with("allowed"), "{verdict}");
        assert_eq!(plan, Plan::AskForRetrain);
        let (_, plan) = check(
            &full,
            Box::new(move |m: &mut ModelState| m.last_retrain = days(7)),
            Severity::High,
            &Action::RetrainNow,
        );
        assert_eq!(plan, Plan::AskForRetrain);
        // With a trainer the host begins it, or a person is asked.
        let connected = format!("{full}{TRAINER}");
        let asked = format!("{approval}{TRAINER}");
        let staged = connected.replace("\"act\"", "\"alert\"");
        for (config, expected) in [
            (&connected, Plan::Retrain),
            (&asked, Plan::Propose(Action::RetrainNow)),
            (&staged, Plan::Propose(Action::RetrainNow)),
        ] {
            assert_eq!(check(config, |_| {}, Severity::High, &Action::RetrainNow).1, expected, "{config}");
        }
    }

    #[test]
    fn outside_the_act_stage_nothing_happens_and_what_can_be_approved_waits() {
        const SILENT: &str = "[[models]]\nmodel = \"btc\"\npropose = false\n";
        // Whether it waits for a person where it would change something, and where all is as it would make it.
        let as_wanted = |model: &mut ModelState| {
            model.killed_by_policy =
                Some(KillNote { by: "policy p".into(), at: Timestamp::EPOCH, reason: "drift".into() });
            model.exposure = model.exposure.reduced("ladder: e-sr on error of btc@v1", 0.5);
            model.minimum_confidence = Some(0.6);
            model.degraded.insert("v1".to_owned());
        };
        for (action, waits, again) in [
            (Action::KillSwitchOn, true, false),
            (Action::KillSwitchOff, false, true),
            (Action::ScaleExposure(0.5), true, false),
            (Action::ScheduleRetrain(60), true, true),
            (Action::Pause, true, true),
            (Action::Resume, false, false),
            (Action::ResetDetector("e-sr".into()), true, true),
            (Action::ResetDetector("no-such".into()), false, false),
            (Action::MarkDegraded, true, false),
            (Action::MinimumConfidence(0.6), true, false),
            (Action::RetrainNow, false, false),
            (Action::Rollback, false, false),
            (Action::RollbackTo("v0".into()), false, false),
            (Action::StopCanary, false, false),
        ] {
            let (verdict, plan) = check("", |_| {}, Severity::Critical, &action);
            let is_proposed = matches!(plan, Plan::ProposeChange { .. });
            assert_eq!((verdict.starts_with("waits"), is_proposed), (waits, waits), "{action}: {verdict}");
            let (verdict, plan) = check("", as_wanted, Severity::Critical, &action);
            assert_eq!(matches!(plan, Plan::ProposeChange { .. }), again, "{action}: {verdict}");
            let (verdict, plan) = check(SILENT, |_| {}, Severity::Critical, &action);
            let is_nothing = verdict.starts_with("refused") || verdict.contains("so already");
            assert!(is_nothing && plan == Plan::Nothing, "{action}: {verdict}");
        }
        assert_eq!(check("", |_| {}, Severity::Critical, &Action::Monitor).1, Plan::Nothing);
    }

    #[test]
    fn the_protect_stage_does_what_tightens_and_no_more() {
        let protect = ACT.replace("\"act\"", "\"protect\"");
        for (action, is_done) in [
            (Action::KillSwitchOn, true),
            (Action::ScaleExposure(0.5), true),
            (Action::MinimumConfidence(0.6), true),
            (Action::Pause, true),
            (Action::MarkDegraded, true),
            (Action::KillSwitchOff, false),
            (Action::Resume, false),
            (Action::RetrainNow, false),
            (Action::ScheduleRetrain(60), false),
            (Action::Rollback, false),
            (Action::ResetDetector("e-sr".into()), false),
        ] {
            let (verdict, plan) = check(&protect, |_| {}, Severity::Critical, &action);
            let changes = !matches!(plan, Plan::Nothing | Plan::ProposeChange { .. });
            assert_eq!((verdict.starts_with("done"), changes), (is_done, is_done), "{action}");
        }
    }

    #[test]
    fn policies_tighten_and_people_loosen() {
        let operator = |m: &mut ModelState| {
            m.killed_by_operator =
                Some(KillNote { by: "ada".into(), at: Timestamp::EPOCH, reason: "looks wrong".into() });
        };
        let (verdict, plan) = check(ACT, operator, Severity::High, &Action::KillSwitchOff);
        assert!(verdict.contains("ada") && plan == Plan::Nothing, "{verdict}");
        assert_eq!(check(ACT, |_| {}, Severity::High, &Action::KillSwitchOff).1, Plan::Unkill);
        // Another cause comes on top; the same one again changes nothing.
        let other = |m: &mut ModelState| m.exposure = m.exposure.reduced("another", 0.5);
        let Plan::Exposure(reduced) = check(ACT, other, Severity::High, &Action::ScaleExposure(0.5)).1 else {
            panic!("reduced")
        };
        assert_eq!(reduced.share(), 0.25);
        let same = |m: &mut ModelState| {
            m.exposure = m.exposure.reduced("ladder: e-sr on error of btc@v1", 0.5);
        };
        let (verdict, plan) = check(ACT, same, Severity::High, &Action::ScaleExposure(0.5));
        assert!(verdict.contains("is 0.5 already") && plan == Plan::Nothing, "{verdict}");
        let mut released = ModelState { exposure: reduced, ..ModelState::default() };
        released.release();
        assert_eq!(released.exposure.share(), 0.25, "the kill switch is another matter");
        let tight = |m: &mut ModelState| m.minimum_confidence = Some(0.7);
        assert_eq!(check(ACT, tight, Severity::High, &Action::MinimumConfidence(0.6)).1, Plan::Nothing);
        assert_eq!(
            check(ACT, tight, Severity::High, &Action::MinimumConfidence(0.8)).1,
            Plan::MinimumConfidence(0.8)
        );
    }
}
