//! Whose policies a running host puts in force: unsigned, altered, foreign and unpinned versions are refused at start, at
//! a swap and on the way back, each by name, and what was in force decides on.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    languages::say,
    support::{STORY, Scratch, Serving, lines, story},
};

/// A public key whose other half nobody has any more.
const NOBODY: &str = "RWSPH4cBDJIwErBaytm0K6M6Dnn/rfMZ8CQO5iHyLFILfA7LmUm0ItHU";

struct Stage {
    scratch: Scratch,
    policies: PathBuf,
}

impl Stage {
    /// Copies of the shipped policies, and this configuration besides that of the story.
    fn new(config: &str) -> Self {
        // Without `init`, which would put policies in force before anything is said of trust.
        let scratch = Scratch::empty();
        std::fs::create_dir(scratch.data()).expect("makes");
        let policies = scratch.own_policies();
        let stage = Self { scratch, policies };
        stage.configure(config);
        stage.scratch.set_baseline();
        stage
    }

    fn configure(&self, config: &str) {
        self.scratch.configure(&self.policies, &format!("{STORY}{config}"));
    }

    /// Writes the ladder's manifest so that it says the same in other words: another version, by its digest.
    fn reword(&self, number: usize) {
        let manifest = self.policies.join("drift-ladder/policy.toml");
        let text = std::fs::read_to_string(&manifest).expect("reads");
        std::fs::write(&manifest, format!("# version {number}\n{text}")).expect("writes");
    }

    fn listed(&self) -> Value {
        self.scratch.json(&["policy", "list"])
    }

    fn in_force(&self, name: &str) -> Value {
        let listed = self.listed();
        let policies = listed["policies"].as_array().expect("a list");
        policies.iter().find(|policy| policy["name"] == name).cloned().unwrap_or_default()
    }

    fn digest(&self) -> String {
        self.in_force("drift-ladder")["digest"].as_str().expect("is in force").to_owned()
    }

    /// The digest of what lies in the directory.
    fn found(&self, name: &str) -> String {
        let folder = self.policies.join(name);
        let inspected = self.scratch.json(&["policy", "inspect", folder.to_str().expect("UTF-8")]);
        inspected["digest"].as_str().expect("a digest").to_owned()
    }

    /// The boundary of a swap: the ladder in the directory is refused with an error that says all of this, what was in
    /// force is in force, and it decides.
    #[track_caller]
    fn check_refused(&self, host: &Serving, says: &[&str]) {
        let before = self.in_force("drift-ladder");
        let answer = host.socket().post("/v1/reload", "").expect(200).json();
        let problem = answer["problems"].as_array().expect("a list").iter();
        let problem = problem.clone().find(|problem| problem["name"] == "drift-ladder");
        let problem = problem.unwrap_or_else(|| panic!("should be refused: {answer}"));
        assert_eq!(problem["still_serving"], true, "{problem}");
        for part in says {
            assert!(problem["problem"].as_str().is_some_and(|text| text.contains(part)), "{part}: {problem}");
        }
        let listed = self.listed();
        assert!(listed["problems"].as_array().is_some_and(|listed| listed.contains(problem)), "{listed}");
        assert_eq!(self.in_force("drift-ladder"), before, "what was in force is in force");
    }

    #[track_caller]
    fn check_accepted(&self, host: &Serving) {
        let answer = host.socket().post("/v1/reload", "").expect(200).json();
        assert_eq!(answer["problems"], json!([]));
        assert_eq!(self.digest(), self.found("drift-ladder"));
    }

    /// What decided about the story, by digest.
    fn decided_by(&self, host: &Serving) -> Vec<String> {
        host.socket().post_lines("/v1/rows", lines(&story(7))).expect(200);
        let decisions = self.scratch.json(&["decisions", "--limit", "1000"]);
        let decisions = decisions["decisions"].as_array().expect("a list").iter();
        let mut digests: Vec<_> = decisions
            .filter(|decision| decision["policy"]["name"] == "drift-ladder")
            .map(|decision| decision["policy"]["digest"].as_str().expect("a digest").to_owned())
            .collect();
        digests.dedup();
        digests
    }
}

/// A key pair of minisign's.
struct Signer {
    directory: PathBuf,
    name: &'static str,
}

