//! Peers from Python: a private environment under `target/`, and one process there that answers questions. Where Python
//! or a package is missing, the answer is why.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde::Deserialize;
use serde_json::Value;

/// What is installed, each line by itself, so that one that cannot be had leaves the others.
const PACKAGES: [&[&str]; 2] =
    [&["river==0.26.1", "scipy==1.17.1"], &["evidently==0.7.23", "scipy==1.17.1", "pandas<3"]];

/// What a peer took, and what it found.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) seconds: f64,
    pub(crate) found: Vec<f64>,
    /// Megabytes that the whole process held at most, where it is known.
    #[serde(default)]
    pub(crate) peak: Option<f64>,
}

/// The process that calls the peers.
pub(crate) struct Peers {
    python: Result<Python, String>,
}

struct Python {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    /// Installs what is missing and starts the process.
    pub(crate) fn start() -> Self {
        Self { python: environment().and_then(|python| Python::start(&python)) }
    }

    /// Asks one question; see `peers/peers.py`. The error says in a few words why there is no answer.
    pub(crate) fn ask(&mut self, question: &Value) -> Result<Answer, String> {
        self.python.as_mut().map_err(|why| why.clone())?.ask(question)
    }
}

impl Python {
    fn start(python: &Path) -> Result<Self, String> {
        let script = crate::folder().join("peers/peers.py");
        let mut process = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let questions = process.stdin.take().ok_or("no stdin")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no stdout")?);
        Ok(Self { process, questions, answers })
    }

    fn ask(&mut self, question: &Value) -> Result<Answer, String> {
        writeln!(self.questions, "{question}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&line).map_err(|_| "the peer failed".to_owned())?;
        match answer.get("missing").and_then(Value::as_str) {
            Some(why) => Err(why.to_owned()),
            None => serde_json::from_value(answer).map_err(|error| error.to_string()),
        }
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The environment's Python, with as many of the packages as could be had.
fn environment() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.parent().and_then(Path::parent).ok_or("there is no target directory")?;
    let directory = target.join("bench-peers");
    let python = directory.join("bin/python");
    if !python.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&directory), "python3 -m venv")?;
    }
    for packages in PACKAGES {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
        if let Err(why) = succeed(&mut pip, "pip install") {
            warn(&format!("{}: {why}", packages.join(" ")));
        }
    }
    Ok(python)
}

/// Runs a program whose output is nobody's business.
fn succeed(command: &mut Command, name: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name}: {}", words.lines().last().unwrap_or("failed")))
}

#[expect(clippy::print_stderr, reason = "why a row will have no peer")]
fn warn(text: &str) {
    eprintln!("{text}");
}
