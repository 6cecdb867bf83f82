//! What a policies directory would put in force, after every gate that a policy has to pass, and what was in force
//! before. Looks and decides; the switch is the host's.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_policy::{
    Package, Policy, ProvenanceError, RegisterError, Sandbox, read_directory, run_fixtures,
};
use trimtab_store::{Reader, StoreError};
use trimtab_types::{Change, Digest, Entry, PolicyInForce, PolicySetEntry, Position, Rollout, Signed};

use crate::{Configuration, HostError};

/// Failed fixtures that are named.
const MOST_FAILURES: usize = 5;

/// A policy folder that could not be put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProblem {
    /// The folder.
    pub name: String,
    /// What is wrong.
    pub problem: String,
    /// Whether an earlier version keeps serving.
    pub still_serving: bool,
}

impl std::fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.still_serving {
            write!(f, "the version before keeps serving: {}", self.problem)
        } else {
            write!(f, "not in force: {}", self.problem)
        }
    }
}

/// What was in force of a policy from a position on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// From here on.
    pub position: Position,
    /// `None`: it was taken out.
    pub policy: Option<PolicyInForce>,
    /// The version in the policies directory was not to be put in force again.
    pub held: bool,
    /// Who or what changed it, and when.
    pub change: Option<Change>,
}

/// What a policies directory would put in force.
pub(crate) struct Found {
    pub(crate) set: PolicySetEntry,
    packages: Vec<Package>,
    pub(crate) problems: Vec<PolicyProblem>,
    /// The first of them that the operator has to mend, in the configuration.
    pub(crate) misconfigured: Option<HostError>,
    /// While these live, putting them in force compiles nothing.
    _loaded: Vec<Policy>,
}

impl Found {
    /// The packages, as they are kept.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (Digest, Vec<u8>)> {
        self.packages.iter().map(|package| (package.digest, package.to_bytes()))
    }
}

/// Checks every folder. One that fails keeps its earlier version, if there was one.
pub(crate) fn inspect(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    directory: &Path,
    current: &PolicySetEntry,
) -> Result<Found, HostError> {
    let folders = if directory.is_dir() { read_directory(directory)? } else { Vec::new() };
    let mut found = Found {
        set: PolicySetEntry::default(),
        packages: Vec::new(),
        problems: Vec::new(),
        misconfigured: None,
        _loaded: Vec::new(),
    };
    for (name, package) in folders {
        let serving = current.policy(&name);
        let package = match package {
            Ok(package) => package,
            Err(error) => {
                found.keep(name, current, configuration, error.to_string());
                continue;
            }
        };
        if current.held.get(&name) == Some(&package.digest) {
            found.set.held.insert(name.clone(), package.digest);
            found.set.policies.extend(serving.map(|entry| kept(entry, configuration)));
            continue;
        }
        match gates(sandbox, configuration, &package, &directory.join(&name), serving) {
            Ok((policy, signed)) => {
                let entry = entry(&policy, configuration, serving);
                found.set.policies.push(PolicyInForce { signed, ..entry });
                found.packages.push(package);
                found._loaded.push(policy);
            }
            Err(Refused::Policy(problem)) => found.keep(name, current, configuration, problem),
            Err(Refused::Configuration(error)) => {
                found.keep(name, current, configuration, error.to_string());
                found.misconfigured.get_or_insert(error);
            }
        }
    }
    for name in configuration.policies.keys() {
        let known =
            found.set.policy(name).is_some() || found.problems.iter().any(|problem| problem.name == *name);
        if !known {
            let error = HostError::PolicySettings {
                policy: name.clone(),
                problem: format!("there is no policy of this name in `{}`", directory.display()),
            };
            let (name, problem) = (name.clone(), error.to_string());
            found.problems.push(PolicyProblem { name, problem, still_serving: false });
            found.misconfigured.get_or_insert(error);
        }
    }
    found.set.policies.sort_by(|a, b| (a.order, &a.policy.name).cmp(&(b.order, &b.policy.name)));
    Ok(found)
}

impl Found {
    /// The earlier version stays, and what was held back from it: a broken file is not yet another version.
    fn keep(
        &mut self,
        name: String,
        current: &PolicySetEntry,
        configuration: &Configuration,
        problem: String,
    ) {
        let serving = current.policy(&name);
        self.set.held.extend(current.held.get(&name).map(|held| (name.clone(), *held)));
        self.set.policies.extend(serving.map(|entry| kept(entry, configuration)));
        self.problems.push(PolicyProblem { name, problem, still_serving: serving.is_some() });
    }
}

