//! Compiling components where it can do no harm: in a child process, whose memory and time are limited. The child is this
//! program itself. Who has no program, as tests and users of the library, compiles in its own process.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use trimtab_types::{Size, Time};
use wasmtime::Engine;

use crate::package::{LARGEST_COMPONENT, bounded};
use crate::sandbox;

/// The hidden subcommand of the program that is the child; after it come seconds and bytes.
pub const COMPILE: &str = "compile-policy";
/// Bytes of compiled code; it is a few times as large as the component.
pub(crate) const LARGEST_CODE: u64 = 1 << 30;
/// Bytes that are read of what a child says on stderr.
const MOST_SAID: u64 = 64 << 10;
/// On a busy machine a second of processor time takes a few of the clock.
const WALL: u32 = 4;
/// How much less important than the host a child is.
const NICE: i32 = 10;
const LOOK: Duration = Duration::from_millis(3);

/// Where components are compiled.
#[derive(Debug, Clone, Default)]
pub enum Compiler {
    /// In this process, without limits.
    #[default]
    Here,
    /// In a child process.
    Child(ChildCompiler),
}

/// What starts a child, and what it may use.
#[derive(Debug, Clone)]
pub struct ChildCompiler {
    /// A program that calls [`compile_as_child`] for the subcommand [`COMPILE`].
    pub program: PathBuf,
    /// Processor time, in whole seconds.
    pub time: Duration,
    /// Bytes of memory.
    pub memory: usize,
}

/// Why a component was not compiled.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CompileError {
    /// It is not a component, or not one for this engine.
    #[error("the component is damaged or uses what this host does not have: {0}; build it again")]
    Invalid(String),
    /// It takes too long.
    #[error(
        "compiling it takes more than {} of processor time; the limit is host.compile-time in the configuration", Time(*.0)
    )]
    Time(Duration),
    /// It takes too much memory.
    #[error("compiling it takes more than {} of memory; the limit is host.compile-memory in the configuration", Size(*.0))]
    Memory(usize),
    /// The child cannot be started, or ended as no child does.
    #[error("the process that compiles policies failed: {0}")]
    Child(String),
    /// The host is closing.
    #[error("the host is closing; the policy is compiled at its next start")]
    Closing,
}

impl CompileError {
    /// Whether the same component would fail again.
    pub(crate) fn lasts(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Time(_) | Self::Memory(_))
    }
}

impl Compiler {
    /// Compiled code of a component, for an engine like this one. Ends early once `closing` is set.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        component: &[u8],
        closing: &AtomicBool,
    ) -> Result<Vec<u8>, CompileError> {
        match self {
            Self::Here => here(engine, component),
            Self::Child(child) => child.compile(component, closing),
        }
    }
}

fn here(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, CompileError> {
    engine.precompile_component(component).map_err(|error| CompileError::Invalid(format!("{error:#}")))
}

impl ChildCompiler {
    fn compile(&self, component: &[u8], closing: &AtomicBool) -> Result<Vec<u8>, CompileError> {
        let failed = |error: std::io::Error| CompileError::Child(error.to_string());
        let mut child = Command::new(&self.program)
            .arg(COMPILE)
            .args([self.time.as_secs().max(1).to_string(), self.memory.to_string()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (ended, code, said) = std::thread::scope(|scope| {
            // A child that ends early does not read all of it; what it says is why.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(component)));
            let code = scope.spawn(move || stdout.map(|stdout| bounded(stdout, LARGEST_CODE)));
            let said = scope.spawn(move || stderr.map(|stderr| bounded(stderr, MOST_SAID)));
            let ended = self.wait(&mut child, closing);
            (ended, code.join(), said.join())
        });
        let code = code.ok().flatten().and_then(Result::ok).flatten();
        let said = said.ok().flatten().and_then(Result::ok).flatten().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        match (ended.map_err(failed)?, code) {
            (Ended::Closing, _) => Err(CompileError::Closing),
            (Ended::Late, _) => Err(CompileError::Time(self.time)),
            (Ended::Itself(status), Some(code)) if status.success() => Ok(code),
            (Ended::Itself(status), _) => Err(self.why(status, said)),
        }
    }

    /// Waits for the end of a child, and makes it end.
    #[expect(clippy::disallowed_methods, reason = "this module measures how long compiling takes")]
    fn wait(&self, child: &mut Child, closing: &AtomicBool) -> std::io::Result<Ended> {
        let deadline = Instant::now() + self.time * WALL;
        let ended = loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Ended::Itself(status));
            }
            if closing.load(Ordering::Acquire) {
                break Ended::Closing;
            }
            if Instant::now() >= deadline {
                break Ended::Late;
            }
            std::thread::sleep(LOOK);
        };
        child.kill().and_then(|()| child.wait())?;
        Ok(ended)
    }

    fn why(&self, status: ExitStatus, said: String) -> CompileError {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(INVALID), _) => CompileError::Invalid(said),
            (_, Some(signal)) if signal == Signal::XCPU.as_raw() || signal == Signal::KILL.as_raw() => {
                CompileError::Time(self.time)
            }
            // What an allocator that gets no memory, or a thread that gets no stack, makes of it.
            (_, Some(signal)) if signal == Signal::ABORT.as_raw() || signal == Signal::SEGV.as_raw() => {
                CompileError::Memory(self.memory)
            }
            _ if said.contains("emory") => CompileError::Memory(self.memory),
            _ => CompileError::Child(format!("{status}: {said}")),
        }
    }
}

enum Ended {
    Itself(ExitStatus),
    Late,
    Closing,
}

/// Exit code of a child to whom the component is wrong.
const INVALID: i32 = 65;
/// Exit code of a child that could not do its work.
const BROKEN: i32 = 70;

/// The child: reads a component from stdin and writes its compiled code to stdout. `arguments` are what follows the
/// subcommand. Returns the exit code; what is wrong is on stderr.
pub fn compile_as_child(arguments: &[String]) -> u8 {
    let code = match child(arguments) {
        Ok(()) => return 0,
        Err(CompileError::Invalid(cause)) => {
            writeln!(std::io::stderr(), "{cause}").ok();
            INVALID
        }
        Err(error) => {
            writeln!(std::io::stderr(), "{error}").ok();
            BROKEN
        }
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

fn child(arguments: &[String]) -> Result<(), CompileError> {
    let failed = |error: &dyn std::fmt::Display| CompileError::Child(error.to_string());
    let numbers: Vec<u64> = arguments.iter().filter_map(|number| number.parse().ok()).collect();
    let [seconds, memory] = numbers[..] else {
        return Err(failed(&"it is not for people: it takes seconds and bytes"));
    };
    // Before the first byte from outside. What a limit of `Data` counts is memory that can be written to.
    for (resource, most) in
        [(Resource::Cpu, seconds), (Resource::Data, memory), (Resource::Core, 0), (Resource::Fsize, 0)]
    {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit).map_err(|error| failed(&error))?;
    }
    // A child of a host that was killed has nobody to tell.
    #[cfg(target_os = "linux")]
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| failed(&error))?;
    nice(NICE).ok();
    let component = bounded(std::io::stdin(), LARGEST_COMPONENT).map_err(|error| failed(&error))?;
    let component = component.ok_or_else(|| failed(&"the component is too large"))?;
    let engine = sandbox::compiling().map_err(|error| failed(&error))?;
    let code = here(&engine, &component)?;
    std::io::stdout().write_all(&code).map_err(|error| failed(&error))
}
