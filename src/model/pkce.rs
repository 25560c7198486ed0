//! Proof Key for Code Exchange (RFC 7636), S256 only.

use crate::{crypto, json::Json};

/// `code_challenge` of the method S256: base64url of 32 bytes (RFC 7636 §4.2).
#[derive(Clone, Debug, Json)]
pub struct Challenge(crypto::Secret);

impl Challenge {
    /// Reads `code_challenge`.
    pub fn parse(text: &str) -> Option<Self> {
        crypto::bytes(text).filter(|bytes| bytes.len() == 32).map(|bytes| Self(crypto::Secret(bytes)))
    }

    /// The challenge of a verifier.
    pub fn of(verifier: &str) -> Self {
        Self(crypto::Secret(crypto::digest(verifier.as_bytes()).to_vec()))
    }

    /// Whether `verifier` is the one this is the challenge of: 43 to 128 unreserved characters (RFC 7636 §4.1, §4.6).
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(unreserved)
            && Self::of(verifier).0 == self.0
    }
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&crypto::text(&self.0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_met() {
        // RFC 7636, appendix B.
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
    }

    #[test]
    fn a_verifier_of_42_or_129_characters_or_beyond_ascii_meets_no_challenge() {
        for verifier in
            ["a".repeat(42), "a".repeat(129), "ä".repeat(30), format!("{}+", "a".repeat(43)), String::new()]
        {
            assert!(!Challenge::of(&verifier).is_met_by(&verifier), "{verifier}");
        }
        for length in [43, 128] {
            assert!(Challenge::of(&"a".repeat(length)).is_met_by(&"a".repeat(length)));
        }
    }

    #[test]
    fn a_challenge_is_32_bytes() {
        for text in [
            "",
            "abc",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cMAA",
        ] {
            assert!(Challenge::parse(text).is_none(), "{text}");
        }
    }
}
