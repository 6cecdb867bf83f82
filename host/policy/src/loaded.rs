//! Versions of policies that are ready to be asked, by their reference. Whoever folds the log has one of these and says
//! where packages come from; here they are registered and asked.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_types::{Answer, Ask, Asked, Asking, Caps, FailureKind, PolicyRef, Question, Rules};

use crate::{Call, Package, Policy, Sandbox};

/// Settings of a policy as an operator writes them, by name.
pub type GivenSettings = BTreeMap<String, serde_json::Value>;

/// The versions that can be asked, and those that cannot be loaded, with the reason.
#[derive(Default)]
pub struct Loaded {
    versions: BTreeMap<PolicyRef, Result<Policy, String>>,
    without_clock: bool,
}

impl Loaded {
    /// The same for a replay: nobody is stopped by the wall clock, which is never the same twice. Fuel ends every call.
    #[must_use]
    pub fn without_clock(self) -> Self {
        let without =
            |(reference, policy): (_, Result<Policy, String>)| (reference, policy.map(Policy::without_clock));
        Self { versions: self.versions.into_iter().map(without).collect(), without_clock: true }
    }

    /// Makes a version ready. One that cannot be loaded is remembered with its problem: it is asked, and its failure seen.
    pub fn add(
        &mut self,
        sandbox: &Arc<Sandbox>,
        package: &Package,
        settings: &GivenSettings,
        caps: &Caps,
    ) -> Result<Rules, String> {
        let policy =
            Policy::register_within(sandbox, package, settings, caps).map_err(|error| error.to_string());
        if let Err(problem) = &policy {
            tracing::error!(policy = package.name, problem, "a policy in force cannot be loaded");
        }
        let rules = policy.as_ref().map(|policy| policy.rules().clone()).map_err(String::clone);
        let reference = PolicyRef { name: package.name.clone(), digest: package.digest };
        let policy = if self.without_clock { policy.map(Policy::without_clock) } else { policy };
        self.versions.insert(reference, policy);
        rules
    }

    /// What versions asked for and do not get: key, asked, granted.
    pub fn cut(&self) -> BTreeMap<PolicyRef, Vec<(&'static str, String, String)>> {
        let loaded =
            self.versions.iter().filter_map(|(reference, policy)| Some((reference, policy.as_ref().ok()?)));
        let cut = loaded.map(|(reference, policy)| (reference.clone(), policy.manifest().cut()));
        cut.filter(|(_, cut)| !cut.is_empty()).collect()
    }

    /// The settings that a version has; `None`: it could not be loaded.
    pub fn settings(&self, reference: &PolicyRef) -> Option<GivenSettings> {
        let settings = self.versions.get(reference)?.as_ref().ok()?.settings().iter();
        let value = |value| serde_json::to_value(value).unwrap_or_default();
        Some(settings.map(|(key, setting)| (key.clone(), value(setting))).collect())
    }
}

impl Ask for Loaded {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        let policy = match self.versions.get(asking.policy) {
            Some(Ok(policy)) => policy,
            Some(Err(problem)) => return Asked::failed(FailureKind::Load, problem.clone()),
            None => {
                let problem = format!("policy `{}` is not loaded", asking.policy.name);
                return Asked::failed(FailureKind::Load, problem);
            }
        };
        match asking.question {
            Question::DriftAction { findings } => {
                let view = Arc::clone(&asking.view);
                asked(policy.decide(asking.at, findings, view, asking.notebook), Answer::Decision)
            }
            Question::AlertFormat { alert, channel } => {
                asked(policy.render(asking.at, alert, channel), Answer::Message)
            }
            Question::CanaryPromotion { experiment } => asked(
                policy.judge(asking.at, experiment, Arc::clone(&asking.view), asking.notebook),
                Answer::Judgement,
            ),
            Question::Cleanup { inventory } => asked(
                policy.review(asking.at, inventory, Arc::clone(&asking.view), asking.notebook),
                Answer::Review,
            ),
            Question::RetrainSchedule { conditions } => asked(
                policy.plan(asking.at, conditions, Arc::clone(&asking.view), asking.notebook),
                Answer::Schedule,
            ),
            Question::Request(_) => {
                Asked::failed(FailureKind::InvalidAnswer, "a request is the host's to answer".to_owned())
            }
        }
    }
}

fn asked<T>(call: Call<T>, answer: impl FnOnce(T) -> Answer) -> Asked {
    let Call { answer: result, reads, notebook, log, fuel, duration } = call;
    let (answer, notebook) = match result {
        Ok(value) => (answer(value), notebook),
        // What a failed call wrote into its notebook is not kept.
        Err(failure) => (Answer::Failed(failure), Vec::new()),
    };
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    Asked { answer, reads, notebook, log, fuel, duration_us }
}