/// Whether a folder's policy would be put in force under this configuration, where nothing is in force yet; why not.
/// `directory` is where the policies are that may be put in force; a folder elsewhere is looked at as if copied there.
pub fn would_serve(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    directory: &Path,
    folder: &Path,
) -> Result<Policy, String> {
    let lies_there =
        folder.parent().and_then(|parent| parent.canonicalize().ok()) == directory.canonicalize().ok();
    let package = if lies_there { Package::read_in(directory, folder) } else { Package::read(folder) };
    let package = package.map_err(|error| error.to_string())?;
    match gates(sandbox, configuration, &package, folder, None) {
        Ok((policy, _)) => Ok(policy),
        Err(Refused::Policy(problem)) => Err(problem),
        Err(Refused::Configuration(error)) => Err(error.to_string()),
    }
}

/// Why a policy is not put in force, by who has to mend it.
enum Refused {
    /// Who wrote or copied the policy.
    Policy(String),
    /// The operator.
    Configuration(HostError),
}

/// Whether the operator lets this package in, and who signed it.
fn admit(configuration: &Configuration, package: &Package) -> Result<Option<Signed>, ProvenanceError> {
    let pinned = configuration.policies.get(&package.name).and_then(|rule| rule.digest);
    trimtab_policy::admit(&configuration.trust, package, pinned)
}

/// Everything that a policy has to pass: provenance, component, interface, grants, settings, its own check, its own
/// fixtures. With it comes who signed it.
fn gates(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    package: &Package,
    folder: &Path,
    serving: Option<&PolicyInForce>,
) -> Result<(Policy, Option<Signed>), Refused> {
    // Before anything of it is compiled.
    let signed = admit(configuration, package).map_err(|error| Refused::Policy(error.to_string()))?;
    let rule = configuration.policies.get(&package.name).cloned().unwrap_or_default();
    let policy = Policy::register(sandbox, package, &rule.settings).map_err(|error| match error {
        RegisterError::Settings { .. } | RegisterError::SelfCheck { .. } if !rule.settings.is_empty() => {
            Refused::Configuration(HostError::PolicySettings {
                policy: package.name.clone(),
                problem: error.to_string(),
            })
        }
        error => Refused::Policy(error.to_string()),
    })?;
    // What is in force has passed them.
    if serving.is_some_and(|serving| serving.policy.digest == package.digest) {
        return Ok((policy, signed));
    }
    let failed: Vec<_> = run_fixtures(sandbox, package, folder)
        .into_iter()
        .filter(|report| !report.passed())
        .map(|report| format!("{}: {}", report.name(), report.problems.join("; ")))
        .collect();
    if failed.is_empty() {
        return Ok((policy, signed));
    }
    let more = failed.len().saturating_sub(MOST_FAILURES);
    let shown = failed.into_iter().take(MOST_FAILURES).collect::<Vec<_>>().join("\n  ");
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    Err(Refused::Policy(format!("policy `{}` fails its own fixtures: {shown}{more}", package.name)))
}

/// How a policy stands in the set, as manifest and operator say. `current` is what was there of it.
pub(crate) fn entry(
    policy: &Policy,
    configuration: &Configuration,
    current: Option<&PolicyInForce>,
) -> PolicyInForce {
    let (manifest, reference) = (policy.manifest(), policy.reference());
    let rule = configuration.policies.get(&reference.name);
    let share = rule.and_then(|rule| rule.rollout).filter(|share| *share < 1.0);
    let previous = match current {
        None => Some(None),
        // On its way in, or there already.
        Some(current) if current.policy == reference => {
            current.rollout.as_ref().map(|rollout| rollout.previous)
        }
        Some(current) => {
            Some(current.rollout.as_ref().map_or(Some(current.policy.digest), |rollout| rollout.previous))
        }
    };
    PolicyInForce {
        policy: reference,
        mode: rule.and_then(|rule| rule.mode).unwrap_or(manifest.mode),
        order: rule.and_then(|rule| rule.order).unwrap_or(manifest.order),
        kinds: policy.kinds().iter().map(|kind| kind.name().to_owned()).collect(),
        rollout: share.zip(previous).map(|(share, previous)| Rollout { share, previous }),
        signed: None,
    }
}

