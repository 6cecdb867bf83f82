//! What a subject's baseline can show: whether anybody can say how the subject is, and after how many predictions more errors
//! would be found. For people; nothing is decided by it. The formula is in `trimtab-stats`.

use trimtab_stats::{Power, Rows, by_class};
use trimtab_types::{Baseline, ClassErrors, Judging, Rise, Strength};

use crate::{
    config::Detectors,
    detector::DetectorKind,
    watch::{blocks, null_mean},
};

/// Errors that are worth fewer independent ones say little of an error rate.
const LEAST_WORTH: f64 = 100.0;

// Types know no statistics, and yet which classes are watched is one rule.
const _: () = assert!(ClassErrors::LEAST_EVENTS == by_class::LEAST_EVENTS);
const _: () = assert!(ClassErrors::MOST_WATCHED == by_class::MOST_CLASSES);

/// What a baseline can show of a subject that is watched with these settings.
pub fn strength(
    settings: &Detectors,
    judging: &Judging,
    baseline: Option<&Baseline>,
    is_there: bool,
) -> Strength {
    let unknown = unknown(judging, baseline, is_there);
    let Some(baseline) = baseline else { return Strength { unknown, ..Strength::default() } };
    let rises = rises(settings, baseline);
    let is_found = |rise: &Rise| rise.rows.is_some();
    let finds_too_little = !rises.is_empty() && !rises.iter().skip(1).any(is_found);
    Strength { unknown, rises, finds_too_little }
}

/// Why nobody can say how a subject with this baseline is, which is judged by these rules. `is_there`: it has predictions.
pub fn unknown(judging: &Judging, baseline: Option<&Baseline>, is_there: bool) -> Option<String> {
    if !is_there {
        return Some("has no prediction yet: is that its name?".to_owned());
    }
    let Some(baseline) = baseline else { return Some("has no baseline".to_owned()) };
    let worth = baseline.effective_samples.unwrap_or(baseline.samples as f64);
    if baseline.provisional {
        return Some("is held against its predecessor's baseline until it has one of its own".to_owned());
    }
    if worth < LEAST_WORTH {
        return Some(format!(
            "has too small a baseline to say how it is: worth {worth:.0} independent outcomes of {}, and {LEAST_WORTH} are needed",
            baseline.samples
        ));
    }
    if baseline.judged_by.is_some_and(|then| then != judging.digest()) {
        return Some("has a baseline that was judged by other rules: set it anew".to_owned());
    }
    if let [only] = &baseline.classes[..] {
        return Some(format!(
            "has a baseline in which every outcome is {}: whether the other class is told from it cannot be known",
            only.name
        ));
    }
    match baseline.accuracy {
        1.0 => {
            Some("has a baseline in which everything is right: are outcomes what really happened?".to_owned())
        }
        0.0 => Some(
            "has a baseline in which nothing is right: are outcomes those of these predictions?".to_owned(),
        ),
        _ => None,
    }
}

fn rises(settings: &Detectors, baseline: &Baseline) -> Vec<Rise> {
    let betting = [(DetectorKind::ESr, &settings.e_sr), (DetectorKind::ECusum, &settings.e_cusum.0)];
    let Some((_, own)) = betting.into_iter().find(|(_, own)| own.enabled) else { return Vec::new() };
    let Some(null_mean) = null_mean(own, baseline) else { return Vec::new() };
    let n = baseline.samples as f64;
    let power = Power {
        null_mean,
        average_run_length: own.run_length,
        blocks: blocks(own, baseline),
        dependence: (n / baseline.effective_samples.unwrap_or(n)).max(1.0),
    };
    let now = 1.0 - baseline.accuracy;
    let rise = |(by, to): (&str, f64)| {
        let to = to.min(1.0);
        let rows = power.rows_to(to).ok()?;
        Some(Rise {
            by: by.to_owned(),
            to,
            rows: match rows {
                Rows::About(rows) => Some(rows),
                Rows::More | Rows::Never => None,
            },
            never: rows == Rows::Never,
        })
    };
    let all = [("+5 points", now + 0.05), ("+10 points", now + 0.1), ("twice as many", 2.0 * now)];
    all.into_iter().filter_map(rise).collect()
}

#[cfg(test)]
mod tests {
    use trimtab_types::{Inflation, testing::subject};

    use super::*;

    fn baseline(samples: u64, accuracy: f64) -> Baseline {
        let inflations = vec![Inflation { block: 5, inflation: 1.0 }];
        Baseline { inflations, ..Baseline::given(subject(), samples, accuracy) }
    }

    /// Simulated by an independent prototype, error .30, independent, to .35 and .40: with 500 rows never and after 1,036, with
    /// 2,000 after 4,012 and 635. The formula is within 20 % of that below 1,000.
    #[test]
    fn it_is_said_what_would_be_found_and_when() {
        let of = |n| strength(&Detectors::default(), &Judging::default(), Some(&baseline(n, 0.7)), true);
        let large = of(2_000);
        assert_eq!((large.rises[0].rows, large.rises[0].never), (None, false), "{:?}", large.rises);
        let ten = large.rises[1].rows.expect("found");
        assert!(ten.abs_diff(635) <= 127, "{ten}");
        assert!(!large.finds_too_little && large.words().contains("+5 points after more than 2000"));
        let small = of(500);
        assert!(small.rises[0].never && small.words().starts_with("+5 points never"), "{}", small.words());
        // 60 rows allow nearly everything.
        let poor = strength(&Detectors::default(), &Judging::default(), Some(&baseline(60, 0.9)), true);
        assert!(poor.finds_too_little, "{:?}", poor.rises);
    }

    #[test]
    fn who_can_say_how_a_subject_is() {
        let class = |name: &str, class| ClassErrors {
            name: name.to_owned(),
            class,
            events: 200,
            errors: 20,
            worth: 200.0,
            block: 1,
            inflation: 1.0,
        };
        let judged = |binary_threshold| Baseline {
            judged_by: Some(Judging { binary_threshold, ..Judging::default() }.digest()),
            ..baseline(400, 0.9)
        };
        let classes = |classes| Baseline { classes, ..baseline(400, 0.9) };
        for (baseline, expected) in [
            (None, "has no baseline"),
            (Some(baseline(99, 0.9)), "worth 99 independent outcomes of 99"),
            (
                Some(Baseline { effective_samples: Some(40.0), ..baseline(4_000, 0.9) }),
                "worth 40 independent outcomes of 4000",
            ),
            (Some(Baseline { provisional: true, ..baseline(4_000, 0.9) }), "predecessor"),
            (Some(baseline(400, 1.0)), "everything is right"),
            (Some(baseline(400, 0.0)), "nothing is right"),
            (Some(classes(vec![class("0", 0)])), "every outcome is 0"),
            (Some(classes(vec![class("0", 0), class("1", 1)])), ""),
            (Some(baseline(100, 0.9)), ""),
            (Some(judged(0.5)), ""),
            (Some(judged(0.2)), "other rules"),
        ] {
            let found = unknown(&Judging::default(), baseline.as_ref(), true);
            match expected {
                "" => assert_eq!(found, None),
                words => assert!(found.as_ref().is_some_and(|found| found.contains(words)), "{found:?}"),
            }
        }
    }
}
