//! Whom the operator trusts to sign policies, as text: public keys are checked for their form here, and used where
//! signatures are verified.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Whom the operator trusts: `[trust]` in the configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trust {
    /// Public keys. While there are none, signatures are not checked.
    pub keys: Vec<TrustedKey>,
    /// Whether a policy without a signature by one of them is refused.
    pub require_signed: bool,
}

impl Trust {
    /// Ids of the keys, as minisign prints them.
    pub fn key_ids(&self) -> Vec<String> {
        self.keys.iter().map(TrustedKey::id).collect()
    }
}

/// A minisign public key, written as in the second line of `minisign.pub`: two bytes for the algorithm, eight for the
/// key's id and 32 for the key, in Base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey(String);

impl TrustedKey {
    const LETTERS: usize = 42 / 3 * 4;

    /// Reads a public key; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.as_bytes();
        let base64 =
            letters.len() == Self::LETTERS && letters.iter().all(|letter| six_bits(*letter).is_some());
        // Both are written; which form a signature has is the signature's to say.
        let known = matches!(&first_bytes::<2>(letters)?, b"Ed" | b"ED");
        (base64 && known).then(|| Self(text.to_owned()))
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// As minisign prints it.
    pub fn id(&self) -> String {
        key_id(&self.0).unwrap_or_default()
    }
}

impl Serialize for TrustedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
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

/// The id of the key in the Base64 text of a public key or signature: after two bytes for the algorithm eight of a
/// number, least significant first. Written as `minisign` does, without leading zeroes, so that one finds the other.
pub fn key_id(text: &str) -> Option<String> {
    let [_, _, id @ ..] = first_bytes::<10>(text.as_bytes())?;
    Some(format!("{:X}", u64::from_le_bytes(id)))
}

/// The first bytes that Base64 letters say, at most 15.
fn first_bytes<const BYTES: usize>(letters: &[u8]) -> Option<[u8; BYTES]> {
    let count = (BYTES * 8).div_ceil(6);
    let letters = letters.get(..count)?;
    let bits =
        letters.iter().try_fold(0_u128, |bits, letter| Some(bits << 6 | u128::from(six_bits(*letter)?)))?;
    (bits >> (count * 6 - BYTES * 8)).to_be_bytes().last_chunk().copied()
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
