//! Whose policies are let in: fixed signatures that minisign 0.11 made, what may be done to them, and the real program
//! where it is installed.
#![expect(clippy::disallowed_methods, reason = "tests make files and run minisign")]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use minisign_verify::PublicKey;
use tempfile::TempDir;
use trimtab_types::Digest;

use crate::{Package, ProvenanceError, SignatureState, Trust, TrustedKey, admit};

const MANIFEST: &str = "summary = \"a test\"\n";
const COMPONENT: &[u8] = b"a component";
const DIGEST: &str = "36109602087b38b62c6ac76b9a91f33242ba66585162b9b2dea677dc62cf2001";

/// Two key pairs that were made for this and thrown away.
const ADA: (&str, &str) = ("1230920C01871F8F", "RWSPH4cBDJIwErBaytm0K6M6Dnn/rfMZ8CQO5iHyLFILfA7LmUm0ItHU");
const BOB: (&str, &str) = ("63964F0303C9357B", "RWR7NckDA0+WYxjRUARrg4uyFXhy1w/PMfun/PPT5EGvnxwZr2NrEdTy");

/// `minisign -S -t "policy=case digest=…" -m p.wasm`, by Ada.
const GOOD: &str = "untrusted comment: signature from minisign secret key
RUSPH4cBDJIwEqqw0Funkq8AkyviH0L0wielCCOYV/RPvg2AvHTimjJnC1skZsMS2/SpzL7YcWcrMaTOjNCVfdzk4d2mTJ8tiwE=
trusted comment: policy=case digest=36109602087b38b62c6ac76b9a91f33242ba66585162b9b2dea677dc62cf2001
fVzkaaSHmQK5kqH/KhW3VmGkZMJtWFv3QvDmhdPc2ODjWIq0uEhiIGxbz3lqTcZMVf5fZ+7CDZrRz404BOsQDg==
";
/// The same by Bob.
const BOBS: &str = "untrusted comment: signature from minisign secret key
RUR7NckDA0+WYyt9Ho1apK60YppSW0XZAcAlkWGm8+8mIu7LI9eBgKNb0H42jUFtsIWEyHQP90DRSD0/KI3nohhP1X1CMePUEg4=
trusted comment: policy=case digest=36109602087b38b62c6ac76b9a91f33242ba66585162b9b2dea677dc62cf2001
QlUv40lmlZHrj4kC7SPUcbIywnjs+9Oihl3pmXcImYsjAlcwurq/hERivxxZIcbMz34vve4n/4/5BG+QbcSJBg==
";
/// By Ada, without `-t`.
const PLAIN: &str = "untrusted comment: signature from minisign secret key
RUSPH4cBDJIwEqqw0Funkq8AkyviH0L0wielCCOYV/RPvg2AvHTimjJnC1skZsMS2/SpzL7YcWcrMaTOjNCVfdzk4d2mTJ8tiwE=
trusted comment: timestamp:1795245464	file:p.wasm	hashed
+z6GJZewob++g5tH+czBD1g2ZuxpNP8W/VVwYhVWWduEuxNwDhRkTB3cR3UeU0xzyAijBCA7qbsOPb7vACNeBA==
";
/// By Ada, with `-l`: not hashed beforehand.
const LEGACY: &str = "untrusted comment: signature from minisign secret key
RWSPH4cBDJIwEnCqvr2VeUyZnstRFiGGLlAHBhCwphRK/BKAEF7cj0lsQaijLCbd+jTOzSSGzNDbt44pb6v9du+2Nw7VlmnVQwY=
trusted comment: policy=case digest=36109602087b38b62c6ac76b9a91f33242ba66585162b9b2dea677dc62cf2001
9sT1jgkc08atwgZjlOBifICI096B3nj2OUJV7frroV8oGS8p505t5F7lmsOE6b4hxylvuFHPJgX2s/yUlfMpBg==
";

fn package(name: &str, manifest: &str, component: &[u8], minisig: Option<&str>) -> Package {
    let package = Package::from_parts(name, manifest, component.to_vec()).expect("a package");
    Package { minisig: minisig.map(Into::into), ..package }
}

fn signed(minisig: &str) -> Package {
    package("case", MANIFEST, COMPONENT, Some(minisig))
}

fn trust(keys: &[(&str, &str)], require_signed: bool) -> Trust {
    let keys = keys.iter().map(|(_, key)| TrustedKey::parse(key).expect("a key")).collect();
    Trust { keys, require_signed }
}

