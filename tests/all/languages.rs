//! Policies in all languages: the ladder decides the same in each, and what `policy new` writes is built and runs. A
//! language whose tools are not on this machine is skipped, which is said; `cargo xtask languages` installs them.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, OnceLock},
};

use trimtab_files::Directory;
use trimtab_policy::{Manifest, Package, Policy, Sandbox, SandboxOptions, run_fixtures};

use crate::support::{Run, Scratch, program, repository};

const KINDS: [&str; 5] = ["drift-action", "alert-format", "canary-promotion", "cleanup", "retrain-schedule"];
/// The ladders beside the shipped one, which is in Rust.
const LADDERS: [&str; 4] = ["js", "python", "c", "go"];
const QUESTIONS: &str = "1000";

// ---- building

/// Where components of these tests are kept from run to run; what has not changed is not built again.
pub(crate) fn place() -> PathBuf {
    program().ancestors().nth(2).expect("target/PROFILE/trimtab").join("policies-other")
}

/// Says something that is seen although the test passes.
pub(crate) fn say(text: &str) {
    writeln!(std::io::stderr(), "{text}").expect("stderr is there");
}

/// Where toolchains are: what the program would take by itself, if the tests did not look at what it leaves elsewhere.
pub(crate) fn toolchains() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let default = || trimtab_author::default_directory(variable("XDG_CACHE_HOME"), variable("HOME"));
    variable("TRIMTAB_TOOLCHAINS").or_else(default).expect("there is a home directory")
}

/// A Python with the Ray that `contrib/ray` is tested with; `None` where it is not installed.
pub(crate) fn ray() -> Option<PathBuf> {
    let python = program().ancestors().nth(2).expect("target/PROFILE/trimtab").join("ray/bin/python");
    let is_there = python.exists()
        && Command::new(&python).args(["-c", "import ray"]).output().is_ok_and(|run| run.status.success());
    if !is_there {
        say("skipped: Ray is not installed; `cargo xtask languages` installs it");
        return None;
    }
    Some(python)
}

/// Builds a project with what is installed: the component, or `None` if tools are missing. Nothing is left in the user's
/// directories.
fn build(project: &Path, work: &Path, name: &str) -> Option<PathBuf> {
    std::fs::create_dir_all(work).expect("makes");
    let output = work.join(format!("{name}.wasm"));
    let user = tempfile::tempdir().expect("a temporary directory");
    let run = Command::new(program())
        .env("XDG_CACHE_HOME", user.path())
        .env("XDG_CONFIG_HOME", user.path())
        .args(["policy", "build", "--offline", "--toolchains"])
        .arg(toolchains())
        .arg("--work")
        .arg(work)
        .arg("--output")
        .arg(&output)
        .arg(project)
        .output();
    let run = Run::of(run.expect("runs"));
    if run.code == Some(66) {
        let why = run.stderr.trim();
        say(&format!(
            "skipped: {name} and its like: {why}; `cargo xtask languages` installs what is missing"
        ));
        return None;
    }
    run.expect(0);
    assert_eq!(std::fs::read_dir(user.path()).expect("reads").count(), 0, "{name} leaves files in {user:?}");
    Some(output)
}

/// What the component and the project's manifest are together.
fn package(project: &Path, name: &str, component: &Path) -> Package {
    let manifest = std::fs::read_to_string(project.join("policy.toml")).expect("reads");
    Package::from_parts(name, manifest, std::fs::read(component).expect("reads")).expect("a package")
}

/// One for all tests, which compiles a component once for all runs.
fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let options = SandboxOptions { cache: Some(place().join("compiled")), ..SandboxOptions::default() };
        Sandbox::new(&options).expect("a sandbox")
    })
}

#[track_caller]
pub(crate) fn fixtures_pass(package: &Package, folder: &Path, least: usize) {
    let folder = Directory::named(folder).expect("opens");
    let reports = run_fixtures(sandbox(), package, &folder);
    assert!(reports.len() >= least, "{} has {} fixtures", package.name, reports.len());
    for report in reports {
        let name = &package.name;
        assert!(report.passed(), "{name}/{}: {:#?}\n{}", report.name(), report.problems, report.answer);
    }
}

// ---- the ladder

