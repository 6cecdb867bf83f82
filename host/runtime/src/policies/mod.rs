//! What a policies directory would put in force, after every gate that a policy has to pass, and what was in force
//! before. Looks and decides; the switch is the host's.

pub(crate) mod gate;
mod history;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use trimtab_api::PolicyProblem;
use trimtab_core::{Configuration, config::Gate, entry};
use trimtab_files::{Directory, FilesError, Kind};
use trimtab_log::Reader;
use trimtab_policy::{
    KeptPackage, Package, PackageError, Policy, ProvenanceError, RegisterError, Sandbox, folders,
    run_fixtures,
};
use trimtab_types::{Digest, PolicyInForce, PolicySetEntry, Signed};

use crate::HostError;

use gate::Verdict;
pub(crate) use history::{history, rolled_back, sets};

/// Failed fixtures that are named.
const MOST_FAILURES: usize = 5;

/// What a policies directory would put in force.
pub(crate) struct Found {
    pub(crate) set: PolicySetEntry,
    packages: Vec<Package>,
    pub(crate) problems: Vec<PolicyProblem>,
    /// The first of them that the operator has to mend, in the configuration.
    pub(crate) misconfigured: Option<HostError>,
    /// Folders whose component is being compiled. Their earlier version stays until somebody looks again.
    pub(crate) waiting: BTreeSet<String>,
    /// While these live, putting them in force compiles nothing.
    _loaded: Vec<Policy>,
}

impl Found {
    /// The packages, as they are kept.
    pub(crate) fn contents(&self) -> impl Iterator<Item = (Digest, Vec<u8>)> {
        self.packages.iter().flat_map(Package::to_kept)
    }
}

/// What is known of folders before they are looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folders {
    /// Somebody is changing these: their policies stay as they are.
    pub changing: BTreeSet<String>,
    /// These have stayed away: their policies are taken out of force. One that is not there at the moment stays: a new version
    /// is often put in place by two renames.
    pub gone: BTreeSet<String>,
}

/// How a version does on history, under the operator's bounds.
pub(crate) type TriedOut<'a> = dyn Fn(&Package, Gate) -> Verdict + 'a;

type Opened = Vec<(String, Result<Directory, FilesError>)>;

