//! MetalLB's configuration: pools with the advertisements that announce them, or the reason why MetalLB rejects it.
//!
//! One invalid object makes the whole configuration stale: a running speaker keeps its last valid configuration, and a
//! speaker that starts announces nothing (`config_controller.go`). Checks that involve `BGPPeer`s, `BFDProfile`s or
//! `Community`s are not replayed.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::labels::{Labels, Selector, first_duplicate, parse_list};
use crate::objects::{AddressPoolSpec, AdvertisementSpec, BgpAdvertisementSpec, LegacyPoolSpec};
use crate::snapshot::{Advertisement, Attachment, Inventory, ObjectKey, in_namespace};

use super::allocation::AutomaticPools;
use super::node_table::{NodeSet, NodeTable};
use super::{AddressRange, Family, MetalLbVersion};

/// The rejection of a configuration: the invalid object and the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{name}`: {problem}")]
pub struct Rejection {
    /// The kind of the object.
    pub kind: &'static str,
    /// The name of the object.
    pub name: String,
    /// The mistake: one lowercase sentence, with the field's path.
    pub problem: String,
}

/// An address pool and its advertisements.
#[derive(Debug, Clone)]
pub struct AddressPool {
    /// `IPAddressPool`, or `AddressPool` for a legacy pool.
    pub kind: &'static str,
    /// The pool's name.
    pub name: String,
    /// The pool's addresses.
    pub ranges: Vec<AddressRange>,
    /// Whether the pool assigns addresses to Services that request no pool.
    pub auto_assigns: bool,
    /// Whether the pool gives no IPv4 address that ends with 0 or 255.
    pub avoids_buggy_addresses: bool,
    /// The Services that the pool is reserved for.
    pub reservation: Option<Reservation>,
    /// The L2 advertisements that announce the pool, by position in [`Configuration::layer2`].
    pub layer2: Vec<usize>,
    /// The BGP advertisements that announce the pool, by position in [`Configuration::bgp`].
    pub bgp: Vec<usize>,
}

/// The Services that a pool is reserved for.
#[derive(Debug, Clone, Default)]
pub struct Reservation {
    /// The rank of the pool: lower numbers come first, 0 comes last.
    pub priority: i64,
    /// The namespaces, including those that selectors select.
    pub namespaces: BTreeSet<String>,
    /// The selectors of Services, of which any may match.
    pub services: Vec<Selector>,
    /// Whether some of the namespaces are unknown: the pool selects them by labels that were not read.
    pub has_unknown_namespaces: bool,
}

/// An L2 advertisement.
#[derive(Debug, Clone)]
pub struct Layer2Advertisement {
    /// The advertisement's name; for a legacy `AddressPool`, the pool's name.
    pub name: String,
    /// The pools, Services and nodes of the advertisement.
    pub advertisement: Advertisement,
}

/// A BGP advertisement.
#[derive(Debug, Clone)]
pub struct BgpAdvertisement {
    /// The advertisement's name; for a legacy `AddressPool`, the pool's name.
    pub name: String,
    /// The pools, Services and nodes of the advertisement.
    pub advertisement: Advertisement,
    /// The length of the announced IPv4 prefixes.
    pub aggregation_length: u32,
    /// The length of the announced IPv6 prefixes.
    pub aggregation_length_v6: u32,
    local_pref: u32,
    as_path_prepend: u32,
    peers: Vec<String>,
    /// Whether MetalLB adds it to a legacy pool without any, and does not check it (`bgpAdvertisementsFromLegacyCR`, 0.13.5).
    is_implied: bool,
}

