//! The rule. What is protected, serves, is under trial, is among the best or among the newest is kept. Of the rest may go what
//! is old, what is among the worst, and what another version does as well; and, while a budget is exceeded, the oldest. Pure.

use wording::{decimal, duration};

use crate::bindings::exports::trimtab::policy::cleanup::{Fate, Inventory, Recommendation};
use crate::bindings::trimtab::policy::types::{ModelVersion, Protection, Stage};

/// Scores and shares are rounded to this before they are held against a limit, so that 0.701 is 0.001 more than 0.7.
const ROUNDING: f64 = 1e-9;
/// Metrics of which less is better: the best by them would be the worst.
const LESS_IS_BETTER: [&str; 4] = ["ece", "drawdown", "interval-width", "daily-volatility"];

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The metric that versions are ranked by; more is better.
    pub score: String,
    /// So many with the best score are kept.
    pub top: u32,
    /// So many of the newest are kept.
    pub last: u32,
    /// Older ones may go, in seconds.
    pub oldest: u32,
    /// This share with the worst score may go, 0..1.
    pub bottom: f64,
    /// Two scores that differ by no more are as good as each other.
    pub duplicate: f64,
}

impl Rule {
    /// What does not fit together.
    pub fn problems(&self) -> Vec<String> {
        if self.score.is_empty() {
            return vec!["`score` is empty; name a metric, such as \"accuracy\"".to_owned()];
        }
        if LESS_IS_BETTER.contains(&self.score.as_str()) {
            let problem = "more of it is not better; name a metric such as \"accuracy\" or \"sharpe\"";
            return vec![format!("`score` is \"{}\": {problem}", self.score)];
        }
        Vec::new()
    }
}

/// What is said of a version so far.
type Said = Option<(Fate, String)>;

/// A version, and where it stands among the others that are there.
struct Standing<'a> {
    version: &'a ModelVersion,
    /// The metric, and the place by it, the best first. Of equals the newer one is better.
    score: Option<(f64, usize)>,
    /// How many are newer.
    newer: usize,
}

/// One recommendation for every version, in the order in which they came: newest first.
pub fn review(rule: &Rule, inventory: &Inventory) -> Vec<Recommendation> {
    let standings = standings(rule, &inventory.versions);
    let ranked = standings.iter().filter(|standing| standing.score.is_some()).count();
    let mut said: Vec<Said> = vec![None; standings.len()];
    // The best first: a double may go because of a better one that stays.
    let mut order: Vec<usize> = (0..standings.len()).collect();
    order.sort_by_key(|index| standings[*index].score.map_or(usize::MAX, |(_, rank)| rank));
    let mut next_better = None;
    for index in order {
        let standing = &standings[index];
        said[index] = kept(rule, standing).or_else(|| outlived(rule, standing, ranked, next_better));
        if !goes(&said[index]) {
            next_better = Some(standing);
        }
    }
    within_budget(inventory, &mut said);
    let recommendation = |(version, said): (&ModelVersion, Said)| {
        let (fate, reason) =
            said.unwrap_or_else(|| (Fate::Keep, "Kept: no rule says that it may go.".to_owned()));
        Recommendation { version: version.version.clone(), fate, reason }
    };
    inventory.versions.iter().zip(said).map(recommendation).collect()
}

fn goes(said: &Said) -> bool {
    matches!(said, Some((Fate::Delete, _)))
}

fn standings<'a>(rule: &Rule, versions: &'a [ModelVersion]) -> Vec<Standing<'a>> {
    let mut newer = 0;
    let mut standings: Vec<Standing<'a>> = Vec::with_capacity(versions.len());
    for version in versions {
        let there = version.stage != Stage::Deleted;
        let metric = version.metrics.iter().find(|metric| there && metric.name == rule.score);
        // What is only estimated without outcomes speaks neither for a version nor against it.
        let measured = metric.filter(|metric| metric.estimate.from_outcomes);
        let score = measured.map(|metric| (metric.estimate.value, 0));
        standings.push(Standing { version, score, newer });
        newer += usize::from(there);
    }
    let mut scores: Vec<&mut (f64, usize)> =
        standings.iter_mut().filter_map(|standing| standing.score.as_mut()).collect();
    // Stable, and they come newest first.
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rank, (_, place)) in scores.into_iter().enumerate() {
        *place = rank;
    }
    standings
}

