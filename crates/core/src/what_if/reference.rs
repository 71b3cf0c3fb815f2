//! References to objects, as `kubectl` writes them: a kind and a name.

use std::fmt;
use std::str::FromStr;

use super::error::near;
use crate::escape::excerpt;

/// A kind of objects that can be left out of an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeletableKind {
    /// `v1` `Service`.
    Service,
    /// `v1` `Pod`.
    Pod,
    /// `v1` `Node`.
    Node,
    /// `discovery.k8s.io/v1` `EndpointSlice`.
    EndpointSlice,
    /// `metallb.io/v1beta1` `IPAddressPool`.
    IpAddressPool,
    /// `metallb.io/v1beta1` `AddressPool`.
    AddressPool,
    /// `metallb.io/v1beta1` `L2Advertisement`.
    L2Advertisement,
    /// `metallb.io/v1beta1` `BGPAdvertisement`.
    BgpAdvertisement,
    /// `lockstep.dev/v1alpha1` `GatewayTopology`.
    GatewayTopology,
}

impl DeletableKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Service,
        Self::Pod,
        Self::Node,
        Self::EndpointSlice,
        Self::IpAddressPool,
        Self::AddressPool,
        Self::L2Advertisement,
        Self::BgpAdvertisement,
        Self::GatewayTopology,
    ];

    /// The kind as manifests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Pod => "Pod",
            Self::Node => "Node",
            Self::EndpointSlice => "EndpointSlice",
            Self::IpAddressPool => "IPAddressPool",
            Self::AddressPool => "AddressPool",
            Self::L2Advertisement => "L2Advertisement",
            Self::BgpAdvertisement => "BGPAdvertisement",
            Self::GatewayTopology => "GatewayTopology",
        }
    }

    /// Whether objects of the kind have a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node | Self::GatewayTopology)
    }

    /// The short names that `kubectl` knows.
    const fn short_name(self) -> &'static str {
        match self {
            Self::Service => "svc",
            Self::Pod => "po",
            Self::Node => "no",
            Self::GatewayTopology => "gwt",
            _ => "",
        }
    }

    /// The kind by its name in any case, in singular or plural, or by its short name, as `kubectl` reads it.
    fn of(written: &str) -> Option<Self> {
        let word = written.to_ascii_lowercase();
        Self::ALL.into_iter().find(|kind| {
            let singular = kind.name().to_ascii_lowercase();
            word == kind.short_name() || word.strip_suffix('s').unwrap_or(&word) == singular
        })
    }
}

/// An object by kind and name: `KIND/NAME` or `KIND/NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReference {
    /// The kind.
    pub kind: DeletableKind,
    /// The namespace; `None` for the only namespace that has an object of the name.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `", self.kind.name())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{}/", excerpt(namespace))?;
        }
        write!(f, "{}`", excerpt(&self.name))
    }
}

impl FromStr for ObjectReference {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let form = || format!("`{}` is not `KIND/NAME` or `KIND/NAMESPACE/NAME`", excerpt(written));
        let parts: Vec<&str> = written.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(namespace), name),
            _ => return Err(form()),
        };
        if kind.is_empty() || name.is_empty() || namespace.is_some_and(str::is_empty) {
            return Err(form());
        }
        let kind = DeletableKind::of(kind).ok_or_else(|| {
            let known = near(kind, DeletableKind::ALL.iter().map(|kind| kind.name()));
            format!("`{}` is no kind that can be left out; try `{}`", excerpt(kind), known.join("`, `"))
        })?;
        if namespace.is_some() && !kind.is_namespaced() {
            return Err(format!("a {} has no namespace: write `{}/{name}`", kind.name(), kind.name()));
        }
        Ok(Self { kind, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }
}
