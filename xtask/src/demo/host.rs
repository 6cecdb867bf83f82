//! The program under demonstration, used from outside as anybody would: its commands, and HTTP on its socket.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{net::UnixStream, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use crate::{
    json::Json,
    tools::{self, Failed, repository},
};

/// How long the host may take to answer anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A path as it is best typed in the repository's root.
pub(super) fn short(path: &Path) -> PathBuf {
    path.strip_prefix(repository()).unwrap_or(path).to_owned()
}

/// The program that was built.
pub(super) fn program() -> PathBuf {
    short(&tools::program())
}

/// A data directory and, while it runs, the host that owns it. The host ends with this value.
pub(super) struct Host {
    pub(super) data: PathBuf,
    running: Option<Child>,
}

/// What a command gave.
pub(super) struct Run {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
}

impl Host {
    pub(super) fn new(data: &Path) -> Self {
        Self { data: short(data), running: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(repository().join(program()));
        command.current_dir(repository()).args(args).arg("--data").arg(&self.data).stdin(Stdio::null());
        command
    }

    /// Runs a command. Exit codes up to 4 are answers, higher ones are failures.
    pub(super) fn run(&self, args: &[&str]) -> Result<Run, Failed> {
        let what = format!("trimtab {}", args.join(" "));
        let Output { status, stdout, stderr } =
            self.command(args).output().map_err(|error| Failed(format!("cannot run `{what}`: {error}")))?;
        if status.code().is_none_or(|code| code > 4) {
            return Err(Failed(format!(
                "`{what}` ended with {status}: {}",
                String::from_utf8_lossy(&stderr).trim()
            )));
        }
        Ok(Run { code: status.code(), stdout: String::from_utf8_lossy(&stdout).into_owned() })
    }

    /// Runs a command with `--json`.
    pub(super) fn ask(&self, args: &[&str]) -> Result<Json, Failed> {
        let run = self.run(&[args, &["--json"]].concat())?;
        Json::parse(&run.stdout).map_err(|problem| Failed(format!("`trimtab {}`: {problem}", args.join(" "))))
    }

    /// Starts `trimtab serve` and waits until it says that it is ready. Returns what it says.
    pub(super) fn start(&mut self) -> Result<String, Failed> {
        let failed = |error: std::io::Error| Failed(format!("cannot start `trimtab serve`: {error}"));
        let mut child = self.command(&["serve"]).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        self.running = Some(child);
        if line.is_empty() {
            self.stop()?;
            return Err(Failed("`trimtab serve` ended before it was ready".to_owned()));
        }
        Ok(line.trim().to_owned())
    }

    /// Asks the running host to read its configuration and policies again.
    pub(super) fn reload(&self) -> Result<(), Failed> {
        self.signal("HUP")
    }

    /// Asks the host to stop, and waits until it has.
    pub(super) fn stop(&mut self) -> Result<ExitStatus, Failed> {
        let asked = self.signal("TERM");
        let Some(mut child) = self.running.take() else { return Err(Failed("no host runs".to_owned())) };
        let status = child.wait().map_err(|error| Failed(format!("cannot wait for the host: {error}")));
        asked.and(status)
    }

    fn signal(&self, name: &str) -> Result<(), Failed> {
        let Some(child) = &self.running else { return Err(Failed("no host runs".to_owned())) };
        // The shell's own `kill`: it is there even where there is no program of that name.
        crate::tools::run(Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]))
    }

    /// Becomes the host: from here on this process is `trimtab serve`, so that Ctrl-C and signals reach it.
    pub(super) fn become_it(mut self) -> Failed {
        if let Err(failed) = self.stop() {
            return failed;
        }
        Failed(format!("cannot start `trimtab serve`: {}", self.command(&["serve"]).exec()))
    }

    /// Whether some host runs on the data directory.
    pub(super) fn answers(&self) -> bool {
        UnixStream::connect(repository().join(self.socket())).is_ok()
    }

    /// GET over the socket.
    pub(super) fn get(&self, path: &str) -> Result<Json, Failed> {
        self.http("GET", path, "")
    }

    /// Sends rows over the socket.
    pub(super) fn rows(&self, rows: &str) -> Result<Json, Failed> {
        self.http("POST", "/v1/rows", rows)
    }

    fn http(&self, method: &str, path: &str, body: &str) -> Result<Json, Failed> {
        let failed = |problem: String| Failed(format!("{method} {path}: {problem}"));
        let exchange = || {
            let mut stream = UnixStream::connect(repository().join(self.socket()))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            write!(
                stream,
                "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error: std::io::Error| failed(error.to_string()))?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| failed("no answer".to_owned()))?;
        let json = Json::parse(body).map_err(failed)?;
        match head.split(' ').nth(1) {
            Some("200") => Ok(json),
            status => Err(failed(format!(
                "{}: {}",
                status.unwrap_or("no status"),
                json.get("error").text("message")
            ))),
        }
    }

    /// The host's socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.data.join("trimtab.sock")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // After a step that failed: nobody is left to hear how stopping went.
        if self.running.is_some() {
            self.stop().ok();
        }
    }
}
