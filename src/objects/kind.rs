//! Which kinds rules are about, and how each is decoded.

use serde::de::{Deserialize, DeserializeSeed, Deserializer};

use super::{DaemonSet, L2Advertisement, Object, Pod, Service};

/// A kind that rules are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `v1` `Pod`.
    Pod,
    /// `apps/v1` `DaemonSet`.
    DaemonSet,
    /// `v1` `Service`.
    Service,
    /// `metallb.io/v1beta1` `L2Advertisement`.
    L2Advertisement,
}

impl Kind {
    /// The kind of a resource, by its group and plural name.
    #[must_use]
    pub fn of(group: &str, resource: &str) -> Option<Self> {
        match (group, resource) {
            ("", "pods") => Some(Self::Pod),
            ("apps", "daemonsets") => Some(Self::DaemonSet),
            ("", "services") => Some(Self::Service),
            ("metallb.io", "l2advertisements") => Some(Self::L2Advertisement),
            _ => None,
        }
    }

    /// The one version of the kind that is understood.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Pod | Self::DaemonSet | Self::Service => "v1",
            Self::L2Advertisement => "v1beta1",
        }
    }
}

/// Decodes an object of this kind; `None` for `null`.
impl<'de> DeserializeSeed<'de> for Kind {
    type Value = Option<Object>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Object>, D::Error> {
        Ok(match self {
            Self::Pod => Option::<Pod>::deserialize(deserializer)?.map(Object::Pod),
            Self::DaemonSet => Option::<DaemonSet>::deserialize(deserializer)?.map(Object::DaemonSet),
            Self::Service => Option::<Service>::deserialize(deserializer)?.map(Object::Service),
            Self::L2Advertisement => {
                Option::<L2Advertisement>::deserialize(deserializer)?.map(Object::L2Advertisement)
            }
        })
    }
}
