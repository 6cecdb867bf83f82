//! The process that watches a trainer: it begins it, again where it could not begin, ends it where it takes too long or
//! somebody wishes so, and everything that it left behind. It is in a session of its own, so that it outlives the host.

use std::{
    io::Read,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, setrlimit};
use trimtab_types::{MOST_SAID, format_duration};

use crate::{Ended, Folder, How, Order, Started, TrainerError, descendants, said::Said};

/// The hidden subcommand of the program that is the supervisor; after it comes the run's folder.
pub const SUPERVISE: &str = "supervise-trainer";
/// The number with which a trainer says that it may work later.
const TRY_LATER: i32 = 75;
/// Time between two looks at the trainer.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two looks at what happens seldom: wishes, progress, children that have ended.
const SELDOM: Duration = Duration::from_millis(500);
/// Bytes that are read at once.
const PIECE: usize = 1 << 16;
/// How long is waited for the last of what it said, once nothing of it is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Watches the trainer of a run to its end.
///
/// # Errors
/// The folder cannot be used, or somebody watches it already. What becomes of the trainer is no error: it is in the folder.
pub fn supervise(path: &Path) -> Result<(), TrainerError> {
    let gone = || TrainerError::Damaged { path: path.to_owned(), problem: "there is no order".to_owned() };
    let folder = Folder::open(path)?.ok_or_else(gone)?;
    let _watch = folder.watch()?;
    if folder.ended()?.is_some() {
        return Ok(());
    }
    let order = folder.order()?;
    // It fails only for who leads a group of processes already, and then the terminal is not ours to lose.
    rustix::process::setsid().ok();
    descendants::keep();
    if let Some(memory) = order.memory {
        let limit = Rlimit { current: Some(memory), maximum: Some(memory) };
        if let Err(error) = setrlimit(Resource::As, limit) {
            // Said where it is looked for: a supervisor that only ends is begun again.
            let how = How::CannotStart(format!("its memory cannot be limited to {memory} bytes: {error}"));
            let said = Said::default();
            let ended = Ended { how, took: 0, attempt: 1, bytes: 0, said: String::new(), left: 0 };
            return folder.has_ended(&ended, &said.head, said.tail());
        }
    }
    let mut attempt = 1;
    loop {
        let (ended, said) = once(&folder, &order, attempt)?;
        let may_begin_again = matches!(ended.how, How::CannotStart(_) | How::Exit(TRY_LATER));
        if may_begin_again && attempt < order.attempts && !sleeps(&folder, order.pause) {
            attempt += 1;
            continue;
        }
        return folder.has_ended(&ended, &said.head, said.tail());
    }
}

/// Waits before the next attempt. Says whether somebody wishes no other.
fn sleeps(folder: &Folder, seconds: u64) -> bool {
    let mut waited = Duration::ZERO;
    while waited < Duration::from_secs(seconds) && !folder.is_cancelled() {
        std::thread::sleep(SELDOM);
        waited += SELDOM;
    }
    folder.is_cancelled()
}

/// One attempt.
#[expect(clippy::disallowed_methods, reason = "the owner of how long a trainer may run")]
fn once(folder: &Folder, order: &Order, attempt: u32) -> Result<(Ended, Said), TrainerError> {
    let over = |how: How, took: Duration, said: &Said, left: u32| Ended {
        how,
        took: took.as_secs(),
        attempt,
        bytes: said.bytes,
        said: said.last(MOST_SAID),
        left,
    };
    let mut child = match begin(order) {
        Ok(child) => child,
        Err(error) => {
            let said = Said::default();
            let program = order.command.first().map_or("", String::as_str);
            let why =
                format!("`{program}` cannot be started: {error}; {attempt} of {} attempts", order.attempts);
            return Ok((over(How::CannotStart(why), Duration::ZERO, &said, 0), said));
        }
    };
    let begun = Instant::now();
    let id = i32::try_from(child.id()).unwrap_or(0);
    let said = Arc::new(Mutex::new(Said::default()));
    let readers = [
        child.stdout.take().map(|from| listen(from, Arc::clone(&said), true)),
        child.stderr.take().map(|from| listen(from, Arc::clone(&said), false)),
    ];
    folder.has_started(&Started { pid: id, attempt })?;
    let how = watch(folder, order, &mut child, &said, begun);
    let took = begun.elapsed();
    // The trainer leads a group of its own, whose number is its own.
    let left = Pid::from_raw(id).map_or(0, descendants::end);
    child.wait().ok();
    for reader in readers.into_iter().flatten() {
        // Elsewhere than on Linux something of it may be left that holds the pipe.
        let waiting = Instant::now();
        while !reader.is_finished() && waiting.elapsed() < LAST_WORDS {
            std::thread::sleep(LOOK);
        }
    }
    let said = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
    let left = if matches!(how, How::Exit(_) | How::Signal(_)) { left } else { 0 };
    Ok((over(how, took, &said, left), said))
}

fn begin(order: &Order) -> std::io::Result<Child> {
    let mut words = order.command.iter();
    let mut command = Command::new(words.next().map_or("", String::as_str));
    command.args(words).env_clear();
    for name in &order.environment {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .envs(&order.variables)
        .current_dir(&order.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Reads what is said until nobody can say more.
fn listen(mut from: impl Read + Send + 'static, said: Arc<Mutex<Said>>, may_report: bool) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            said.lock().unwrap_or_else(PoisonError::into_inner).add(&piece[..read], may_report);
        }
    })
}

/// Waits for the trainer's end, or says why it has to come.
#[expect(clippy::disallowed_methods, reason = "the owner of how long a trainer may run")]
fn watch(folder: &Folder, order: &Order, child: &mut Child, said: &Mutex<Said>, begun: Instant) -> How {
    let (mut looked, mut reports, mut heard) = (begun, 0, begun);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return how(status),
            Ok(None) => {}
            Err(error) => return How::CannotStart(format!("it cannot be waited for: {error}")),
        }
        if begun.elapsed() >= Duration::from_secs(order.limit) {
            return How::TimedOut(format!("it ran for more than {}", format_duration(order.limit)));
        }
        if looked.elapsed() >= SELDOM {
            looked = Instant::now();
            descendants::reap(i32::try_from(child.id()).ok().and_then(Pid::from_raw));
            if folder.is_cancelled() {
                return How::Cancelled;
            }
            let (newest, count) = {
                let said = said.lock().unwrap_or_else(PoisonError::into_inner);
                (said.progress.clone(), said.reports)
            };
            if count > reports {
                (reports, heard) = (count, looked);
                // Whoever cannot read it sees less; the trainer goes on.
                newest.map(|progress| folder.has_progress(&progress).ok());
            } else if reports > 0 && heard.elapsed() >= Duration::from_secs(order.heartbeat) {
                return How::TimedOut(format!(
                    "it reported nothing for more than {}",
                    format_duration(order.heartbeat)
                ));
            }
        }
        std::thread::sleep(LOOK);
    }
}

fn how(status: ExitStatus) -> How {
    match (status.code(), status.signal()) {
        (Some(code), _) => How::Exit(code),
        (None, signal) => How::Signal(signal.unwrap_or(0)),
    }
}
