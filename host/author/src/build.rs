//! Carries a plan out: installs what is missing, generates, runs, and puts the component into its place. What is done is
//! `plan`'s to say.

#![expect(
    clippy::disallowed_methods,
    reason = "building is reading and writing files, all of them in folders of its own"
)]

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use trimtab_types::DigestBuilder;

use crate::{
    CONTRACT, CONTRACT_FILE, bindings,
    invocation::Invocation,
    language::Language,
    plan::{Form, Plan, Step},
    project::{Project, ProjectError},
    toolchain::{Toolchain, Toolchains},
};

/// Lines of a failing program's output that are shown.
const MOST_LINES: usize = 60;
/// Raised when the same steps on the same sources give another component.
const FORMAT: u64 = 1;
const RUST_TARGET: &str = "wasm32-wasip2";

/// How to build.
#[derive(Debug, Clone)]
pub struct Options {
    /// For intermediate files, kept for the next time; `None`: `build` in the project.
    pub work: Option<PathBuf>,
    /// The component; `None`: `NAME.wasm` in the project.
    pub output: Option<PathBuf>,
    /// Where toolchains are.
    pub toolchains: Toolchains,
    /// Use what is installed and install nothing.
    pub offline: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Where the component is.
    pub component: PathBuf,
    /// How large it is.
    pub bytes: u64,
    /// The sources were those of the last time, and nothing was done.
    pub unchanged: bool,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder is no project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A program that machines have is missing here.
    #[error("`{program}` is not there, and {what} needs it; {remedy}")]
    Missing {
        /// Which.
        program: String,
        /// For what.
        what: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// A toolchain is not installed and may not be.
    #[error("not installed: {toolchain}, which belongs into {}; build once without --offline", .place.display())]
    NotInstalled {
        /// Which.
        toolchain: &'static str,
        /// Where it would be.
        place: PathBuf,
    },
    /// The component is to go where no folder is.
    #[error("there is no folder {}; make it first, or name another", .0.display())]
    NoFolder(PathBuf),
    /// Rust cannot compile to WebAssembly here.
    #[error("Rust's target {RUST_TARGET} is missing; install it with `rustup target add {RUST_TARGET}`")]
    NoTarget,
    /// A program failed.
    #[error("{what} failed ({status}): {command}\n{output}")]
    Failed {
        /// What it was for.
        what: &'static str,
        /// How it ended.
        status: String,
        /// The command line.
        command: String,
        /// What it printed, the end of it.
        output: String,
    },
    /// The project's WIT has a mistake.
    #[error("the project's WIT has a mistake: {0}")]
    Wit(String),
    /// The compiled module does not fit its world.
    #[error("what was compiled does not fit the project's world: {0}")]
    Component(String),
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}; check that the folder is there, may be written, and has room", .path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

impl BuildError {
    /// Something has to be installed first, by whom the message says; nothing is wrong with the project.
    pub fn is_missing_tool(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotInstalled { .. } | Self::NoTarget)
    }
}

/// Builds a project. `tell` hears what is being done, for people who wait.
pub fn build(project: &Project, options: &Options, tell: &mut dyn FnMut(&str)) -> Result<Built, BuildError> {
    let name = format!("{}.wasm", project.name);
    let output = options.output.clone().unwrap_or_else(|| project.folder.join(name));
    let place = std::path::absolute(&output).map_err(at(&output))?;
    // Before anything is built. A folder that nobody made is a typing mistake.
    if let Some(folder) = place.parent().filter(|folder| !folder.is_dir()) {
        return Err(BuildError::NoFolder(folder.to_owned()));
    }
    let work = options.work.clone().unwrap_or_else(|| project.folder.join("build"));
    let work = make(&std::path::absolute(&work).map_err(at(&work))?)?;
    let plan = Plan::new(project, &work, &options.toolchains);
    if let Some(toolchain) = &plan.toolchain {
        ready(toolchain, &options.toolchains, options.offline, tell)?;
    }
    if project.language == Language::Rust {
        rust_target(&project.folder)?;
    }

    // Cargo knows by itself what has changed, dependencies included.
    let key = if project.language == Language::Rust { None } else { Some(key(project, &plan, &work)?) };
    let stamp = work.join("component.key");
    let unchanged = key.is_some() && std::fs::read_to_string(&stamp).ok() == key && plan.component.is_file();
    if !unchanged {
        remove_file(&stamp)?;
        for step in &plan.steps {
            carry_out(step, project, tell)?;
        }
        if let Some(key) = key {
            std::fs::write(&stamp, key).map_err(at(&stamp))?;
        }
    }
    let bytes = put(&plan.component, &output)?;
    Ok(Built { component: output, bytes, unchanged })
}

/// Of everything that the component depends on.
fn key(project: &Project, plan: &Plan, work: &Path) -> Result<String, BuildError> {
    let toolchain = plan.toolchain.map_or("", |toolchain| toolchain.name);
    let key = DigestBuilder::new("policy build")
        .number(FORMAT)
        .part(env!("CARGO_PKG_VERSION").as_bytes())
        .part(toolchain.as_bytes())
        .part(format!("{:?}", plan.steps).as_bytes())
        .part(project.digest(work)?.as_bytes());
    Ok(key.finish().to_string())
}

// ---- steps

