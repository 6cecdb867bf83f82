//! What a dry run tries out: read as it was named, and refused where no host would put it in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use trimtab_files::Directory;
use trimtab_log::Reader;
use trimtab_policy::{MANIFEST, Package, PackageError, Policy, RegisterError, Sandbox, folders};
use trimtab_replay::{
    Standing,
    overlay::{Overlay, Substitution},
};
use trimtab_runtime::HostError;
use trimtab_server::Failure;

use super::policies_directory;
use crate::{
    args::{DryRunArgs, Global},
    connect,
};

/// What everything that is WebAssembly begins with.
const MAGIC: &[u8] = b"\0asm";

/// What can be tried out.
const KINDS: &str = "a policy's folder or name, a directory of policies, or a component (.wasm)";

type Settings = BTreeMap<String, serde_json::Value>;

pub(super) fn read(
    global: &Global,
    args: &DryRunArgs,
    in_force: &Standing,
    reader: &dyn Reader,
) -> Result<Overlay, Failure> {
    let configuration = args.config.as_ref().map(|file| connect::read_configuration(file)).transpose()?;
    let mut settings: BTreeMap<String, Settings> = BTreeMap::new();
    for text in &args.set {
        let (policy, key, value) = setting(text)?;
        settings.entry(policy).or_default().insert(key, value);
    }
    let policies = match &args.candidate {
        Some(named) => substitution(global, named, args.replaces.as_deref(), in_force, reader)?,
        None => Substitution::None,
    };
    Ok(Overlay { configuration, settings, policies })
}

/// In words.
pub(super) fn described(args: &DryRunArgs) -> String {
    let path = |path: &std::path::PathBuf| path.display().to_string();
    let parts = args.candidate.iter().chain(&args.config).map(path).chain(args.set.iter().cloned());
    parts.map(|part| format!("`{part}`")).collect::<Vec<_>>().join(" with ")
}

fn invalid(error: PackageError) -> Failure {
    Failure::invalid(error.to_string())
}

fn substitution(
    global: &Global,
    named: &Path,
    replaces: Option<&str>,
    in_force: &Standing,
    reader: &dyn Reader,
) -> Result<Substitution, Failure> {
    let directory = policies_directory(global);
    let path = if named.exists() { named.to_owned() } else { directory.join(named) };
    if path.is_file() {
        let package = component(&path, replaces, in_force, reader)?;
        return Ok(Substitution::One(Box::new(package)));
    }
    if !path.is_dir() {
        return Err(Failure::missing(format!(
            "there is no `{}`, and no policy of that name in `{}`; name {KINDS}",
            named.display(),
            directory.display()
        )));
    }
    if path.join(MANIFEST).exists() {
        // Its real name: `.` has none.
        let real = path.canonicalize().unwrap_or(path);
        let mut package = Package::read(&real).map_err(invalid)?;
        if let Some(name) = replaces {
            name.clone_into(&mut package.name);
        }
        return Ok(Substitution::One(Box::new(package)));
    }
    let packages: Vec<_> = folders(&Directory::named(&path)?)?
        .into_iter()
        .map(|(_, folder)| Package::read_from(&folder?))
        .collect::<Result<_, PackageError>>()
        .map_err(invalid)?;
    if packages.is_empty() {
        return Err(Failure::invalid(format!("`{}` holds no policies; name {KINDS}", path.display())));
    }
    Ok(Substitution::All(packages))
}

/// A component alone takes the manifest of the policy that it would replace.
fn component(
    path: &Path,
    replaces: Option<&str>,
    in_force: &Standing,
    reader: &dyn Reader,
) -> Result<Package, Failure> {
    if path.file_name().is_some_and(|name| name == MANIFEST) {
        return Err(Failure::invalid(format!(
            "`{}` is a policy's manifest; name the folder that it lies in",
            path.display()
        )));
    }
    let bytes = connect::read_bytes(path)?;
    if !bytes.starts_with(MAGIC) {
        return Err(Failure::invalid(format!("`{}` is not WebAssembly; name {KINDS}", path.display())));
    }
    let name = match replaces {
        Some(name) => name.to_owned(),
        None => path.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-"),
    };
    let replaced = in_force.package(&name, reader)?.ok_or_else(|| {
        Failure::missing(format!(
            "no policy `{name}` is in force whose manifest the component could take; say which with --replaces, or name a folder"
        ))
    })?;
    Package::from_parts(name, replaced.manifest_text, bytes).map_err(invalid)
}

/// `POLICY.KEY=VALUE`, the value as in TOML; a text may do without quotes.
fn setting(text: &str) -> Result<(String, String, serde_json::Value), Failure> {
    let parts = text.split_once('=').and_then(|(place, value)| {
        let (policy, key) = place.trim().split_once('.')?;
        Some((policy.to_owned(), key.to_owned(), value.trim()))
    });
    let Some((policy, key, value)) = parts else {
        return Err(Failure::invalid(format!(
            "--set {text}: is not POLICY.KEY=VALUE; write it like drift-ladder.watch-retrain-within=24h"
        )));
    };
    let parsed = toml::from_str::<Settings>(&format!("x = {value}"));
    let value = parsed.ok().and_then(|mut parsed| parsed.remove("x")).unwrap_or_else(|| value.into());
    Ok((policy, key, value))
}

/// Refuses, before anything is folded, what a reload would refuse: a policy that cannot be loaded, settings that a policy
/// does not take, and settings of policies that are not there.
pub(super) fn check(
    candidate: &Overlay,
    config: Option<&Path>,
    sandbox: &Arc<Sandbox>,
    in_force: &Standing,
    reader: &dyn Reader,
) -> Result<(), Failure> {
    let package = |name: &str| -> Result<Option<Package>, Failure> {
        match candidate.packages().iter().find(|package| package.name == name) {
            Some(package) => Ok(Some(package.clone())),
            None if candidate.keeps(name) => Ok(in_force.package(name, reader)?),
            None => Ok(None),
        }
    };
    if let (Some(file), Some(configuration)) = (config, &candidate.configuration) {
        for (name, rule) in &configuration.policies {
            let problem = match package(name)? {
                Some(package) => refused(sandbox, &package, &rule.settings),
                // The host knows its folder, and could not put it in force.
                None if in_force.configuration.policies.contains_key(name) => None,
                None => Some("no policy of this name is in force or tried out; `trimtab policy list` shows those in force".to_owned()),
            };
            if let Some(problem) = problem {
                let error = HostError::PolicySettings { policy: name.clone(), problem };
                return Err(connect::in_file(file, error.into()));
            }
        }
    }
    let configuration = candidate.configuration(&in_force.configuration);
    let tried = candidate.packages().iter().map(|package| &package.name);
    for name in tried.chain(candidate.settings.keys()).collect::<BTreeSet<_>>() {
        let package = package(name)?.ok_or_else(|| {
            Failure::missing(format!("--set {name}: no policy of this name is in force or tried out"))
        })?;
        let rule = configuration.policies.get(name).cloned().unwrap_or_default();
        Policy::register(sandbox, &package, &rule.settings)
            .map_err(|error| Failure::invalid(error.to_string()))?;
    }
    Ok(())
}

/// Why a policy does not take these settings.
fn refused(sandbox: &Arc<Sandbox>, package: &Package, settings: &Settings) -> Option<String> {
    match Policy::register(sandbox, package, settings) {
        Err(error @ (RegisterError::Settings { .. } | RegisterError::SelfCheck { .. })) => {
            Some(error.to_string())
        }
        // What is wrong with it otherwise is not the settings' fault.
        Ok(_) | Err(_) => None,
    }
}