/// The gate: not let in, for this reason, in a sentence that names the policy and says all of this.
#[track_caller]
fn check_refused(trust: &Trust, package: &Package, error: impl Fn(&ProvenanceError) -> bool, says: &[&str]) {
    let refused = admit(trust, package, None).expect_err("must be refused");
    assert!(error(&refused), "{refused:?}");
    let sentence = refused.to_string();
    for part in [says, &[&format!("policy `{}`", package.name)]].concat() {
        assert!(sentence.contains(part), "should say `{part}`: {sentence}");
    }
}

#[test]
fn keys_have_the_ids_that_minisign_prints() {
    // One key in sixteen begins with a zero.
    let short = ("BA28CC15060308F", "RWSPMGBQwYyiC+3DJmf2gQh5BwLU91yi2jJ4qbSVPxGkuGWWV+Y4apPh");
    for (id, key) in [ADA, BOB, short] {
        assert_eq!(TrustedKey::parse(key).expect("a key").id(), id);
    }
    let good = ADA.1;
    for bad in ["", "RW", &good[1..], &good[..55], &format!("{good}A"), &good.replace("RW", "XX"), "RWé"] {
        assert_eq!(TrustedKey::parse(bad), None, "{bad}");
    }
}

/// What is taken as a key is what the verifier takes as one, so that a key of the configuration can always be used.
#[test]
fn keys_are_what_the_verifier_takes_as_keys() {
    let check = |text: &str, is_key: bool| {
        assert_eq!(TrustedKey::parse(text).is_some(), is_key, "{text}");
        assert_eq!(PublicKey::from_base64(text).is_ok(), is_key, "the verifier on {text}");
    };
    // Base64's letters, by the standard, and the algorithms `Ed` and `ED`, which begin with RWQ to RWT and RUQ to RUT.
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    for at in 0..ADA.1.len() {
        for byte in 0..=127 {
            let mut text = ADA.1.as_bytes().to_vec();
            text[at] = byte;
            let begins = matches!(text[..3], [b'R', b'W' | b'U', b'Q'..=b'T']);
            check(&String::from_utf8(text.clone()).expect("ASCII"), letter(byte) && begins);
        }
    }
    for length in 0..=64 {
        let text: String = ADA.1.chars().cycle().take(length).collect();
        check(&text, length == 56);
        check(&format!("{text}="), false);
        check(&format!("{text}=="), false);
    }
    for other in ["é", "\u{0}", "RWSPH4cBDJIwErBaytm0K6M6Dnn/rfMZ8CQO5iHyLFILfA7LmUm0ItH\u{212a}"] {
        check(other, false);
    }
}

#[test]
fn a_good_signature_by_a_trusted_key_is_let_in() {
    assert_eq!(signed(GOOD).digest.to_string(), DIGEST, "the fixed signatures are of this package");
    for trust in [trust(&[ADA], true), trust(&[BOB, ADA], true), trust(&[ADA], false)] {
        let by = admit(&trust, &signed(GOOD), None).expect("is let in").expect("is signed");
        assert_eq!((&*by.key, by.trusted, &*by.minisig), (ADA.0, true, GOOD));
        assert_eq!(by.comment, format!("policy=case digest={DIGEST}"));
    }
    let state = signed(GOOD).signature(&trust(&[ADA], false));
    assert_eq!(state.to_string(), "signed with 1230920C01871F8F, which is trusted");
}

#[test]
fn what_is_not_signed_by_a_trusted_key_is_refused_where_that_is_required() {
    let unsigned = package("case", MANIFEST, COMPONENT, None);
    let strict = trust(&[ADA], true);
    check_refused(
        &strict,
        &unsigned,
        |error| matches!(error, ProvenanceError::Unsigned { .. }),
        &[
            "is not signed",
            "trust.require-signed",
            &format!("minisign -S -t \"policy=case digest={DIGEST}\""),
        ],
    );
    assert_eq!(admit(&trust(&[ADA], false), &unsigned, None), Ok(None), "not required");
    assert_eq!(unsigned.signature(&strict).to_string(), "not signed");

    // Without keys nothing can be checked, and nobody is told that it was.
    let unchecked = admit(&Trust::default(), &signed(BOBS), None).expect("is let in").expect("is signed");
    assert_eq!((&*unchecked.key, unchecked.trusted), (BOB.0, false));
    let state = signed(BOBS).signature(&Trust::default());
    assert_eq!(state.to_string(), "signed with 63964F0303C9357B; not checked, `trust.keys` is empty");
    assert!(admit(&Trust { require_signed: true, keys: Vec::new() }, &signed(BOBS), None).is_err());
}

