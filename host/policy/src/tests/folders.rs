//! Folders of policies, kept packages, and the cache of compiled code.
#![expect(clippy::disallowed_methods, reason = "tests make files")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use trimtab_files::{Directory, FilesError};
use trimtab_types::{PolicyRef, Severity};

use super::core::Core;
use super::{finding, noon};
use crate::{KeptPackage, Package, PackageError, Policy, Sandbox, SandboxError, SandboxOptions, folders};

const MANIFEST: &str = "summary = \"a test\"";

fn folder(directory: &Path, name: &str, manifest: &str, components: &[&str]) {
    let folder = directory.join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("policy.toml"), manifest).expect("written");
    for component in components {
        std::fs::write(folder.join(component), Core::default().component()).expect("written");
    }
}

fn read_directory(path: &Path) -> Vec<(String, Result<Package, PackageError>)> {
    let found = Directory::open(path).and_then(|directory| folders(&directory)).expect("is read");
    found
        .into_iter()
        .map(|(name, folder)| (name, folder.map_err(Into::into).and_then(|f| Package::read_from(&f))))
        .collect()
}

#[test]
fn a_directory_is_read_in_order_with_all_its_errors() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path();
    folder(path, "good", MANIFEST, &["p.wasm"]);
    folder(path, "chosen", "summary = \"a test\"\ncomponent = \"b.wasm\"", &["a.wasm", "b.wasm"]);
    folder(path, "two", MANIFEST, &["a.wasm", "b.wasm"]);
    folder(path, "none", MANIFEST, &[]);
    folder(path, "absent", "summary = \"a test\"\ncomponent = \"b.wasm\"", &["a.wasm"]);
    folder(path, "mistake", "sumary = \"a test\"", &["p.wasm"]);
    folder(path, "Upper Case", MANIFEST, &["p.wasm"]);
    folder(path, ".hidden", MANIFEST, &["p.wasm"]);
    std::fs::create_dir(path.join("empty")).expect("a folder");
    std::fs::write(path.join("README.md"), "not a policy").expect("written");
    std::fs::create_dir(path.join("directory")).expect("a folder");
    std::fs::write(path.join("directory/policy.toml"), MANIFEST).expect("written");
    std::fs::create_dir(path.join("directory/p.wasm")).expect("a folder");

    let found = read_directory(path);
    let shown: Vec<_> = found
        .iter()
        .map(|(name, package)| match package {
            Ok(package) => format!("{name}: {} bytes", package.component.len()),
            Err(error) => format!("{name}: {error}").replace(&path.display().to_string(), "DIR"),
        })
        .collect();
    let size = Core::default().component().len();
    let expected = [
        "Upper Case: `Upper Case` is no name for a policy; rename the folder: at most 100 lower-case letters, digits, dashes and underscores".to_owned(),
        "absent: cannot read `DIR/absent/b.wasm`: No such file or directory (os error 2); check that it exists, is readable and writable, and has room".to_owned(),
        format!("chosen: {size} bytes"),
        "directory: `DIR/directory/p.wasm` is not a plain file but a directory".to_owned(),
        "empty: DIR/empty has no policy.toml; write one, or move the folder elsewhere".to_owned(),
        format!("good: {size} bytes"),
        "mistake: DIR/mistake/policy.toml:1: sumary: unknown field `sumary`, expected one of `summary`, `component`, `mode`, `order`, `channels`, `applies-to`, `grants`, `limits`, `fail-safe`, `reconsider`, `on-swap`, `repeat`, `settings`".to_owned(),
        "none: DIR/none has 0 .wasm files; build the policy there, or write `component = \"FILE.wasm\"` in policy.toml".to_owned(),
        "two: DIR/two has 2 .wasm files; build the policy there, or write `component = \"FILE.wasm\"` in policy.toml".to_owned(),
    ];
    assert_eq!(shown, expected);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    use std::os::unix::fs::symlink;
    let (directory, outside) = (TempDir::new().expect("a directory"), TempDir::new().expect("another"));
    let path = directory.path();
    folder(outside.path(), "secret", MANIFEST, &["p.wasm"]);
    // A whole folder, a component, a manifest; and one that stays inside.
    symlink(outside.path().join("secret"), path.join("folder")).expect("a link");
    folder(path, "component", MANIFEST, &[]);
    symlink(outside.path().join("secret/p.wasm"), path.join("component/p.wasm")).expect("a link");
    folder(path, "manifest", MANIFEST, &["p.wasm"]);
    std::fs::remove_file(path.join("manifest/policy.toml")).expect("removed");
    symlink(outside.path().join("secret/policy.toml"), path.join("manifest/policy.toml")).expect("a link");
    folder(path, "within", "summary = \"a test\"\ncomponent = \"link.wasm\"", &["p.wasm"]);
    symlink("p.wasm", path.join("within/link.wasm")).expect("a link");
    symlink("nowhere", path.join("broken")).expect("a link");

    let found = read_directory(path);
    assert_eq!(found.len(), 5);
    for (name, package) in found {
        let error = package.expect_err("is refused");
        assert!(matches!(error, PackageError::Files(FilesError::Link { .. })), "{name}: {error}");
    }
    // Nor is the directory itself a link.
    symlink(path, outside.path().join("policies")).expect("a link");
    let error = Directory::open(&outside.path().join("policies")).expect_err("is refused");
    assert!(matches!(error, FilesError::Link { .. }), "{error}");
}

