//! The text of a token: made, recognised, digested.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// What every token begins with, for people and for scanners of source code.
pub const TOKEN_PREFIX: &str = "factotum_";
/// Bytes of randomness.
const RANDOM: usize = 32;
/// Bytes of the checksum.
const CHECK: usize = 4;
/// The length of a token, in characters.
pub const TOKEN_LENGTH: usize = TOKEN_PREFIX.len() + 2 * (RANDOM + CHECK);

/// The SHA-256 of a token's text: all that is kept of it.
pub(crate) type TokenDigest = [u8; 32];

/// A new token.
pub(crate) fn generate() -> SecretString {
    let mut random = Zeroizing::new([0_u8; RANDOM]);
    rand::fill(random.as_mut_slice());
    let mut digits = Zeroizing::new([0_u8; 2 * RANDOM]);
    // The lengths fit, so neither can fail; a token that were short would not be recognised and so be refused.
    let _ = hex::encode_to_slice(random.as_slice(), digits.as_mut_slice());
    // Room for all of it at once: a text that grows leaves copies behind.
    let mut text = String::with_capacity(TOKEN_LENGTH);
    text.push_str(TOKEN_PREFIX);
    text.push_str(std::str::from_utf8(digits.as_slice()).unwrap_or_default());
    text.push_str(&checksum(&text));
    let token = SecretString::from(text.as_str());
    text.zeroize();
    token
}

/// Whether a text has the form of a token; says nothing about whether it is one.
pub(crate) fn is_whole(text: &str) -> bool {
    text.len() == TOKEN_LENGTH
        && text.starts_with(TOKEN_PREFIX)
        && text
            .split_at_checked(TOKEN_LENGTH - 2 * CHECK)
            .is_some_and(|(body, check)| checksum(body) == check)
}

/// The digest of a token's text.
pub(crate) fn digest(text: &str) -> TokenDigest {
    Sha256::digest(text.as_bytes()).into()
}

/// The digest of a token at hand.
pub(crate) fn digest_of(token: &SecretString) -> TokenDigest {
    digest(token.expose_secret())
}

fn checksum(body: &str) -> String {
    let hash: [u8; 32] =
        Sha256::new().chain_update(b"factotum-access/token/1\n").chain_update(body).finalize().into();
    hex::encode(hash.get(..CHECK).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_are_recognisable_and_never_the_same() {
        let (one, other) = (generate(), generate());
        for token in [&one, &other] {
            assert!(is_whole(token.expose_secret()) && token.expose_secret().len() == TOKEN_LENGTH);
            assert!(!format!("{token:?}").contains(&token.expose_secret()[9..]));
        }
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert_ne!(digest_of(&one), digest_of(&other));
    }

    proptest! {
        #[test]
        fn a_changed_or_cut_token_is_not_whole(at in 0..TOKEN_LENGTH, with in "[0-9a-z]", cut in 0..TOKEN_LENGTH) {
            let token = generate();
            let text = token.expose_secret();
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, &with);
            prop_assert_eq!(is_whole(&changed), changed == text);
            prop_assert!(!is_whole(&text[..cut]));
        }

        #[test]
        fn any_text_may_come(text in "\\PC{0,120}") {
            prop_assert!(!is_whole(&text));
        }
    }
}
