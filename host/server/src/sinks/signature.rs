//! The signature of a webhook, as Standard Webhooks has it: HMAC-SHA-256 over id, time and body, so that a receiver knows who sent
//! it and when. <https://www.standardwebhooks.com>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The fewest and the most bytes that a secret may have.
const SIZES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that is shared with a receiver.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl Secret {
    /// From its text: `whsec_` and base64 of 24 to 64 bytes.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let encoded = text.strip_prefix(PREFIX).ok_or("it does not begin with `whsec_`")?;
        let bytes = STANDARD.decode(encoded).map_err(|_| "what comes after `whsec_` is no base64")?;
        if !SIZES.contains(&bytes.len()) {
            return Err("it has fewer than 24 or more than 64 bytes");
        }
        Ok(Self(bytes))
    }

    /// The signature of a message, as its header has it.
    pub(crate) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        // A key of any length fits.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret, id, time and body of the specification's example; the signature was computed with Python's `hmac`.
    #[test]
    fn a_message_has_the_signature_that_others_compute() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for bad in ["", "whsec_", "whsec_!!", "whsec_YWJj", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(Secret::parse(bad).is_err(), "{bad}");
        }
    }
}