impl Signer {
    /// `None`: minisign is not installed, which is said.
    fn new(directory: PathBuf, name: &'static str) -> Option<Self> {
        std::fs::create_dir_all(&directory).expect("makes");
        let signer = Self { directory, name };
        let (public, secret) = (signer.file("pub"), signer.file("key"));
        let run =
            Command::new("minisign").args(["-G", "-W", "-p"]).arg(public).arg("-s").arg(secret).output();
        match run {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                say("skipped: there is no `minisign` on this machine; `apt-get install minisign`");
                None
            }
            run => {
                assert!(run.expect("runs").status.success());
                Some(signer)
            }
        }
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.directory.join(format!("{}.{extension}", self.name))
    }

    fn line(&self, number: usize) -> String {
        let text = std::fs::read_to_string(self.file("pub")).expect("reads");
        text.lines().nth(number).expect("two lines").to_owned()
    }

    fn id(&self) -> String {
        self.line(0).rsplit(' ').next().expect("words").to_owned()
    }

    /// Signs the policy that lies in the directory, as `policy inspect` shows it.
    fn sign(&self, stage: &Stage, name: &str) {
        let comment = format!("policy={name} digest={}", stage.found(name));
        self.sign_as(&stage.policies.join(name).join(format!("{name}.wasm")), &comment);
    }

    fn sign_as(&self, component: &Path, comment: &str) {
        let mut sign = Command::new("minisign");
        sign.arg("-S").arg("-s").arg(self.file("key")).args(["-t", comment]).arg("-m").arg(component);
        assert!(sign.output().expect("runs").status.success());
    }
}

