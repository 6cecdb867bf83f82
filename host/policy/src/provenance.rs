//! Where a policy comes from: whether somebody whom the operator trusts has signed it, and whether it is the version
//! that the operator pinned. Looks at bytes only, before any of them is compiled.
//!
//! A signature is minisign's, in `COMPONENT.wasm.minisig` beside the component. It covers the component; its trusted
//! comment, which is signed as well, names the policy and the package's digest, and with that covers the manifest. A
//! signature of the component alone would let anybody who can write a manifest grant it more.

use minisign_verify::{Error, PublicKey, Signature};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use trimtab_types::{Digest, Signed};

use crate::package::Package;

/// Whom the operator trusts: `[trust]` in the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trust {
    /// Public keys. While there are none, signatures are not checked.
    pub keys: Vec<TrustedKey>,
    /// Whether a policy without a signature by one of them is refused.
    pub require_signed: bool,
}

/// A minisign public key, written as in the second line of `minisign.pub`.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedKey {
    text: String,
    key: PublicKey,
}

impl TrustedKey {
    /// Reads a public key; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        key_id(text)?;
        Some(Self { text: text.to_owned(), key: PublicKey::from_base64(text).ok()? })
    }

    /// As minisign prints it.
    pub fn id(&self) -> String {
        key_id(&self.text).unwrap_or_default()
    }
}

impl Serialize for TrustedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for TrustedKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            let problem =
                "is no minisign public key; write the second line of the `.pub` file, which begins with RW";
            D::Error::custom(format!("`{text}` {problem}"))
        })
    }
}

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
        let verdicts = same_id.iter().map(|trusted| trusted.key.verify(&self.component, &signature, false));
        match verdicts.reduce(Result::or) {
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

impl Trust {
    /// Ids of the keys, as minisign prints them.
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.iter().map(TrustedKey::id).collect()
    }

    /// Whether this package may be put in force, and who signed it. `pinned` is the digest that the operator wants.
    pub fn admit(
        &self,
        package: &Package,
        pinned: Option<Digest>,
    ) -> Result<Option<Signed>, ProvenanceError> {
        let policy = || package.name.clone();
        if let Some(pinned) = pinned.filter(|pinned| *pinned != package.digest) {
            return Err(ProvenanceError::OtherDigest { policy: policy(), found: package.digest, pinned });
        }
        match package.signature(self) {
            SignatureState::Trusted(signed) => Ok(Some(signed)),
            SignatureState::Bad(error) => Err(error),
            SignatureState::Unsigned | SignatureState::Unchecked(_) if self.require_signed => {
                Err(ProvenanceError::Unsigned { policy: policy(), comment: package.signing_comment() })
            }
            SignatureState::Unchecked(signed) => Ok(Some(signed)),
            SignatureState::Unsigned => Ok(None),
        }
    }
}

/// The id of the key in the Base64 text of a public key or signature: after two bytes for the algorithm eight of a
/// number, least significant first. Written as `minisign` does, without leading zeroes, so that one finds the other.
fn key_id(text: &str) -> Option<String> {
    const BYTES: usize = 10;
    const LETTERS: usize = (BYTES * 8).div_ceil(6);
    let letters = text.as_bytes().get(..LETTERS)?;
    let bits =
        letters.iter().try_fold(0_u128, |bits, letter| Some(bits << 6 | u128::from(six_bits(*letter)?)))?;
    let id = (bits >> (LETTERS * 6 - BYTES * 8)) as u64;
    Some(format!("{:X}", id.swap_bytes()))
}

fn six_bits(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
