//! What of a policies directory has changed, folder by folder. It is looked at again and again instead of waiting for the
//! system's news: that works on every file system, misses nothing, and a few hundred files are looked at in a millisecond.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use trimtab_files::{Directory, Kind, Look};
use trimtab_policy::is_temporary;
use trimtab_runtime::Folders;

/// Looks for which a folder must be unchanged before its change counts: files are written in pieces.
const STEADY: u32 = 2;
/// And for which one must be gone: a new version is often put in place by two renames.
const GONE: u32 = 20;
/// Looks after a failure before it is tried again.
const PATIENCE: u32 = 50;
/// Folders in a policy's folder: its fixtures, and one more.
const DEEPEST: usize = 3;
/// Files of a folder, and folders of the directory, beyond which nobody keeps policies.
const MOST: usize = 10_000;

/// What one folder looked like. `None`: it is not there, or there is nothing to look at.
type Seen = Option<Vec<Look>>;

/// A directory that is watched.
#[derive(Debug)]
pub(crate) struct Changed {
    directory: PathBuf,
    folders: BTreeMap<String, Folder>,
    /// What was wrong with the directory itself, in words; `None`: it has not been looked at.
    wrong: Option<Option<String>>,
    /// Looks until something that failed is tried again.
    wait: u32,
}

/// One folder.
#[derive(Debug, Default)]
struct Folder {
    /// What was acted on.
    known: Option<Seen>,
    /// What is there now, and for how many looks.
    now: Seen,
    looks: u32,
}

impl Folder {
    fn look(&mut self, seen: Seen) {
        if self.looks > 0 && seen == self.now {
            self.looks = self.looks.saturating_add(1);
        } else {
            (self.now, self.looks) = (seen, 1);
        }
    }

    fn is_settled(&self) -> bool {
        self.looks >= if self.now.is_some() { STEADY } else { GONE }
    }

    fn has_news(&self) -> bool {
        self.is_settled() && self.known.as_ref() != Some(&self.now)
    }
}

impl Changed {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, folders: BTreeMap::new(), wrong: None, wait: 0 }
    }

    /// These folders were there a moment ago.
    pub(crate) fn were_there(&mut self, names: impl IntoIterator<Item = String>) {
        self.folders.extend(names.into_iter().map(|name| (name, Folder::default())));
    }

    /// Looks. Something once for each change of a folder, when it has come to rest: the folders that have stayed away, and
    /// those that somebody is still changing, which nobody else waits for.
    pub(crate) fn has_changed(&mut self) -> Option<Folders> {
        let seen = list(&self.directory);
        self.changed(seen)
    }

    /// What was acted on failed, and not because of the files: try again in a while.
    pub(crate) fn look_again(&mut self) {
        self.look_at_all();
        self.wait = PATIENCE;
    }

    /// Counts everything as changed: something could not be acted on until now.
    pub(crate) fn look_at_all(&mut self) {
        self.folders.values_mut().for_each(|folder| folder.known = None);
    }

    /// What was seen, or why nothing.
    fn changed(&mut self, seen: Result<BTreeMap<String, Vec<Look>>, String>) -> Option<Folders> {
        self.wait = self.wait.saturating_sub(1);
        let wrong = seen.as_ref().err().cloned();
        // What was acted on and is gone need not be remembered.
        self.folders.retain(|_, folder| folder.now.is_some() || folder.known != Some(None));
        // One that is gone changes nothing of its folders: it may be back in a moment.
        if let Ok(mut seen) = seen {
            for (name, folder) in &mut self.folders {
                folder.look(seen.remove(name));
            }
            for (name, looks) in seen {
                self.folders.entry(name).or_default().look(Some(looks));
            }
        }
        let before = self.wrong.clone().unwrap_or_default();
        let other = before != wrong;
        let news = other || self.folders.values().any(Folder::has_news);
        if news && self.wait > 0 {
            return None;
        }
        self.wrong = Some(wrong);
        if !news {
            return None;
        }
        for folder in self.folders.values_mut().filter(|folder| folder.is_settled()) {
            folder.known = Some(folder.now.clone());
        }
        let named = |is: &dyn Fn(&Folder) -> bool| {
            let folders = self.folders.iter().filter(|(_, folder)| is(folder));
            folders.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>()
        };
        Some(Folders {
            changing: named(&|folder| !folder.is_settled()),
            gone: named(&|folder| folder.is_settled() && folder.now.is_none()),
        })
    }
}

/// What cannot be looked at in the directory is not there: its reader says what is wrong with it.
fn list(directory: &Path) -> Result<BTreeMap<String, Vec<Look>>, String> {
    let opened = Directory::open(directory).and_then(|directory| Ok((directory.names(MOST)?, directory)));
    let (names, directory) = opened.map_err(|error| error.to_string())?;
    let mut seen = BTreeMap::new();
    for name in names {
        let name = name.to_string_lossy().into_owned();
        if is_temporary(&name) {
            continue;
        }
        match directory.look(&name) {
            Ok(Some(look)) if matches!(look.kind, Kind::Folder | Kind::Link) => {
                let mut looks = vec![look];
                if let Ok(folder) = directory.folder(&name) {
                    files(&folder, DEEPEST - 1, &mut looks);
                }
                seen.insert(name, looks);
            }
            _ => {}
        }
    }
    Ok(seen)
}

