//! The rule. What is protected, serves, is under trial, is among the best or among the newest is kept. Of the rest may go what
//! is old, what is among the worst, and what another version does as well; and, while a budget is exceeded, the oldest. Pure.

use std::cmp::Ordering;

use crate::bindings::exports::trimtab::policy::cleanup::{Fate, Inventory, Recommendation};
use crate::bindings::trimtab::policy::types::{ModelVersion, Stage};

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
        if self.score.trim().is_empty() {
            return vec!["`score` is empty; name a metric, such as \"accuracy\"".to_owned()];
        }
        Vec::new()
    }
}

/// What is said of a version so far.
type Said = Option<(Fate, String)>;

/// One recommendation for every version, in the order in which they came: newest first.
pub fn review(rule: &Rule, inventory: &Inventory) -> Vec<Recommendation> {
    let versions = &inventory.versions;
    let ranks = ranks(rule, versions);
    let mut said: Vec<Said> = (0..versions.len()).map(|index| kept(rule, versions, &ranks, index)).collect();
    for index in 0..versions.len() {
        if said[index].is_none() {
            said[index] = outlived(rule, versions, &ranks, index);
        }
    }
    within_budget(inventory, &mut said);
    let recommendation = |(version, said): (&ModelVersion, Said)| {
        let (fate, reason) =
            said.unwrap_or_else(|| (Fate::Keep, "Kept: no rule says that it may go.".to_owned()));
        Recommendation { version: version.version.clone(), fate, reason }
    };
    versions.iter().zip(said).map(recommendation).collect()
}

fn score(rule: &Rule, version: &ModelVersion) -> Option<f64> {
    version.metrics.iter().find(|metric| metric.name == rule.score).map(|metric| metric.estimate.value)
}

/// The place of each version by its score, the best first; `None` without one. Of equals the newer one is better.
fn ranks(rule: &Rule, versions: &[ModelVersion]) -> Vec<Option<usize>> {
    let mut scored: Vec<(usize, f64)> = versions
        .iter()
        .enumerate()
        .filter(|(_, version)| version.stage != Stage::Deleted)
        .filter_map(|(index, version)| Some((index, score(rule, version)?)))
        .collect();
    scored.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Ordering::Equal).then(a.0.cmp(&b.0)));
    let mut ranks = vec![None; versions.len()];
    for (rank, (index, _)) in scored.into_iter().enumerate() {
        ranks[index] = Some(rank);
    }
    ranks
}

/// The first rule that keeps a version.
fn kept(rule: &Rule, versions: &[ModelVersion], ranks: &[Option<usize>], index: usize) -> Said {
    let version = &versions[index];
    let keep = |reason: String| Some((Fate::Keep, reason));
    if version.stage == Stage::Deleted {
        return keep("Nothing to do: it was deleted before.".to_owned());
    }
    if !version.protections.is_empty() {
        return keep("Kept: it is protected.".to_owned());
    }
    if version.stage == Stage::Production {
        return keep("Kept: it serves.".to_owned());
    }
    if matches!(version.stage, Stage::Canary | Stage::Shadow) {
        return keep("Kept: it is under trial.".to_owned());
    }
    if let Some(rank) = ranks[index].filter(|rank| *rank < rule.top as usize) {
        return keep(format!("Kept: number {} by {}; the best {} are kept.", rank + 1, rule.score, rule.top));
    }
    let newer = versions[..index].iter().filter(|other| other.stage != Stage::Deleted).count();
    if newer < rule.last as usize {
        return keep(format!("Kept: among the newest {}.", rule.last));
    }
    None
}

/// The first rule by which a version may go.
fn outlived(rule: &Rule, versions: &[ModelVersion], ranks: &[Option<usize>], index: usize) -> Said {
    let version = &versions[index];
    let delete = |reason: String| Some((Fate::Delete, reason));
    if version.age > rule.oldest {
        return delete(format!(
            "May go: {} days old; the limit is {}.",
            version.age / 86_400,
            rule.oldest / 86_400
        ));
    }
    let rank = ranks[index]?;
    let ranked = ranks.iter().flatten().count();
    // Rounded down: a fifth of four versions is none.
    let worst = (ranked as f64 * rule.bottom) as usize;
    if rank >= ranked - worst.min(ranked) {
        return delete(format!(
            "May go: number {} of {ranked} by {}, among the worst {worst}.",
            rank + 1,
            rule.score
        ));
    }
    let mine = score(rule, version)?;
    let better = versions.iter().zip(ranks).filter(|(_, other)| other.is_some_and(|other| other < rank));
    let as_good = better
        .filter_map(|(other, _)| Some((other, score(rule, other)?)))
        .find(|(_, theirs)| theirs - mine <= rule.duplicate);
    as_good.and_then(|(other, theirs)| {
        delete(format!(
            "May go: {} does as well, with {} {theirs} against {mine}.",
            other.version, rule.score
        ))
    })
}

/// While what stays exceeds the budget, the oldest that no rule keeps may go, too.
fn within_budget(inventory: &Inventory, said: &mut [Said]) {
    let budget = &inventory.budget;
    let goes = |said: &Said| matches!(said, Some((Fate::Delete, _)));
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
    use crate::bindings::trimtab::policy::types::{Estimate, Metric, Protection};

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
}
