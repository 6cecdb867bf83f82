//! The tutorials in `docs/policies`: every command in them is run as it stands, and the policies that they write pass
//! their own fixtures.

use std::{os::unix::fs::symlink, process::Command};

use trimtab_author::{Language, Toolchain, Toolchains};
use trimtab_policy::Package;

use crate::{
    languages::{fixtures_pass, place, say, toolchains},
    support::{Run, program, repository},
};

/// The commands of a page: what stands between "```sh" and "```".
fn blocks(page: &str) -> Vec<&str> {
    page.split("\n```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| block)
        .collect()
}

fn works_as_written(language: &str, policy: &str) {
    // A repository as the reader has it, but for what the page writes into it.
    let root = place().join("tutorials").join(language);
    if root.exists() {
        std::fs::remove_dir_all(&root).expect("removes");
    }
    std::fs::create_dir_all(root.join("target")).expect("makes");
    symlink(repository().join("policies"), root.join("policies")).expect("links");
    symlink(program().parent().expect("a folder"), root.join("target/debug")).expect("links");
    // What is built is kept from run to run.
    let work = place().join("work").join(format!("tutorial-{language}"));
    std::fs::create_dir_all(&work).expect("makes");

    let page = repository().join(format!("docs/policies/tutorial-{language}.md"));
    let page = std::fs::read_to_string(page).expect("reads");
    let blocks = blocks(&page);
    assert!(blocks.len() >= 10, "{language}: {} blocks", blocks.len());
    // A host that a failing page leaves behind ends with it.
    let mut script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for block in blocks {
        script += &format!("{block}\n");
        if block.starts_with("trimtab policy new") {
            script += &format!("ln -s '{}' {policy}/build\n", work.display());
        }
    }
    let run = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(&root)
        .env("TRIMTAB_TOOLCHAINS", toolchains())
        .env("CARGO_TARGET_DIR", work.join("cargo"))
        .env_remove("TRIMTAB_DATA")
        .output();
    let run = Run::of(run.expect("runs")).expect(0);
    for words in ["Dry run of", "put in force", "new version", "gone back to", "identical: "] {
        assert!(run.stdout.contains(words), "{language} should say `{words}`:\n{}", run.stdout);
    }
    let project = root.join(format!("target/tutorial-{language}/{policy}"));
    fixtures_pass(&Package::read(&project).expect("a package"), &project, 2);
}

#[test]
fn the_rust_tutorial_works_as_written() {
    works_as_written("rust", "careful");
}

#[test]
fn the_python_tutorial_works_as_written() {
    let componentize_py = Toolchain::of(Language::Python).expect("there is one");
    if !Toolchains::new(toolchains()).has(&componentize_py) {
        return say(
            "skipped: the Python tutorial: its tools are not installed; `cargo xtask languages` does so",
        );
    }
    works_as_written("python", "patient");
}