#[test]
fn unsigned_policies_do_not_start_where_signatures_are_required() {
    let stage = Stage::new(&format!("[trust]\nkeys = [\"{NOBODY}\"]\nrequire-signed = true\n"));
    let host = stage.scratch.serve();
    let listed = stage.listed();
    assert_eq!(listed["policies"], json!([]));
    assert_eq!(
        listed["trust"],
        json!({ "keys": ["1230920C01871F8F"], "require_signed": true, "pinned": {} })
    );
    let problems = listed["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{listed}");
    for problem in problems {
        let text = problem["problem"].as_str().expect("a text");
        assert!(text.contains("is not signed") && text.contains("minisign -S -t"), "{text}");
        assert_eq!(problem["still_serving"], false);
    }
    stage
        .scratch
        .run(&["policy", "list"])
        .expect(0)
        .prints(&["not in force: policy `drift-ladder` is not signed"]);
    let folder = stage.policies.join("drift-ladder");
    let checked = stage.scratch.run(&["policy", "check", folder.to_str().expect("UTF-8")]).expect(65);
    checked.prints(&["policy `drift-ladder` is not signed"]);
    // Trying it out has no effect, so it is allowed.
    host.socket().post_lines("/v1/rows", lines(&story(7))).expect(200);
    // 3: it would have decided otherwise than nobody did.
    stage.scratch.run(&["policy", "dry-run", folder.to_str().expect("UTF-8")]).expect(3);
    assert_eq!(stage.listed()["policies"], json!([]));
    stage.scratch.verify();
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn what_is_in_force_stays_when_signatures_become_required_and_nothing_unsigned_follows() {
    let stage = Stage::new("");
    let host = stage.scratch.serve();
    assert_eq!(stage.in_force("drift-ladder")["signed"], Value::Null);
    stage.scratch.run(&["policy", "list"]).expect(0).prints(&["signed with"]);
    let first = stage.digest();
    stage.reword(2);
    stage.check_accepted(&host);
    let second = stage.digest();
    stage.configure(&format!("[trust]\nkeys = [\"{NOBODY}\"]\nrequire-signed = true\n"));
    stage.check_refused(&host, &["is not signed"]);
    stage.reword(3);
    stage.check_refused(&host, &["is not signed", "trust.require-signed"]);
    stage
        .scratch
        .run(&["policy", "rollback", "drift-ladder", "--to", &first[..12]])
        .expect(65)
        .says(&["policy `drift-ladder` is not signed"]);
    assert_eq!(stage.decided_by(&host), [&*second]);
    // Over a restart as well.
    host.kill();
    let host = stage.scratch.serve();
    assert_eq!(stage.digest(), second);
    stage.check_refused(&host, &["is not signed"]);
    stage.scratch.verify();
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_pinned_version_is_the_only_one_that_gets_in() {
    let stage = Stage::new("");
    let host = stage.scratch.serve();
    let first = stage.digest();
    let pin = |digest: &str| stage.configure(&format!("[policies.drift-ladder]\ndigest = \"{digest}\"\n"));
    pin(&first);
    stage.check_accepted(&host);
    assert_eq!(stage.listed()["trust"]["pinned"], json!({ "drift-ladder": first }));
    stage.reword(2);
    let second = stage.found("drift-ladder");
    let says = ["policy `drift-ladder`", &*first, &*second, "policies.drift-ladder.digest"];
    stage.check_refused(&host, &says);
    assert_eq!(stage.decided_by(&host), [&*first]);
    pin(&second);
    stage.check_accepted(&host);
    // The way back leads through the configuration, too.
    stage.scratch.run(&["policy", "rollback", "drift-ladder"]).expect(65).says(&says);
    pin(&first);
    stage.check_refused(&host, &says);
    stage.scratch.run(&["policy", "rollback", "drift-ladder"]).expect(0);
    assert_eq!(stage.digest(), first);
    stage.scratch.verify();
}

#[test]
fn only_what_a_trusted_key_signed_is_swapped_in_and_gone_back_to() {
    let stage = Stage::new("");
    let keys = stage.scratch.path("keys");
    let Some(ada) = Signer::new(keys.clone(), "ada") else { return };
    let bob = Signer::new(keys, "bob").expect("is installed");
    let trusting = |signers: &[&Signer]| {
        let keys: Vec<_> = signers.iter().map(|signer| signer.line(1)).collect();
        stage.configure(&format!("[trust]\nkeys = {keys:?}\nrequire-signed = true\n"));
    };
    trusting(&[&ada]);
    for name in ["chat-alert", "drift-ladder"] {
        ada.sign(&stage, name);
    }
    let host = stage.scratch.serve();
    stage.check_accepted(&host);
    let first = stage.digest();
    let signed = &stage.in_force("drift-ladder")["signed"];
    assert_eq!((&signed["key"], &signed["trusted"]), (&json!(ada.id()), &json!(true)));
    assert!(signed["comment"].as_str().is_some_and(|comment| comment.contains(&first)), "{signed}");
    stage.scratch.run(&["policy", "list"]).expect(0).prints(&[&ada.id()]);

    // Another manifest under the same signature; signed by a stranger; with a comment that says nothing; altered; junk.
    stage.reword(2);
    stage.check_refused(&host, &["not together with this policy.toml", &stage.found("drift-ladder")]);
    bob.sign(&stage, "drift-ladder");
    stage.check_refused(&host, &[&bob.id(), "not in `trust.keys`"]);
    let component = stage.policies.join("drift-ladder/drift-ladder.wasm");
    ada.sign_as(&component, "reviewed");
    stage.check_refused(&host, &["not together with", "`reviewed`", "minisign -S"]);
    ada.sign(&stage, "drift-ladder");
    let good = std::fs::read(&component).expect("reads");
    std::fs::write(&component, [&good[..], &[0]].concat()).expect("writes");
    stage.check_refused(&host, &["not the one that the key", &ada.id()]);
    std::fs::write(&component, &good).expect("writes");
    std::fs::write(component.with_extension("wasm.minisig"), "signed, Ada").expect("writes");
    stage.check_refused(&host, &["is not what minisign writes"]);
    std::fs::remove_file(component.with_extension("wasm.minisig")).expect("removes");
    stage.check_refused(&host, &["is not signed"]);
    assert_eq!(stage.decided_by(&host), [&*first]);

    ada.sign(&stage, "drift-ladder");
    stage.check_accepted(&host);
    let second = stage.digest();
    assert_ne!(first, second);
    // Signed again by somebody else, the same version is in force and says so.
    trusting(&[&ada, &bob]);
    bob.sign(&stage, "drift-ladder");
    stage.check_accepted(&host);
    assert_eq!(
        (stage.digest(), &stage.in_force("drift-ladder")["signed"]["key"]),
        (second.clone(), &json!(bob.id()))
    );
    // Back to what Ada signed, from the log; and not any more when she is not trusted.
    stage.scratch.run(&["policy", "rollback", "drift-ladder"]).expect(0);
    assert_eq!(
        (stage.digest(), &stage.in_force("drift-ladder")["signed"]["key"]),
        (first.clone(), &json!(ada.id()))
    );
    stage.scratch.run(&["policy", "rollback", "drift-ladder", "--to", &second]).expect(0);
    trusting(&[&bob]);
    host.socket().post("/v1/reload", "").expect(200);
    stage
        .scratch
        .run(&["policy", "rollback", "drift-ladder", "--to", &first[..12]])
        .expect(65)
        .says(&[&ada.id(), "not in `trust.keys`"]);
    stage.scratch.verify();
    assert_eq!(host.stop(), Some(0));
}
