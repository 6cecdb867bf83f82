//! What the shipped canary-promotion policies have in common: health comes first, a number counts only if it was
//! measured, and every judgement carries its evidence. What is promoted is each policy's own rule.
//!
//! The bindings are here, too: these policies are asked the same question.

pub mod testing;

// Unused items: the bindings are those of the whole interface, and natively only the tests use them.
#[allow(dead_code, unused_imports, missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package trimtab:experiment-text;
            world policy {
                include trimtab:policy/canary-promotion-policy@0.1.0;
            }
        ",
        world: "trimtab:experiment-text/policy",
        pub_export_macro: true,
        generate_all,
    });
}

pub use bindings::exports::trimtab::policy::canary_promotion::{
    Arm, Concern, Design, Difference, Experiment, Guest, Judgement, Verdict,
};
pub use bindings::trimtab::policy::{
    settings,
    types::{Estimate, Interval, Metric},
};

use wording::{difference, duration, quantity};

/// Numbers are held against limits with this tolerance, so that 1.2 is 0.2 more than 1.0.
pub const ROUNDING: f64 = 1e-9;

/// Makes a crate the component of a canary-promotion policy. `rule` is a function that asks for the settings; what it returns
/// judges an [`Experiment`] by a method of that name.
#[macro_export]
macro_rules! policy {
    ($rule:path) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Policy;

            impl $crate::Guest for Policy {
                fn judge(experiment: $crate::Experiment) -> Result<$crate::Judgement, String> {
                    Ok($crate::judge(&experiment, |experiment| $rule().judge(experiment)))
                }
            }

    $crate::bindings::export!(Policy with_types_in $crate::bindings);
        };
    };
}

/// A verdict and why; the evidence comes behind it.
pub type Ruling = (Verdict, String, Vec<String>);

/// Judges by a rule, after the health of the experiment: while there are concerns its numbers say nothing.
pub fn judge(experiment: &Experiment, rule: impl FnOnce(&Experiment) -> Ruling) -> Judgement {
    let (verdict, because, evidence) = match experiment.concerns.as_slice() {
        [] => rule(experiment),
        concerns => {
            let concerns: Vec<_> = concerns.iter().map(concern).collect();
            (
                Verdict::Extend,
                format!("The numbers cannot be trusted yet: {}.", concerns.join(", ")),
                Vec::new(),
            )
        }
    };
    let Experiment { champion, challenger, .. } = experiment;
    let after = format!(
        "{} against {} after {}, {} and {} outcomes",
        challenger.version,
        champion.version,
        duration(experiment.running),
        challenger.samples,
        champion.samples
    );
    let evidence: Vec<_> = std::iter::once(after).chain(evidence).collect();
    Judgement { verdict, reason: format!("{because} {}.", evidence.join("; ")) }
}

/// What was measured of an arm by outcomes; an estimate without them is no ground for a promotion.
pub fn measured(arm: &Arm, name: &str) -> Option<Estimate> {
    let metric = arm.metrics.iter().find(|metric| metric.name == name)?;
    Some(metric.estimate).filter(|estimate| estimate.from_outcomes)
}

/// A metric of both arms: "accuracy 62.0 % (n = 900) against 58.0 % (n = 8000)".
pub fn compared(experiment: &Experiment, name: &str) -> String {
    let side = |arm: &Arm| match measured(arm, name) {
        Some(estimate) => format!("{} (n = {})", quantity(name, estimate.value), estimate.samples),
        None => "not known".to_owned(),
    };
    format!("{name} {} against {}", side(&experiment.challenger), side(&experiment.champion))
}

/// A difference with its interval: "4.0 points more (1.0 points more to 7.0 points more)".
pub fn shown(name: &str, estimate: &Estimate) -> String {
    let signed =
        |value: f64| format!("{} {}", difference(name, value), if value >= 0.0 { "more" } else { "less" });
    let interval = estimate
        .interval
        .map(|Interval { lower, upper }| format!(" ({} to {})", signed(lower), signed(upper)));
    signed(estimate.value) + &interval.unwrap_or_default()
}

fn concern(concern: &Concern) -> &'static str {
    match concern {
        Concern::NoData => "there is no data",
        Concern::TooFewSamples => "there are too few samples",
        Concern::SampleRatioMismatch => "the arms do not share the traffic as they should",
        Concern::OutcomeCoverageMismatch => "the arms do not have outcomes to the same extent",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{arm, experiment};

    #[test]
    fn concerns_come_before_every_rule() {
        for concern in [
            Concern::NoData,
            Concern::TooFewSamples,
            Concern::SampleRatioMismatch,
            Concern::OutcomeCoverageMismatch,
        ] {
            let ill = Experiment { concerns: vec![concern], ..experiment() };
            let judgement = judge(&ill, |_| unreachable!("the rule is not asked"));
            assert!(matches!(judgement.verdict, Verdict::Extend));
            assert!(judgement.reason.contains("cannot be trusted yet"), "{}", judgement.reason);
        }
    }

    #[test]
    fn judgements_carry_their_evidence() {
        let mut experiment = experiment();
        experiment.challenger = arm("v8", 900, &[("accuracy", 0.62)]);
        let evidence = |experiment: &Experiment| vec![compared(experiment, "accuracy")];
        let judgement =
            judge(&experiment, |experiment| (Verdict::Promote, "Better.".to_owned(), evidence(experiment)));
        assert_eq!(
            judgement.reason,
            "Better. v8 against v7 after 8 d, 900 and 8000 outcomes; accuracy 62.0 % (n = 900) against not known."
        );
    }

    #[test]
    fn what_is_only_estimated_is_not_known() {
        let mut arm = arm("v8", 900, &[("accuracy", 0.62)]);
        assert!(measured(&arm, "accuracy").is_some() && measured(&arm, "ece").is_none());
        arm.metrics[0].estimate.from_outcomes = false;
        assert!(measured(&arm, "accuracy").is_none());
    }

    #[test]
    fn differences_are_shown_with_their_side() {
        let interval = Some(Interval { lower: -0.01, upper: 0.07 });
        let estimate = Estimate { value: 0.04, samples: 900, interval, from_outcomes: true };
        assert_eq!(shown("accuracy", &estimate), "4.0 points more (1.0 points less to 7.0 points more)");
        assert_eq!(shown("sharpe", &Estimate { value: -0.25, interval: None, ..estimate }), "0.250 less");
    }
}
