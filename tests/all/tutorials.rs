//! The README and the tutorials in `docs/policies`: every command in them is run as it stands, and the policies that
//! tutorials write pass their own fixtures.

use std::{os::unix::fs::symlink, path::PathBuf, process::Command};

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

/// Runs the commands of a page in a repository as the reader has it, but for what they write into it. `policy` is the
/// one that the page makes.
fn carry_out(
    reader: &str,
    page: &str,
    policy: &str,
    choose: impl Fn(&[&str]) -> Vec<String>,
) -> (PathBuf, Run) {
    let root = place().join("tutorials").join(reader);
    if root.exists() {
        std::fs::remove_dir_all(&root).expect("removes");
    }
    std::fs::create_dir_all(root.join("target")).expect("makes");
    symlink(repository().join("policies"), root.join("policies")).expect("links");
    symlink(program().parent().expect("a folder"), root.join("target/debug")).expect("links");
    // What is built is kept from run to run.
    let work = place().join("work").join(format!("tutorial-{reader}"));
    std::fs::create_dir_all(&work).expect("makes");

    let page = std::fs::read_to_string(repository().join(page)).expect("reads");
    let blocks = blocks(&page);
    assert!(blocks.len() >= 10, "{reader}: {} blocks", blocks.len());
    // A host that a failing page leaves behind ends with it.
    let mut script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for block in choose(&blocks) {
        // Before it is built, whatever else the block does.
        let made = |line: &str| line.starts_with("trimtab policy new");
        for line in block.lines() {
            script += &format!("{line}\n");
            if made(line) {
                script += &format!("ln -s '{}' {policy}/build\n", work.display());
            }
        }
    }
    let run = Command::new("bash")
        .args(["-c", &script])
        .current_dir(&root)
        .env("TRIMTAB_TOOLCHAINS", toolchains())
        .env("CARGO_TARGET_DIR", work.join("cargo"))
        .env_remove("TRIMTAB_DATA")
        .output();
    (root, Run::of(run.expect("runs")).expect(0))
}

fn works_as_written(language: &str, policy: &str) {
    let page = format!("docs/policies/tutorial-{language}.md");
    let all = |blocks: &[&str]| blocks.iter().map(|block| (*block).to_owned()).collect();
    let (root, run) = carry_out(language, &page, policy, all);
    for words in ["Dry run of", "put in force", "new version", "gone back to", "identical: "] {
        assert!(run.stdout.contains(words), "{language} should say `{words}`:\n{}", run.stdout);
    }
    let project = root.join(format!("target/tutorial-{language}/{policy}"));
    fixtures_pass(&Package::read(&project).expect("a package"), &project, 2);
}

/// The README in its order. The two commands at its head are what runs this test, and answers that are no success have
/// exit codes of their own.
#[test]
fn the_readme_works_as_written() {
    if Command::new("curl").arg("--version").output().is_err() {
        return say("skipped: the README: there is no `curl` on this machine");
    }
    let by_hand = |blocks: &[&str]| {
        assert!(blocks[0].starts_with("cargo xtask demo"), "{}", blocks[0]);
        let expected = |line: &str| match line {
            "trimtab check" => format!("{line} || test $? = 2"),
            "trimtab may-trade btc-trend" => format!("{line} || test $? = 4"),
            _ => line.to_owned(),
        };
        let block = |block: &&str| block.lines().map(expected).collect::<Vec<_>>().join("\n");
        blocks[1..].iter().map(block).collect()
    };
    let (_, run) = carry_out("readme", "README.md", "careful", by_hand);
    for words in [
        "3000 lines; 6000 rows new",
        "critical 1",
        "kill-switch-on",
        "no, exposure 0",
        "yes, exposure 1",
        "\"allowed\":true",
        "identical: ",
        "ok      careful: answers drift-action",
        "Dry run of",
    ] {
        assert!(run.stdout.contains(words), "should say `{words}`:\n{}", run.stdout);
    }
    assert!(!run.stderr.contains("error"), "{}", run.stderr);
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
