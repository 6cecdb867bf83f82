//! What should become of this canary? Waits until the numbers can be trusted, then for strong evidence.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy", pub_export_macro: true, generate_all });
}

use bindings::exports::trimtab::policy::canary_promotion::{Experiment, Guest, Judgement, Verdict};
use bindings::trimtab::policy::settings;

struct Policy;

impl Guest for Policy {
    /// Asked at every regular look. An `Err` is a sentence for the operator.
    fn judge(experiment: Experiment) -> Result<Judgement, String> {
        if !experiment.concerns.is_empty() {
            return Ok(judgement(Verdict::Extend, "The numbers cannot be trusted yet."));
        }
        if experiment.challenger.samples < settings::count("min-samples") {
            return Ok(judgement(Verdict::Extend, "The challenger has too few samples."));
        }
        let metric = settings::text("metric");
        let Some(difference) = experiment.differences.iter().find(|difference| difference.name == metric) else {
            return Err(format!("the experiment has no metric `{metric}`; set `metric` to one that it has"));
        };
        let evidence = settings::number("evidence");
        Ok(if difference.better >= evidence {
            judgement(Verdict::Promote, "The challenger is better.")
        } else if difference.worse >= evidence {
            judgement(Verdict::Abort, "The challenger is worse.")
        } else {
            judgement(Verdict::Extend, "Not decided yet.")
        })
    }
}

fn judgement(verdict: Verdict, reason: &str) -> Judgement {
    Judgement { verdict, reason: reason.to_owned() }
}

#[cfg(target_family = "wasm")]
bindings::export!(Policy with_types_in bindings);