/// A valid configuration.
#[derive(Debug)]
pub struct Configuration {
    /// The pools, in the order of names; legacy pools come last.
    pub pools: Vec<AddressPool>,
    /// The L2 advertisements, in the order of names; those of legacy pools come last.
    pub layer2: Vec<Layer2Advertisement>,
    /// The BGP advertisements, in the order of names; those of legacy pools come last.
    pub bgp: Vec<BgpAdvertisement>,
    /// The pool of each range, in the order of ranges.
    by_range: Vec<(AddressRange, usize)>,
    /// The position of each pool.
    by_name: HashMap<String, usize>,
    /// The pools that assign addresses to Services that ask for none.
    pub(super) automatic: AutomaticPools,
    /// The BGP advertisements that only the speakers that read them reject, with the nodes of these speakers.
    unreadable_bgp: Vec<(Rejection, Vec<Selector>)>,
}

impl Configuration {
    /// Reads the configuration in MetalLB's namespace.
    ///
    /// # Errors
    /// [`Rejection`] for the first object that MetalLB rejects regardless of other objects.
    pub fn parse(namespace: &str, inventory: &Inventory, version: MetalLbVersion) -> Result<Self, Rejection> {
        let pools = in_namespace(&inventory.pool_specs, namespace)
            .map(|(key, spec)| AddressPool::parse(&key.name, spec, inventory, version));
        let mut configuration = Self {
            pools: pools.collect::<Result<_, _>>()?,
            layer2: Vec::new(),
            bgp: Vec::new(),
            by_range: Vec::new(),
            by_name: HashMap::new(),
            automatic: AutomaticPools::default(),
            unreadable_bgp: Vec::new(),
        };
        for (key, spec) in in_namespace(&inventory.advertisements, namespace) {
            let advertisement = Advertisement::parse(&known_to(version, spec))
                .map_err(|error| reject("L2Advertisement", &key.name, at(&error.field, &error)))?;
            configuration.layer2.push(Layer2Advertisement { name: key.name.clone(), advertisement });
        }
        for (key, spec) in in_namespace(&inventory.bgp_advertisements, namespace) {
            match (BgpAdvertisement::parse(&key.name, spec, version), reading_nodes(spec)) {
                (Ok(advertisement), _) => configuration.bgp.push(advertisement),
                (Err(rejection), Some(nodes)) if version.parses_bgp_per_node() => {
                    configuration.unreadable_bgp.push((rejection, nodes));
                }
                (Err(rejection), _) => return Err(rejection),
            }
        }
        configuration.attach(namespace, inventory);
        if version.reads_legacy_pools() {
            for (key, spec) in in_namespace(&inventory.legacy_pools, namespace) {
                configuration.add_legacy(key, spec, version)?;
            }
        }
        configuration.index_ranges()?;
        let names = configuration.pools.iter().map(|pool| pool.name.clone());
        configuration.by_name = names.enumerate().map(|(position, name)| (name, position)).collect();
        configuration.automatic = AutomaticPools::of(&configuration.pools);
        Ok(configuration)
    }

    /// Assigns the advertisements to the pools that they announce.
    fn attach(&mut self, namespace: &str, inventory: &Inventory) {
        let names: HashMap<&str, usize> =
            self.pools.iter().enumerate().map(|(position, pool)| (pool.name.as_str(), position)).collect();
        let none = Labels::new();
        let labels: Vec<&Labels> = self
            .pools
            .iter()
            .map(|pool| ObjectKey { namespace: namespace.to_owned(), name: pool.name.clone() })
            .map(|key| inventory.pools.get(&key).unwrap_or(&none))
            .collect();
        let announced = |advertisement: &Advertisement| -> Vec<usize> {
            if advertisement.names_pools_only() {
                let named = advertisement.named_pools().iter();
                return named.filter_map(|name| names.get(name.as_str()).copied()).collect();
            }
            let pools = self.pools.iter().zip(&labels).enumerate();
            pools
                .filter(|(_, (pool, labels))| {
                    advertisement.announces(&pool.name, Some(labels)) == Attachment::Yes
                })
                .map(|(position, _)| position)
                .collect()
        };
        let layer2: Vec<Vec<usize>> = self.layer2.iter().map(|ad| announced(&ad.advertisement)).collect();
        let bgp: Vec<Vec<usize>> = self.bgp.iter().map(|ad| announced(&ad.advertisement)).collect();
        for (advertisement, pools) in layer2.into_iter().enumerate() {
            for pool in pools {
                self.pools.get_mut(pool).into_iter().for_each(|pool| pool.layer2.push(advertisement));
            }
        }
        for (advertisement, pools) in bgp.into_iter().enumerate() {
            for pool in pools {
                self.pools.get_mut(pool).into_iter().for_each(|pool| pool.bgp.push(advertisement));
            }
        }
    }

