//! The syntax of label keys and values, as the API server checks it.

use crate::escape::excerpt;

/// The maximum length of a label value, and of the name part of a key (apimachinery `validation.LabelValueMaxLength`).
const NAME_LIMIT: usize = 63;
/// The maximum length of a key's prefix: a DNS subdomain (RFC 1123).
const PREFIX_LIMIT: usize = 253;

/// A label key or value that the API server rejects. Displays as what is wrong, a colon, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", self.message(), self.help())]
pub enum SyntaxError {
    /// The key is not `[prefix/]name`.
    Key(String),
    /// The value has the wrong form.
    Value(String),
}

impl SyntaxError {
    /// The mistake.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Key(key) => format!("`{}` is not a label key", excerpt(key)),
            Self::Value(value) => format!("`{}` is not a label value", excerpt(value)),
        }
    }

    /// The remedy.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        match self {
            Self::Key(_) => "write `name` or `dns.prefix/name`, at most 63 characters after the slash",
            Self::Value(_) => {
                "use at most 63 letters, digits, `-`, `_` or `.`, with a letter or digit at both ends"
            }
        }
    }
}

/// Checks a label key (apimachinery `validation.IsQualifiedName`).
///
/// # Errors
/// [`SyntaxError::Key`] with the key.
pub fn check_key(key: &str) -> Result<(), SyntaxError> {
    let ok = match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
        None => is_name(key),
    };
    ok.then_some(()).ok_or_else(|| SyntaxError::Key(key.to_owned()))
}

/// Checks a label value (apimachinery `validation.IsValidLabelValue`). The empty value is valid.
///
/// # Errors
/// [`SyntaxError::Value`] with the value.
pub fn check_value(value: &str) -> Result<(), SyntaxError> {
    (value.is_empty() || is_name(value)).then_some(()).ok_or_else(|| SyntaxError::Value(value.to_owned()))
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_LIMIT
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && ends_are(name, |byte| byte.is_ascii_alphanumeric())
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= PREFIX_LIMIT && name.split('.').all(is_part_of_subdomain)
}

/// Whether the name is a DNS label (RFC 1123), as those of namespaces and Services are.
#[must_use]
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= NAME_LIMIT && is_part_of_subdomain(name)
}

fn is_part_of_subdomain(part: &str) -> bool {
    part.bytes().all(|byte| is_lower_alphanumeric(byte) || byte == b'-')
        && ends_are(part, is_lower_alphanumeric)
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn ends_are(name: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|byte| allowed(*byte)) && bytes.last().is_some_and(|byte| allowed(*byte))
}
