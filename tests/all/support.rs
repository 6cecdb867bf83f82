//! Running `trimtab` in a directory of its own, talking to a host that serves, and making rows.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    // As cargo says now: what was compiled in is another checkout's, where two share a target directory.
    let tests = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&tests).parent().expect("tests/ has a parent").to_owned()
}

/// The program, as built with these tests.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let built = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("trimtab");
    assert!(built.exists(), "{} is not built; run the tests with `cargo xtask test`", built.display());
    built
}

// ---- commands

/// A data directory that is removed at the end.
pub(crate) struct Scratch {
    directory: tempfile::TempDir,
}

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Must have ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Must have said all of this on stderr.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "should say `{word}`: {}", self.stderr);
        }
        self
    }

    /// Must have printed all of this to stdout.
    #[track_caller]
    pub(crate) fn prints(&self, words: &[&str]) {
        for word in words {
            assert!(self.stdout.contains(word), "should print `{word}`: {}", self.stdout);
        }
    }

    /// Its answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

impl Scratch {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A data directory with the shipped policies and this configuration.
    pub(crate) fn with_config(config: &str) -> Self {
        let scratch = Self::empty();
        let policies = repository().join("policies");
        scratch.run(&["init", "--policies", policies.to_str().expect("UTF-8")]).expect(0);
        if !config.is_empty() {
            scratch.configure(&policies, config);
        }
        scratch
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, policies: &Path, config: &str) {
        let text = format!("[host]\npolicies = \"{}\"\n{config}", policies.display());
        std::fs::write(self.data().join("trimtab.toml"), text).expect("writes");
    }

    /// What the story is held against.
    #[track_caller]
    pub(crate) fn set_baseline(&self) {
        let baseline =
            ["baseline", "set", "--model", "m", "--version", "v1", "--samples", "2000", "--accuracy", "0.9"];
        self.run(&baseline).expect(0);
    }

    /// Copies of the shipped policies, which a test may change.
    pub(crate) fn own_policies(&self) -> PathBuf {
        let own = self.path("policies");
        for name in ["chat-alert", "drift-ladder"] {
            let (from, to) = (repository().join("policies").join(name), own.join(name));
            std::fs::create_dir_all(&to).expect("makes");
            for file in ["policy.toml", &format!("{name}.wasm")] {
                std::fs::copy(from.join(file), to.join(file)).expect("copies");
            }
        }
        own
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A path beside the data directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file beside the data directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The program on the data directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).arg("--data").arg(self.data()).env_remove("TRIMTAB_DATA").env("USER", "tester");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().expect("runs"))
    }

    /// The answer of a command that must succeed.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        self.run(&args).expect(0).json()
    }

    /// Predictions and outcomes that are there.
    #[track_caller]
    pub(crate) fn rows(&self) -> (u64, u64) {
        let counts = &self.json(&["status"])["counts"];
        (counts["predictions"].as_u64().expect("a number"), counts["outcomes"].as_u64().expect("a number"))
    }

    /// Replay and record must agree.
    #[track_caller]
    pub(crate) fn verify(&self) {
        let run = self.run(&["verify"]).expect(0);
        assert!(run.stdout.starts_with("identical"), "{}", run.stdout);
    }

    /// Serves this data directory, on the socket and on a free port.
    #[track_caller]
    pub(crate) fn serve(&self) -> Serving {
        Serving::start(self)
    }
}

// ---- a host that serves

/// A host that serves. It dies with this value.
pub(crate) struct Serving {
    child: Child,
    socket: PathBuf,
    address: SocketAddr,
}

