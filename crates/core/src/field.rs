//! Field paths: one form for messages, JSON patches and positions in files.

use std::borrow::Cow;
use std::fmt;

use crate::escape::escape;

/// The path of a field, from the root of its object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Step>);

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// A field of a struct: `.spec`.
    Field(Cow<'static, str>),
    /// An entry of a map whose keys the user chooses: `[app]`.
    Key(String),
    /// An item of a list: `[0]`.
    Index(usize),
}

impl FieldPath {
    /// Returns the path of nested fields, outermost first.
    #[must_use]
    pub fn fields(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self(names.into_iter().map(|name| Step::Field(Cow::Borrowed(name))).collect())
    }

    /// Returns this path extended by the field `name`.
    #[must_use]
    pub fn field(mut self, name: &'static str) -> Self {
        self.0.push(Step::Field(Cow::Borrowed(name)));
        self
    }

    /// Returns this path extended by a field that a user named.
    #[must_use]
    pub fn field_named(mut self, name: &str) -> Self {
        self.0.push(Step::Field(Cow::Owned(name.to_owned())));
        self
    }

    /// Returns this path extended by the map entry `key`.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.0.push(Step::Key(key.to_owned()));
        self
    }

    /// Returns this path extended by the list item at `index`.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    /// Returns this path extended by `below`.
    #[must_use]
    pub fn join(mut self, below: &Self) -> Self {
        self.0.extend(below.0.iter().cloned());
        self
    }

    /// Returns the path of the field, entry or item that holds this one; the root for the root itself.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(self.0.split_last().map_or_else(Vec::new, |(_, holder)| holder.to_vec()))
    }

    /// Returns the unescaped reference tokens of this path as a JSON pointer (RFC 6901).
    pub fn tokens(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.iter().map(|step| match step {
            Step::Field(name) => Cow::Borrowed(name.as_ref()),
            Step::Key(key) => Cow::Borrowed(key.as_str()),
            Step::Index(index) => Cow::Owned(index.to_string()),
        })
    }
}

/// Displays as in the API server's field errors: `spec.nodeSelectors[0].matchLabels[app]`. Keys are escaped, because users choose them.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Key(key) => write!(f, "[{}]", escape(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