/// The policies directory's folders. `None`: there is no such directory.
fn opened(directory: &Path) -> Result<Option<Opened>, FilesError> {
    match Directory::open(directory).and_then(|directory| folders(&directory)) {
        Ok(folders) => Ok(Some(folders)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is in the place of a policy's folder, if something is.
fn in_its_place(directory: &Path, name: &str) -> Option<String> {
    let look = Directory::open(directory).and_then(|directory| directory.look(name)).ok()??;
    let path = directory.join(name);
    (look.kind != Kind::Folder)
        .then(|| format!("`{}` is not a folder; put the policy's folder there, or remove it", path.display()))
}

/// Policies in force whose folder is not there, while the directory is.
pub(crate) fn gone(directory: &Path, current: &PolicySetEntry) -> BTreeSet<String> {
    let Ok(Some(folders)) = opened(directory) else { return BTreeSet::new() };
    let is_gone = |name: &String| !folders.iter().any(|(found, _)| found == name);
    current.policies.iter().map(|entry| entry.policy.name.clone()).filter(is_gone).collect()
}

/// Checks every folder. One that fails keeps its earlier version, if there was one; so does one that is being changed. Where
/// the directory is not there, or is not one, everything stays in force.
pub(crate) fn inspect(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    directory: &Path,
    current: &PolicySetEntry,
    known: &Folders,
    tried_out: &TriedOut<'_>,
) -> Result<Found, HostError> {
    let mut found = Found {
        set: PolicySetEntry::default(),
        packages: Vec::new(),
        problems: Vec::new(),
        misconfigured: None,
        waiting: BTreeSet::new(),
        _loaded: Vec::new(),
    };
    let nobody = current.policies.is_empty();
    match opened(directory) {
        Ok(Some(folders)) => {
            let there: BTreeSet<String> = folders.iter().map(|(name, _)| name.clone()).collect();
            for (name, folder) in folders {
                if !known.changing.contains(&name) {
                    found.folder(sandbox, configuration, current, (name, folder), tried_out);
                }
            }
            known.changing.iter().for_each(|name| found.stays(name, current, configuration));
            // What somebody went back from stays held, also while its folder is away.
            let away = current.held.iter().filter(|(name, _)| !there.contains(*name));
            found.set.held.extend(away.map(|(name, held)| (name.clone(), *held)));
            let in_force = current.policies.iter().map(|entry| &entry.policy.name);
            let is_back_soon = |name: &&String| {
                !there.contains(*name) && !known.gone.contains(*name) && !known.changing.contains(*name)
            };
            in_force.filter(is_back_soon).for_each(|name| found.stays(name, current, configuration));
            // A file in place of a folder is no policy that is gone.
            for name in &known.gone {
                if let Some(problem) = in_its_place(directory, name) {
                    found.keep(name.clone(), current, configuration, problem);
                }
            }
        }
        Ok(None) if nobody => {}
        Err(error) if nobody => return Err(PackageError::from(error).into()),
        gone => {
            let problem = match gone {
                Err(error) => error.to_string(),
                Ok(_) => format!(
                    "the policies directory `{}` is not there; put it back, or make an empty one to take all policies out",
                    directory.display()
                ),
            };
            for entry in &current.policies {
                found.keep(entry.policy.name.clone(), current, configuration, problem.clone());
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
    /// Takes a folder's policy in, if it passes every gate.
    fn folder(
        &mut self,
        sandbox: &Arc<Sandbox>,
        configuration: &Configuration,
        current: &PolicySetEntry,
        (name, folder): (String, Result<Directory, FilesError>),
        tried_out: &TriedOut<'_>,
    ) {
        let opened = folder.map_err(PackageError::from);
        let read = opened.and_then(|folder| Ok((Package::read_from(&folder)?, folder)));
        let (mut package, folder) = match read {
            Ok(read) => read,
            Err(error) => return self.keep(name, current, configuration, error.to_string()),
        };
        if current.held.get(&name) == Some(&package.digest) {
            if current.policy(&name).is_some() {
                return self.stays(&name, current, configuration);
            }
            // Its folder was away, and so is the version that served in its place.
            let version = package.digest.short();
            let problem = format!(
                "somebody went back from version {version}; it stays out until its files change, or `trimtab policy rollback {name} --to {version}`"
            );
            return self.keep(name, current, configuration, problem);
        }
        package.cap(&configuration.limits);
        let serving = current.policy(&name);
        // Before anything of it is compiled.
        let signed = match admit(configuration, &package) {
            Ok(signed) => signed,
            Err(error) => return self.keep(name, current, configuration, error.to_string()),
        };
        if !sandbox.is_ready(&package.component) {
            self.stays(&name, current, configuration);
            self.waiting.insert(name);
            return;
        }
        match gates(sandbox, configuration, &package, &folder, serving) {
            Ok(policy) => {
                let rule = configuration.policies.get(&name);
                let is_new = serving.is_some_and(|serving| serving.policy.digest != package.digest);
                if let Some(gate) = rule.and_then(|rule| rule.gate).filter(|_| is_new) {
                    let version = package.digest.short();
                    match tried_out(&package, gate) {
                        Verdict::Passed => {}
                        Verdict::Running => {
                            let problem = format!("version {version} is being tried out on history");
                            return self.keep(name, current, configuration, problem);
                        }
                        Verdict::Held(why) => {
                            let problem = format!("version {version} is not put in force: {why}");
                            return self.keep(name, current, configuration, problem);
                        }
                    }
                }
                let entry = entry(policy.reference(), policy.rules(), configuration, serving);
                self.set.policies.push(PolicyInForce { signed, ..entry });
                // What is in force is stored.
                if serving.is_none_or(|serving| serving.policy.digest != package.digest) {
                    self.packages.push(package);
                }
                self._loaded.push(policy);
            }
            Err(Refused::Policy(problem)) => self.keep(name, current, configuration, problem),
            Err(Refused::Configuration(error)) => {
                self.keep(name, current, configuration, error.to_string());
                self.misconfigured.get_or_insert(error);
            }
        }
    }

    /// The earlier version stays, and what was held back from it: a broken file is not yet another version.
    fn stays(&mut self, name: &str, current: &PolicySetEntry, configuration: &Configuration) {
        self.set.held.extend(current.held.get(name).map(|held| (name.to_owned(), *held)));
        self.set.policies.extend(current.policy(name).map(|entry| kept(entry, configuration)));
    }

    /// The same, and it is said why.
    fn keep(
        &mut self,
        name: String,
        current: &PolicySetEntry,
        configuration: &Configuration,
        problem: String,
    ) {
        self.stays(&name, current, configuration);
        let still_serving = current.policy(&name).is_some();
        self.problems.push(PolicyProblem { name, problem, still_serving });
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
    let real = |path: &Path| path.canonicalize().ok();
    let lies_there = folder.parent().and_then(real) == real(directory);
    let opened = match folder.file_name() {
        Some(name) if lies_there => Directory::open(directory).and_then(|directory| directory.folder(name)),
        _ => Directory::named(folder),
    };
    let folder = opened.map_err(|error| error.to_string())?;
    let mut package = Package::read_from(&folder).map_err(|error| error.to_string())?;
    package.cap(&configuration.limits);
    admit(configuration, &package).map_err(|error| error.to_string())?;
    gates(sandbox, configuration, &package, &folder, None).map_err(|refused| match refused {
        Refused::Policy(problem) => problem,
        Refused::Configuration(error) => error.to_string(),
    })
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

/// Everything that a policy has to pass that is let in: component, interface, grants, settings, its own check, its own
/// fixtures.
fn gates(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    package: &Package,
    folder: &Directory,
    serving: Option<&PolicyInForce>,
) -> Result<Policy, Refused> {
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
        return Ok(policy);
    }
    let failed: Vec<_> = run_fixtures(sandbox, package, folder)
        .into_iter()
        .filter(|report| !report.passed())
        .map(|report| format!("{}: {}", report.name(), report.problems.join("; ")))
        .collect();
    if failed.is_empty() {
        return Ok(policy);
    }
    let more = failed.len().saturating_sub(MOST_FAILURES);
    let shown = failed.into_iter().take(MOST_FAILURES).collect::<Vec<_>>().join("\n  ");
    let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
    Err(Refused::Policy(format!("policy `{}` fails its own fixtures: {shown}{more}", package.name)))
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
    let stored = |digest: &Digest| -> Result<Vec<u8>, HostError> {
        reader.content(digest)?.ok_or_else(|| fails("it is not stored".to_owned()))
    };
    let damaged = |error: PackageError| fails(error.to_string());
    let kept = KeptPackage::read(reference, &stored(&reference.digest)?).map_err(damaged)?;
    let component = stored(&kept.component)?;
    let mut package = kept.with(component).map_err(damaged)?;
    package.minisig = entry.signed.as_ref().map(|signed| signed.minisig.clone());
    admit(configuration, &package)?;
    let rule = configuration.policies.get(&reference.name).cloned().unwrap_or_default();
    Policy::register_within(sandbox, &package, &rule.settings, &configuration.limits)
        .map_err(|error| fails(error.to_string()))
}
