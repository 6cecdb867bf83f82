//! Components are compiled in a process of their own, with limits, where nobody waits for them: what is too large or too
//! slow to compile is refused by name, and meanwhile everything else goes on.

use std::process::Command;

use serde_json::Value;

use crate::{
    policies::{MANIFEST, put},
    support::{STORY, Scratch, stage},
    swap::eventually,
};

/// A small component that takes minutes and gigabytes to compile: a function of a thousand parameters and results, which
/// calls itself again and again with all of them.
fn endless() -> Vec<u8> {
    const EACH: usize = 1_000;
    const CALLS: usize = 12_000;
    let values = "i64 ".repeat(EACH);
    let arguments: String = (0..EACH).map(|n| format!("local.get {n} ")).collect();
    let calls = "call $f ".repeat(CALLS);
    let text =
        format!("(component (core module (func $f (param {values}) (result {values}) {arguments} {calls})))");
    wat::parse_str(text).expect("the component parses")
}

fn with_own_policies(host: &str) -> (Scratch, std::path::PathBuf) {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, STORY);
    let config = scratch.data().join("trimtab.toml");
    let text = std::fs::read_to_string(&config).expect("reads");
    assert_eq!(text.matches("[host]\n").count(), 1, "{text}");
    std::fs::write(&config, text.replace("[host]\n", &format!("[host]\n{host}\n"))).expect("writes");
    (scratch, policies)
}

/// What is said of a policy that cannot be put in force.
fn problem(scratch: &Scratch, name: &str) -> Option<String> {
    let listed = scratch.json(&["policy", "list"]);
    let problems = listed["problems"].as_array().expect("a list");
    let problem = problems.iter().find(|problem| problem["name"] == name)?;
    problem["problem"].as_str().map(str::to_owned)
}

fn is_in_force(scratch: &Scratch, name: &str) -> bool {
    let listed = scratch.json(&["policy", "list"]);
    listed["policies"].as_array().expect("a list").iter().any(|policy| policy["name"] == name)
}

/// A component that cannot be compiled within its limits is small, is refused with a sentence that names the limit, and
/// the shipped policies decide on.
#[track_caller]
fn check(host: &str, says: &str) {
    let (scratch, policies) = with_own_policies(host);
    let component = endless();
    assert!(component.len() < 64 << 10, "{}", component.len());
    put(&policies, "endless", MANIFEST.as_bytes(), &component);
    // Also for who needs no host.
    scratch
        .run(&["policy", "check", policies.join("endless").to_str().expect("text")])
        .expect(65)
        .prints(&[says]);
    // A start does not fail because of it.
    let host = scratch.serve();
    let said = problem(&scratch, "endless").expect("is among the problems");
    assert!(said.contains(says), "{said}");
    assert!(is_in_force(&scratch, "drift-ladder"));
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn compiling_has_a_limit_of_time() {
    check(
        "compile-time = \"1s\"\ncompile-memory = \"16384MiB\"",
        "more than 1s of processor time; the limit is host.compile-time",
    );
}

#[test]
fn compiling_has_a_limit_of_memory() {
    check("compile-memory = \"128MiB\"", "more than 128MiB of memory; the limit is host.compile-memory");
}

#[test]
fn nobody_waits_for_what_is_being_compiled() {
    let (scratch, policies) = with_own_policies("compile-time = \"3600s\"");
    let host = scratch.serve();
    put(&policies, "endless", MANIFEST.as_bytes(), &endless());
    // It stands still: what ends it is the host's stop.
    let child = eventually(|| compiling(&host.pid()));
    let stopped = Command::new("kill").args(["-STOP", &child]).status().expect("runs");
    assert!(stopped.success());
    // A person's reload waits for it, and holds nobody up.
    let socket = host.socket();
    let reload = std::thread::spawn(move || socket.try_send("POST /v1/reload", "application/json", b""));
    let ladder = policies.join("drift-ladder");
    copy(&ladder, &policies.join("another"));
    eventually(|| is_in_force(&scratch, "another").then_some(()));
    let switch = |word| scratch.run(&["kill", word, "m", "--reason", "a test"]).expect(0);
    switch("on");
    switch("off");
    let manifest = ladder.join("policy.toml");
    let original = std::fs::read_to_string(&manifest).expect("reads");
    let digest = || -> Value {
        let listed = scratch.json(&["policy", "list"]);
        let policies = listed["policies"].as_array().expect("a list");
        policies.iter().find(|policy| policy["name"] == "drift-ladder").expect("is in force")["digest"]
            .clone()
    };
    let before = digest();
    std::fs::write(&manifest, format!("# another version\n{original}")).expect("writes");
    eventually(|| (digest() != before).then_some(()));
    scratch.run(&["policy", "rollback", "drift-ladder", "--reason", "a test"]).expect(0);
    assert_eq!(digest(), before);
    // All this while: neither in force nor refused, and the reload has not come back.
    assert!(!is_in_force(&scratch, "endless"));
    assert_eq!(problem(&scratch, "endless"), None);
    assert!(!reload.is_finished(), "the reload waits");
    assert_eq!(host.stop(), Some(0));
    // Its answer may still come, or nothing.
    reload.join().expect("ends with the host").ok();
    assert_eq!(compiling_of(&child), None, "nothing is left of it");
}

/// The process that compiles for a host.
fn compiling(host: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").expect("lists");
    let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    pids.find(|pid| compiling_of(pid).as_deref() == Some(host))
}

/// For whom a process compiles, if it does.
fn compiling_of(pid: &str) -> Option<String> {
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let status = file("status")?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    file("cmdline")?.contains("compile-policy").then(|| parent.trim().to_owned())
}

/// Components are kept once, however many policies have the same one.
#[test]
fn the_same_component_is_kept_once() {
    let (scratch, policies) = with_own_policies("");
    let ladder = policies.join("drift-ladder");
    let size = std::fs::metadata(ladder.join("drift-ladder.wasm")).expect("is there").len();
    scratch.json(&["status"]);
    let before = stored(&scratch);
    for n in 0..8 {
        copy(&ladder, &policies.join(format!("copy-{n}")));
    }
    for n in 0..8 {
        let name = format!("copy-{n}");
        assert!(is_in_force(&scratch, &name), "{:?}", problem(&scratch, &name));
    }
    let more = stored(&scratch) - before;
    assert!(more < size, "8 more policies with one component of {size} bytes took {more} bytes more");
    scratch.verify();
}

/// Bytes of the contents that are kept.
fn stored(scratch: &Scratch) -> u64 {
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    let sum = "SELECT sum(length(bytes)) FROM content";
    database.query_row(sum, [], |row| row.get(0)).expect("counts")
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("makes");
    let old = from.file_name().expect("a name").to_str().expect("text").to_owned();
    for file in ["policy.toml".to_owned(), format!("{old}.wasm")] {
        std::fs::copy(from.join(&file), to.join(&file)).expect("copies");
    }
}
