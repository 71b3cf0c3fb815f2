//! Allocation: the pool that MetalLB takes the addresses of a Service from.
//!
//! Free addresses of a pool are not known here: MetalLB skips a full pool.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use super::{AddressPool, BalancedService, Family, MetalLb, MetalLbVersion, Reservation, parse_address};
use crate::labels::Labels;
use crate::objects::{LoadBalancer, Service};
use crate::snapshot::{Inventory, ObjectKey};

/// The source of a Service's addresses, as pools by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The Service requests addresses of this pool.
    Address(usize),
    /// The Service requests this pool.
    Requested(usize),
    /// The pools are reserved for the Service. They are ranked, and pools of the same rank have no order.
    Reserved(Vec<Vec<usize>>),
    /// Any of the unreserved pools: MetalLB tries them in no order. Services of the same IP families share the list.
    Any(Arc<[usize]>),
}

/// The reason why MetalLB assigns no address to a Service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// The annotation and the field are both set.
    #[error("the annotation `loadBalancerIPs` and `spec.loadBalancerIP` are both set: remove one")]
    TwoRequests,
    /// The requested address is not an address.
    #[error("`{0}` is not an IP address")]
    NotAnAddress(String),
    /// No pool has the address.
    #[error("no pool has the address {0}")]
    NoPool(IpAddr),
    /// No pool has all of the addresses.
    #[error("the requested addresses are in different pools")]
    SeveralPools,
    /// The requested pool does not exist.
    #[error("there is no pool `{0}`")]
    UnknownPool(String),
    /// The address is not in the requested pool.
    #[error("the requested address is in pool `{actual}`, not in the requested pool `{requested}`")]
    OtherPool {
        /// The pool that contains the address.
        actual: String,
        /// The requested pool.
        requested: String,
    },
    /// The pool is reserved for other Services.
    #[error("pool `{0}` is reserved for other Services by its `serviceAllocation`")]
    Reserved(String),
    /// The pool has no addresses of the Service's families.
    #[error("pool `{0}` has no addresses of the Service's IP families")]
    WrongFamily(String),
    /// The requested addresses are not one of each of the Service's families.
    #[error("the requested addresses are not one of each IP family of the Service")]
    OtherFamilies,
    /// No pool assigns addresses automatically to this Service.
    #[error("no pool gives addresses to a Service that asks for none")]
    NoAutoAssign,
}

impl Origin {
    /// The pools that MetalLB tries first.
    #[must_use]
    pub fn first_choice(&self) -> &[usize] {
        match self {
            Self::Address(pool) | Self::Requested(pool) => std::slice::from_ref(pool),
            Self::Reserved(ranks) => ranks.first().map_or(&[], Vec::as_slice),
            Self::Any(pools) => pools,
        }
    }
}

/// Whether a pool is reserved for a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// The pool is not reserved.
    Open,
    /// The pool is reserved for this Service, among others.
    Pinned,
    /// The pool may be requested, but is never chosen automatically: its selectors select no namespace.
    OnRequest,
    /// The pool is reserved for other Services.
    Other,
}

/// The families of the addresses that a Service needs.
#[derive(Debug, Clone, Copy)]
struct NeededFamilies {
    v4: bool,
    v6: bool,
    /// The first of them in the order of the Service.
    first: Option<Family>,
    /// Whether one of them is enough.
    any: bool,
}

impl NeededFamilies {
    fn of(service: BalancedService<'_>, version: MetalLbVersion) -> Self {
        let mut families = service.balancer.families.iter().filter_map(|text| family(text));
        let needs = |wanted| families.clone().any(|family| family == wanted);
        // Before 0.14, a Service with `PreferDualStack` got addresses of both families or none.
        let any = service.balancer.prefers_dual_stack && version.reserves_pools();
        Self { v4: needs(Family::V4), v6: needs(Family::V6), first: families.next(), any }
    }

    fn each(self) -> impl Iterator<Item = Family> {
        [(self.v4, Family::V4), (self.v6, Family::V6)]
            .into_iter()
            .filter_map(|(needs, family)| needs.then_some(family))
    }

