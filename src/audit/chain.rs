//! The hash chain: each line has the hash of the previous line and its own hash.
//!
//! The hash of a line is SHA-256 of its bytes up to `,"hash":`. A change, removal or move of a line requires rewriting
//! every later line.

use std::fmt;
use std::io::Write;

use data_encoding::HEXLOWER;
use k8s_openapi::jiff::Timestamp;
use ring::digest::{SHA256, digest};
use serde::{Serialize, Serializer};

use super::line::SCHEMA;
use lockstep_core::escape::write_json;

/// The hash of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// The previous hash of a line without a previous line.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a line's bytes up to `,"hash":`.
    #[must_use]
    pub(super) fn of(content: &[u8]) -> Self {
        let mut hash = Self::NONE;
        hash.0.copy_from_slice(digest(&SHA256, content).as_ref());
        hash
    }

    /// Parses 64 hexadecimal digits in lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut hash = Self::NONE;
        if text.len() != HEXLOWER.encode_len(hash.0.len()) {
            return None;
        }
        HEXLOWER.decode_mut(text.as_bytes(), &mut hash.0).ok()?;
        Some(hash)
    }

    fn hex(&self) -> [u8; 64] {
        let mut text = [0; 64];
        HEXLOWER.encode_mut(&self.0, &mut text);
        text
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl Serialize for LineHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The bytes between the content of a line and its hash.
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
/// The bytes after the hash of a line.
const AFTER_HASH: &[u8] = b"\"}";

/// The chain of one process.
#[derive(Debug)]
pub(super) struct Chain {
    /// The beginning of every line.
    head: Vec<u8>,
    previous: LineHash,
}

impl Chain {
    /// A chain whose first line continues from the line with the hash `previous`.
    pub(super) fn new(name: &str, replica: &str, previous: LineHash) -> Self {
        let mut head = format!("{{\"schema\":{SCHEMA},\"chain\":").into_bytes();
        // Serializing text never fails.
        let _ = write_json(&name, &mut head);
        head.extend_from_slice(b",\"replica\":");
        let _ = write_json(&replica, &mut head);
        head.extend_from_slice(b",\"event\":\"");
        Self { head, previous }
    }

    /// The hash of the last line.
    pub(super) const fn hash(&self) -> LineHash {
        self.previous
    }

    /// Appends a line to `lines`. `content` is a JSON object, and its fields become the line's.
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
        // Writing to a vector never fails.
        let _ = write!(lines, "{event}\",\"sequence\":{sequence},\"time\":\"{time:.6}\",\"previous\":\"");
        lines.extend_from_slice(&self.previous.hex());
        lines.push(b'"');
        let fields = content.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap_or_default();
        if !fields.is_empty() {
            lines.push(b',');
            lines.extend_from_slice(fields);
        }
        self.previous = LineHash::of(lines.get(start..).unwrap_or_default());
        lines.extend_from_slice(BEFORE_HASH);
        lines.extend_from_slice(&self.previous.hex());
        lines.extend_from_slice(AFTER_HASH);
        lines.push(b'\n');
    }
}

/// Splits a line into its content and its stated hash; `None` if it is not a line of a chain.
pub(super) fn split(line: &[u8]) -> Option<(&[u8], LineHash)> {
    let (rest, hash) = line.strip_suffix(AFTER_HASH)?.split_last_chunk::<64>()?;
    let hash = LineHash::parse(str::from_utf8(hash).ok()?)?;
    Some((rest.strip_suffix(BEFORE_HASH)?, hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_line_is_one_json_object_linked_to_the_previous_one() {
        let mut chain = Chain::new("c\"1", "pod\n1", LineHash::NONE);
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
        assert_eq!(LineHash::of(b"").to_string(), empty);
        assert_eq!(LineHash::parse(empty), Some(LineHash::of(b"")));
        for wrong in ["", &empty.replacen('e', "", 1), &empty.to_uppercase(), &format!("{empty}00")] {
            assert_eq!(LineHash::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_split_as_it_was_sealed(user in ".*", sequence: u64) {
            let mut content = Vec::new();
            write_json(&serde_json::json!({"user": user}), &mut content).unwrap();
            let mut chain = Chain::new("c", "r", LineHash::NONE);
            let mut line = Vec::new();
            chain.seal("review", sequence, Timestamp::UNIX_EPOCH, &content, &mut line);
            prop_assert_eq!(line.pop(), Some(b'\n'));
            let (content, claimed) = split(&line).unwrap();
            prop_assert_eq!(claimed, chain.hash());
            prop_assert_eq!(LineHash::of(content), claimed);
            let value: Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(value["user"].as_str(), Some(&*user));
            prop_assert_eq!(value["sequence"].as_u64(), Some(sequence));
        }
    }
}