#[test]
fn packages_are_kept_whole_and_components_once() {
    let package = Package::from_parts("p", MANIFEST, Core::default().component()).expect("a package");
    let named = |name: &str| PolicyRef { name: name.into(), digest: package.digest };
    let [(digest, bytes), (component, code)] = package.to_kept();
    assert_eq!((digest, &code), (package.digest, &package.component));
    let back = |name: &str, bytes: &[u8], component: &[u8]| {
        KeptPackage::read(&named(name), bytes).and_then(|kept| kept.with(component.to_vec()))
    };
    assert_eq!(KeptPackage::read(&named("p"), &bytes).expect("is whole").component, component);
    let whole = back("p", &bytes, &code).expect("is whole");
    assert_eq!((whole.digest, &whole.component), (package.digest, &package.component));
    let damaged = |bytes: &[u8], component: &[u8]| {
        assert!(matches!(back("p", bytes, component), Err(PackageError::Damaged { .. })));
    };
    [&bytes[..10], &bytes[..20], &bytes[1..], b""].into_iter().for_each(|bytes| damaged(bytes, &code));
    // Whole, but another than the digest says.
    damaged(&[&bytes[..], b"\n"].concat(), &code);
    damaged(&bytes, &[&code[..], &[0]].concat());
    // Defaults are part of a decision, so the manifest is part of the digest; the name is not.
    let other =
        Package::from_parts("p", "summary = \"another\"", package.component.clone()).expect("a package");
    assert_ne!(other.digest, package.digest);
    let [(_, bytes_of_other), (component_of_other, _)] = other.to_kept();
    assert_eq!(component_of_other, component);
    damaged(&bytes_of_other, &code);
    assert_eq!(back("q", &bytes, &code).expect("is whole").name, "q");
}

fn cached(directory: &Path) -> Arc<Sandbox> {
    let options = SandboxOptions { cache: Some(directory.to_owned()), ..SandboxOptions::default() };
    Sandbox::new(&options).expect("a sandbox")
}

fn decides(sandbox: &Arc<Sandbox>) -> bool {
    let package = Package::from_parts("p", MANIFEST, Core::default().component()).expect("a package");
    let policy = Policy::register(sandbox, &package, &BTreeMap::new()).expect("is accepted");
    policy
        .decide(noon(), &[finding(Severity::High)], Arc::new(crate::NoHistory), &BTreeMap::new())
        .answer
        .is_ok()
}

#[test]
fn compiled_code_is_kept_and_checked() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("a/b");
    let files = || {
        let files = std::fs::read_dir(&path).expect("is there").map(|file| file.expect("a file").path());
        files.collect::<Vec<_>>()
    };
    assert!(decides(&cached(&path)));
    let [file] = files().try_into().expect("one file, and nothing unfinished");
    let whole = std::fs::read(&file).expect("is read");

    // A second start reads it: it is not written anew.
    let written = std::fs::metadata(&file).expect("is there").modified().expect("a time");
    assert!(decides(&cached(&path)));
    assert_eq!(std::fs::metadata(&file).expect("is there").modified().expect("a time"), written);

    // Damaged in any way, it is compiled again, and the file is whole afterwards.
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    for damaged in [
        flipped(3),
        flipped(whole.len() / 2),
        whole[..whole.len() - 1].to_vec(),
        whole[..7].to_vec(),
        Vec::new(),
    ] {
        std::fs::write(&file, damaged).expect("is written");
        assert!(decides(&cached(&path)));
        assert_eq!(std::fs::read(&file).expect("is read"), whole);
    }
    // Whole, but of another component: whoever copies one entry over another has it run in no other's place.
    let other = Core { memory: 2, ..Core::default() }.component();
    let other = Package::from_parts("q", MANIFEST, other).expect("a package");
    Policy::register(&cached(&path), &other, &BTreeMap::new()).expect("is accepted");
    let theirs = files().into_iter().find(|found| *found != file).expect("another entry");
    std::fs::rename(theirs, &file).expect("renames");
    assert!(decides(&cached(&path)));
    assert_eq!(std::fs::read(&file).expect("is read"), whole);
}

#[cfg(unix)]
#[test]
fn an_entry_that_others_can_write_is_made_anew() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("cache");
    assert!(decides(&cached(&path)));
    let file = std::fs::read_dir(&path).expect("reads").next().expect("an entry").expect("a file").path();
    let permissions = || std::fs::metadata(&file).expect("is there").permissions();
    assert_eq!(permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o700);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o602)).expect("permitted");
    assert!(decides(&cached(&path)));
    assert_eq!(permissions().mode() & 0o777, 0o600);
}

#[cfg(unix)]
#[test]
fn a_cache_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("permitted");
    let options = SandboxOptions { cache: Some(directory.path().to_owned()), ..SandboxOptions::default() };
    let error = Sandbox::new(&options).expect_err("is refused");
    assert!(matches!(error, SandboxError::Cache(FilesError::Writable { .. })), "{error}");
    assert!(error.to_string().contains("chmod go-w"), "{error}");
    std::fs::write(directory.path().join("file"), "").expect("is written");
    let options = SandboxOptions { cache: Some(directory.path().join("file")), ..SandboxOptions::default() };
    assert!(matches!(Sandbox::new(&options), Err(SandboxError::Cache(FilesError::Io { .. }))));
}
