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
    /// Whether one of them is enough.
    any: bool,
}

impl NeededFamilies {
    fn of(service: BalancedService<'_>, version: MetalLbVersion) -> Self {
        let needs = |wanted| service.balancer.families.iter().any(|text| family(text) == Some(wanted));
        // Before 0.14, a Service with `PreferDualStack` got addresses of both families or none.
        let any = service.balancer.prefers_dual_stack && version.reserves_pools();
        Self { v4: needs(Family::V4), v6: needs(Family::V6), any }
    }

    /// Whether a pool has such addresses. A pool passes if the families are unknown.
    fn suit(self, pool: &AddressPool) -> bool {
        let mut needed = [(self.v4, Family::V4), (self.v6, Family::V6)].into_iter().filter(|(is, _)| *is);
        let has = |(_, family): (bool, Family)| pool.has(family);
        !(self.v4 || self.v6) || if self.any { needed.any(has) } else { needed.all(has) }
    }
}

/// The pools that assign addresses to Services that ask for none, by position.
#[derive(Debug, Default)]
pub(super) struct AutomaticPools {
    /// Those that are reserved.
    reserved: Vec<usize>,
    /// Those that are not, for each of the needed families, computed on first use: a cluster with a thousand pools may have thousands of
    /// Services.
    open: [OnceLock<Arc<[usize]>>; 8],
}

impl AutomaticPools {
    pub(super) fn of(pools: &[AddressPool]) -> Self {
        let reserved =
            pools.iter().enumerate().filter(|(_, pool)| pool.auto_assigns && pool.reservation.is_some());
        Self { reserved: reserved.map(|(position, _)| position).collect(), open: Default::default() }
    }

    fn open(&self, families: NeededFamilies, pools: &[AddressPool]) -> Arc<[usize]> {
        let place = usize::from(families.v4) | usize::from(families.v6) << 1 | usize::from(families.any) << 2;
        let find = || {
            let pools = pools.iter().enumerate();
            let open = pools
                .filter(|(_, pool)| pool.auto_assigns && pool.reservation.is_none() && families.suit(pool));
            open.map(|(position, _)| position).collect()
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
        if !addresses.is_empty() {
            return self.origin_of(&addresses, requested, service).map(Origin::Address);
        }
        if let Some(name) = requested {
            let found = self.configuration.pools.iter().position(|pool| pool.name == name);
            let pool = found.ok_or_else(|| AllocationError::UnknownPool(name.to_owned()))?;
            self.check_fit(pool, service)?;
            let is_usable = self
                .configuration
                .pool(pool)
                .is_some_and(|pool| NeededFamilies::of(service, self.version).suit(pool));
            return if is_usable {
                Ok(Origin::Requested(pool))
            } else {
                Err(AllocationError::WrongFamily(name.to_owned()))
            };
        }
        self.automatic_origin(service)
    }

    fn origin_of(
        &self,
        addresses: &[IpAddr],
        requested: Option<&str>,
        service: BalancedService<'_>,
    ) -> Result<usize, AllocationError> {
        let mut pools = Vec::with_capacity(addresses.len());
        for address in addresses {
            pools.push(self.configuration.pool_of(*address).ok_or(AllocationError::NoPool(*address))?);
        }
        let Some(pool) = pools.first().copied().filter(|pool| pools.iter().all(|other| other == pool)) else {
            return Err(AllocationError::SeveralPools);
        };
        self.check_fit(pool, service)?;
        let actual = self.configuration.pool(pool).map_or("", |pool| &pool.name);
        match requested {
            Some(requested) if requested != actual => {
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
    fn automatic_origin(&self, service: BalancedService<'_>) -> Result<Origin, AllocationError> {
        let families = NeededFamilies::of(service, self.version);
        let priority = |held: &Reservation| if held.priority > 0 { held.priority } else { i64::MAX };
        let reserved = self.configuration.automatic.reserved.iter().filter_map(|position| {
            let pool = self.configuration.pool(*position)?;
            let is_pinned = fit(pool.reservation.as_ref(), service) == Fit::Pinned && families.suit(pool);
            is_pinned.then_some((priority(pool.reservation.as_ref()?), *position))
        });
        let mut pinned: Vec<(i64, usize)> = reserved.collect();
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
