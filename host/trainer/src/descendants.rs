//! All processes that come of this one, also those whose parent has ended: on Linux those become children of whoever asked to
//! be their keeper. Elsewhere only the trainer's own group of processes is known.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};

/// How long processes have to end by themselves.
const GRACE: Duration = Duration::from_secs(10);
/// How long processes that were ended by force are waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Has processes that lose their parent become children of this one.
pub(crate) fn keep() {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).ok();
}

/// Takes notice of children that have ended, but for one.
pub(crate) fn reap(but: Option<Pid>) {
    for pid in children() {
        if Some(pid) != but {
            waitpid(Some(pid), WaitOptions::NOHANG).ok();
        }
    }
}

/// Ends everything that is left: by a request first, and by force after a while. Says how many there were. The trainer itself
/// has been taken notice of, or is among them.
pub(crate) fn end(group: Pid) -> u32 {
    reap(None);
    let left = all();
    let count = u32::try_from(left.len()).unwrap_or(u32::MAX);
    kill_process_group(group, Signal::TERM).ok();
    send(&left, Signal::TERM);
    let mut waited = Duration::ZERO;
    while !is_over() && waited < GRACE {
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
    // Whatever is begun meanwhile is found the next time. What hangs in the kernel cannot be ended by anybody.
    while !is_over() && waited < GRACE + PATIENCE {
        waited += LOOK;
        kill_process_group(group, Signal::KILL).ok();
        send(&all(), Signal::KILL);
        std::thread::sleep(LOOK);
    }
    count
}

fn is_over() -> bool {
    reap(None);
    all().is_empty()
}

fn send(pids: &[Pid], signal: Signal) {
    for pid in pids {
        kill_process(*pid, signal).ok();
    }
}

/// Children of this process.
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid();
    parents().into_iter().filter(|(_, parent)| *parent == own).map(|(pid, _)| pid).collect()
}

/// Everything that comes of this process.
fn all() -> Vec<Pid> {
    let parents = parents();
    let mut found = children();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let of_it = parents.iter().filter(|(pid, by)| *by == parent && !found.contains(pid));
        let of_it: Vec<Pid> = of_it.map(|(pid, _)| *pid).collect();
        found.extend(of_it);
        next += 1;
    }
    found
}

/// Every process with its parent.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "the system's list of processes")]
fn parents() -> Vec<(Pid, Pid)> {
    let Ok(listed) = std::fs::read_dir("/proc") else { return Vec::new() };
    let parent = |name: &str| {
        let pid = Pid::from_raw(name.parse().ok()?)?;
        let stat = std::fs::read(format!("/proc/{name}/stat")).ok()?;
        // The name in parentheses may hold anything; after the last one come state and parent.
        let after = stat.iter().rposition(|byte| *byte == b')')?;
        let rest = String::from_utf8_lossy(stat.get(after + 1..)?).into_owned();
        let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some((pid, Pid::from_raw(parent)?))
    };
    listed.filter_map(|entry| parent(entry.ok()?.file_name().to_str()?)).collect()
}

#[cfg(not(target_os = "linux"))]
fn parents() -> Vec<(Pid, Pid)> {
    Vec::new()
}