    /// Adds a legacy pool with its own advertisement, from every node. No other advertisement announces it.
    fn add_legacy(
        &mut self,
        key: &ObjectKey,
        spec: &LegacyPoolSpec,
        version: MetalLbVersion,
    ) -> Result<(), Rejection> {
        const KIND: &str = "AddressPool";
        let reject = |problem: &str| reject(KIND, &key.name, problem.to_owned());
        if self.pools.iter().any(|pool| pool.name == key.name) {
            return Err(reject("an IPAddressPool of the same name exists: rename one of them"));
        }
        let mut pool = AddressPool::of_ranges(KIND, &key.name, &spec.addresses, version)?;
        pool.auto_assigns = spec.auto_assign.unwrap_or(true);
        match spec.protocol.as_str() {
            "layer2" if !spec.bgp_advertisements.is_empty() => {
                return Err(reject("spec.bgpAdvertisements: they must be empty with protocol `layer2`"));
            }
            "layer2" => {
                pool.layer2.push(self.layer2.len());
                let advertisement = everything(KIND, &key.name)?;
                self.layer2.push(Layer2Advertisement { name: key.name.clone(), advertisement });
            }
            "bgp" => {
                let one = [BgpAdvertisementSpec::default()];
                let written = spec.bgp_advertisements.as_slice();
                let is_implied = written.is_empty();
                for spec in if is_implied { &one } else { written } {
                    pool.bgp.push(self.bgp.len());
                    let advertisement = BgpAdvertisement::parse(&key.name, spec, version)?;
                    self.bgp.push(BgpAdvertisement { is_implied, ..advertisement });
                }
            }
            _ => return Err(reject("spec.protocol: set `layer2` or `bgp`")),
        }
        self.pools.push(pool);
        Ok(())
    }

    fn index_ranges(&mut self) -> Result<(), Rejection> {
        self.by_range = self
            .pools
            .iter()
            .enumerate()
            .flat_map(|(position, pool)| pool.ranges.iter().map(move |range| (*range, position)))
            .collect();
        self.by_range.sort_unstable();
        let neighbours = self.by_range.iter().zip(self.by_range.iter().skip(1));
        for ((one, owner), (another, other)) in neighbours {
            if one.overlaps(*another) {
                let pool = |position: &usize| {
                    self.pools.get(*position).map_or(("", ""), |pool| (pool.kind, &pool.name))
                };
                let problem = format!(
                    "spec.addresses: the addresses {another} overlap {one} of pool `{}`: give each address to one pool",
                    pool(owner).1
                );
                let (kind, name) = pool(other);
                return Err(reject(kind, name, problem));
            }
        }
        Ok(())
    }

    /// The pool that holds an address, by position.
    #[must_use]
    pub fn pool_of(&self, address: IpAddr) -> Option<usize> {
        // Ranges do not overlap, so only the last one that starts at or before the address can contain it.
        let after = self.by_range.partition_point(|(range, _)| range.starts_by(address));
        let (range, pool) = self.by_range.get(after.checked_sub(1)?)?;
        range.contains(address).then_some(*pool)
    }

    /// The pool at `position`.
    #[must_use]
    pub fn pool(&self, position: usize) -> Option<&AddressPool> {
        self.pools.get(position)
    }

    /// The pool of this name.
    #[must_use]
    pub fn pool_named(&self, name: &str) -> Option<&AddressPool> {
        self.pool(*self.by_name.get(name)?)
    }