/// What stays in force, as far as the operator has no other say by now.
fn kept(entry: &PolicyInForce, configuration: &Configuration) -> PolicyInForce {
    let rule = configuration.policies.get(&entry.policy.name);
    PolicyInForce {
        mode: rule.and_then(|rule| rule.mode).unwrap_or(entry.mode),
        order: rule.and_then(|rule| rule.order).unwrap_or(entry.order),
        ..entry.clone()
    }
}

/// A version that was in force, loaded from where contents are kept. The operator may trust others by now.
pub(crate) fn from_store(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    entry: &PolicyInForce,
    reader: &dyn Reader,
) -> Result<Policy, HostError> {
    let fails = |problem: String| HostError::EarlierVersion { problem };
    let reference = &entry.policy;
    let bytes = reader.content(&reference.digest)?.ok_or_else(|| fails("it is not stored".to_owned()))?;
    let mut package = Package::from_bytes(reference, &bytes).map_err(|error| fails(error.to_string()))?;
    package.minisig = entry.signed.as_ref().map(|signed| signed.minisig.clone());
    admit(configuration, &package)?;
    let rule = configuration.policies.get(&reference.name).cloned().unwrap_or_default();
    Policy::register(sandbox, &package, &rule.settings).map_err(|error| fails(error.to_string()))
}

/// All sets that were in force, oldest first.
pub(crate) fn sets(
    reader: &dyn Reader,
    until: Position,
) -> Result<Vec<(Position, PolicySetEntry)>, StoreError> {
    let set = |(position, entry)| match entry {
        Entry::PolicySet(set) => Some((position, set)),
        _ => None,
    };
    Ok(reader.changes(Position(0), until)?.into_iter().filter_map(set).collect())
}

/// What was in force of a policy, oldest first: an entry wherever that changed.
pub(crate) fn history(sets: &[(Position, PolicySetEntry)], name: &str) -> Vec<PolicyVersion> {
    let mut history: Vec<PolicyVersion> = Vec::new();
    for (position, set) in sets {
        let (policy, held) = (set.policy(name).cloned(), set.held.contains_key(name));
        let same = match history.last() {
            Some(last) => last.policy == policy && last.held == held,
            None => policy.is_none(),
        };
        if !same {
            history.push(PolicyVersion { position: *position, policy, held, change: set.change.clone() });
        }
    }
    history
}

/// The versions that somebody can go back to, oldest first; the last is the one in force. What was gone back from is no
/// longer among them, so that going back again goes further back, and never forward.
fn way_back(history: &[PolicyVersion]) -> Vec<&PolicyInForce> {
    let mut way: Vec<&PolicyInForce> = Vec::new();
    for PolicyVersion { policy, held, .. } in history {
        let Some(entry) = policy else { continue };
        let same = |earlier: &&PolicyInForce| earlier.policy.digest == entry.policy.digest;
        if let Some(place) = way.iter().rposition(same).filter(|place| *held || place + 1 == way.len()) {
            way.truncate(place);
        }
        way.push(entry);
    }
    way
}

