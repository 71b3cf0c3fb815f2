//! The secret part of the URL.

use std::io;

use data_encoding::BASE32_NOPAD;
use ring::digest::{Digest, SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

/// The random bytes of a token: 160 bits, which are 32 characters without padding.
const BYTES: usize = 20;

/// A random token.
pub(super) struct Token {
    text: String,
    digest: Digest,
}

impl Token {
    /// A new token.
    ///
    /// # Errors
    /// If the operating system has no random bytes.
    pub(super) fn random() -> io::Result<Self> {
        let mut bytes = [0; BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
        let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
        let digest = digest(&SHA256, text.as_bytes());
        Ok(Self { text, digest })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is the token. Hashes are compared, so that the time it takes says nothing about the token.
    pub(super) fn is(&self, given: &str) -> bool {
        digest(&SHA256, given.as_bytes()).as_ref() == self.digest.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_random_and_accepts_itself_alone() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(one.text().len(), 32);
        assert!(one.text().chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit()));
        assert!(one.is(one.text()) && !one.is(other.text()) && !one.is("") && !one.is(&one.text().repeat(2)));
    }
}