    /// The L2 advertisements that announce a pool.
    pub fn layer2_of<'c>(
        &'c self,
        pool: &'c AddressPool,
    ) -> impl Iterator<Item = (usize, &'c Layer2Advertisement)> {
        pool.layer2.iter().filter_map(|position| Some((*position, self.layer2.get(*position)?)))
    }

    /// The BGP advertisements that announce a pool.
    pub fn bgp_of<'c>(
        &'c self,
        pool: &'c AddressPool,
    ) -> impl Iterator<Item = (usize, &'c BgpAdvertisement)> {
        pool.bgp.iter().filter_map(|position| Some((*position, self.bgp.get(*position)?)))
    }

    /// The advertisements of both kinds that announce a pool, those of layer 2 first, each with its kind and name.
    pub fn advertisements_of<'c>(
        &'c self,
        pool: &'c AddressPool,
    ) -> impl Iterator<Item = (&'static str, &'c str, &'c Advertisement)> {
        let layer2 = self
            .layer2_of(pool)
            .map(|(_, layer2)| ("L2Advertisement", layer2.name.as_str(), &layer2.advertisement));
        let bgp =
            self.bgp_of(pool).map(|(_, bgp)| ("BGPAdvertisement", bgp.name.as_str(), &bgp.advertisement));
        layer2.chain(bgp)
    }

    /// The rejections of BGP advertisements, each with the nodes whose speakers read all advertisements involved.
    pub(super) fn bgp_mistakes(
        &self,
        version: MetalLbVersion,
        nodes: &NodeTable<'_>,
    ) -> Vec<(Rejection, NodeSet)> {
        let unreadable = self.unreadable_bgp.iter();
        let mut mistakes: Vec<_> =
            unreadable.map(|(rejection, readers)| (rejection.clone(), nodes.set_of(readers))).collect();
        let sets: Vec<NodeSet> = self.bgp.iter().map(|bgp| nodes.set_of(bgp.advertisement.nodes())).collect();
        let set = |position: usize| sets.get(position).cloned().unwrap_or_default();
        for pool in &self.pools {
            for (position, one) in self.bgp_of(pool) {
                if let Some(problem) = one.too_short_for(pool) {
                    mistakes.push((reject("BGPAdvertisement", &one.name, problem), set(position)));
                }
                // Advertisements with Service selectors are compared per Service.
                for (other, another) in self.bgp_of(pool).take_while(|(other, _)| *other < position) {
                    let is_compared = version.compares_local_pref()
                        && !one.advertisement.selects_services()
                        && !another.advertisement.selects_services();
                    let Some(field) = one.contradicts(another, pool, version).filter(|_| is_compared) else {
                        continue;
                    };
                    let both = set(position).intersection(&set(other));
                    if !both.is_empty() {
                        let problem = format!(
                            "{field}: `{}` announces pool `{}` with another value: set the same value in both",
                            another.name, pool.name
                        );
                        mistakes.push((reject("BGPAdvertisement", &one.name, problem), both));
                    }
                }
            }
        }
        mistakes
    }
}

