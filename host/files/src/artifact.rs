//! Files of model versions under a root: what they are, put aside, brought back, and gone for good. A path leads beneath the
//! root or is refused; no link is followed. Which of them may go is not decided here.

use std::{collections::BTreeSet, ffi::OsStr, io::Read, path::Path};

use rustix::{
    fs::{self, AtFlags, Mode},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use trimtab_types::{Artifact, Digest, DigestBuilder};

use crate::{Directory, FilesError, Kind, READ};

/// Files and folders of one artifact at most.
const MOST_FILES: usize = 100_000;
/// Folders within folders at most.
const DEEPEST: usize = 32;
/// Bytes that are read at once.
const PIECE: usize = 1 << 16;
/// Where what was deleted waits, in the root.
const TRASH: &str = ".trash";

/// Something that nobody owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphaned {
    /// Where, beneath the root.
    pub path: String,
    /// All of it; `None`: it cannot be measured, such as a link.
    pub size_bytes: Option<u64>,
}

impl Directory {
    /// Size and digest of the file or folder at a path beneath this directory. The digest of a file is SHA-256 of its content,
    /// as `sha256sum` prints it; that of a folder is over the sorted paths, sizes and digests of its files.
    ///
    /// # Errors
    /// The path leads elsewhere, or nothing is there; something on the way or beneath is a link or no plain file.
    pub fn measure(&self, path: &str) -> Result<Artifact, FilesError> {
        let (parent, name) = self.beneath(path)?;
        let look = parent
            .look(name)?
            .ok_or_else(|| FilesError::io("open", &parent.path.join(name), Errno::NOENT))?;
        let (size_bytes, digest) = if look.kind == Kind::Folder {
            let (mut files, mut size, mut left) = (DigestBuilder::new("artifact"), 0, MOST_FILES);
            files = parent.folder(name)?.add_to(files, "", &mut size, &mut left, DEEPEST)?;
            (size, files.finish())
        } else {
            parent.hash(name)?
        };
        Ok(Artifact { path: path.to_owned(), size_bytes, digest })
    }

    /// Puts what is at a path aside, under a name. Says whether it was there; what is aside already stays so.
    ///
    /// # Errors
    /// As [`Directory::measure`]; it cannot be moved.
    pub fn set_aside(&self, path: &str, name: &str) -> Result<bool, FilesError> {
        let (parent, own) = self.beneath(path)?;
        let Some(look) = parent.look(own)? else { return Ok(false) };
        if look.kind == Kind::Link {
            return Err(FilesError::Link { path: parent.path.join(own) });
        }
        match fs::mkdirat(&self.fd, TRASH, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(FilesError::io("make", &self.path.join(TRASH), error)),
        }
        let trash = self.folder(TRASH)?;
        let to = one(name, &trash)?;
        let moved = fs::renameat(&parent.fd, own, &trash.fd, to);
        moved.map_err(|error| FilesError::io("move", &parent.path.join(own), error))?;
        Ok(true)
    }

