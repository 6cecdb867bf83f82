//! Whose files a host takes: what it keeps is closed to other users and of no other owner; what lies in a policies directory
//! is a plain file of a bounded size, or it is named and nothing hangs.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    support::{Run, STORY, Scratch, Serving, lines, program, stage, story},
    swap::eventually,
};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("is there").permissions().mode() & 0o777
}

/// Everything in a folder and below that is open to others, but for what people write.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(folder).expect("reads") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("is there").file_type();
        assert!(kind.is_file() || kind.is_dir() || kind.is_socket(), "{}", path.display());
        let theirs = ["trimtab.toml", "policies"].iter().any(|name| path.ends_with(name));
        if !theirs && mode(&path) & 0o077 != 0 {
            open.push(format!("{} {:o}", path.display(), mode(&path)));
        }
        if kind.is_dir() && !theirs {
            open.append(&mut open_to_others(&path));
        }
    }
    open
}

#[test]
fn what_the_host_keeps_is_closed_to_others_whatever_the_umask() {
    let scratch = Scratch::empty();
    let told = scratch.file("story.ndjson", lines(&story(7)));
    let with_umask = |command: &str| {
        let script = format!("umask 000; exec '{}' {command}", program().display());
        let run = Command::new("sh").args(["-c", &script]).env("TRIMTAB_DATA", scratch.data()).output();
        Run::of(run.expect("runs")).expect(0)
    };
    with_umask("init");
    let policies = scratch.own_policies();
    scratch.configure(&policies, STORY);
    with_umask("baseline set --model m --version v1 --samples 2000 --accuracy 0.9");
    with_umask(&format!("import '{told}'"));
    let data = scratch.data();
    assert!(data.join("trade_alerts.json").exists(), "the story ends with alerts");
    assert_eq!((mode(&data), open_to_others(&data)), (0o700, Vec::new()));
    {
        let _host = scratch.serve();
        for name in ["logs.db", "logs.db-wal", "logs.db-shm", "lock", "trimtab.sock", "cache"] {
            assert!(data.join(name).exists(), "{name}");
        }
        assert_eq!(open_to_others(&data), [""; 0]);
    }
    // A directory of before is closed when it is opened.
    for name in ["logs.db", "lock"] {
        fs::set_permissions(data.join(name), Permissions::from_mode(0o644)).expect("opens up");
    }
    fs::set_permissions(&data, Permissions::from_mode(0o755)).expect("opens up");
    scratch.run(&["status"]).expect(0);
    assert_eq!((mode(&data), open_to_others(&data)), (0o700, Vec::new()));
}

#[test]
fn what_belongs_to_another_user_is_refused_by_name() {
    let scratch = stage("");
    let data = scratch.data();
    if chown(data.join("lock"), Some(12_345), None).is_err() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let own = chown(data.join("lock"), Some(0), None);
    own.expect("gives back");
    for name in ["lock", "logs.db", "cache", ""] {
        let path = data.join(name);
        chown(&path, Some(12_345), None).expect("gives away");
        scratch.run(&["status"]).expect(77).says(&[
            path.to_str().expect("UTF-8").trim_end_matches('/'),
            "belongs to user 12345",
            "this is run by user 0",
        ]);
        chown(&path, Some(0), None).expect("gives back");
    }
    scratch.run(&["status"]).expect(0);
}

/// The ladder's problem, once there is one; the host answers meanwhile and the ladder decides on.
#[track_caller]
fn refused(scratch: &Scratch) -> Value {
    let listed = eventually(|| {
        Some(scratch.json(&["policy", "list"])).filter(|listed| listed["problems"] != json!([]))
    });
    let problem = listed["problems"].as_array().expect("a list").first().expect("one").clone();
    assert_eq!(problem["still_serving"], true, "{listed}");
    problem
}

fn fine(scratch: &Scratch) {
    eventually(|| Some(scratch.json(&["policy", "list"])).filter(|listed| listed["problems"] == json!([])));
}

fn served(policies: &Path) -> (Scratch, Serving) {
    let scratch = stage("");
    scratch.configure(policies, STORY);
    let host = scratch.serve();
    (scratch, host)
}

