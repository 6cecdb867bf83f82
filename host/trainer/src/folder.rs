//! The folder of a run: what is to be done, how far it is, and what came of it. The host writes the order and a wish to end;
//! the supervisor writes the rest. Each file is replaced whole, so that a reader never sees a part.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use trimtab_files::{Directory, FilesError};

const ORDER: &str = "order.json";
const LOCK: &str = "lock";
const STARTED: &str = "started.json";
const PROGRESS: &str = "progress.json";
const CANCEL: &str = "cancel";
const ENDED: &str = "ended.json";
const HEAD: &str = "output.head";
const TAIL: &str = "output.tail";
/// Where the trainer is asked to put its result.
const RESULT: &str = "result.json";
/// Bytes of a file of these at most.
const LARGEST: u64 = 1 << 20;

/// Why a run's folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// It cannot be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// What is in it is not what this program writes.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Somebody watches this run already.
    #[error("run `{0}` has a supervisor already")]
    Taken(String),
    /// The process cannot be watched.
    #[error("cannot {action}: {source}")]
    System {
        /// What was to be done.
        action: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

/// What is to be run, and within which limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The run's id.
    pub run: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it runs; a program with a `/` in its name is sought from here.
    pub directory: PathBuf,
    /// Variables of the host that it gets.
    pub environment: Vec<String>,
    /// Variables besides.
    pub variables: BTreeMap<String, String>,
    /// Seconds for one attempt.
    pub limit: u64,
    /// Once progress was reported: seconds until the next report.
    pub heartbeat: u64,
    /// How often it is begun.
    pub attempts: u32,
    /// Seconds between two attempts.
    pub pause: u64,
    /// Bytes of memory of one process.
    pub memory: Option<u64>,
}

/// The trainer has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its process.
    pub pid: i32,
    /// At which attempt.
    pub attempt: u32,
}

/// What it said of itself last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0..1.
    pub share: f64,
    /// In its words.
    pub note: String,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// How.
    pub how: How,
    /// For how long the last attempt ran, in seconds.
    pub took: u64,
    /// At which attempt.
    pub attempt: u32,
    /// Bytes that it said.
    pub bytes: u64,
    /// The last of that.
    pub said: String,
    /// Processes that it left behind, which were ended.
    pub left: u32,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// By itself, with this number.
    Exit(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It could not be begun.
    CannotStart(String),
    /// It took too long, or was not heard of for too long.
    TimedOut(String),
    /// Somebody wished it.
    Cancelled,
}

/// The folder of a run.
#[derive(Debug)]
pub struct Folder {
    directory: Directory,
    path: PathBuf,
}

impl Folder {
    /// Makes the folder of a run that is to begin, with its order in it.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn make(path: &Path, order: &Order) -> Result<Self, TrainerError> {
        let folder = Self { directory: Directory::private(path)?, path: path.to_owned() };
        folder.write(ORDER, order)?;
        Ok(folder)
    }

    /// The folder of a run; `None`: nobody has made it, or not finished making it.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>, TrainerError> {
        let directory = match Directory::open(path) {
            Ok(directory) => directory,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let folder = Self { directory, path: path.to_owned() };
        Ok(folder.directory.look(ORDER)?.is_some().then_some(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the trainer is asked to put its result.
    pub fn result_path(path: &Path) -> PathBuf {
        path.join(RESULT)
    }

    /// What is to be run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn order(&self) -> Result<Order, TrainerError> {
        let path = self.path.join(ORDER);
        self.read(ORDER)?.ok_or(TrainerError::Damaged { path, problem: "it is not there".to_owned() })
    }

    /// Whether and how the trainer has begun.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn started(&self) -> Result<Option<Started>, TrainerError> {
        self.read(STARTED)
    }

    /// What the trainer said of itself last.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn progress(&self) -> Result<Option<Progress>, TrainerError> {
        self.read(PROGRESS)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ended(&self) -> Result<Option<Ended>, TrainerError> {
        self.read(ENDED)
    }

    /// What the trainer left as its result, of at most `most` bytes.
    ///
    /// # Errors
    /// It cannot be read, or is too large.
    pub fn result(&self, most: u64) -> Result<Option<Vec<u8>>, TrainerError> {
        match self.directory.look(RESULT)? {
            None => Ok(None),
            Some(_) => Ok(Some(self.directory.read(RESULT, most)?)),
        }
    }

    /// First and last bytes of what the trainer said; nothing while it runs.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn output(&self) -> Result<(Vec<u8>, Vec<u8>), TrainerError> {
        let read = |name| Ok::<_, TrainerError>(self.directory.read_own(name, LARGEST)?.unwrap_or_default());
        Ok((read(HEAD)?, read(TAIL)?))
    }

    /// Whether somebody watches this run. Nobody does between the order and the start of the supervisor.
    ///
    /// # Errors
    /// The lock cannot be looked at.
    pub fn is_watched(&self) -> Result<bool, TrainerError> {
        match self.directory.private_file(LOCK)?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => {
                Err(TrainerError::System { action: "look at the lock of a run", source })
            }
        }
    }

    /// Becomes the one who watches this run, until the file is dropped or the process ends.
    pub(crate) fn watch(&self) -> Result<File, TrainerError> {
        let lock = self.directory.private_file(LOCK)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(TrainerError::Taken(self.directory.name())),
            Err(TryLockError::Error(source)) => {
                Err(TrainerError::System { action: "take the lock of a run", source })
            }
        }
    }

    /// Wishes the run to end.
    ///
    /// # Errors
    /// The wish cannot be written.
    pub fn cancel(&self) -> Result<(), TrainerError> {
        Ok(self.directory.replace(CANCEL, &[])?)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.directory.look(CANCEL).is_ok_and(|look| look.is_some())
    }

    pub(crate) fn has_started(&self, started: &Started) -> Result<(), TrainerError> {
        self.write(STARTED, started)
    }

    pub(crate) fn has_progress(&self, progress: &Progress) -> Result<(), TrainerError> {
        self.write(PROGRESS, progress)
    }

    pub(crate) fn has_ended(&self, ended: &Ended, head: &[u8], tail: &[u8]) -> Result<(), TrainerError> {
        self.directory.replace(HEAD, &[head])?;
        self.directory.replace(TAIL, &[tail])?;
        self.write(ENDED, ended)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, TrainerError> {
        let Some(bytes) = self.directory.read_own(name, LARGEST)? else { return Ok(None) };
        let damaged = |error: serde_json::Error| TrainerError::Damaged {
            path: self.path.join(name),
            problem: error.to_string(),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    fn write(&self, name: &str, what: &impl Serialize) -> Result<(), TrainerError> {
        // Texts, numbers and lists of them always serialise.
        let bytes = serde_json::to_vec_pretty(what).unwrap_or_default();
        Ok(self.directory.replace(name, &[&bytes])?)
    }
}
