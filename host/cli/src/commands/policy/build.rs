//! `trimtab policy build`: a project's sources into a component, and whether this host would take it.

use std::{collections::BTreeMap, path::Path};

use trimtab_author::{BuildError, Built, Options, Project, ProjectError, Toolchains, build};
use trimtab_core::config::HostSettings;
use trimtab_policy::{MANIFEST, Package, Policy};
use trimtab_server::{ExitCode, Failure};

use crate::{args::PolicyBuildArgs, connect, output::Output};

pub(super) fn run(args: &PolicyBuildArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let project = Project::read(&args.folder).map_err(|error| failure(&error.into()))?;
    let options = Options {
        work: args.work.clone(),
        output: args.output.clone(),
        toolchains: toolchains(args)?,
        offline: args.offline,
    };
    let built = build(&project, &options, &mut |what| output.note(what)).map_err(|error| failure(&error))?;
    let answers = answers(&project, &built.component)?;
    if output.is_json() {
        output.json(&serde_json::json!({
            "name": project.name, "language": project.language.name(), "component": built.component,
            "bytes": built.bytes, "unchanged": built.unchanged, "answers": answers,
        }))?;
    } else {
        output.line(say(&built, &answers))?;
    }
    Ok(ExitCode::Ok)
}

fn say(built: &Built, answers: &[&str]) -> String {
    let done = if built.unchanged { "unchanged" } else { "built" };
    let answers = match answers {
        [] => String::new(),
        kinds => format!(", answers {}", kinds.join(", ")),
    };
    format!("{done} {} ({} KiB{answers})", built.component.display(), built.bytes.div_ceil(1024))
}

fn toolchains(args: &PolicyBuildArgs) -> Result<Toolchains, Failure> {
    let variable = |name| std::env::var_os(name).map(Into::into);
    let directory = args
        .toolchains
        .clone()
        .or_else(|| trimtab_author::default_directory(variable("XDG_CACHE_HOME"), variable("HOME")));
    directory.map(Toolchains::new).ok_or_else(|| {
        Failure::invalid("there is no home directory to keep toolchains in; say where with --toolchains DIR")
    })
}

/// The questions that the component answers, wherever it lies: with the project's manifest the host has to take it. None,
/// where the project has no manifest.
fn answers(project: &Project, component: &Path) -> Result<Vec<&'static str>, Failure> {
    let manifest = project.folder.join(MANIFEST);
    if !manifest.is_file() {
        return Ok(Vec::new());
    }
    let invalid = |error: &dyn std::fmt::Display| Failure::invalid(format!("it is built, but {error}"));
    let (manifest, component) = (connect::read_text(&manifest)?, connect::read_bytes(component)?);
    let package =
        Package::from_parts(project.name.as_str(), manifest, component).map_err(|error| invalid(&error))?;
    let policy =
        Policy::register(&connect::sandbox(None, &HostSettings::default())?, &package, &BTreeMap::new())
            .map_err(|error| invalid(&error))?;
    Ok(policy.kinds().iter().map(|kind| kind.name()).collect())
}

/// How an error of building reaches the outside. 66 says: install something first.
pub(super) fn failure(error: &BuildError) -> Failure {
    let message = error.to_string();
    match error {
        BuildError::Project(ProjectError::NoFolder(_)) | BuildError::NoFolder(_) => Failure::missing(message),
        BuildError::Missing { .. } | BuildError::NotInstalled { .. } | BuildError::NoTarget => {
            Failure::missing(message)
        }
        BuildError::Files { .. } | BuildError::Project(ProjectError::Read { .. }) => Failure::files(message),
        BuildError::Project(
            ProjectError::Language { .. } | ProjectError::NoWorld(_) | ProjectError::Cargo { .. },
        )
        | BuildError::Failed { .. }
        | BuildError::Wit(_)
        | BuildError::Component(_) => Failure::invalid(message),
    }
}