fn carry_out(step: &Step, project: &Project, tell: &mut dyn FnMut(&str)) -> Result<(), BuildError> {
    match step {
        Step::Wit { into } => {
            empty(into)?;
            copy_folder(&project.folder.join("wit"), into)?;
            let contract = into.join(CONTRACT_FILE);
            if !contract.exists() {
                write(&contract, CONTRACT.as_bytes())?;
            }
            Ok(())
        }
        Step::Empty(folder) => empty(folder),
        Step::Bindings { form, wit, into } => {
            let (resolve, world) = bindings::world(wit).map_err(BuildError::Wit)?;
            let files = bindings::generate(form, resolve, world).map_err(BuildError::Wit)?;
            if matches!(form, Form::C | Form::Declarations) {
                empty(into)?;
            }
            files.iter().try_for_each(|(name, content)| write(&into.join(name), content))
        }
        Step::Run(invocation) => {
            tell(&format!("{} {}", invocation.what, project.name));
            run(invocation)
        }
        Step::Component { module, wit, into } => {
            let bytes = std::fs::read(module).map_err(at(module))?;
            let component = bindings::component(bytes, wit.as_deref()).map_err(BuildError::Component)?;
            write(into, &component)
        }
    }
}

fn run(invocation: &Invocation) -> Result<(), BuildError> {
    let program = invocation.program.path();
    let mut command = Command::new(&program);
    command
        .args(&invocation.args)
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&invocation.directory)
        .stdin(Stdio::null());
    let output = command.output().map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => BuildError::Missing {
            program: program.to_string_lossy().into_owned(),
            what: invocation.what,
            remedy: invocation.program.remedy(),
        },
        _ => BuildError::Files { path: (&program).into(), cause },
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let args: Vec<_> = invocation.args.iter().map(|arg| arg.to_string_lossy()).collect();
    Err(BuildError::Failed {
        what: invocation.what,
        status: output.status.to_string(),
        command: format!("{} {}", program.to_string_lossy(), args.join(" ")),
        output: lines[lines.len().saturating_sub(MOST_LINES)..].join("\n"),
    })
}

// ---- tools

/// Sees to it that a toolchain is there.
fn ready(
    toolchain: &Toolchain,
    toolchains: &Toolchains,
    offline: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<(), BuildError> {
    let place = toolchains.place(toolchain);
    if toolchains.has(toolchain) {
        return Ok(());
    }
    if offline {
        return Err(BuildError::NotInstalled { toolchain: toolchain.name, place });
    }
    tell(&format!("installing {} into {}", toolchain.name, place.display()));
    // Installed beside its place and moved there as a whole; two that do so at once do not meet.
    let beside = place.with_file_name(format!(
        ".{}-{}",
        place.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ));
    empty(&beside)?;
    let installed = toolchain
        .files()
        .iter()
        .try_for_each(|(name, content)| write(&beside.join(name), content.as_bytes()))
        .and_then(|()| run(&toolchain.installation(&beside, &toolchains.scratch("npm"))))
        .and_then(|()| match std::fs::rename(&beside, &place) {
            // Somebody else was faster.
            Err(_) if place.is_dir() => Ok(()),
            renamed => renamed.map_err(at(&place)),
        });
    // Whatever is left of it; what matters is in `installed`.
    std::fs::remove_dir_all(&beside).ok();
    installed
}

/// Sees to it that Rust can compile policies: cargo's own words for this are hard to read.
fn rust_target(folder: &Path) -> Result<(), BuildError> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(folder).output();
    let Ok(sysroot) = sysroot else {
        // Without rustc in the path there may still be a cargo that knows one.
        return Ok(());
    };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim().to_owned());
    let there = sysroot.join("lib/rustlib").join(RUST_TARGET).join("lib").is_dir();
    if there { Ok(()) } else { Err(BuildError::NoTarget) }
}

// ---- files

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError {
    let path = path.to_owned();
    move |cause| BuildError::Files { path, cause }
}

fn make(folder: &Path) -> Result<PathBuf, BuildError> {
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    Ok(folder.to_owned())
}

fn empty(folder: &Path) -> Result<(), BuildError> {
    match std::fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(at(folder)(cause)),
        _ => make(folder).map(drop),
    }
}

fn remove_file(path: &Path) -> Result<(), BuildError> {
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(at(path)(cause)),
        _ => Ok(()),
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    if let Some(folder) = path.parent() {
        make(folder)?;
    }
    std::fs::write(path, content).map_err(at(path))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), BuildError> {
    for entry in std::fs::read_dir(from).map_err(at(from))? {
        let path = entry.map_err(at(from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            make(&target)?;
            copy_folder(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(at(&path))?;
        }
    }
    Ok(())
}

/// Puts the component into its place, as a whole: a host may be looking. Says how large it is.
fn put(component: &Path, output: &Path) -> Result<u64, BuildError> {
    let bytes = std::fs::read(component).map_err(at(component))?;
    if std::fs::read(output).is_ok_and(|old| old == bytes) {
        return Ok(bytes.len() as u64);
    }
    // Not a name that a host takes for a component.
    let beside = output.with_extension("wasm.new");
    write(&beside, &bytes)?;
    std::fs::rename(&beside, output).map_err(at(output))?;
    Ok(bytes.len() as u64)
}