    /// Whether a pool gives such addresses. A pool passes if the families are unknown.
    fn suit(self, pool: &AddressPool) -> bool {
        let gives = |family| pool.gives_family(family);
        self.first.is_none() || if self.any { self.each().any(gives) } else { self.each().all(gives) }
    }

    /// Keeps, of pools that suit, those that give addresses of all families; without any, those that give the first family
    /// (`findBestPoolForService`, internal/allocator/allocator.go, 0.15.2).
    fn keep_best<'p, P>(self, pools: &mut Vec<P>, pool: impl Fn(&P) -> Option<&'p AddressPool>) {
        let gives = |found: &P, family| pool(found).is_some_and(|pool| pool.gives_family(family));
        let gives_all = |found: &P| self.each().all(|family| gives(found, family));
        let gives_first = |found: &P| self.first.is_none_or(|family| gives(found, family));
        if pools.iter().any(gives_all) {
            pools.retain(gives_all);
        } else if pools.iter().any(gives_first) {
            pools.retain(gives_first);
        }
    }

    /// Checks that requested addresses are one of each family (`allocateIPs`, controller/service.go, and `ForAddresses`,
    /// internal/ipfamily/ipfamily.go, in 0.13.5, 0.15.2 and 0.16.2).
    fn check(self, requested: &[IpAddr]) -> Result<(), AllocationError> {
        let count = |family| requested.iter().filter(|address| Family::of(**address) == family).count();
        let counts = [count(Family::V4), count(Family::V6)];
        let needed = [usize::from(self.v4), usize::from(self.v6)];
        if counts.iter().any(|count| *count > 1) || self.first.is_some() && counts != needed {
            return Err(AllocationError::OtherFamilies);
        }
        Ok(())
    }
}

/// The pools that assign addresses to Services that ask for none, by position.
#[derive(Debug, Default)]
pub(super) struct AutomaticPools {
    /// Those that are reserved.
    reserved: Vec<usize>,
    /// Those that are not, for each of the needed families, computed on first use: a cluster with a thousand pools may have thousands of
    /// Services.
    open: [OnceLock<Arc<[usize]>>; 16],
}

impl AutomaticPools {
    pub(super) fn of(pools: &[AddressPool]) -> Self {
        let reserved =
            pools.iter().enumerate().filter(|(_, pool)| pool.auto_assigns && pool.reservation.is_some());
        Self { reserved: reserved.map(|(position, _)| position).collect(), open: Default::default() }
    }

    fn open(&self, families: NeededFamilies, pools: &[AddressPool]) -> Arc<[usize]> {
        let place = usize::from(families.v4)
            | usize::from(families.v6) << 1
            | usize::from(families.any) << 2
            | usize::from(families.first == Some(Family::V6)) << 3;
        let find = || {
            let suits = |(_, pool): &(usize, &AddressPool)| {
                pool.auto_assigns && pool.reservation.is_none() && families.suit(pool)
            };
            let mut open: Vec<_> = pools.iter().enumerate().filter(suits).collect();
            families.keep_best(&mut open, |(_, pool)| Some(*pool));
            open.iter().map(|(position, _)| *position).collect()
        };
        self.open.get(place).map_or_else(find, |kept| Arc::clone(kept.get_or_init(find)))
    }
}