fn files(folder: &Directory, depth: usize, looks: &mut Vec<Look>) {
    for name in folder.names(MOST).unwrap_or_default() {
        if is_temporary(&name.to_string_lossy()) || looks.len() >= MOST {
            continue;
        }
        let Ok(Some(look)) = folder.look(&name) else { continue };
        let is_folder = look.kind == Kind::Folder;
        looks.push(look);
        if is_folder
            && depth > 1
            && let Ok(inner) = folder.folder(&name)
        {
            files(&inner, depth - 1, looks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(state: char) -> Vec<Look> {
        vec![Look { name: state.to_string().into(), kind: Kind::File, length: 0, modified: 0, inode: 0 }]
    }

    /// One folder in these states; `-` is none. Shows at which of the looks something is done.
    fn check(looks: &str, fails_at: Option<usize>, expected: &str) {
        let mut watch = Changed::new(PathBuf::new());
        let done: String = looks
            .chars()
            .enumerate()
            .map(|(index, state)| {
                let seen = (state != '-').then(|| ("p".to_owned(), look(state))).into_iter().collect();
                let changed = watch.changed(Ok(seen)).is_some();
                if changed && fails_at == Some(index) {
                    watch.look_again();
                }
                if changed { '!' } else { '.' }
            })
            .collect();
        assert_eq!(done, expected, "{looks}");
    }

    #[test]
    fn a_change_counts_once_and_when_it_has_come_to_rest() {
        check("aaaa", None, ".!..");
        check("aabbbcc", None, ".!.!..!");
        check("aabcdeee", None, ".!....!.");
        check("aabaaa", None, ".!....");
        // Two renames, one of them slow.
        check("aa-bbb", None, ".!..!.");
        check("aa--bb", None, ".!...!");
        // Gone for good, and back again.
        let away = "-".repeat(25);
        check(&format!("aa{away}bb"), None, &format!(".!{}!{}.!", ".".repeat(19), ".".repeat(5)));
        let later = format!("aa{}", "a".repeat(60));
        check(&later, Some(1), &format!(".!{}!{}", ".".repeat(49), ".".repeat(10)));
    }

    #[test]
    fn a_folder_that_never_rests_holds_no_other_up() {
        let mut watch = Changed::new(PathBuf::new());
        let mut look_at = |good: char, busy: char| {
            let seen = [("good".to_owned(), look(good)), ("busy".to_owned(), look(busy))];
            watch.changed(Ok(seen.into_iter().collect())).map(|folders| folders.changing)
        };
        let busy = || Some(["busy".to_owned()].into_iter().collect::<BTreeSet<_>>());
        assert_eq!(look_at('a', '1'), None);
        assert_eq!(look_at('a', '2'), busy());
        assert_eq!(look_at('a', '3'), None);
        assert_eq!(look_at('b', '4'), None);
        assert_eq!(look_at('b', '5'), busy());
        assert_eq!(look_at('b', '5'), Some(BTreeSet::new()), "it rests at last");
        assert_eq!(look_at('b', '5'), None);
    }

    #[test]
    fn a_folder_that_stays_away_is_named_until_that_is_done() {
        let mut watch = Changed::new(PathBuf::new());
        watch.were_there(["p".to_owned()]);
        let mut look = |fails: bool| {
            let changed = watch.changed(Ok(BTreeMap::new()));
            if changed.is_some() && fails {
                watch.look_again();
            }
            changed.map(|folders| folders.gone)
        };
        let gone = || Some(["p".to_owned()].into_iter().collect::<BTreeSet<_>>());
        assert_eq!((0..19).find_map(|_| look(false)), None);
        assert_eq!(look(true), gone());
        assert_eq!((0..49).find_map(|_| look(false)), None);
        assert_eq!(look(false), gone());
        assert_eq!((0..99).find_map(|_| look(false)), None);
    }

    #[test]
    fn a_directory_that_is_gone_for_a_moment_changes_no_folder() {
        let mut watch = Changed::new(PathBuf::new());
        let there = || Ok([("p".to_owned(), look('a'))].into_iter().collect());
        let gone = || Err("it is not there".to_owned());
        for _ in 0..2 {
            watch.changed(there());
        }
        assert_eq!(watch.changed(there()), None);
        assert_eq!(watch.changed(gone()), Some(Folders::default()), "it is reported");
        assert_eq!(watch.changed(gone()), None);
        assert_eq!(watch.changed(there()), Some(Folders::default()), "and so is that it is back");
        assert_eq!(watch.changed(there()), None);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test makes files")]
    fn what_is_temporary_does_not_count() {
        let directory = std::env::temp_dir().join(format!("trimtab-watch-{}", std::process::id()));
        let policy = directory.join("ladder");
        std::fs::create_dir_all(&policy).expect("makes");
        let mut watch = Changed::new(directory.clone());
        let mut look = |file: Option<&str>| {
            if let Some(file) = file {
                std::fs::write(policy.join(file), "x").expect("writes");
            }
            (0..3).any(|_| watch.has_changed().is_some())
        };
        assert!(look(None));
        for name in [".policy.toml.swp", "policy.toml~", "p.wasm.tmp", "#policy.toml#", ".hidden"] {
            assert!(!look(Some(name)), "{name}");
        }
        assert!(look(Some("policy.toml")));
        assert!(look(Some("p.wasm")));
        std::fs::remove_file(policy.join("p.wasm")).expect("removes");
        assert!((0..3).any(|_| watch.has_changed().is_some()));
        std::fs::remove_dir_all(&directory).expect("removes");
    }
}