    /// Names of what is aside.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn aside(&self) -> Result<Vec<String>, FilesError> {
        match self.folder(TRASH) {
            Ok(trash) => {
                let names = trash.names(MOST_FILES)?;
                Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
            }
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Brings what was put aside back to its path, where nothing is.
    ///
    /// # Errors
    /// Something is there; it cannot be moved.
    pub fn bring_back(&self, path: &str, name: &str) -> Result<(), FilesError> {
        let (parent, own) = self.beneath(path)?;
        let trash = self.folder(TRASH)?;
        let from = one(name, &trash)?;
        if parent.look(own)?.is_some() {
            return Err(FilesError::io("bring back", &parent.path.join(own), Errno::EXIST));
        }
        let moved = fs::renameat(&trash.fd, from, &parent.fd, own);
        moved.map_err(|error| FilesError::io("bring back", &parent.path.join(own), error))
    }

    /// What was put aside goes for good. Returns the bytes on disk that this freed: of files that no other name holds.
    /// What is gone already frees nothing.
    ///
    /// # Errors
    /// Something cannot be removed; it is gone on with from there the next time.
    pub fn purge(&self, name: &str) -> Result<u64, FilesError> {
        match self.folder(TRASH) {
            Ok(trash) => trash.remove(one(name, &trash)?, DEEPEST),
            Err(error) if error.is_missing() => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// What lies beneath this directory beside these paths: each as a whole, or what of it is not theirs.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn beside(&self, owned: &BTreeSet<String>) -> Result<Vec<Orphaned>, FilesError> {
        let (mut found, mut left) = (Vec::new(), MOST_FILES);
        self.list_beside(owned, "", &mut found, &mut left, DEEPEST)?;
        Ok(found)
    }

    fn list_beside(
        &self,
        owned: &BTreeSet<String>,
        within: &str,
        found: &mut Vec<Orphaned>,
        left: &mut usize,
        deeper: usize,
    ) -> Result<(), FilesError> {
        let names = self.names(*left)?;
        *left -= names.len();
        for name in names {
            if within.is_empty() && name == TRASH {
                continue;
            }
            let path = format!("{within}{}", name.to_string_lossy());
            let inside = format!("{path}/");
            if owned.contains(&path) {
                continue;
            }
            let holds_owned =
                owned.range(inside.clone()..).next().is_some_and(|next| next.starts_with(&inside));
            if holds_owned && deeper > 0 {
                self.folder(&name)?.list_beside(owned, &inside, found, left, deeper - 1)?;
            } else {
                let size_bytes = self.size(&name, left, deeper);
                found.push(Orphaned { path, size_bytes });
            }
        }
        Ok(())
    }

    /// Bytes of a file, or of all files in a folder; nothing is read. `None`: something of it is no file.
    fn size(&self, name: &OsStr, left: &mut usize, deeper: usize) -> Option<u64> {
        let look = self.look(name).ok()??;
        match look.kind {
            Kind::File => Some(look.length),
            Kind::Folder if deeper > 0 => {
                let folder = self.folder(name).ok()?;
                let names = folder.names(*left).ok()?;
                *left -= names.len();
                names.iter().map(|name| folder.size(name, left, deeper - 1)).sum()
            }
            _ => None,
        }
    }

    /// The directory in which a path ends, and the name there.
    fn beneath<'a>(&self, path: &'a str) -> Result<(Self, &'a OsStr), FilesError> {
        let refused = || FilesError::Elsewhere { root: self.path.clone(), path: path.to_owned() };
        let mut names = path.split('/');
        let last = names.next_back().filter(|last| !last.is_empty()).ok_or_else(refused)?;
        if path.split('/').any(|name| matches!(name, "" | "." | ".."))
            || path.split('/').next() == Some(TRASH)
        {
            return Err(refused());
        }
        let mut parent = Self {
            fd: self.fd.try_clone().map_err(|source| self.failed("open", source))?,
            path: self.path.clone(),
        };
        for name in names {
            parent = parent.folder(name)?;
        }
        Ok((parent, OsStr::new(last)))
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> FilesError {
        FilesError::Io { action, path: self.path.clone(), source }
    }

    /// Size and digest of a file's content, without holding it in memory.
    fn hash(&self, name: &OsStr) -> Result<(u64, Digest), FilesError> {
        let (mut file, _) = self.regular(name, READ)?;
        let (mut hash, mut size, mut piece) = (Sha256::new(), 0_u64, vec![0; PIECE]);
        loop {
            let failed = |source| FilesError::Io { action: "read", path: self.path.join(name), source };
            let read = file.read(&mut piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            hash.update(&piece[..read]);
        }
        let digest = Digest::from_bytes(hash.finalize().as_slice());
        digest
            .map(|digest| (size, digest))
            .ok_or_else(|| FilesError::io("read", &self.path.join(name), Errno::IO))
    }

    /// Adds all files beneath to a digest.
    fn add_to(
        &self,
        mut files: DigestBuilder,
        within: &str,
        size: &mut u64,
        left: &mut usize,
        deeper: usize,
    ) -> Result<DigestBuilder, FilesError> {
        let names = self.names(*left)?;
        *left -= names.len();
        for name in names {
            let path = format!("{within}{}", name.to_string_lossy());
            match self.look(&name)?.map(|look| look.kind) {
                Some(Kind::Folder) if deeper > 0 => {
                    files = self.folder(&name)?.add_to(files, &format!("{path}/"), size, left, deeper - 1)?;
                }
                Some(Kind::Folder) => {
                    return Err(FilesError::TooMany { path: self.path.clone(), most: DEEPEST });
                }
                _ => {
                    let (bytes, digest) = self.hash(&name)?;
                    *size += bytes;
                    files = files.part(path.as_bytes()).number(bytes).part(digest.as_bytes());
                }
            }
        }
        Ok(files)
    }

    /// Removes something in this directory, and what lies in it. Links are removed and not followed.
    fn remove(&self, name: &OsStr, deeper: usize) -> Result<u64, FilesError> {
        let path = self.path.join(name);
        let failed = |error| FilesError::io("remove", &path, error);
        let stat = match self.stat(name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(0),
            Err(error) => return Err(failed(error)),
        };
        if Kind::of(&stat) != Kind::Folder {
            fs::unlinkat(&self.fd, name, AtFlags::empty()).map_err(failed)?;
            let is_last = Kind::of(&stat) == Kind::File && stat.st_nlink == 1;
            return Ok(if is_last { u64::try_from(stat.st_blocks).unwrap_or(0) * 512 } else { 0 });
        }
        if deeper == 0 {
            return Err(FilesError::TooMany { path, most: DEEPEST });
        }
        let folder = self.folder(name)?;
        let mut freed = 0;
        for name in folder.names(MOST_FILES)? {
            freed += folder.remove(&name, deeper - 1)?;
        }
        fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(failed)?;
        Ok(freed)
    }
}

/// A name in the trash.
fn one<'a>(name: &'a str, trash: &Directory) -> Result<&'a OsStr, FilesError> {
    crate::one_name(OsStr::new(name), Path::new(&trash.path))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make the files that are looked at")]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(folder.path().join("v1/sub")).expect("makes");
        std::fs::write(folder.path().join("v1/a.bin"), b"abc").expect("writes");
        std::fs::write(folder.path().join("v1/sub/b.bin"), vec![7; 10_000]).expect("writes");
        std::fs::write(folder.path().join("one.bin"), b"abc").expect("writes");
        let root = Directory::open(folder.path()).expect("opens");
        (folder, root)
    }

