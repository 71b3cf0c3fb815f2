//! Lines that hold on to each other: each carries the hash of the one before it, and a hash over itself.
//!
//! The hash of a line is SHA-256 over its bytes up to `,"hash":`. Whoever changes, removes or moves a line would
//! have to write every line after it anew.

use std::fmt;
use std::io::Write;

use k8s_openapi::jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Serialize, Serializer};

use super::line::SCHEMA;
use lockstep_core::escape::write_json;

/// The hash of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the very first line carries in the place of the one before it.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a line's bytes up to `,"hash":`.
    #[must_use]
    pub(super) fn of(content: &[u8]) -> Self {
        let mut hash = Self::NONE;
        hash.0.copy_from_slice(digest(&SHA256, content).as_ref());
        hash
    }

    /// Reads 64 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = Self::NONE;
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != hash.0.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hash.0.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(hash)
    }

    fn hex(&self) -> [u8; 64] {
        let mut text = [0; 64];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [letter(byte >> 4), letter(byte & 0xf)];
        }
        text
    }
}

const fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(letter.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    }
}

const fn letter(digit: u8) -> u8 {
    match digit {
        0..=9 => digit.wrapping_add(b'0'),
        _ => digit.wrapping_sub(10).wrapping_add(b'a'),
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What stands between the content of a line and its hash.
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
/// What ends a line.
const AFTER_HASH: &[u8] = b"\"}";

/// One process's lines.
#[derive(Debug)]
pub(super) struct Chain {
    /// How every line of it begins.
    head: Vec<u8>,
    previous: Hash,
}

impl Chain {
    /// The chain of this name, whose first line goes on from the line with the hash `previous`.
    pub(super) fn new(name: &str, replica: &str, previous: Hash) -> Self {
        let mut head = format!("{{\"schema\":{SCHEMA},\"chain\":").into_bytes();
        // Texts always serialise.
        let _ = write_json(&name, &mut head);
        head.extend_from_slice(b",\"replica\":");
        let _ = write_json(&replica, &mut head);
        head.extend_from_slice(b",\"event\":\"");
        Self { head, previous }
    }

    /// The hash of the last line.
    pub(super) const fn hash(&self) -> Hash {
        self.previous
    }

    /// Appends a line to `lines`. `content` is a JSON object.
    pub(super) fn seal(
        &mut self,
        event: &str,
        sequence: u64,
        time: Timestamp,
        content: &[u8],
        lines: &mut Vec<u8>,
    ) {
        let start = lines.len();
        lines.extend_from_slice(&self.head);
        // Writing to a vector cannot fail.
        let _ = write!(lines, "{event}\",\"sequence\":{sequence},\"time\":\"{time:.6}\",\"previous\":\"");
        lines.extend_from_slice(&self.previous.hex());
        lines.push(b'"');
        let fields = content.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
        if !fields.is_empty() {
            lines.push(b',');
            lines.extend_from_slice(fields);
        }
        self.previous = Hash::of(lines.get(start..).unwrap_or_default());
        lines.extend_from_slice(BEFORE_HASH);
        lines.extend_from_slice(&self.previous.hex());
        lines.extend_from_slice(AFTER_HASH);
        lines.push(b'\n');
    }
}

/// A line's content and the hash that it claims; `None` for what is no line of a chain.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], Hash)> {
    let (rest, hash) = line.strip_suffix(AFTER_HASH)?.split_last_chunk::<64>()?;
    let hash = Hash::parse(str::from_utf8(hash).ok()?)?;
    Some((rest.strip_suffix(BEFORE_HASH)?, hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_line_is_one_object_whose_hash_others_can_compute() {
        let mut chain = Chain::new("c\"1", "pod\n1", Hash::NONE);
        let mut lines = Vec::new();
        let time = "2026-11-22T20:00:00.000001Z".parse().unwrap();
        chain.seal("started", 0, time, b"{}", &mut lines);
        chain.seal("review", 1, time, b"{\"user\":\"eve\"}", &mut lines);
        let text = String::from_utf8(lines).unwrap();
        let [first, second] = text.lines().collect::<Vec<_>>().try_into().unwrap();
        assert!(
            second.starts_with(
                "{\"schema\":1,\"chain\":\"c\\\"1\",\"replica\":\"pod\\n1\",\"event\":\"review\",\
                 \"sequence\":1,\"time\":\"2026-11-22T20:00:00.000001Z\",\"previous\":\""
            ),
            "{second}"
        );
        let (first, second): (Value, Value) =
            (serde_json::from_str(first).unwrap(), serde_json::from_str(second).unwrap());
        assert_eq!(first["previous"], "0".repeat(64));
        assert_eq!(second["previous"], first["hash"]);
        assert_eq!(second["hash"], chain.hash().to_string());
        assert_eq!(
            (&second["user"], &second["time"]),
            (&"eve".into(), &"2026-11-22T20:00:00.000001Z".into())
        );
    }

    #[test]
    fn the_hash_is_sha_256() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Hash::of(b"").to_string(), empty);
        assert_eq!(Hash::parse(empty), Some(Hash::of(b"")));
        for wrong in ["", &empty.replacen('e', "", 1), &empty.to_uppercase(), &format!("{empty}00")] {
            assert_eq!(Hash::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_line_comes_apart_as_it_was_put_together(user in ".*", sequence: u64) {
            let mut content = Vec::new();
            write_json(&serde_json::json!({"user": user}), &mut content).unwrap();
            let mut chain = Chain::new("c", "r", Hash::NONE);
            let mut line = Vec::new();
            chain.seal("review", sequence, Timestamp::UNIX_EPOCH, &content, &mut line);
            prop_assert_eq!(line.pop(), Some(b'\n'));
            let (content, claimed) = split(&line).unwrap();
            prop_assert_eq!(claimed, chain.hash());
            prop_assert_eq!(Hash::of(content), claimed);
            let value: Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(value["user"].as_str(), Some(&*user));
            prop_assert_eq!(value["sequence"].as_u64(), Some(sequence));
        }
    }
}
