//! What the host keeps for itself: directories of mode 0700 and files of mode 0600, whatever the umask, and of no other
//! owner. Owner and mode are looked at through the open descriptor, so that nothing can be exchanged after the look.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write as _,
    os::unix::fs::DirBuilderExt as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::{
    fs::{self, AtFlags, Mode, OFlags, Stat},
    io::Errno,
    process::geteuid,
};

use crate::{Directory, FilesError, READ, all, one_name};

const OWN: Mode = Mode::RUSR.union(Mode::WUSR);
const OTHERS: u32 = 0o077;
const WRITABLE_BY_OTHERS: u32 = 0o022;

impl Directory {
    /// A directory of this user's that nobody else can look into; made if it is not there, and closed to others if it is.
    ///
    /// # Errors
    /// It cannot be made; it belongs to somebody else.
    pub fn private(path: &Path) -> Result<Self, FilesError> {
        let directory = Self::made(path)?;
        let stat = directory.owned()?;
        if stat.st_mode & OTHERS != 0 {
            let closed = fs::fchmod(&directory.fd, Mode::RWXU);
            closed.map_err(|error| FilesError::io("close to others", path, error))?;
        }
        Ok(directory)
    }

    /// The same, but one that others can write to is refused: what lies in it may be theirs already.
    ///
    /// # Errors
    /// As [`Directory::private`]; [`FilesError::Writable`].
    pub fn unspoilt(path: &Path) -> Result<Self, FilesError> {
        let directory = Self::made(path)?;
        if directory.owned()?.st_mode & WRITABLE_BY_OTHERS != 0 {
            return Err(FilesError::Writable { path: path.to_owned() });
        }
        Self::private(path)
    }

    fn made(path: &Path) -> Result<Self, FilesError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| FilesError::Io { action: "make", path: path.to_owned(), source })?;
        Self::named(path)
    }

    fn owned(&self) -> Result<Stat, FilesError> {
        let stat = fs::fstat(&self.fd).map_err(|error| FilesError::io("look at", &self.path, error))?;
        owned(&stat, &self.path)?;
        Ok(stat)
    }

    /// A file of this user's, open for reading and writing; made if it is not there, and closed to others if it is.
    ///
    /// # Errors
    /// It is a link or no file; it belongs to somebody else; it cannot be made.
    pub fn private_file(&self, name: &str) -> Result<File, FilesError> {
        let path = self.path.join(name);
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let made = fs::openat(
            &self.fd,
            one_name(OsStr::new(name), &path)?,
            flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
            OWN,
        );
        let (file, stat) = match made {
            Ok(fd) => {
                let stat = fs::fstat(&fd).map_err(|error| FilesError::io("look at", &path, error))?;
                (File::from(fd), stat)
            }
            Err(Errno::EXIST) => self.regular(OsStr::new(name), flags).map_err(|error| {
                // One that may not even be opened is named by its owner, if that is why.
                self.whose(name).err().unwrap_or(error)
            })?,
            Err(error) => return Err(FilesError::io("make", &path, error)),
        };
        owned(&stat, &path)?;
        if stat.st_mode & 0o777 != OWN.as_raw_mode() {
            fs::fchmod(&file, OWN).map_err(|error| FilesError::io("close to others", &path, error))?;
        }
        Ok(file)
    }

    /// As [`Directory::private_file`], where it is there.
    ///
    /// # Errors
    /// The same.
    pub fn private_if_there(&self, name: &str) -> Result<(), FilesError> {
        match self.look(name)? {
            None => Ok(()),
            Some(_) => self.private_file(name).map(drop),
        }
    }

    /// Whether something is ours, by its name alone.
    fn whose(&self, name: &str) -> Result<(), FilesError> {
        match self.stat(OsStr::new(name)) {
            Ok(stat) => owned(&stat, &self.path.join(name)),
            Err(_) => Ok(()),
        }
    }

    /// Reads a file that this user wrote and that nobody else can write to. `None`: it is not there.
    ///
    /// # Errors
    /// As [`Directory::read`]; it belongs to somebody else; [`FilesError::Writable`].
    pub fn read_own(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, FilesError> {
        let path = self.path.join(name);
        let (file, stat) = match self.regular(OsStr::new(name), READ) {
            Ok(opened) => opened,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        owned(&stat, &path)?;
        if stat.st_mode & WRITABLE_BY_OTHERS != 0 {
            return Err(FilesError::Writable { path });
        }
        all(file, &stat, path, most).map(Some)
    }

    /// Replaces a file by one of mode 0600, atomically and durably: others see the old one, or the new one whole.
    ///
    /// # Errors
    /// It cannot be written; nothing of it is left then.
    pub fn replace(&self, name: &str, parts: &[&[u8]]) -> Result<(), FilesError> {
        // Processes and threads may write the same file at once; each has one of its own, and the last rename stands.
        static FILES: AtomicU64 = AtomicU64::new(0);
        let path = self.path.join(name);
        let name = one_name(OsStr::new(name), &path)?;
        let unique = FILES.fetch_add(1, Ordering::Relaxed);
        let new = format!(".{}.{}-{unique}.new", name.to_string_lossy(), std::process::id());
        let failed = |error| FilesError::io("write", &path, error);
        // Left over from a process of the same number that was killed.
        fs::unlinkat(&self.fd, &new, AtFlags::empty()).ok();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, &new, flags, OWN).map_err(failed)?;
        let written = fs::fchmod(&fd, OWN).map_err(Into::into).and_then(|()| {
            let mut file = File::from(fd);
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()?;
            Ok(fs::renameat(&self.fd, &new, &self.fd, name)?)
        });
        written.map_err(|source| {
            fs::unlinkat(&self.fd, &new, AtFlags::empty()).ok();
            FilesError::Io { action: "write", path, source }
        })
    }
}

fn owned(stat: &Stat, path: &Path) -> Result<(), FilesError> {
    let (owner, own) = (stat.st_uid, geteuid().as_raw());
    if owner == own { Ok(()) } else { Err(FilesError::OtherOwner { path: path.to_owned(), owner, own }) }
}
