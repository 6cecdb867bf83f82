//! Where a policy comes from: whether somebody whom the operator trusts has signed it, and whether it is the version
//! that the operator pinned. Looks at bytes only, before any of them is compiled.
//!
//! A signature is minisign's, in `COMPONENT.wasm.minisig` beside the component. It covers the component; its trusted
//! comment, which is signed as well, names the policy and the package's digest, and with that covers the manifest. A
//! signature of the component alone would let anybody who can write a manifest grant it more.

use minisign_verify::{Error, PublicKey, Signature};
use trimtab_types::{Digest, Signed, Trust, TrustedKey, key_id};

use crate::package::Package;

/// Why a policy is not put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProvenanceError {
    /// It has no signature, and needs one.
    #[error(
        "policy `{policy}` is not signed, and `trust.require-signed` is set; sign it with a key of `trust.keys`: `minisign -S -t \"{comment}\" -m COMPONENT.wasm`"
    )]
    Unsigned {
        /// Which policy.
        policy: String,
        /// What the trusted comment has to say.
        comment: String,
    },
    /// The file is no signature.
    #[error(
        "policy `{policy}`: its .minisig file {problem}; sign it again: `minisign -S -t \"{comment}\" -m COMPONENT.wasm`, or remove the file"
    )]
    Malformed {
        /// Which policy.
        policy: String,
        /// What is wrong.
        problem: &'static str,
        /// What the trusted comment has to say.
        comment: String,
    },
    /// Somebody else signed it.
    #[error(
        "policy `{policy}` is signed with the key {key}, which is not in `trust.keys`; add its public key if you trust it, or have it signed with one that is there"
    )]
    UnknownKey {
        /// Which policy.
        policy: String,
        /// The key's id, as minisign prints it.
        key: String,
    },
    /// The signature is not of these bytes.
    #[error(
        "policy `{policy}`: the component is not the one that the key {key} signed, or the signature was altered; get both again from where they were made"
    )]
    Altered {
        /// Which policy.
        policy: String,
        /// The key's id, as minisign prints it.
        key: String,
    },
    /// The component is the signed one, the rest is not.
    #[error(
        "policy `{policy}`: the component is signed, but not together with this policy.toml and this name: the trusted comment is `{found}` and has to say `{comment}`; restore policy.toml, or sign again: `minisign -S -t \"{comment}\" -m COMPONENT.wasm`"
    )]
    OtherPackage {
        /// Which policy.
        policy: String,
        /// What the trusted comment says.
        found: String,
        /// What it has to say.
        comment: String,
    },
    /// The operator pinned another version.
    #[error(
        "policy `{policy}` has the digest {found}, but the configuration pins {pinned}; restore that version, or change `policies.{policy}.digest`"
    )]
    OtherDigest {
        /// Which policy.
        policy: String,
        /// What there is.
        found: Digest,
        /// What there should be.
        pinned: Digest,
    },
}

/// How a package's signature stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureState {
    /// There is none.
    Unsigned,
    /// There is one, and no trusted key to check it against.
    Unchecked(Signed),
    /// By a trusted key, of exactly this component, manifest and name.
    Trusted(Signed),
    /// There is one that must not be relied on.
    Bad(ProvenanceError),
}

impl std::fmt::Display for SignatureState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsigned => f.write_str("not signed"),
            Self::Unchecked(signed) => {
                write!(f, "signed with {}; not checked, `trust.keys` is empty", signed.key)
            }
            Self::Trusted(signed) => write!(f, "signed with {}, which is trusted", signed.key),
            Self::Bad(error) => write!(f, "bad: {error}"),
        }
    }
}

impl Package {
    /// What the trusted comment of a signature has to say, among whatever else it says.
    pub fn signing_comment(&self) -> String {
        format!("policy={} digest={}", self.name, self.digest)
    }

    /// Holds the signature against component, manifest, name and trusted keys.
    pub fn signature(&self, trust: &Trust) -> SignatureState {
        let Some(text) = &self.minisig else { return SignatureState::Unsigned };
        match self.verified(text, trust) {
            Ok(signed) if signed.trusted => SignatureState::Trusted(signed),
            Ok(signed) => SignatureState::Unchecked(signed),
            Err(error) => SignatureState::Bad(error),
        }
    }

    fn verified(&self, text: &str, trust: &Trust) -> Result<Signed, ProvenanceError> {
        let policy = || self.name.clone();
        let malformed = |problem| ProvenanceError::Malformed {
            policy: policy(),
            problem,
            comment: self.signing_comment(),
        };
        let signature = Signature::decode(text).map_err(|_| malformed("is not what minisign writes"))?;
        let key = text.lines().nth(1).and_then(key_id).ok_or_else(|| malformed("names no key"))?;
        let comment = signature.trusted_comment().to_owned();
        let signed = |trusted| Signed {
            key: key.clone(),
            trusted,
            comment: comment.clone(),
            minisig: text.to_owned(),
        };
        if trust.keys.is_empty() {
            return Ok(signed(false));
        }
        // Different keys may have the same id, by chance or on purpose: one that verifies is enough.
        let same_id: Vec<_> = trust.keys.iter().filter(|trusted| trusted.id() == key).collect();
        if same_id.is_empty() {
            return Err(ProvenanceError::UnknownKey { policy: policy(), key });
        }
        let verify = |trusted: &&TrustedKey| {
            PublicKey::from_base64(trusted.text())?.verify(&self.component, &signature, false)
        };
        match same_id.iter().map(verify).reduce(Result::or) {
            Some(Ok(())) => {}
            Some(Err(Error::UnexpectedAlgorithm)) => {
                return Err(malformed("is in minisign's legacy form, which is not taken"));
            }
            Some(Err(_)) | None => return Err(ProvenanceError::Altered { policy: policy(), key }),
        }
        let says = |word: String| comment.split_whitespace().any(|said| said == word);
        if says(format!("policy={}", self.name)) && says(format!("digest={}", self.digest)) {
            return Ok(signed(true));
        }
        let comment = self.signing_comment();
        Err(ProvenanceError::OtherPackage {
            policy: policy(),
            found: signature.trusted_comment().to_owned(),
            comment,
        })
    }
}

/// Whether this package may be put in force, and who signed it. `pinned` is the digest that the operator wants.
pub fn admit(
    trust: &Trust,
    package: &Package,
    pinned: Option<Digest>,
) -> Result<Option<Signed>, ProvenanceError> {
    let policy = || package.name.clone();
    if let Some(pinned) = pinned.filter(|pinned| *pinned != package.digest) {
        return Err(ProvenanceError::OtherDigest { policy: policy(), found: package.digest, pinned });
    }
    match package.signature(trust) {
        SignatureState::Trusted(signed) => Ok(Some(signed)),
        SignatureState::Bad(error) => Err(error),
        SignatureState::Unsigned | SignatureState::Unchecked(_) if trust.require_signed => {
            Err(ProvenanceError::Unsigned { policy: policy(), comment: package.signing_comment() })
        }
        SignatureState::Unchecked(signed) => Ok(Some(signed)),
        SignatureState::Unsigned => Ok(None),
    }
}
