//! MetalLB's address pools, beyond their labels.

use serde::Deserialize;

use super::BgpAdvertisementSpec;
use crate::labels::LabelSelector;
use crate::labels::nulls::or_default;

/// The spec of an `IPAddressPool` (`metallb.io/v1beta1`, 0.16.2; `serviceAllocation` is unknown to 0.13.5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressPoolSpec {
    /// Prefixes and ranges: `192.0.2.0/24`, `192.0.2.1-192.0.2.9`.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether Services that ask for no pool get addresses of it; `None` means yes.
    pub auto_assign: Option<bool>,
    /// The Services that the pool is reserved for; `None` means every Service.
    pub service_allocation: Option<ServiceAllocation>,
}

/// The Services that a pool is reserved for. Without any selection it is reserved for every Service, and comes before
/// pools that are not reserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceAllocation {
    /// Pools with a lower number come first; 0 comes last.
    #[serde(deserialize_with = "or_default")]
    pub priority: i64,
    /// Namespaces by name.
    #[serde(deserialize_with = "or_default")]
    pub namespaces: Vec<String>,
    /// Namespaces by their labels, in addition.
    #[serde(deserialize_with = "or_default")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by their labels; any may match.
    #[serde(deserialize_with = "or_default")]
    pub service_selectors: Vec<LabelSelector>,
}

/// The spec of an `AddressPool`, which MetalLB reads up to 0.13: a pool and its announcement in one, from every node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LegacyPoolSpec {
    /// `layer2` or `bgp`.
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Prefixes and ranges.
    #[serde(deserialize_with = "or_default")]
    pub addresses: Vec<String>,
    /// Whether Services that ask for no pool get addresses of it; `None` means yes.
    pub auto_assign: Option<bool>,
    /// How `bgp` announces it; empty means each address by itself.
    #[serde(deserialize_with = "or_default")]
    pub bgp_advertisements: Vec<BgpAdvertisementSpec>,
}