impl AddressPool {
    fn parse(
        name: &str,
        spec: &AddressPoolSpec,
        inventory: &Inventory,
        version: MetalLbVersion,
    ) -> Result<Self, Rejection> {
        const KIND: &str = "IPAddressPool";
        let mut pool = Self::of_ranges(KIND, name, &spec.addresses, version)?;
        pool.auto_assigns = spec.auto_assign.unwrap_or(true);
        pool.avoids_buggy_addresses = spec.avoids_buggy_addresses;
        let allocation = spec.service_allocation.as_ref().filter(|_| version.reserves_pools());
        if let Some(allocation) = allocation {
            let field = |field| FieldPath::fields(["spec", "serviceAllocation", field]);
            if let Some(repeat) = first_duplicate(&allocation.namespaces) {
                let problem =
                    format!("{}: duplicate namespace: remove one", field("namespaces").index(repeat));
                return Err(reject(KIND, name, problem));
            }
            let list = |selectors, name_of| {
                parse_list(selectors).map_err(|error| {
                    let error = error.below(field(name_of));
                    reject(KIND, name, at(&error.field, &error))
                })
            };
            let selected = list(&allocation.namespace_selectors, "namespaceSelectors")?;
            let mut services = list(&allocation.service_selectors, "serviceSelectors")?;
            if allocation.namespaces.is_empty() && selected.is_empty() && services.is_empty() {
                services.push(Selector::default());
            }
            let mut namespaces: BTreeSet<String> = allocation.namespaces.iter().cloned().collect();
            let matching = inventory
                .namespaces
                .iter()
                .filter(|(_, labels)| selected.iter().any(|selector| selector.matches(labels)));
            namespaces.extend(matching.map(|(name, _)| name.clone()));
            let are_known = inventory.read.contains(&crate::snapshot::Source::Namespaces);
            pool.reservation = Some(Reservation {
                priority: allocation.priority,
                namespaces,
                services,
                has_unknown_namespaces: !selected.is_empty() && !are_known,
            });
        }
        Ok(pool)
    }

    fn of_ranges(
        kind: &'static str,
        name: &str,
        addresses: &[String],
        version: MetalLbVersion,
    ) -> Result<Self, Rejection> {
        if addresses.is_empty() {
            return Err(reject(
                kind,
                name,
                "spec.addresses: it is empty: list at least one prefix or range".to_owned(),
            ));
        }
        let mut ranges = Vec::with_capacity(addresses.len());
        for (index, text) in addresses.iter().enumerate() {
            let range = AddressRange::parse(text, version).map_err(|error| {
                let problem = format!("spec.addresses[{index}]: `{}`: {error}", excerpt(text));
                reject(kind, name, problem)
            })?;
            ranges.extend(range);
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
            ranges,
            auto_assigns: true,
            avoids_buggy_addresses: false,
            reservation: None,
            layer2: Vec::new(),
            bgp: Vec::new(),
        })
    }

    /// Whether the pool has addresses of a family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        self.ranges.iter().any(|range| range.family() == family)
    }
}

impl BgpAdvertisement {
    fn parse(name: &str, spec: &BgpAdvertisementSpec, version: MetalLbVersion) -> Result<Self, Rejection> {
        let reject = |problem| reject("BGPAdvertisement", name, problem);
        let selection = AdvertisementSpec {
            pools: spec.pools.clone(),
            pool_selectors: spec.pool_selectors.clone(),
            node_selectors: spec.node_selectors.clone(),
            service_selectors: spec.service_selectors.clone(),
            ..AdvertisementSpec::default()
        };
        let advertisement = Advertisement::parse(&known_to(version, &selection))
            .map_err(|error| reject(at(&error.field, &error)))?;
        for (field, list) in [("communities", &spec.communities), ("peers", &spec.peers)] {
            if let Some(repeat) = first_duplicate(list) {
                return Err(reject(format!("spec.{field}[{repeat}]: duplicate name: remove one")));
            }
        }
        let (length, length_v6) =
            (spec.aggregation_length.unwrap_or(32), spec.aggregation_length_v6.unwrap_or(128));
        for (field, length, whole) in
            [("aggregationLength", length, 32), ("aggregationLengthV6", length_v6, 128)]
        {
            if length > whole {
                return Err(reject(format!("spec.{field}: `{length}` is more than {whole}")));
            }
            if length != whole && advertisement.selects_services() {
                return Err(reject(format!(
                    "spec.{field}: it cannot be set together with spec.serviceSelectors"
                )));
            }
        }
        Ok(Self {
            name: name.to_owned(),
            advertisement,
            aggregation_length: length,
            aggregation_length_v6: length_v6,
            local_pref: spec.local_pref,
            as_path_prepend: if version.selects_services() { spec.as_path_prepend } else { 0 },
            peers: spec.peers.clone(),
            is_implied: false,
        })
    }