#[test]
fn a_signature_that_is_there_must_be_good() {
    for trust in [trust(&[ADA], true), trust(&[ADA], false)] {
        check_refused(
            &trust,
            &signed(BOBS),
            |error| matches!(error, ProvenanceError::UnknownKey { key, .. } if key == BOB.0),
            &["63964F0303C9357B", "not in `trust.keys`", "add its public key"],
        );
        // Whoever calls himself Ada is not Ada.
        let key = |text: &str| text.lines().nth(1).expect("a line")[2..14].to_owned();
        check_refused(
            &trust,
            &signed(&BOBS.replacen(&key(BOBS), &key(GOOD), 1)),
            |error| matches!(error, ProvenanceError::Altered { key, .. } if key == ADA.0),
            &[],
        );
        let altered =
            |error: &ProvenanceError| matches!(error, ProvenanceError::Altered { key, .. } if key == ADA.0);
        let says = ["is not the one that the key 1230920C01871F8F signed", "get both again"];
        check_refused(&trust, &package("case", MANIFEST, b"a Component", Some(GOOD)), altered, &says);
        check_refused(&trust, &signed(&GOOD.replace("case", "other")), altered, &says);
        check_refused(&trust, &signed(&GOOD.replace("fVzk", "gVzk")), altered, &says);
        // A manifest that grants more, another name, and a signature that says nothing of either.
        let other = |error: &ProvenanceError| matches!(error, ProvenanceError::OtherPackage { .. });
        let granting = format!("{MANIFEST}[grants]\nhistory = true\n");
        let says = ["not together with this policy.toml", "policy=case digest="];
        check_refused(&trust, &package("case", &granting, COMPONENT, Some(GOOD)), other, &says);
        check_refused(&trust, &package("twin", MANIFEST, COMPONENT, Some(GOOD)), other, &["policy=twin"]);
        check_refused(&trust, &signed(PLAIN), other, &["timestamp:1795245464", DIGEST, "minisign -S -t"]);
    }
}

#[test]
fn what_is_no_signature_is_refused_even_without_keys() {
    let without_line = |number: usize| {
        let lines: Vec<_> = GOOD.lines().enumerate().filter(|(line, _)| *line != number).collect();
        lines.iter().map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let malformed = |error: &ProvenanceError| matches!(error, ProvenanceError::Malformed { .. });
    let mut cases: Vec<String> = ["", "\n\n\n\n", "signed", "\u{fffd}\u{fffd}"].map(Into::into).into();
    cases.extend((0..4).map(without_line));
    cases.extend([GOOD.replace("RUS", "XXS"), GOOD.replace("RUS", "RU*"), GOOD[..200].to_owned()]);
    for text in &cases {
        for trust in [Trust::default(), trust(&[ADA], false), trust(&[ADA], true)] {
            check_refused(
                &trust,
                &signed(text),
                malformed,
                &[".minisig", "minisign -S", "or remove the file"],
            );
        }
    }
    check_refused(&trust(&[ADA], false), &signed(LEGACY), malformed, &["legacy form"]);
}

#[test]
fn no_single_changed_byte_passes() {
    let trust = trust(&[ADA], true);
    // The untrusted comment is what it says.
    let begins = GOOD.find('\n').expect("lines") + 1;
    for at in begins..GOOD.len() - 1 {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] ^= 1;
        let text = String::from_utf8(bytes).expect("still ASCII");
        assert!(admit(&trust, &signed(&text), None).is_err(), "byte {at}: {text}");
    }
}

