//! Whether a directory of policies has changed. It is looked at again and again instead of waiting for the system's news:
//! that works on every file system, misses nothing, and a few hundred files are looked at in a millisecond.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use trimtab_policy::is_temporary;

/// Looks for which a change must be unchanged before it counts: files are written in pieces.
const STEADY: u32 = 2;
/// Looks after a failure before it is tried again.
const PATIENCE: u32 = 50;
/// Folders in folders: a policy, its fixtures, and one more.
const DEEPEST: usize = 3;
/// Files beyond which nobody keeps policies.
const MOST_FILES: usize = 10_000;

/// What a directory looked like: path, length, time of the last change.
type Look = Vec<(PathBuf, u64, Option<SystemTime>)>;

/// A directory that is watched.
#[derive(Debug)]
pub(crate) struct Changed {
    directory: PathBuf,
    /// What was acted on.
    known: Option<Look>,
    /// What is there now, and for how many looks.
    now: Look,
    looks: u32,
    /// Looks until something that failed is tried again.
    wait: u32,
}

impl Changed {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory, known: None, now: Look::new(), looks: 0, wait: 0 }
    }

    /// Looks. True once for each change, when it has come to rest.
    pub(crate) fn has_changed(&mut self) -> bool {
        let mut look = Look::new();
        list(&self.directory, DEEPEST, &mut look);
        look.sort();
        self.changed(look)
    }

    /// What was acted on failed, and not because of the files: try again in a while.
    pub(crate) fn look_again(&mut self) {
        self.known = None;
        self.wait = PATIENCE;
    }

    fn changed(&mut self, look: Look) -> bool {
        self.wait = self.wait.saturating_sub(1);
        if look != self.now {
            self.now = look;
            self.looks = 1;
            return false;
        }
        self.looks = self.looks.saturating_add(1);
        let news = self.looks >= STEADY && self.wait == 0 && self.known.as_ref() != Some(&self.now);
        if news {
            self.known = Some(self.now.clone());
        }
        news
    }
}

/// What cannot be looked at is not there: the reader of the directory says what is wrong with it.
fn list(directory: &Path, depth: usize, look: &mut Look) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // Links are followed, so that a link to another file counts as a change.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_temporary(&name) || look.len() >= MOST_FILES {
            continue;
        }
        if metadata.is_dir() {
            if depth > 1 {
                list(&path, depth - 1, look);
            }
            look.push((path, 0, None));
        } else {
            look.push((path, metadata.len(), metadata.modified().ok()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A look at each of these: a letter is a state of the directory. Shows at which of them something is done.
    fn check(looks: &str, fails_at: Option<usize>, expected: &str) {
        let mut watch = Changed::new(PathBuf::new());
        let done: String = looks
            .chars()
            .enumerate()
            .map(|(index, state)| {
                let changed = watch.changed(vec![(PathBuf::from(state.to_string()), 0, None)]);
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
        let later = format!("aa{}", "a".repeat(60));
        check(&later, Some(1), &format!(".!{}!{}", ".".repeat(49), ".".repeat(10)));
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
            (0..3).any(|_| watch.has_changed())
        };
        assert!(look(None));
        for name in [".policy.toml.swp", "policy.toml~", "p.wasm.tmp", "#policy.toml#", ".hidden"] {
            assert!(!look(Some(name)), "{name}");
        }
        assert!(look(Some("policy.toml")));
        assert!(look(Some("p.wasm")));
        std::fs::remove_file(policy.join("p.wasm")).expect("removes");
        assert!(watch.has_changed() || watch.has_changed() || watch.has_changed());
        std::fs::remove_dir_all(&directory).expect("removes");
    }
}
