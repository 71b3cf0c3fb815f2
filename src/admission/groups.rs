//! The groups of a user.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::request::Text;

/// Directories put people into some dozens of groups; whoever makes a token may put a million into it.
const KEPT: usize = 64;

/// The groups of a user: the first ones by name, the others by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups<'b> {
    /// The names.
    pub names: Vec<Cow<'b, str>>,
    /// How many more there are.
    pub more: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Groups<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(GroupsVisitor)
    }
}

struct GroupsVisitor;

impl<'de> Visitor<'de> for GroupsVisitor {
    type Value = Groups<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of groups")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut groups = Groups::default();
        while groups.names.len() < KEPT {
            let Some(Text(name)) = list.next_element()? else { return Ok(groups) };
            groups.names.push(name);
        }
        while list.next_element::<IgnoredAny>()?.is_some() {
            groups.more = groups.more.checked_add(1).ok_or_else(|| de::Error::custom("too many groups"))?;
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::{Groups, KEPT};

    #[test]
    fn a_million_groups_are_a_few_and_a_number() {
        let json = serde_json::to_string(&vec!["g\n"; 1_000_000]).unwrap();
        let groups: Groups<'_> = serde_json::from_str(&json).unwrap();
        assert_eq!((groups.names.len(), groups.more), (KEPT, 1_000_000 - KEPT));
        assert_eq!(groups.names[0], "g\n");
        assert_eq!(serde_json::from_str::<Groups<'_>>("[]").unwrap(), Groups::default());
        assert!(serde_json::from_str::<Groups<'_>>("[1]").is_err());
        let error = serde_json::from_str::<Groups<'_>>("1").unwrap_err().to_string();
        assert!(error.contains("expected a list of groups"), "{error}");
    }
}
