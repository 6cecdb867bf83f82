//! One owner of a data directory: a directory and files that no other user can look into, and an advisory lock that ends
//! with the process, however it ends.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use trimtab_files::Directory;
use trimtab_log::LogError;

use crate::failed::files;

/// Held as long as this value lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the lock of `directory`, which is made if it is not there, or says who has it.
    ///
    /// # Errors
    /// Somebody has it; directory or lock belong to another user.
    pub fn take(directory: &Path) -> Result<Self, LogError> {
        let path = directory.join("lock");
        let failed = |source| LogError::Directory { action: "lock", path: path.clone(), source };
        let private = Directory::private(directory).map_err(files)?;
        let mut file = private.private_file("lock").map_err(files)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let owner = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(LogError::Locked { directory: PathBuf::from(directory), owner });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}