/// The set with an earlier version of a policy: the one before, or the one whose digest begins with `to`.
pub(crate) fn rolled_back(
    sets: &[(Position, PolicySetEntry)],
    current: &PolicySetEntry,
    name: &str,
    to: Option<&str>,
) -> Result<PolicySetEntry, HostError> {
    let history = history(sets, name);
    if history.is_empty() {
        return Err(HostError::NoSuchPolicy { name: name.to_owned() });
    }
    let serving = current.policy(name);
    let earlier = match to {
        Some(to) => {
            let mut versions = history.iter().rev().filter_map(|version| version.policy.as_ref());
            versions.find(|entry| entry.policy.digest.to_string().starts_with(to))
        }
        None => {
            let is_serving =
                |entry: &&&PolicyInForce| serving.is_some_and(|serving| serving.policy == entry.policy);
            way_back(&history).iter().rev().find(|entry| !is_serving(entry)).copied()
        }
    };
    let earlier = earlier.ok_or_else(|| HostError::NoSuchVersion {
        name: name.to_owned(),
        wanted: to.map_or_else(|| "before the one in force".to_owned(), |to| format!("`{to}…`")),
    })?;
    let entry = PolicyInForce { rollout: None, ..earlier.clone() };
    if serving.is_some_and(|serving| serving.policy == entry.policy && serving.rollout.is_none()) {
        return Err(HostError::InForceAlready {
            name: name.to_owned(),
            version: entry.policy.digest.short(),
        });
    }
    let mut set = current.clone();
    if let Some(serving) = serving {
        // The newest is what lies in the directory, unless an earlier one had been gone back to already.
        set.held.entry(name.to_owned()).or_insert(serving.policy.digest);
    }
    if set.held.get(name) == Some(&entry.policy.digest) {
        set.held.remove(name);
    }
    set.policies.retain(|entry| entry.policy.name != name);
    set.policies.push(entry);
    set.policies.sort_by(|a, b| (a.order, &a.policy.name).cmp(&(b.order, &b.policy.name)));
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::{Mode, PolicyRef};

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn in_force(version: &str) -> PolicyInForce {
        PolicyInForce {
            policy: PolicyRef { name: "ladder".into(), digest: digest(version) },
            mode: Mode::Enforce,
            order: 0,
            kinds: vec!["drift-action".into()],
            rollout: None,
            signed: None,
        }
    }

    fn set(version: &str, held: Option<&str>) -> PolicySetEntry {
        PolicySetEntry {
            policies: vec![in_force(version)],
            held: held.map(|held| ("ladder".to_owned(), digest(held))).into_iter().collect(),
            change: None,
        }
    }

    /// In force and held after going back, given the versions that were in force, newest last.
    fn check(were: &[(&str, Option<&str>)], to: Option<&str>, expected: Result<(&str, Option<&str>), &str>) {
        let sets: Vec<_> =
            were.iter().zip(1..).map(|((version, held), at)| (Position(at), set(version, *held))).collect();
        let current = sets.last().map(|(_, set)| set.clone()).unwrap_or_default();
        let to = to.map(|version| digest(version).to_string());
        let result = rolled_back(&sets, &current, "ladder", to.as_deref());
        match (result, expected) {
            (Ok(result), Ok((version, held))) => {
                assert!(result.same(&set(version, held)), "{result:?}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn going_back_holds_what_lies_in_the_directory() {
        check(&[("1", None), ("2", None)], None, Ok(("1", Some("2"))));
        check(&[("1", None), ("2", None), ("3", None)], None, Ok(("2", Some("3"))));
        check(&[("1", None), ("2", None), ("3", None)], Some("1"), Ok(("1", Some("3"))));
        check(&[("1", None)], None, Err("no version before the one in force"));
        check(&[("1", None)], Some("7"), Err("no version `"));
        check(&[("1", None)], Some("1"), Err("is in force already"));
        check(&[], None, Err("never was"));
    }

    #[test]
    fn going_back_again_goes_further_back_and_forward_only_by_name() {
        // The directory still holds 3.
        let twice = [("1", None), ("2", None), ("3", None), ("2", Some("3"))];
        check(&twice, None, Ok(("1", Some("3"))));
        check(&twice, Some("3"), Ok(("3", None)));
        let thrice = [&twice[..], &[("1", Some("3"))]].concat();
        check(&thrice, None, Err("no version before the one in force"));
        check(&thrice, Some("2"), Ok(("2", Some("3"))));
        check(&[("1", None), ("2", None), ("1", Some("2"))], None, Err("no version before the one in force"));
        // A version that comes again by its files is the newest of all.
        check(&[("1", None), ("2", None), ("1", None)], None, Ok(("2", Some("1"))));
        // What is gone back to is what lies in the directory: nothing is held.
        check(&[("1", None), ("2", None), ("1", None), ("2", Some("1"))], None, Ok(("1", None)));
    }

    #[test]
    fn history_is_what_changed_of_one_policy() {
        let other = PolicySetEntry { policies: Vec::new(), ..PolicySetEntry::default() };
        let sets = [
            (Position(1), other.clone()),
            (Position(2), set("1", None)),
            (Position(3), set("1", None)),
            (Position(4), set("2", None)),
            (Position(5), set("1", Some("2"))),
            (Position(6), other),
        ];
        let history = history(&sets, "ladder");
        let shown: Vec<_> = history
            .iter()
            .map(|version| {
                let digest = version.policy.as_ref().map(|entry| entry.policy.digest);
                (version.position.0, digest, version.held)
            })
            .collect();
        let (one, two) = (Some(digest("1")), Some(digest("2")));
        assert_eq!(shown, [(2, one, false), (4, two, false), (5, one, true), (6, None, false)]);
    }
}