/// The first rule that keeps a version.
fn kept(rule: &Rule, standing: &Standing<'_>) -> Said {
    let version = standing.version;
    let keep = |reason: String| Some((Fate::Keep, reason));
    if version.stage == Stage::Deleted {
        return keep("Nothing to do: it was deleted before.".to_owned());
    }
    if !version.protections.is_empty() {
        let names: Vec<_> = version.protections.iter().map(protection).collect();
        return keep(format!("Kept: it is protected: {}.", names.join(", ")));
    }
    if version.stage == Stage::Production {
        return keep("Kept: it serves.".to_owned());
    }
    if matches!(version.stage, Stage::Canary | Stage::Shadow) {
        return keep("Kept: it is under trial.".to_owned());
    }
    if let Some((_, rank)) = standing.score.filter(|(_, rank)| *rank < rule.top as usize) {
        return keep(format!("Kept: number {} by {}; the best {} are kept.", rank + 1, rule.score, rule.top));
    }
    if standing.newer < rule.last as usize {
        return keep(format!("Kept: among the newest {}.", rule.last));
    }
    None
}

/// The first rule by which a version may go. `ranked` versions have a score; `next_better` is the worst that is better and
/// stays: if that one is no double, none is.
fn outlived(rule: &Rule, standing: &Standing<'_>, ranked: usize, next_better: Option<&Standing<'_>>) -> Said {
    let delete = |reason: String| Some((Fate::Delete, reason));
    let age = standing.version.age;
    if age > rule.oldest {
        return delete(format!("May go: {} old; the limit is {}.", duration(age), duration(rule.oldest)));
    }
    let (mine, rank) = standing.score?;
    // Rounded down: a fifth of four versions is none.
    let worst = (ranked as f64 * rule.bottom + ROUNDING) as usize;
    if rank >= ranked.saturating_sub(worst) {
        return delete(format!(
            "May go: number {} of {ranked} by {}, among the worst {worst}.",
            rank + 1,
            rule.score
        ));
    }
    let better = next_better?;
    let (theirs, _) = better.score?;
    if theirs - mine > rule.duplicate + ROUNDING {
        return None;
    }
    delete(format!(
        "May go: {} does as well, with {} {} against {}.",
        better.version.version,
        rule.score,
        decimal(theirs, 4),
        decimal(mine, 4)
    ))
}

fn protection(by: &Protection) -> &'static str {
    match by {
        Protection::Champion => "it serves",
        Protection::Challenger => "it is to serve next",
        Protection::PreviousChampion => "it is the way back",
        Protection::Experiment => "it is under trial",
        Protection::Pinned => "it is pinned",
    }
}

