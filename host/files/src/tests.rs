//! What is not a plain file of the right size, place and owner is refused by name, and at once.
#![expect(clippy::disallowed_methods, reason = "tests make files")]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use tempfile::TempDir;
use trimtab_types::{ErrorKind, HasKind as _};

use super::*;

fn scratch() -> (TempDir, PathBuf) {
    let scratch = TempDir::new().expect("a directory");
    let path = scratch.path().join("folder");
    std::fs::create_dir(&path).expect("makes");
    (scratch, path)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("is there").permissions().mode() & 0o777
}

/// A directory that this user may look into and that root owns; tests of owners need one, or to be root.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::chown(path, Some(12_345), None).is_ok()
}

#[test]
fn only_plain_files_are_read_and_no_more_of_them_than_allowed() {
    let (_scratch, path) = scratch();
    std::fs::write(path.join("plain"), "1234").expect("writes");
    std::fs::create_dir(path.join("folder")).expect("makes");
    symlink("plain", path.join("link")).expect("a link");
    symlink("nowhere", path.join("broken")).expect("a link");
    File::create(path.join("sparse")).expect("makes").set_len(1 << 40).expect("grows");
    std::fs::hard_link(path.join("sparse"), path.join("hard")).expect("a link");
    fs::mknodat(CWD, path.join("pipe"), FileType::Fifo, Mode::RWXU, 0).expect("a pipe");

    let directory = Directory::open(&path).expect("opens");
    let read = |name: &str| match directory.read(name, 4) {
        Ok(bytes) => String::from_utf8(bytes).expect("text"),
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains(name.trim_start_matches('/')), "{text}");
            text
        }
    };
    assert_eq!(read("plain"), "1234");
    let check = |name: &str, says: &str| {
        let said = read(name);
        assert!(said.contains(says), "{name}: {said}");
    };
    check("folder", "not a plain file but a directory");
    check("pipe", "not a plain file but a pipe");
    check("link", "is a link, which is not followed");
    check("broken", "is a link, which is not followed");
    check("sparse", "larger than 4 bytes");
    check("hard", "larger than 4 bytes");
    check("absent", "cannot read");
    check("../folder/plain", "cannot open");
    check("/etc/passwd", "cannot open");
    check("..", "cannot open");
    assert!(directory.read("plain", 3).is_err());
}

#[test]
fn what_was_opened_is_what_is_read_whatever_takes_its_place() {
    let (_scratch, path) = scratch();
    std::fs::create_dir(path.join("a")).expect("makes");
    std::fs::write(path.join("a/file"), "first").expect("writes");
    let directory = Directory::open(&path).expect("opens");
    let folder = directory.folder("a").expect("opens");
    std::fs::rename(path.join("a"), path.join("b")).expect("renames");
    symlink("/etc", path.join("a")).expect("a link");
    assert_eq!(folder.read("file", 100).expect("reads"), b"first");
    assert_eq!(folder.name(), "a");
    let refused = directory.folder("a").expect_err("is a link").to_string();
    assert!(refused.contains("/a` is a link"), "{refused}");
    let refused = Directory::open(&path.join("a")).expect_err("is a link");
    assert!(matches!(refused, FilesError::Link { .. }), "{refused}");
    assert!(Directory::named(&path.join("a")).is_ok(), "a person may name a link");
    assert!(directory.folder("b/..").is_err() && directory.folder("absent").expect_err("no").is_missing());
}

#[test]
fn names_are_sorted_and_bounded_and_another_file_looks_different() {
    let (_scratch, path) = scratch();
    for name in ["b", "a", ".c"] {
        std::fs::write(path.join(name), "x").expect("writes");
    }
    let directory = Directory::open(&path).expect("opens");
    assert_eq!(directory.names(3).expect("few"), [".c", "a", "b"]);
    assert!(matches!(directory.names(2), Err(FilesError::TooMany { most: 2, .. })));
    let look = |name| directory.look(name).expect("looks");
    let before = look("a").expect("is there");
    assert_eq!((before.kind, before.length), (Kind::File, 1));
    // As long, as old, under the same name: another file all the same.
    let time = std::fs::metadata(path.join("a")).expect("is there").modified().expect("a time");
    let other = File::options().write(true).open(path.join("b")).expect("opens");
    other.set_modified(time).expect("sets");
    std::fs::rename(path.join("b"), path.join("a")).expect("renames");
    assert_ne!(look("a").expect("is there"), before);
    assert_eq!(look("b"), None);
}

#[test]
fn what_is_private_is_closed_to_others_and_stays_whole() {
    let (_scratch, path) = scratch();
    let deep = path.join("x/y");
    Directory::private(&deep).expect("makes");
    assert_eq!((mode(&deep), mode(&path.join("x"))), (0o700, 0o700));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("opens up");
    std::fs::write(path.join("old"), "kept").expect("writes");
    std::fs::set_permissions(path.join("old"), std::fs::Permissions::from_mode(0o664)).expect("opens up");
    let directory = Directory::private(&path).expect("closes");
    directory.private_file("old").expect("closes");
    directory.private_file("new").expect("makes");
    directory.private_if_there("none").expect("nothing to do");
    directory.replace("replaced", &[b"one ", b"two"]).expect("writes");
    directory.replace("replaced", &[b"three"]).expect("writes");
    assert_eq!(mode(&path), 0o700);
    assert_eq!(["old", "new", "replaced"].map(|name| mode(&path.join(name))), [0o600; 3]);
    assert_eq!(std::fs::read(path.join("old")).expect("reads"), b"kept");
    assert_eq!(directory.read_own("replaced", 10).expect("ours"), Some(b"three".to_vec()));
    assert_eq!(directory.read_own("none", 10).expect("nothing"), None);
    assert_eq!(directory.names(10).expect("few"), ["new", "old", "replaced", "x"], "nothing unfinished");
    symlink("old", path.join("link")).expect("a link");
    assert!(matches!(directory.private_file("link"), Err(FilesError::Link { .. })));
    std::fs::set_permissions(path.join("new"), std::fs::Permissions::from_mode(0o620)).expect("opens up");
    let refused = directory.read_own("new", 10).expect_err("may be somebody else's");
    assert!(refused.to_string().contains("chmod go-w"), "{refused}");
}

#[test]
fn what_belongs_to_somebody_else_is_refused_by_name() {
    let (_scratch, path) = scratch();
    std::fs::write(path.join("theirs"), "x").expect("writes");
    let directory = Directory::private(&path).expect("ours");
    if !give_away(&path.join("theirs")) {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let check = |error: FilesError, name: &str| {
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        let own = geteuid();
        let says = format!("{name}` belongs to user 12345, and this is run by user {own}");
        assert!(error.to_string().contains(&says), "{error}");
    };
    check(directory.private_file("theirs").expect_err("theirs"), "theirs");
    check(directory.private_if_there("theirs").expect_err("theirs"), "theirs");
    check(directory.read_own("theirs", 10).expect_err("theirs"), "theirs");
    assert!(give_away(&path));
    check(Directory::private(&path).expect_err("theirs"), "folder");
    assert_eq!(mode(&path), 0o700);
}

fn geteuid() -> u32 {
    // Of a file that this process makes.
    tempfile::tempfile().expect("a file").metadata().expect("is there").uid()
}
