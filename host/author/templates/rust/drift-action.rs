//! What should be done about drift? Alerts and plans a retrain on grave findings; everything else is watched.

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "policy", pub_export_macro: true, generate_all });
}

use bindings::exports::trimtab::policy::drift_action::{Action, Decision, Finding, Guest};
use bindings::trimtab::policy::settings;
use bindings::trimtab::policy::types::{Phase, Severity};

struct Policy;

impl Guest for Policy {
    /// All findings of one subject that changed at the same moment; at least one, gravest first.
    fn decide(findings: Vec<Finding>) -> Result<Decision, String> {
        let Some(worst) = findings.iter().find(|finding| finding.phase != Phase::Closed) else {
            return Ok(decision(vec![Action::Monitor], "Recovered", &findings[0]));
        };
        if worst.severity < Severity::High {
            return Ok(decision(vec![Action::Monitor], "Mild", worst));
        }
        let within = settings::duration("retrain-within");
        Ok(decision(vec![Action::ScheduleRetrain(within), Action::Alert(worst.severity)], "Grave", worst))
    }
}

fn decision(actions: Vec<Action>, what: &str, finding: &Finding) -> Decision {
    Decision { actions, reason: format!("{what}: {} on {}.", finding.detector, finding.quantity) }
}

#[cfg(target_family = "wasm")]
bindings::export!(Policy with_types_in bindings);