    #[test]
    fn a_file_has_the_digest_that_everybody_prints() {
        let (_folder, root) = root();
        let one = root.measure("one.bin").expect("measured");
        // FIPS 180-2, example of one block.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((one.size_bytes, one.digest.to_string().as_str()), (3, abc));
    }

    #[test]
    fn a_folder_is_what_lies_in_it() {
        let (folder, root) = root();
        let before = root.measure("v1").expect("measured");
        assert_eq!(before.size_bytes, 10_003);
        assert_eq!(root.measure("v1").expect("measured"), before);
        std::fs::write(folder.path().join("v1/a.bin"), b"abd").expect("writes");
        assert_ne!(root.measure("v1").expect("measured").digest, before.digest);
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let (folder, root) = root();
        std::os::unix::fs::symlink("/etc", folder.path().join("out")).expect("links");
        std::os::unix::fs::symlink("one.bin", folder.path().join("v1/link")).expect("links");
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "v1/../one.bin",
            "v1//a.bin",
            "./one.bin",
            ".trash/x",
            "out",
            "out/passwd",
            "v1",
            "nosuch",
        ] {
            assert!(root.measure(bad).is_err(), "{bad}");
        }
        assert!(root.set_aside("out", "t").is_err(), "a link is not what was registered");
    }

    #[test]
    fn what_nobody_owns_is_listed_as_a_whole_or_in_part() {
        let (folder, root) = root();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).expect("links");
        root.set_aside("one.bin", "t1").expect("moved");
        let beside = |owned: &[&str]| -> Vec<(String, Option<u64>)> {
            let owned = owned.iter().map(|path| (*path).to_owned()).collect();
            let found = root.beside(&owned).expect("listed");
            found.into_iter().map(|found| (found.path, found.size_bytes)).collect()
        };
        let link = || ("link".to_owned(), None);
        assert_eq!(beside(&[]), [link(), ("v1".to_owned(), Some(10_003))]);
        assert_eq!(beside(&["v1"]), [link()]);
        assert_eq!(beside(&["v1/sub"]), [link(), ("v1/a.bin".to_owned(), Some(3))]);
        assert_eq!(beside(&["v1/sub/b.bin", "link"]), [("v1/a.bin".to_owned(), Some(3))]);
        // One whose name only begins alike owns nothing.
        assert_eq!(beside(&["v1x/a"]), [link(), ("v1".to_owned(), Some(10_003))]);
    }

    #[test]
    fn what_is_put_aside_comes_back_or_goes_for_good() {
        let (folder, root) = root();
        let before = root.measure("v1").expect("measured");
        assert!(root.set_aside("v1", "t1").expect("moved"));
        assert!(!root.set_aside("v1", "t1").expect("moved already"));
        assert!(root.measure("v1").is_err());
        assert_eq!(root.aside().expect("listed"), ["t1"]);
        root.bring_back("v1", "t1").expect("back");
        assert_eq!(root.measure("v1").expect("measured"), before);
        root.set_aside("v1", "t1").expect("moved");
        // Another name holds the file, so nothing is freed by it.
        std::fs::hard_link(folder.path().join(".trash/t1/sub/b.bin"), folder.path().join("kept.bin"))
            .expect("links");
        let freed = root.purge("t1").expect("gone");
        assert!((1..10_000).contains(&freed), "{freed}: the small file only");
        assert_eq!(root.purge("t1").expect("gone already"), 0);
        assert!(folder.path().join("kept.bin").exists());
    }
}
