//! JSON values decoded into objects, with the path to a value of the wrong type.
//!
//! The path leads the message to a line. `serde_path_to_error` over `serde_json` reports the path too, but decodes a list
//! into a struct field by field, which the API server rejects, and reports what it found only as text.

use std::fmt::{self, Display, Write};

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Unexpected, Visitor};
use serde_json::Value;

/// A value that the API server would reject, and the path to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// The reference tokens of the path, from the root of what was decoded.
    pub tokens: Vec<String>,
    /// The mistake and the remedy.
    pub problem: String,
}

/// Decodes a value.
///
/// # Errors
/// [`DecodeError`] for the first value of the wrong type.
pub(super) fn decode<'de, T: de::Deserialize<'de>>(value: &'de Value) -> Result<T, DecodeError> {
    decode_seed(value, std::marker::PhantomData)
}

/// Decodes a value with a seed, as [`decode`] does without.
pub(super) fn decode_seed<'de, S: DeserializeSeed<'de>>(
    value: &'de Value,
    seed: S,
) -> Result<S::Value, DecodeError> {
    seed.deserialize(At(value)).map_err(|mut error| {
        error.tokens.reverse();
        error
    })
}

impl DecodeError {
    fn new(problem: String) -> Self {
        Self { tokens: Vec::new(), problem }
    }

    /// Adds a step to the path, from the inside out. [`decode_seed`] reverses the path.
    fn below(mut self, token: impl Display) -> Self {
        self.tokens.push(token.to_string());
        self
    }

    /// The error as seen from `parents`, further up.
    #[must_use]
    pub(super) fn under<T: AsRef<str>>(mut self, parents: impl IntoIterator<Item = T>) -> Self {
        let parents = parents.into_iter().map(|token| token.as_ref().to_owned());
        self.tokens = parents.chain(std::mem::take(&mut self.tokens)).collect();
        self
    }
}

impl Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tokens.is_empty() {
            return f.write_str(&self.problem);
        }
        f.write_char('`')?;
        for (position, token) in self.tokens.iter().enumerate() {
            let is_index = token.bytes().all(|byte| byte.is_ascii_digit());
            match () {
                () if position == 0 => f.write_str(token)?,
                () if is_index || token.contains(['.', '/']) => write!(f, "[{token}]")?,
                () => write!(f, ".{token}")?,
            }
        }
        write!(f, "`: {}", self.problem)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: Display>(problem: T) -> Self {
        Self::new(problem.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        let is_bare = matches!(
            found,
            Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_)
        );
        let then = if is_bare && expected == "a string" { ": put it in quotes" } else { "" };
        Self::new(format!("expected {expected}, found {}{then}", Found(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value `{found}`: use {}", one_of(expected)))
    }

    fn unknown_field(found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown field `{found}`: use {}", one_of(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the required field `{field}` is missing"))
    }
}

/// The names in backticks, as in `` `a`, `b` or `c` ``.
fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The type that serde expects, without the names of Rust types.
fn in_words(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "a sequence" => "a list".to_owned(),
        text if text.starts_with("struct ") => "a map".to_owned(),
        text if text.starts_with("enum ") => "a string".to_owned(),
        "i64" | "u64" | "i32" | "u32" => "an integer".to_owned(),
        text => text.to_owned(),
    }
}

/// The value that was found, in YAML's words.
struct Found<'a>(Unexpected<'a>);

impl Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(flag) => write!(f, "the boolean `{flag}`"),
            Unexpected::Unsigned(number) => write!(f, "the number `{number}`"),
            Unexpected::Signed(number) => write!(f, "the number `{number}`"),
            Unexpected::Float(number) => write!(f, "the number `{number}`"),
            Unexpected::Str(text) => write!(f, "the string `{text}`"),
            Unexpected::Unit | Unexpected::Option => f.write_str("null"),
            Unexpected::Seq => f.write_str("a list"),
            Unexpected::Map => f.write_str("a map"),
            other => other.fmt(f),
        }
    }
}

/// A value that is being decoded.
struct At<'de>(&'de Value);

impl<'de> Deserializer<'de> for At<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(items) => visitor.visit_seq(Items { items: items.iter(), next: 0 }),
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.iter(), value: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            // serde would decode the items as the fields, in the order of their declaration.
            Value::Array(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            // Every enum in a manifest is a string.
            Value::String(word) => StrDeserializer::new(word).deserialize_enum(name, variants, visitor),
            // The visitor rejects anything else.
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.next;
        self.next = index.saturating_add(1);
        seed.deserialize(At(item)).map(Some).map_err(|error| error.below(index))
    }
}

struct Fields<'de> {
    fields: serde_json::map::Iter<'de>,
    value: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some((key, value)) = self.fields.next() else {
            return Ok(None);
        };
        self.value = Some((key, value));
        let deserializer = BorrowedStrDeserializer::new(key);
        seed.deserialize(deserializer).map(Some).map_err(|error: DecodeError| error.below(key))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        let (key, value) = self.value.take().unwrap_or(("", &Value::Null));
        seed.deserialize(At(value)).map_err(|error| error.below(key))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        map: BTreeMap<String, Option<String>>,
        word: Option<Word>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        number: i64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Word {
        Yes,
        No,
    }

    #[test]
    fn values_decode_as_serde_json_decodes_them() {
        let value =
            json!({"list": [{"number": -1}, {"number": 2}], "map": {"a": null, "b": "c"}, "word": "No"});
        let decoded: Outer = decode(&value).unwrap();
        assert_eq!(decoded, serde_json::from_value::<Outer>(value).unwrap());
        assert_eq!(decode::<Outer>(&json!({"word": null})).unwrap().word, None);
    }

    #[test]
    fn errors_have_the_path_and_name_no_rust_type() {
        let cases = [
            (
                json!({"map": {"a.b/c": 1}}),
                "`map[a.b/c]`: expected a string, found the number `1`: put it in quotes",
            ),
            (json!({"list": [{"number": 1}, 2]}), "`list[1]`: expected a map, found the number `2`"),
            (
                json!({"list": [{"number": "1"}]}),
                "`list[0].number`: expected an integer, found the string `1`",
            ),
            (json!({"list": [[1]]}), "`list[0]`: expected a map, found a list"),
            (json!({"list": [{}]}), "`list[0]`: the required field `number` is missing"),
            (json!({"list": {}}), "`list`: expected a list, found a map"),
            (json!({"word": "Maybe"}), "`word`: unknown value `Maybe`: use `Yes` or `No`"),
            (json!({"word": []}), "`word`: expected a string, found a list"),
            (json!({"lists": []}), "`lists`: unknown field `lists`: use `list`, `map` or `word`"),
            (json!(null), "expected a map, found null"),
        ];
        for (value, expected) in cases {
            assert_eq!(decode::<Outer>(&value).unwrap_err().to_string(), expected);
        }
    }
}