    /// Whether the advertisement announces a prefix that is larger than a single address.
    #[must_use]
    pub fn aggregates(&self, address: IpAddr) -> bool {
        match Family::of(address) {
            Family::V4 => self.aggregation_length < 32,
            Family::V6 => self.aggregation_length_v6 < 128,
        }
    }

    /// The problem, if a range of the pool is smaller than an announced prefix (`validateBGPAdvPerPool`).
    fn too_short_for(&self, pool: &AddressPool) -> Option<String> {
        let mut ranges = pool.ranges.iter().filter(|_| !self.is_implied);
        ranges.find_map(|range| {
            let (field, length) = match range.family() {
                Family::V4 => ("aggregationLength", self.aggregation_length),
                Family::V6 => ("aggregationLengthV6", self.aggregation_length_v6),
            };
            let shortest = range.shortest_prefix();
            (length < u32::from(shortest)).then(|| {
                format!(
                    "spec.{field}: `{length}` is shorter than the prefix /{shortest} of the addresses {range} in pool `{}`",
                    pool.name
                )
            })
        })
    }

    /// The field in which two advertisements of a pool contradict each other for the same peers, on nodes that both
    /// select.
    pub(super) fn contradicts(
        &self,
        other: &Self,
        pool: &AddressPool,
        version: MetalLbVersion,
    ) -> Option<&'static str> {
        let what = if self.local_pref != other.local_pref {
            "spec.localPref"
        } else if self.as_path_prepend != other.as_path_prepend && version.selects_services() {
            "spec.asPathPrepend"
        } else {
            return None;
        };
        let (v4, v6) = (pool.has(Family::V4), pool.has(Family::V6));
        let differs_v4 = self.aggregation_length != other.aggregation_length;
        let differs_v6 = self.aggregation_length_v6 != other.aggregation_length_v6;
        // Different prefixes in every family of the pool are different BGP updates.
        let announces_other_prefixes = match (v4, v6) {
            (false, false) => true,
            (true, false) => differs_v4,
            (false, true) => differs_v6,
            (true, true) => differs_v4 && differs_v6,
        };
        let shares_peers = self.peers.is_empty()
            || other.peers.is_empty()
            || self.peers.iter().any(|peer| other.peers.contains(peer));
        (!announces_other_prefixes && shares_peers).then_some(what)
    }
}

/// The nodes whose speakers read the advertisement; `None` if its selectors do not parse, so the nodes are unknown
/// (`filterBGPAdvertisementsByNode`, internal/k8s/controllers/config_controller.go, 0.16.2).
fn reading_nodes(spec: &BgpAdvertisementSpec) -> Option<Vec<Selector>> {
    if spec.node_selectors.is_empty() {
        return Some(vec![Selector::default()]);
    }
    spec.node_selectors.iter().map(|selector| selector.parse().ok()).collect()
}

/// The spec as stored by the CRD of this version, which prunes unknown fields.
fn known_to(version: MetalLbVersion, spec: &AdvertisementSpec) -> AdvertisementSpec {
    let mut known = spec.clone();
    if !version.selects_services() {
        known.service_selectors.clear();
    }
    if !version.prefers_nodes() {
        known.preferred_node_selectors.clear();
    }
    if version == MetalLbVersion::V0_13_5 {
        known.interfaces.clear();
    }
    known
}

fn everything(kind: &'static str, name: &str) -> Result<Advertisement, Rejection> {
    Advertisement::parse(&AdvertisementSpec::default())
        .map_err(|error| reject(kind, name, at(&error.field, &error)))
}

fn at(field: &FieldPath, problem: &impl std::fmt::Display) -> String {
    format!("{field}: {problem}")
}

fn reject(kind: &'static str, name: &str, problem: String) -> Rejection {
    Rejection { kind, name: excerpt(name), problem }
}
