//! The specs of MetalLB's address pools.

use serde::Deserialize;

use super::{BgpAdvertisementSpec, Metadata};
use crate::labels::LabelSelector;
use crate::labels::nulls::or_default;

/// An `IPAddressPool`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IpAddressPool {
    /// Name, namespace, and the labels that advertisements select pools by.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec.
    #[serde(deserialize_with = "or_default")]
    pub spec: AddressPoolSpec,
}

/// An `AddressPool`, which MetalLB reads up to 0.13.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AddressPool {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec.
    #[serde(deserialize_with = "or_default")]
    pub spec: LegacyPoolSpec,
}

/// The spec of an `IPAddressPool` (`metallb.io/v1beta1`, 0.16.2; `serviceAllocation` is unknown to 0.13.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressPoolSpec {
    /// Prefixes and ranges: `192.0.2.0/24`, `192.0.2.1-192.0.2.9`.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether the pool assigns addresses to Services that request no pool; `None` means yes.
    pub auto_assign: Option<bool>,
    /// Whether the pool gives no IPv4 address that ends with 0 or 255.
    #[serde(rename = "avoidBuggyIPs", deserialize_with = "or_default")]
    pub avoids_buggy_addresses: bool,
    /// The Services that the pool is reserved for; `None` means every Service.
    pub service_allocation: Option<ServiceAllocation>,
}

/// The Services that a pool is reserved for. Without any selection, it is reserved for every Service, and ranks before
/// pools that are not reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAllocation {
    /// The rank: lower numbers come first, 0 comes last.
    #[serde(deserialize_with = "or_default")]
    pub priority: i64,
    /// Namespaces by name.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<String>,
    /// Namespaces by their labels, in addition.
    #[serde(deserialize_with = "or_default")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by their labels, of which any selector may match.
    #[serde(deserialize_with = "or_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// The spec of an `AddressPool`, which MetalLB reads up to 0.13: a pool and its advertisement in one, from every node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LegacyPoolSpec {
    /// `layer2` or `bgp`.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Prefixes and ranges.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether the pool assigns addresses to Services that request no pool; `None` means yes.
    pub auto_assign: Option<bool>,
    /// The BGP advertisements of the pool; without any, each address is announced by itself.
    #[serde(deserialize_with = "or_default")]
    pub bgp_advertisements: Vec<BgpAdvertisementSpec>,
}
