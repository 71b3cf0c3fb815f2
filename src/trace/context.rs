//! The header `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context/).
//!
//! The propagator of `opentelemetry_sdk` also accepts what the recommendation rules out: ids of another length, signs before digits,
//! and a version 00 with a trailing dash.

use std::fmt;

use data_encoding::{DecodePartial, HEXLOWER};
use hyper::HeaderMap;
use ring::rand::{SecureRandom, SystemRandom};

/// The header.
const TRACEPARENT: &str = "traceparent";

/// The length of version 00: two digits of the version, 32 of the trace, 16 of the parent, and two of the flags.
const LENGTH: usize = 55;

/// The trace that a call belongs to, as its caller states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub parent_id: SpanId,
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

/// The id of a trace, written as 32 hexadecimal digits.
pub type TraceId = Id<16>;

/// The id of a span, written as 16 hexadecimal digits.
pub type SpanId = Id<8>;

/// An id of so many bytes, written as two hexadecimal digits each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id<const BYTES: usize>([u8; BYTES]);

impl TraceContext {
    /// Reads the header of a request. `None` without one, or with several or a malformed one, which the recommendation says to ignore.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() { None } else { Self::parse(value.as_bytes()) }
    }

    /// Parses the value of the header.
    fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let [version] = digits(fields.next()?)?;
        let trace_id = digits(fields.next()?)?;
        let parent_id = digits(fields.next()?)?;
        let [flags] = digits(fields.next()?)?;
        // A later version may have further fields.
        let is_whole = match version {
            0 => rest.is_empty(),
            255 => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        // Zeros stand for no trace and no span.
        let is_valid = is_whole && trace_id != [0; 16] && parent_id != [0; 8];
        is_valid.then_some(Self {
            trace_id: Id(trace_id),
            parent_id: Id(parent_id),
            is_sampled: flags & 1 == 1,
        })
    }
}

/// Decodes exactly this many bytes from hexadecimal digits in lower case.
fn digits<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    if HEXLOWER.decode_len(text.len()) != Ok(BYTES) {
        return None;
    }
    HEXLOWER.decode_mut(text, &mut bytes).map_err(|DecodePartial { error, .. }| error).ok()?;
    Some(bytes)
}

impl<const BYTES: usize> Id<BYTES> {
    /// A new id. `None` if the operating system has no random numbers.
    pub(crate) fn random() -> Option<Self> {
        let mut bytes = [0; BYTES];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The bytes, as OTLP has them.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl<const BYTES: usize> fmt::Display for Id<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEXLOWER.encode_display(&self.0).fmt(f)
    }
}

impl<const BYTES: usize> fmt::Debug for Id<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_header_of_any_version_is_read() {
        for (value, is_sampled) in [
            (format!("00-{TRACE}-{SPAN}-01"), true),
            (format!("00-{TRACE}-{SPAN}-00"), false),
            // Flags that are not known change nothing.
            (format!("00-{TRACE}-{SPAN}-fe"), false),
            (format!("00-{TRACE}-{SPAN}-ff"), true),
            (format!("cc-{TRACE}-{SPAN}-01"), true),
            (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), true),
            (format!("cc-{TRACE}-{SPAN}-01-"), true),
        ] {
            let context = TraceContext::parse(value.as_bytes()).unwrap();
            assert_eq!(context.trace_id.to_string(), TRACE, "{value}");
            assert_eq!(context.parent_id.to_string(), SPAN, "{value}");
            assert_eq!(context.is_sampled, is_sampled, "{value}");
        }
    }

    /// Most of these are in the test suite of the recommendation.
    #[test]
    fn a_malformed_header_is_ignored() {
        for value in [
            String::new(),
            "00".to_owned(),
            TRACE.to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01.more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("cc-{TRACE}-{SPAN}-010"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("000-{TRACE}-{SPAN}-01"),
            format!("+0-{TRACE}-{SPAN}-01"),
            format!(".0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{}-{SPAN}0-01", TRACE.trim_start_matches('4')),
            format!("00-{TRACE}0-0{}-01", SPAN.trim_start_matches('0')),
            format!("00-{TRACE}-+0{}-01", SPAN.trim_start_matches('0')),
            format!("00-{TRACE}-{SPAN}-.1"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-ä"),
        ] {
            assert_eq!(TraceContext::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_request_with_several_headers_has_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(TraceContext::of(&headers), None);
        let value = HeaderValue::try_from(format!("00-{TRACE}-{SPAN}-01")).unwrap();
        headers.append(TRACEPARENT, value.clone());
        assert!(TraceContext::of(&headers).is_some());
        headers.append(TRACEPARENT, value);
        assert_eq!(TraceContext::of(&headers), None);
    }
}
