//! Directories held open, and files in them by name: what was looked at is what is read, whatever is renamed meanwhile.
//! Links are not followed, nothing but regular files is read, sizes are known before memory is taken, and what the host
//! keeps for itself belongs to its user alone. What is in the files is their owners' business.

#![forbid(unsafe_code)]

mod artifact;
mod error;
mod private;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read as _,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat},
    io::Errno,
};

pub use artifact::Orphaned;
pub use error::FilesError;

/// A directory that is held open.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// What something in a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Folder,
    /// A symbolic link, wherever it leads.
    Link,
    /// A pipe, a socket, a device.
    Other,
}

impl Kind {
    fn of(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Folder,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a directory",
            Self::Link => "a link",
            Self::Other => "a pipe, a socket or a device",
        }
    }
}

/// How something in a directory looks from outside. Two that are equal are most likely the same, unchanged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// Its name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
    /// Bytes; of a directory, 0.
    pub length: u64,
    /// When its content changed, in nanoseconds since 1970; of a directory, 0.
    pub modified: i128,
    /// Its number in the file system: another file under the same name has another one.
    pub inode: u64,
}

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

impl Directory {
    /// Opens a directory that a person named: links on the way and at its end are followed.
    ///
    /// # Errors
    /// It is not there, is no directory, or may not be read.
    pub fn named(path: &Path) -> Result<Self, FilesError> {
        let fd = fs::openat(CWD, path, READ | OFlags::DIRECTORY, Mode::empty());
        let fd = fd.map_err(|error| FilesError::io("open", path, error))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a directory relative to its parent. It must not be a link itself.
    ///
    /// # Errors
    /// As [`Directory::named`]; [`FilesError::Link`].
    pub fn open(path: &Path) -> Result<Self, FilesError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Self::named(path) };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let opened = Self::named(parent)?.folder(name)?;
        Ok(Self { path: path.to_owned(), ..opened })
    }

    /// Opens a directory in this one.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn folder(&self, name: impl AsRef<OsStr>) -> Result<Self, FilesError> {
        let path = self.path.join(name.as_ref());
        let name = one_name(name.as_ref(), &path)?;
        let flags = READ | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        match fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            // Systems differ in how they refuse a link here.
            Err(error @ (Errno::NOTDIR | Errno::LOOP)) => match self.stat(name) {
                Ok(stat) if Kind::of(&stat) == Kind::Link => Err(FilesError::Link { path }),
                _ => Err(FilesError::io("open", &path, error)),
            },
            Err(error) => Err(FilesError::io("open", &path, error)),
        }
    }

    /// Where it was when it was opened; for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name when it was opened.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// What lies in it, sorted by name.
    ///
    /// # Errors
    /// It cannot be read; it holds more than `most`.
    pub fn names(&self, most: usize) -> Result<Vec<OsString>, FilesError> {
        let failed = |error| FilesError::io("list", &self.path, error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if names.len() >= most {
                return Err(FilesError::TooMany { path: self.path.clone(), most });
            }
            names.push(OsStr::from_bytes(name).to_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Looks at something in it without opening it. `None`: it is not there.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn look(&self, name: impl AsRef<OsStr>) -> Result<Option<Look>, FilesError> {
        let path = self.path.join(name.as_ref());
        let stat = match self.stat(one_name(name.as_ref(), &path)?) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(FilesError::io("look at", &path, error)),
        };
        let kind = Kind::of(&stat);
        // A directory changes with what lies in it, which is looked at by itself.
        let (length, modified) = match kind {
            Kind::Folder => (0, 0),
            _ => (length(&stat), i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)),
        };
        Ok(Some(Look { name: name.as_ref().to_owned(), kind, length, modified, inode: stat.st_ino }))
    }

    /// Reads a regular file of at most `most` bytes. Pipes are not waited for and devices not touched.
    ///
    /// # Errors
    /// It is not there or cannot be read; it is a link, no file, or too large. A file that grows meanwhile is too large.
    pub fn read(&self, name: impl AsRef<OsStr>, most: u64) -> Result<Vec<u8>, FilesError> {
        let path = self.path.join(name.as_ref());
        let (file, stat) = self.regular(name.as_ref(), READ)?;
        all(file, &stat, path, most)
    }

    fn stat(&self, name: &OsStr) -> Result<Stat, Errno> {
        fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Opens a file that is there, if it is a regular one.
    fn regular(&self, name: &OsStr, flags: OFlags) -> Result<(File, Stat), FilesError> {
        let path = self.path.join(name);
        let name = one_name(name, &path)?;
        let failed = |error| FilesError::io("read", &path, error);
        // Before it is opened: opening a device may do something.
        regular(&self.stat(name).map_err(failed)?, &path)?;
        // And without waiting, should a pipe be there by now.
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = fs::openat(&self.fd, name, flags, Mode::empty()).map_err(failed)?;
        let stat = fs::fstat(&fd).map_err(failed)?;
        regular(&stat, &path)?;
        Ok((fd.into(), stat))
    }
}

/// A name, and not a way that leads elsewhere.
fn one_name<'a>(name: &'a OsStr, path: &Path) -> Result<&'a OsStr, FilesError> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.contains(&b'/') {
        return Err(FilesError::io("open", path, Errno::INVAL));
    }
    Ok(name)
}

fn regular(stat: &Stat, path: &Path) -> Result<(), FilesError> {
    match Kind::of(stat) {
        Kind::File => Ok(()),
        Kind::Link => Err(FilesError::Link { path: path.to_owned() }),
        kind => Err(FilesError::NoFile { path: path.to_owned(), what: kind.name() }),
    }
}

fn length(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(0)
}

/// All of an open file: its size is looked at first, and no more is read.
fn all(file: File, stat: &Stat, path: PathBuf, most: u64) -> Result<Vec<u8>, FilesError> {
    let size = length(stat);
    if size > most {
        return Err(FilesError::TooLarge { path, most });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    let read = file.take(most.saturating_add(1)).read_to_end(&mut bytes);
    match read {
        Err(source) => Err(FilesError::Io { action: "read", path, source }),
        Ok(_) if bytes.len() as u64 > most => Err(FilesError::TooLarge { path, most }),
        Ok(_) => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