impl Serving {
    #[track_caller]
    fn start(scratch: &Scratch) -> Self {
        let errors = scratch.path("serve.stderr");
        let mut child = scratch
            .command(&["serve", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).expect("creates"))
            .spawn()
            .expect("starts");
        let mut ready = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut ready).expect("reads");
        let address = ready.trim_end().rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            child.kill().and_then(|()| child.wait()).expect("ends");
            panic!("not ready: {ready}{}", std::fs::read_to_string(errors).expect("reads"));
        };
        Self { child, socket: scratch.data().join("trimtab.sock"), address }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// The local socket.
    pub(crate) fn socket(&self) -> Http {
        Http::Socket(self.socket.clone())
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> Http {
        Http::Port(self.address)
    }

    /// Ends it without a warning, as a crash would.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("ends");
    }

    /// Asks it to end and waits: its exit code.
    pub(crate) fn stop(self) -> Option<i32> {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it has ended: its exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("ends").code()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.pid()]).status().expect("runs");
        assert!(sent.success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Where HTTP is spoken.
#[derive(Debug, Clone)]
pub(crate) enum Http {
    Socket(PathBuf),
    Port(SocketAddr),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Longer than a host waits for anything: what takes longer is not going to come.
const PATIENCE: Duration = Duration::from_secs(60);

impl Http {
    /// A connection of its own.
    pub(crate) fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
            Self::Port(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
        })
    }

    /// One request on one connection, as it stands; an error if the host went away before it answered.
    pub(crate) fn exchange(&self, head: &str, body: &[u8]) -> std::io::Result<Reply> {
        let mut stream = self.connect()?;
        // A host may refuse a request before it has read all of it; what counts is its answer.
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).ok();
        let mut answer = Vec::new();
        if let Err(error) = stream.read_to_end(&mut answer)
            && answer.is_empty()
        {
            return Err(error);
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let parts = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some(Reply { status, head: head.to_lowercase(), body: body.to_owned() })
        });
        parts.ok_or_else(|| std::io::ErrorKind::UnexpectedEof.into())
    }

    /// The same with the usual head.
    pub(crate) fn try_send(&self, request: &str, kind: &str, body: &[u8]) -> std::io::Result<Reply> {
        let length = body.len();
        let head = format!(
            "{request} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n",
        );
        self.exchange(&head, body)
    }

    #[track_caller]
    fn send(&self, request: &str, kind: &str, body: &[u8]) -> Reply {
        self.try_send(request, kind, body).unwrap_or_else(|error| panic!("{request}: {error}"))
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path}"), "text/plain", b"")
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send(&format!("POST {path}"), "application/json", body.as_ref())
    }

    #[track_caller]
    pub(crate) fn post_lines(&self, path: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send(&format!("POST {path}"), "application/x-ndjson", body.as_ref())
    }
}

// ---- rows

/// `seconds` after the beginning of 2025.
pub(crate) fn at(seconds: u32) -> String {
    let (mut day, time) = (seconds / 86_400, seconds % 86_400);
    let mut month = 1;
    for days in [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        (day, month) = (day - days, month + 1);
    }
    format!("2025-{month:02}-{:02}T{:02}:{:02}:{:02}Z", day + 1, time / 3600, time / 60 % 60, time % 60)
}

/// So many seconds ago by the wall clock, which is a serving host's clock.
pub(crate) fn ago(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    trimtab_types::Timestamp::EPOCH.plus(now.as_secs() - seconds).to_string()
}

/// A prediction of model `m`.
pub(crate) fn prediction(id: &str, seconds: u32, score: f64) -> Value {
    json!({ "id": id, "model": "m", "version": "v1", "time": at(seconds), "score": score })
}

/// An outcome of model `m`.
pub(crate) fn outcome(id: &str, seconds: u32, label: i64) -> Value {
    json!({ "id": id, "model": "m", "time": at(seconds), "label": label })
}

/// Lines as `import` takes them.
pub(crate) fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Random numbers that are the same at each run (SplitMix64).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 ≤ number < 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 0 ≤ number < most.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}

/// What [`story`] is told against: all detectors that compare with a baseline, on a model whose decisions are acted on.
pub(crate) const STORY: &str =
    "[detectors.accuracy-z]\nenabled = true\n[[models]]\nmodel = \"m\"\nstage = \"act\"\n";

/// A model that is right nine times out of ten, degrades, recovers and degrades again, all within a day. Each prediction
/// is followed by its outcome, half a minute later.
pub(crate) fn story(seed: u64) -> Vec<Value> {
    let mut random = Seeded(seed);
    let mut rows = Vec::new();
    for (phase, accuracy) in [0.9, 0.55, 0.92, 0.6].into_iter().enumerate() {
        for step in 0..400 {
            let n = phase as u32 * 400 + step;
            let up = random.share() < 0.5;
            let right = random.share() < accuracy;
            let score = 0.5 + if up { 0.4 } else { -0.4 } * random.share().max(0.05);
            rows.push(json!({ "prediction": prediction(&format!("p{n}"), n * 30, score) }));
            rows.push(json!({ "outcome": outcome(&format!("p{n}"), n * 30 + 30, i64::from(up == right)) }));
        }
    }
    rows
}

/// A directory in which the story can be told: configured, with a baseline.
pub(crate) fn stage(config: &str) -> Scratch {
    let scratch = Scratch::with_config(config);
    scratch.set_baseline();
    scratch
}

/// A directory in which the story was told.
pub(crate) fn told(config: &str) -> Scratch {
    let scratch = stage(config);
    let file = scratch.file("story.ndjson", lines(&story(7)));
    scratch.run(&["import", &file]).expect(0);
    scratch
}