impl MetalLb<'_> {
    /// The source of a Service's addresses when MetalLB assigns new ones (`allocateIPs`, controller/service.go).
    ///
    /// # Errors
    /// [`AllocationError`] if MetalLB assigns none.
    pub fn origin(&self, service: BalancedService<'_>) -> Result<Origin, AllocationError> {
        let annotation = |name| {
            let value = service.balancer.annotation(name, !self.version.reads_new_annotations());
            value.filter(|value| !value.is_empty())
        };
        let field = Some(service.balancer.requested_address.as_str()).filter(|field| !field.is_empty());
        let requested = annotation("address-pool");
        let addresses = match (annotation("loadBalancerIPs"), field) {
            (Some(_), Some(_)) => return Err(AllocationError::TwoRequests),
            (Some(list), None) => addresses(list.split(',').map(str::trim))?,
            (None, Some(one)) => addresses([one].into_iter())?,
            (None, None) => Vec::new(),
        };
        let families = NeededFamilies::of(service, self.version);
        if !addresses.is_empty() {
            families.check(&addresses)?;
            return self.origin_of(&addresses, requested, service).map(Origin::Address);
        }
        if let Some(name) = requested {
            let found = self.configuration.pools.iter().position(|pool| pool.name == name);
            let pool = found.ok_or_else(|| AllocationError::UnknownPool(name.to_owned()))?;
            self.check_fit(pool, service)?;
            let is_usable = self.configuration.pool(pool).is_some_and(|pool| families.suit(pool));
            return if is_usable {
                Ok(Origin::Requested(pool))
            } else {
                Err(AllocationError::WrongFamily(name.to_owned()))
            };
        }
        self.automatic_origin(families, service)
    }

    fn origin_of(
        &self,
        addresses: &[IpAddr],
        requested: Option<&str>,
        service: BalancedService<'_>,
    ) -> Result<usize, AllocationError> {
        let mut pools = Vec::with_capacity(addresses.len());
        for address in addresses {
            let pool = self.configuration.pool_of(*address);
            let gives =
                |pool: &usize| self.configuration.pool(*pool).is_some_and(|pool| pool.gives(*address));
            pools.push(pool.filter(gives).ok_or(AllocationError::NoPool(*address))?);
        }
        let Some(pool) = pools.first().copied().filter(|pool| pools.iter().all(|other| other == pool)) else {
            return Err(AllocationError::SeveralPools);
        };
        self.check_fit(pool, service)?;
        let actual = self.configuration.pool(pool).map_or("", |pool| &pool.name);
        match requested {
            Some(requested) if requested != actual && self.version.compares_requests() => {
                Err(AllocationError::OtherPool { actual: actual.to_owned(), requested: requested.to_owned() })
            }
            _ => Ok(pool),
        }
    }

    fn check_fit(&self, pool: usize, service: BalancedService<'_>) -> Result<(), AllocationError> {
        match self.configuration.pool(pool) {
            Some(pool) if fit(pool.reservation.as_ref(), service) == Fit::Other => {
                Err(AllocationError::Reserved(pool.name.clone()))
            }
            _ => Ok(()),
        }
    }

    /// The reserved pools by rank, or any unreserved pool if none is reserved for the Service.
    fn automatic_origin(
        &self,
        families: NeededFamilies,
        service: BalancedService<'_>,
    ) -> Result<Origin, AllocationError> {
        let priority = |held: &Reservation| if held.priority > 0 { held.priority } else { i64::MAX };
        let reserved = self.configuration.automatic.reserved.iter().filter_map(|position| {
            let pool = self.configuration.pool(*position)?;
            let is_pinned = fit(pool.reservation.as_ref(), service) == Fit::Pinned && families.suit(pool);
            is_pinned.then_some((priority(pool.reservation.as_ref()?), *position))
        });
        let mut pinned: Vec<(i64, usize)> = reserved.collect();
        families.keep_best(&mut pinned, |(_, position)| self.configuration.pool(*position));
        pinned.sort_unstable();
        if !pinned.is_empty() {
            let ranks = pinned.chunk_by(|(one, _), (other, _)| one == other);
            return Ok(Origin::Reserved(
                ranks.map(|rank| rank.iter().map(|(_, pool)| *pool).collect()).collect(),
            ));
        }
        let open = self.configuration.automatic.open(families, &self.configuration.pools);
        if open.is_empty() { Err(AllocationError::NoAutoAssign) } else { Ok(Origin::Any(open)) }
    }
}

impl AddressPool {
    /// Whether MetalLB gives the address to a Service (`poolFor`, internal/allocator/allocator.go).
    fn gives(&self, address: IpAddr) -> bool {
        !(self.avoids_buggy_addresses && is_buggy(address))
    }

    /// Whether the pool has an address of a family that MetalLB gives to a Service.
    fn gives_family(&self, family: Family) -> bool {
        let mut ranges = self.ranges.iter().filter(|range| range.family() == family);
        ranges.any(|range| {
            !self.avoids_buggy_addresses || range.first_addresses().any(|address| !is_buggy(address))
        })
    }