#[test]
fn a_pinned_digest_lets_in_that_version_and_no_other() {
    let (package, pinned) = (signed(GOOD), Digest::parse(DIGEST).expect("a digest"));
    assert!(admit(&Trust::default(), &package, Some(pinned)).is_ok());
    let other = Digest::of(b"other");
    for trust in [Trust::default(), trust(&[ADA], true)] {
        let refused = admit(&trust, &package, Some(other)).expect_err("is refused");
        assert_eq!(
            refused,
            ProvenanceError::OtherDigest { policy: "case".into(), found: package.digest, pinned: other }
        );
        let sentence = refused.to_string();
        for part in ["policy `case`", DIGEST, &other.to_string(), "policies.case.digest"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
    // A pin is no signature.
    let unsigned = Package { minisig: None, ..package };
    assert!(admit(&trust(&[ADA], true), &unsigned, Some(pinned)).is_err());
}

#[test]
fn the_signature_lies_beside_the_component() {
    let directory = TempDir::new().expect("a directory");
    let folder = directory.path().join("case");
    std::fs::create_dir(&folder).expect("makes");
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("writes");
    let read = || Package::read(&folder).map(|package| package.signature(&trust(&[ADA], true)));
    write("policy.toml", MANIFEST.as_bytes());
    write("p.wasm", COMPONENT);
    // Of another file: not this one's.
    write("q.wasm.minisig", GOOD.as_bytes());
    assert_eq!(read().expect("reads"), SignatureState::Unsigned);
    write("p.wasm.minisig", GOOD.as_bytes());
    assert!(matches!(read().expect("reads"), SignatureState::Trusted(_)));
    write("p.wasm.minisig", b"\xff\xfe");
    let bad = read().expect("reads");
    assert!(matches!(bad, SignatureState::Bad(ProvenanceError::Malformed { .. })), "{bad}");
    write("p.wasm.minisig", &[b'a'; 20_000]);
    assert!(read().expect_err("is too long").to_string().contains("p.wasm.minisig` is larger than"));
    // A link is an error, not a missing signature.
    #[cfg(unix)]
    {
        std::fs::remove_file(folder.join("p.wasm.minisig")).expect("removes");
        std::os::unix::fs::symlink("nowhere", folder.join("p.wasm.minisig")).expect("links");
        assert!(read().expect_err("is broken").to_string().contains("p.wasm.minisig` is a link"));
    }
}

/// `None`: it is not installed, which is said.
fn minisign(directory: &Path, args: &[&str]) -> Option<()> {
    let run = Command::new("minisign").args(args).current_dir(directory).output();
    match run {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = "skipped: there is no `minisign` on this machine; `apt-get install minisign`";
            writeln!(std::io::stderr(), "{text}").expect("stderr is there");
            None
        }
        run => {
            let run = run.expect("runs");
            assert!(run.status.success(), "{args:?}: {}", String::from_utf8_lossy(&run.stderr));
            Some(())
        }
    }
}

#[test]
fn what_minisign_signs_is_let_in() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path();
    let folder = path.join("case");
    std::fs::create_dir(&folder).expect("makes");
    std::fs::write(folder.join("policy.toml"), MANIFEST).expect("writes");
    std::fs::write(folder.join("p.wasm"), COMPONENT).expect("writes");
    let Some(()) = minisign(path, &["-G", "-W", "-p", "ada.pub", "-s", "ada.key"]) else { return };
    minisign(path, &["-G", "-W", "-p", "bob.pub", "-s", "bob.key"]);
    let key = |name: &str| {
        let text = std::fs::read_to_string(path.join(name)).expect("reads");
        let lines: Vec<_> = text.lines().collect();
        let key = TrustedKey::parse(lines[1]).expect("a key");
        assert!(lines[0].ends_with(&key.id()), "{text}");
        key
    };
    let trust = Trust { keys: vec![key("ada.pub")], require_signed: true };
    let sign = |key: &str, comment: &str| {
        minisign(path, &["-S", "-s", key, "-t", comment, "-m", "case/p.wasm"]);
        admit(&trust, &Package::read(&folder).expect("reads"), None)
    };
    let comment = Package::read(&folder).expect("reads").signing_comment();
    assert!(sign("ada.key", &comment).expect("is let in").is_some_and(|signed| signed.trusted));
    // Whatever else is said.
    assert!(sign("ada.key", &format!("release 7, {comment} reviewed")).is_ok());
    let other = sign("ada.key", "release 7").expect_err("does not name the digest");
    assert!(matches!(other, ProvenanceError::OtherPackage { .. }), "{other}");
    let stranger = sign("bob.key", &comment).expect_err("is not trusted");
    assert!(matches!(stranger, ProvenanceError::UnknownKey { .. }), "{stranger}");
    sign("ada.key", &comment).expect("is let in again");
    std::fs::write(folder.join("p.wasm"), b"another component").expect("writes");
    let altered = admit(&trust, &Package::read(&folder).expect("reads"), None).expect_err("was altered");
    assert!(matches!(altered, ProvenanceError::Altered { .. }), "{altered}");
}
