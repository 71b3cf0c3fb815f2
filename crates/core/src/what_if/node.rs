//! Changes of nodes: their labels, and whether they are up.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::WhatIfError;
use super::error::near;
use crate::escape::excerpt;
use crate::labels::{check_key, check_value};
use crate::snapshot::Inventory;

/// The change of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelEdit {
    /// The label gets this value.
    Set(String),
    /// The label is removed, if it is there.
    Remove,
}

/// A label of a node, set or removed: `NODE:KEY=VALUE` or `NODE:KEY-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLabel {
    /// The node.
    pub node: String,
    /// The label's key.
    pub key: String,
    /// The change of the label.
    pub edit: LabelEdit,
}

impl fmt::Display for NodeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, key) = (excerpt(&self.node), excerpt(&self.key));
        match &self.edit {
            LabelEdit::Set(value) => write!(f, "node `{node}` with the label `{key}={}`", excerpt(value)),
            LabelEdit::Remove => write!(f, "node `{node}` without the label `{key}`"),
        }
    }
}

impl FromStr for NodeLabel {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let form = || format!("`{}` is not `NODE:KEY=VALUE` or `NODE:KEY-`", excerpt(written));
        // Neither the name of a node nor a label has a colon.
        let (node, label) = written.split_once(':').ok_or_else(form)?;
        let (key, edit) = match label.split_once('=') {
            Some((key, value)) => (key, LabelEdit::Set(value.to_owned())),
            None => (label.strip_suffix('-').ok_or_else(form)?, LabelEdit::Remove),
        };
        if node.is_empty() {
            return Err(form());
        }
        check_key(key).map_err(|error| error.to_string())?;
        if let LabelEdit::Set(value) = &edit {
            check_value(value).map_err(|error| error.to_string())?;
        }
        Ok(Self { node: node.to_owned(), key: key.to_owned(), edit })
    }
}

impl Inventory {
    pub(super) fn label(&mut self, label: &NodeLabel) -> Result<(), WhatIfError> {
        let Some(labels) = self.nodes.get_mut(&label.node) else {
            return Err(self.unknown_node(&label.node));
        };
        let labels = Arc::make_mut(labels);
        match &label.edit {
            LabelEdit::Set(value) => drop(labels.insert(label.key.as_str().into(), value.as_str().into())),
            LabelEdit::Remove => drop(labels.remove(label.key.as_str())),
        }
        Ok(())
    }

    pub(super) fn fail(&mut self, node: &str) -> Result<(), WhatIfError> {
        if !self.nodes.contains_key(node) {
            return Err(self.unknown_node(node));
        }
        self.node_states.entry(node.to_owned()).or_default().is_down = true;
        for speaker in self.speakers.values_mut().filter(|speaker| speaker.node == node) {
            speaker.is_ready = false;
        }
        let endpoints = self.endpoint_slices.values_mut().flat_map(|slice| &mut slice.endpoints);
        for endpoint in endpoints.filter(|endpoint| endpoint.node_name == node) {
            endpoint.conditions.ready = Some(false);
            endpoint.conditions.serving = Some(false);
        }
        self.forget_reports_of(node);
        Ok(())
    }

    /// A speaker that is gone reports nothing.
    pub(super) fn forget_reports_of(&mut self, node: &str) {
        for nodes in self.reported_announcers.values_mut() {
            nodes.remove(node);
        }
    }

    pub(super) fn unknown_node(&self, name: &str) -> WhatIfError {
        let near = near(name, self.nodes.keys().map(String::as_str));
        WhatIfError::UnknownNode { name: name.to_owned(), near }
    }
}