/// Builds the ladder of a language; its folder, in which a host would find it.
fn ladder(language: &str) -> Option<PathBuf> {
    let name = format!("drift-ladder-{language}");
    let project = repository().join("plugins").join(&name);
    let component = build(&project, &place().join("work").join(&name), &name)?;
    let folder = place().join("ladders").join(&name);
    std::fs::create_dir_all(&folder).expect("makes");
    std::fs::copy(project.join("policy.toml"), folder.join("policy.toml")).expect("copies");
    std::fs::copy(&component, folder.join(format!("{name}.wasm"))).expect("copies");
    Some(folder)
}

/// What a ladder answers to the made-up questions, in a process of its own: an answer a line.
fn answers(folder: &Path) -> String {
    let run = Command::new(program().with_file_name("answers"))
        .arg(folder)
        .arg(QUESTIONS)
        .arg(place().join("compiled"))
        .output();
    Run::of(run.expect("runs")).expect(0).stdout
}

#[test]
fn ladders_decide_the_same_in_every_language() {
    let shipped = repository().join("policies/drift-ladder");
    let expected = answers(&shipped);
    assert_eq!(expected.lines().count().to_string(), QUESTIONS);
    // The questions are worth asking: every answer that a ladder has is among the expected ones.
    for part in [
        "kill-switch-on",
        "kill-switch-off",
        "scale-exposure",
        "schedule-retrain",
        "[\"monitor\"]",
        "\"alert\":\"info\"",
        "below chance",
        "more findings are open",
        "grave finding remains",
        "grave findings remain",
        "findings recovered",
        "statistic",
        "e-value",
        "p-value below",
        "over 1000000000",
        "under -1000000000",
        "not significant",
        " min.",
        " s.",
        "4294967295 samples",
        "Accuracy over the last",
        "漂移",
    ] {
        assert!(expected.contains(part), "no question leads to `{part}`");
    }
    for folder in LADDERS.iter().filter_map(|language| ladder(language)) {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let answers = answers(&folder);
        for (expected, answer) in expected.lines().zip(answers.lines()) {
            assert_eq!(answer, expected, "{name} decides otherwise than the shipped ladder");
        }
        assert_eq!(answers, expected, "{name}");
        fixtures_pass(&Package::read(&folder).expect("a package"), &shipped, 8);
    }
}

/// A ladder can be swapped for another without touching its settings.
#[test]
fn ladders_have_the_same_settings_in_every_language() {
    let manifest = |folder: PathBuf| {
        let text = std::fs::read_to_string(folder.join("policy.toml")).expect("reads");
        Manifest::parse(&text, "policy.toml").expect("is valid")
    };
    let shipped = manifest(repository().join("policies/drift-ladder"));
    for language in LADDERS {
        let other = manifest(repository().join("plugins").join(format!("drift-ladder-{language}")));
        assert_eq!(other.settings, shipped.settings, "{language}");
        assert_eq!((other.grants, other.limits.fuel), (shipped.grants, shipped.limits.fuel), "{language}");
    }
}

// ---- templates

/// Says whether there are the tools to find out.
fn template_builds(language: &str, kind: &str) -> bool {
    let name = format!("{language}-{kind}");
    let parent = place().join("new");
    let project = parent.join(&name);
    if project.exists() {
        std::fs::remove_dir_all(&project).expect("removes");
    }
    std::fs::create_dir_all(&parent).expect("makes");
    let made = Command::new(program())
        .args(["policy", "new", &name, "--lang", language, "--kind", kind, "--in"])
        .arg(&parent)
        .output();
    Run::of(made.expect("runs")).expect(0);
    // Cargo's target directory is shared, so that dependencies are compiled once.
    let work = place().join("work").join(if language == "rust" { "rust" } else { &name });
    let Some(component) = build(&project, &work, &name) else { return false };
    let package = package(&project, &name, &component);
    let policy = Policy::register(sandbox(), &package, &std::collections::BTreeMap::new());
    let policy = policy.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(policy.kinds().iter().map(|kind| kind.name()).collect::<Vec<_>>(), [kind]);
    fixtures_pass(&package, &project, 2);
    // The first thing that its author does is right: in whatever language, there is nothing to remark.
    std::fs::copy(&component, project.join(format!("{name}.wasm"))).expect("copies");
    let check = Command::new(program()).args(["policy", "check", "--json"]).arg(&project).output();
    let check = Run::of(check.expect("runs")).expect(0).json();
    assert_eq!(check["policies"][0]["remarks"], serde_json::json!([]), "{name}");
    true
}