/// While what stays exceeds the budget, the oldest that no rule keeps may go, too.
fn within_budget(inventory: &Inventory, said: &mut [Said]) {
    let budget = &inventory.budget;
    let freed: u64 = inventory
        .versions
        .iter()
        .zip(said.iter())
        .filter(|(_, said)| goes(said))
        .fold(0, |sum, (version, _)| version.size_bytes.saturating_add(sum));
    let mut bytes = budget.used_bytes.saturating_sub(freed);
    let stays = |(version, said): (&ModelVersion, &Said)| version.stage != Stage::Deleted && !goes(said);
    let mut count = inventory.versions.iter().zip(said.iter()).filter(|pair| stays(*pair)).count();
    for (version, said) in inventory.versions.iter().zip(said.iter_mut()).rev() {
        let too_large = budget.max_bytes.is_some_and(|most| bytes > most);
        let too_many = budget.max_versions.is_some_and(|most| count > most as usize);
        if !too_large && !too_many {
            return;
        }
        if said.is_none() {
            let what = if too_large { "disk space" } else { "versions" };
            *said =
                Some((Fate::Delete, format!("May go: the oldest, and the budget of {what} is exceeded.")));
            bytes = bytes.saturating_sub(version.size_bytes);
            count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::trimtab::policy::cleanup::Budget;
    use crate::bindings::trimtab::policy::types::{Estimate, Metric};

    const DAY: u32 = 86_400;

    fn rule() -> Rule {
        Rule { score: "accuracy".into(), top: 1, last: 1, oldest: 30 * DAY, bottom: 0.0, duplicate: 0.0 }
    }

    fn version(name: &str, days: u32, accuracy: Option<f64>) -> ModelVersion {
        let estimate = |value| Estimate { value, samples: 100, interval: None, from_outcomes: true };
        let metric = |value| Metric { name: "accuracy".into(), estimate: estimate(value) };
        ModelVersion {
            version: name.into(),
            stage: Stage::Archived,
            protections: Vec::new(),
            age: days * DAY,
            size_bytes: 100,
            metrics: accuracy.into_iter().map(metric).collect(),
        }
    }

    fn budget(max_bytes: Option<u64>, max_versions: Option<u32>) -> Budget {
        Budget { max_bytes, max_versions, used_bytes: 400 }
    }

    /// Which versions may go.
    fn check(rule: &Rule, versions: Vec<ModelVersion>, budget: Budget, expected: &[&str]) {
        let all: Vec<_> = versions.iter().map(|version| version.version.clone()).collect();
        let inventory = Inventory { tenant: "t".into(), model: "m".into(), versions, budget };
        let review = review(rule, &inventory);
        let named: Vec<_> = review.iter().map(|said| said.version.clone()).collect();
        assert_eq!(named, all, "one for each, in their order");
        assert!(review.iter().all(|said| !said.reason.is_empty()));
        let gone: Vec<_> = review
            .iter()
            .filter(|said| said.fate == Fate::Delete)
            .map(|said| said.version.as_str())
            .collect();
        assert_eq!(gone, expected, "{review:?}");
    }

    fn four() -> Vec<ModelVersion> {
        vec![
            version("v4", 1, Some(0.70)),
            version("v3", 5, Some(0.60)),
            version("v2", 20, Some(0.75)),
            version("v1", 40, Some(0.65)),
        ]
    }

    #[test]
    fn any_reason_to_keep_wins() {
        let open = || budget(None, None);
        check(&rule(), four(), open(), &["v1"]);
        check(&Rule { top: 3, ..rule() }, four(), open(), &[]);
        check(&Rule { last: 4, ..rule() }, four(), open(), &[]);
        for change in [
            |version: &mut ModelVersion| version.protections = vec![Protection::Pinned],
            |version: &mut ModelVersion| version.stage = Stage::Production,
            |version: &mut ModelVersion| version.stage = Stage::Canary,
            |version: &mut ModelVersion| version.stage = Stage::Deleted,
        ] {
            let mut versions = four();
            change(&mut versions[3]);
            check(&rule(), versions, open(), &[]);
        }
    }

    #[test]
    fn what_is_bad_or_double_may_go() {
        let open = || budget(None, None);
        check(&Rule { bottom: 0.25, ..rule() }, four(), open(), &["v3", "v1"]);
        check(&Rule { bottom: 0.2, ..rule() }, four(), open(), &["v1"]);
        let mut versions = four();
        versions[1].metrics = version("v3", 5, Some(0.70)).metrics;
        check(&rule(), versions, open(), &["v3", "v1"]);
        check(&Rule { duplicate: 1.0, ..rule() }, four(), open(), &["v3", "v1"]);
        // Of a row of doubles one stays, because of which the others may go.
        let mut row = four();
        for (version, accuracy) in row.iter_mut().zip([0.70, 0.69, 0.68, 0.67]) {
            version.age = DAY;
            version.metrics[0].estimate.value = accuracy;
        }
        check(&Rule { duplicate: 0.01, ..rule() }, row.clone(), open(), &["v3", "v1"]);
        row[1].age = 31 * DAY;
        check(&Rule { duplicate: 0.01, ..rule() }, row, open(), &["v3", "v1"]);
        // An estimate is no score: else v3 would be the worst of four.
        let mut guessed = four();
        guessed[1].metrics[0].estimate =
            Estimate { value: 0.1, from_outcomes: false, ..guessed[1].metrics[0].estimate };
        check(&Rule { bottom: 0.25, ..rule() }, guessed, open(), &["v1"]);
        // Without a score nothing is known for or against it.
        check(&rule(), vec![version("b", 1, None), version("a", 2, None)], open(), &[]);
        check(&rule(), Vec::new(), open(), &[]);
    }

    #[test]
    fn a_budget_takes_the_oldest_that_nothing_keeps() {
        let five = || {
            let mut versions = four();
            versions[3].age = 25 * DAY;
            versions
        };
        check(&rule(), five(), budget(None, None), &[]);
        check(&rule(), five(), budget(None, Some(3)), &["v1"]);
        check(&rule(), five(), budget(None, Some(2)), &["v3", "v1"]);
        check(&rule(), five(), budget(Some(250), None), &["v3", "v1"]);
        // What is kept is kept, whatever the budget.
        check(&rule(), five(), budget(Some(0), Some(0)), &["v3", "v1"]);
    }

    #[test]
    fn settings_have_to_make_sense() {
        assert!(rule().problems().is_empty());
        for score in ["", "ece"] {
            assert_eq!(Rule { score: score.into(), ..rule() }.problems().len(), 1);
        }
    }
}