#[test]
fn what_is_no_plain_file_is_named_and_nothing_hangs() {
    let elsewhere = Scratch::empty();
    let policies = elsewhere.own_policies();
    let (scratch, _host) = served(&policies);
    let folder = policies.join("drift-ladder");
    let (wasm, kept) = (folder.join("drift-ladder.wasm"), elsewhere.path("kept.wasm"));
    fs::copy(&wasm, &kept).expect("copies");
    let huge = elsewhere.path("huge");
    File::create(&huge).expect("makes").set_len(1 << 40).expect("grows");

    type Place<'a> = &'a dyn Fn(&Path);
    let pipe: Place<'_> = &|path| {
        assert!(Command::new("mkfifo").arg(path).status().expect("runs").success());
    };
    let device: Place<'_> = &|path| symlink("/dev/zero", path).expect("links");
    let link: Place<'_> = &|path| symlink(&kept, path).expect("links");
    let hard: Place<'_> = &|path| fs::hard_link(&huge, path).expect("links");
    let directory: Place<'_> = &|path| fs::create_dir(path).expect("makes");
    let socket: Place<'_> = &|path| drop(std::os::unix::net::UnixListener::bind(path).expect("binds"));
    for (place, says) in [
        (pipe, "is not a plain file but a pipe"),
        (device, "is a link, which is not followed"),
        (link, "is a link, which is not followed"),
        (hard, "is larger than 67108864 bytes"),
        (directory, "is not a plain file but a directory"),
        (socket, "is not a plain file but a pipe, a socket or a device"),
    ] {
        fs::remove_file(&wasm).expect("removes");
        place(&wasm);
        let problem = refused(&scratch);
        assert!(problem["problem"].as_str().expect("text").contains(says), "{says}: {problem}");
        if wasm.is_dir() && !wasm.is_symlink() {
            fs::remove_dir(&wasm).expect("removes");
        } else {
            fs::remove_file(&wasm).expect("removes");
        }
        fs::copy(&kept, &wasm).expect("copies");
        fine(&scratch);
    }
    // The folder itself a link, to one that would be fine.
    fs::rename(&folder, elsewhere.path("moved")).expect("renames");
    symlink(elsewhere.path("moved"), &folder).expect("links");
    let problem = refused(&scratch);
    assert!(problem["problem"].as_str().expect("text").contains("is a link"), "{problem}");
}

#[test]
fn a_directory_that_is_gone_takes_nothing_out_of_force() {
    let elsewhere = Scratch::empty();
    let policies = elsewhere.own_policies();
    let (scratch, host) = served(&policies);
    let away = elsewhere.path("away");
    fs::rename(&policies, &away).expect("renames");
    let problem = refused(&scratch);
    assert!(problem["problem"].as_str().expect("text").contains("is not there"), "{problem}");
    // Over a reload and a restart as well, and also where a link stands in its place.
    host.socket().post("/v1/reload", "").expect(200);
    assert_eq!(host.stop(), Some(0));
    let host = scratch.serve();
    refused(&scratch);
    symlink(&away, &policies).expect("links");
    eventually(|| {
        let problem = refused(&scratch);
        problem["problem"].as_str().expect("text").contains("is a link").then_some(())
    });
    fs::remove_file(&policies).expect("removes");
    fs::rename(&away, &policies).expect("renames");
    fine(&scratch);
    let history = scratch.json(&["policy", "history", "drift-ladder"]);
    assert_eq!(history["versions"].as_array().expect("a list").len(), 1, "{history}");
    // An empty one takes everything out.
    fs::rename(&policies, &away).expect("renames");
    fs::create_dir(&policies).expect("makes");
    eventually(|| (scratch.json(&["policy", "list"])["policies"] == json!([])).then_some(()));
    drop(host);
}

#[test]
fn two_renames_never_leave_a_gap() {
    let elsewhere = Scratch::empty();
    let policies = elsewhere.own_policies();
    let (scratch, host) = served(&policies);
    let (folder, away) = (policies.join("drift-ladder"), elsewhere.path("away"));
    let until = Instant::now() + Duration::from_secs(3);
    let mut round = 0;
    while Instant::now() < until {
        fs::rename(&folder, &away).expect("renames");
        // Long enough that the watch sees it gone and at rest; and somebody asks for a reload just then.
        std::thread::sleep(Duration::from_millis(if round % 2 == 0 { 150 } else { 250 }));
        fs::write(away.join("note"), format!("round {round}")).expect("writes");
        if round % 3 == 0 {
            let reload = host.socket();
            let reload = std::thread::spawn(move || reload.post("/v1/reload", "").expect(200));
            std::thread::sleep(Duration::from_millis(100));
            fs::rename(&away, &folder).expect("renames");
            reload.join().expect("reloads");
        } else {
            fs::rename(&away, &folder).expect("renames");
        }
        std::thread::sleep(Duration::from_millis(250));
        round += 1;
    }
    let history = scratch.json(&["policy", "history", "drift-ladder"]);
    assert_eq!(history["versions"].as_array().expect("a list").len(), 1, "{history}");
}

#[test]
fn a_file_in_place_of_a_folder_takes_no_policy_out_of_force() {
    let elsewhere = Scratch::empty();
    let policies = elsewhere.own_policies();
    let (scratch, host) = served(&policies);
    let folder = policies.join("drift-ladder");
    fs::rename(&folder, elsewhere.path("away")).expect("renames");
    fs::write(&folder, "a note").expect("writes");
    let problem = refused(&scratch);
    assert!(problem["problem"].as_str().expect("text").contains("is not a folder"), "{problem}");
    assert_eq!(problem["still_serving"], true, "{problem}");
    fs::remove_file(&folder).expect("removes");
    fs::rename(elsewhere.path("away"), &folder).expect("renames");
    fine(&scratch);
    assert_eq!(host.stop(), Some(0));
}