#[test]
fn what_is_scaffolded_in_rust_builds_and_runs() {
    assert!(KINDS.iter().all(|kind| template_builds("rust", kind)));
}

#[test]
fn what_is_scaffolded_in_other_languages_builds_and_runs() {
    for language in ["js", "ts", "python", "c", "go"] {
        // One without tools is enough to know of a language.
        KINDS.iter().all(|kind| template_builds(language, kind));
    }
}

// ---- the commands

#[test]
fn a_new_project_builds_where_it_lies() {
    let scratch = Scratch::empty();
    let parent = scratch.path("projects");
    let at = |name: &str| parent.join(name).to_str().expect("UTF-8").to_owned();
    let new = |name: &str| {
        let parent = parent.to_str().expect("UTF-8");
        scratch.run(&["policy", "new", name, "--lang", "rust", "--in", parent])
    };
    new("mine").expect(66).says(&["there is no folder", "projects"]);
    assert!(!parent.exists());
    std::fs::create_dir(&parent).expect("makes");
    new("mine").expect(0);
    let work = place().join("work/rust");
    let work = work.to_str().expect("UTF-8");
    // Wherever the component goes, it is said what it answers; and it goes only where somebody made a folder.
    let build = ["policy", "build", &at("mine"), "--work", work, "--offline"];
    let elsewhere = scratch.json(&[&build[..], &["-o", &at("elsewhere.wasm")]].concat());
    assert_eq!(elsewhere["answers"], serde_json::json!(["drift-action"]));
    let nowhere = scratch.run(&[&build[..], &["-o", &at("nowhere/mine.wasm")]].concat());
    nowhere.expect(66).says(&["there is no folder", &at("nowhere")]);
    assert!(!parent.join("nowhere").exists());
    let built = scratch.json(&build);
    assert_eq!(built["answers"], serde_json::json!(["drift-action"]));
    assert_eq!(built["component"], at("mine/mine.wasm"));
    scratch.run(&["policy", "inspect", &at("mine")]).expect(0);

    new("mine").expect(65).says(&["is there already", "nothing is overwritten"]);
    new("Mine").expect(65).says(&["`Mine`", "lower-case"]);
    scratch.run(&["policy", "new", "a", "--lang", "cobol"]).expect(64).says(&["cobol", "python"]);

    // A mistake is the compiler's to explain, and what was there stays.
    let before = std::fs::read(at("mine/mine.wasm")).expect("reads");
    std::fs::write(at("mine/policy.rs"), "fn broken(").expect("writes");
    let broken = scratch.run(&["policy", "build", &at("mine"), "--work", work, "--offline"]);
    broken.expect(65).says(&["compiling failed", "policy.rs:1"]);
    assert_eq!(std::fs::read(at("mine/mine.wasm")).expect("reads"), before);
}

#[test]
fn what_cannot_be_built_says_why() {
    let scratch = Scratch::empty();
    let at = |name: &str| scratch.path(name).to_str().expect("UTF-8").to_owned();
    scratch.run(&["policy", "build", &at("nowhere")]).expect(66).says(&["there is no folder", "policy new"]);
    std::fs::create_dir(scratch.path("empty")).expect("makes");
    scratch.run(&["policy", "build", &at("empty")]).expect(65).says(&["no policy's sources", "policy.py"]);

    // Tools that are not there: which, where they would be, and what to do.
    let parent = at("projects");
    std::fs::create_dir(&parent).expect("makes");
    for (language, tool) in
        [("js", "componentize-qjs"), ("python", "componentize-py"), ("c", "Zig"), ("go", "Go 1.")]
    {
        let name = format!("{language}-policy");
        scratch.run(&["policy", "new", &name, "--lang", language, "--in", &parent]).expect(0);
        let project = format!("{parent}/{name}");
        let build = ["policy", "build", &project, "--toolchains", &at("none")];
        let tools = at("none");
        scratch.run(&[&build[..], &["--offline"]].concat()).expect(66).says(&[tool, &tools, "--offline"]);
        // With an empty path nothing can install it.
        let run = scratch.command(&build).env("PATH", at("none")).output().expect("runs");
        Run::of(run).expect(66).says(&["is not there", "Debian: apt install"]);
        assert!(!scratch.path("none").join(tool).exists());
    }
}
