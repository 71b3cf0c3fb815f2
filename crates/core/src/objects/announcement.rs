//! MetalLB's advertisements.

use serde::Deserialize;

use super::Metadata;
use crate::labels::LabelSelector;
use crate::labels::nulls::or_default;

/// An `L2Advertisement` (`metallb.io/v1beta1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct L2Advertisement {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec. A missing spec is valid: it announces every pool from every node.
    #[serde(deserialize_with = "or_default")]
    pub spec: AdvertisementSpec,
}

/// A `BGPAdvertisement` (`metallb.io/v1beta1`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BgpAdvertisement {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// The spec. A missing spec is valid: it announces every pool from every node.
    #[serde(deserialize_with = "or_default")]
    pub spec: BgpAdvertisementSpec,
}

/// The pools, Services and nodes of an advertisement (`MetalLB` 0.16.2, `api/v1beta1/l2advertisement_types.go`; older versions
/// have fewer fields).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AdvertisementSpec {
    /// Pools by name.
    #[serde(rename = "ipAddressPools", deserialize_with = "or_default")]
    pub pools: Vec<String>,
    /// Pools by their labels, in addition. Both lists empty: every pool.
    #[serde(rename = "ipAddressPoolSelectors", deserialize_with = "or_default")]
    pub pool_selectors: Vec<LabelSelector>,
    /// Nodes; empty: every node.
    #[serde(deserialize_with = "or_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Services by their own labels; empty: every Service. Since 0.16.0.
    #[serde(deserialize_with = "or_default")]
    pub service_selectors: Vec<LabelSelector>,
    /// Preferences among the nodes; they never add a node. Since 0.16.2.
    #[serde(deserialize_with = "or_default")]
    pub preferred_node_selectors: Vec<PreferredNodeSelector>,
    /// Network interfaces; they do not influence the election. Since 0.13.6.
    #[serde(deserialize_with = "or_default")]
    pub interfaces: Vec<String>,
}

impl AdvertisementSpec {
    /// The number of labels and values in all selectors; an empty selector counts one.
    #[must_use]
    pub fn size(&self) -> usize {
        let lists =
            [&self.pool_selectors, &self.node_selectors, &self.service_selectors].into_iter().flatten();
        let preferred = self.preferred_node_selectors.iter().map(|preferred| &preferred.preference);
        lists.chain(preferred).map(LabelSelector::size).fold(0, usize::saturating_add)
    }
}

/// A weighted preference among eligible nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default)]
pub struct PreferredNodeSelector {
    /// The weight, from 1 to 100.
    #[serde(deserialize_with = "or_default")]
    pub weight: i64,
    /// The preferred nodes.
    #[serde(deserialize_with = "or_default")]
    pub preference: LabelSelector,
}

/// The spec of a `BGPAdvertisement` (`metallb.io/v1beta1`, 0.16.2; older versions have fewer fields).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BgpAdvertisementSpec {
    /// Pools by name.
    #[serde(rename = "ipAddressPools", deserialize_with = "or_default")]
    pub pools: Vec<String>,
    /// Pools by their labels, in addition. Both lists empty: every pool.
    #[serde(rename = "ipAddressPoolSelectors", deserialize_with = "or_default")]
    pub pool_selectors: Vec<LabelSelector>,
    /// Nodes; empty: every node.
    #[serde(deserialize_with = "or_default")]
    pub node_selectors: Vec<LabelSelector>,
    /// Services by their own labels; empty: every Service. Since 0.16.0.
    #[serde(deserialize_with = "or_default")]
    pub service_selectors: Vec<LabelSelector>,
    /// The length of the announced IPv4 prefixes; `None` means 32, each address by itself.
    pub aggregation_length: Option<u32>,
    /// The length of the announced IPv6 prefixes; `None` means 128.
    pub aggregation_length_v6: Option<u32>,
    /// The BGP attribute `LOCAL_PREF`.
    #[serde(deserialize_with = "or_default")]
    pub local_pref: u32,
    /// The number of times that the own AS number is repeated. Since 0.16.0.
    #[serde(deserialize_with = "or_default")]
    pub as_path_prepend: u32,
    /// The BGP peers by name; empty: every peer.
    #[serde(deserialize_with = "or_default")]
    pub peers: Vec<String>,
    /// BGP communities.
    #[serde(deserialize_with = "or_default")]
    pub communities: Vec<String>,
}

impl BgpAdvertisementSpec {
    /// The pools, Services and nodes, as an `L2Advertisement` has them.
    #[must_use]
    pub fn advertised(&self) -> AdvertisementSpec {
        AdvertisementSpec {
            pools: self.pools.clone(),
            pool_selectors: self.pool_selectors.clone(),
            node_selectors: self.node_selectors.clone(),
            service_selectors: self.service_selectors.clone(),
            ..AdvertisementSpec::default()
        }
    }
}