    /// Whether the pool, which has the Service's addresses, is reserved for other Services, so that MetalLB takes them away. A pool
    /// that selects namespaces which were not read may be reserved for this one, too.
    pub(crate) fn is_reserved_for_others(&self, service: BalancedService<'_>) -> bool {
        let reservation = self.reservation.as_ref();
        !reservation.is_some_and(|held| held.has_unknown_namespaces)
            && fit(reservation, service) == Fit::Other
    }
}

/// Whether MetalLB lets two Services have one address, apart from their ports: both have the same key in the annotation
/// `allow-shared-ip`, both have the same policy, and with `Local` the same selector (`sharingOK`,
/// internal/allocator/allocator.go, and `BackendKey`, internal/allocator/k8salloc/k8salloc.go; 0.13.5, 0.15.2, 0.16.2).
/// `old_only` as for [`LoadBalancer::annotation`].
pub(crate) fn may_share(one: Sharer<'_>, other: Sharer<'_>, old_only: bool) -> bool {
    let key = |(_, balancer): Sharer<'_>| sharing_key(balancer, old_only).map(str::to_owned);
    key(one).is_some() && key(one) == key(other) && backends(one.0) == backends(other.0)
}

/// A Service other than `key` that has one of the addresses of `one`, and would not share it.
pub(crate) fn disagreeing_sharer<'i>(
    inventory: &'i Inventory,
    key: &ObjectKey,
    one: Sharer<'_>,
) -> Option<&'i ObjectKey> {
    let has_address_of_one = |other: &LoadBalancer| {
        other.ingress.iter().any(|entry| !entry.ip.is_empty() && one.1.ingress.contains(entry))
    };
    let mut others =
        inventory.load_balancers.iter().filter(|(other, held)| *other != key && has_address_of_one(held));
    let disagrees = |other, held| {
        inventory.services.get(other).is_some_and(|service| !may_share(one, (service, held), false))
    };
    others.find(|(other, held)| disagrees(*other, *held)).map(|(other, _)| other)
}

/// The key of the annotation `allow-shared-ip`; `None` if the Service has none, or an empty one.
pub(crate) fn sharing_key(balancer: &LoadBalancer, old_only: bool) -> Option<&str> {
    balancer.annotation("allow-shared-ip", old_only).filter(|key| !key.is_empty())
}

/// A Service, and what MetalLB reads of it.
pub(crate) type Sharer<'i> = (&'i Service, &'i LoadBalancer);

/// The selector with `Local`; with `Cluster`, Services share whatever they select.
fn backends(service: &Service) -> Option<&Labels> {
    let spec = service.spec.as_ref()?;
    spec.is_local().then_some(&spec.selector).filter(|selector| !selector.is_empty())
}

/// Whether a pool is reserved for a Service (`isPoolCompatibleWithService`, `pinnedPoolsForService`).
fn fit(reservation: Option<&Reservation>, service: BalancedService<'_>) -> Fit {
    let Some(Reservation { namespaces, services, .. }) = reservation else {
        return Fit::Open;
    };
    let labels = &service.service.metadata.labels;
    let is_selected = services.is_empty() || services.iter().any(|selector| selector.matches(labels));
    if !is_selected || !(namespaces.is_empty() || namespaces.contains(&service.key.namespace)) {
        Fit::Other
    } else if namespaces.is_empty() && services.is_empty() {
        Fit::OnRequest
    } else {
        Fit::Pinned
    }
}

/// Whether the address is an IPv4 address that ends with 0 or 255, which some devices take for a network's or a broadcast address
/// (`ipConfusesBuggyFirmwares`, internal/allocator/allocator.go).
const fn is_buggy(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if matches!(address.octets(), [.., 0 | 255]))
}

fn addresses<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<IpAddr>, AllocationError> {
    texts
        .map(|text| {
            parse_address(text).ok_or_else(|| AllocationError::NotAnAddress(crate::escape::excerpt(text)))
        })
        .collect()
}

fn family(text: &str) -> Option<Family> {
    match text {
        "IPv4" => Some(Family::V4),
        "IPv6" => Some(Family::V6),
        _ => parse_address(text).map(Family::of),
    }
}
