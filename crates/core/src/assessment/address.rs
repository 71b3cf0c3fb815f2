//! The outcome at each address of a Service.

use std::net::IpAddr;

use serde_json::json;

use crate::election::{
    AddressPool, AddressRange, BalancedService, Election, Family, Ineligible, Layer2, MetalLb, NobodyElected,
    Obstacle, Origin, Rejection, may_share, parse_address, sharing_key,
};
use crate::escape::excerpt;
use crate::labels::Labels;
use crate::objects::{LoadBalancer, Service, ServiceSpec};
use crate::snapshot::{Advertisement, ObjectKey, ResolvedTopology, in_namespace};

use super::cause::{join, names};
use super::{AddressAssessment, Cause, CauseCode, Outcome, ServiceAssessment, State, command};

/// A Service of a topology with its key.
pub(super) type Entry<'i> = (&'i ObjectKey, &'i Service);

impl<'i> State<'i> {
    /// The Services of type `LoadBalancer` behind a topology's gateway that MetalLB serves; one without a selector if it has an
    /// endpoint there.
    pub(super) fn services_of(&self, topology: &'i ResolvedTopology) -> impl Iterator<Item = Entry<'i>> {
        in_namespace(&self.inventory.services, &topology.spec.gateway.namespace).filter(|(key, service)| {
            service
                .spec
                .as_ref()
                .is_some_and(|spec| topology.is_announced(spec) && self.leads_to(topology, key, spec))
        })
    }

    /// Whether a Service in the gateway's namespace sends traffic to the gateway's pods. One whose selector was removed, or has
    /// just been replaced, still leads to its endpoints.
    pub(super) fn leads_to(&self, topology: &ResolvedTopology, key: &ObjectKey, spec: &ServiceSpec) -> bool {
        let slices = || self.slices.get(&(key.namespace.as_str(), key.name.as_str())).iter().copied();
        spec.kind != "ExternalName"
            && (topology.is_behind(spec)
                || self.inventory.has_gateway_pod(topology, &key.namespace, slices()))
    }

    /// The other Services of the namespace that have the address in `externalIPs`.
    pub(super) fn external_services(
        &self,
        service: &ObjectKey,
        address: &IpAddr,
    ) -> impl Iterator<Item = Entry<'i>> {
        let all = self.external.get(address).iter().copied();
        all.filter(move |(key, _)| key.namespace == service.namespace && *key != service)
    }

    /// The Service as MetalLB sees it.
    pub(super) fn balanced<'s>(&'s self, (key, service): Entry<'s>) -> BalancedService<'s> {
        static NONE: std::sync::LazyLock<LoadBalancer> = std::sync::LazyLock::new(LoadBalancer::default);
        BalancedService {
            key,
            service,
            balancer: self.inventory.load_balancers.get(key).unwrap_or(&NONE),
            slices: self.slices.get(&(key.namespace.as_str(), key.name.as_str())),
        }
    }

    pub(super) fn assess_service(&self, topology: &ResolvedTopology, entry: Entry<'i>) -> ServiceAssessment {
        let (key, service) = entry;
        let spec = service.spec.as_ref();
        let balanced = self.balanced(entry);
        ServiceAssessment {
            key: key.clone(),
            policy: spec.map_or_else(String::new, |spec| spec.external_traffic_policy.clone()),
            health_check_node_port: balanced.balancer.health_check_node_port,
            addresses: self.assess_addresses(topology, balanced),
            nodes: Vec::new(),
        }
    }

    fn assess_addresses(
        &self,
        topology: &ResolvedTopology,
        service: BalancedService<'_>,
    ) -> Vec<AddressAssessment> {
        if let Some(cause) = self.missing(topology) {
            return without_announcer(service, None, &Outcome::Unknown(cause));
        }
        let metallb = match self.metallb.get(topology.spec.metallb_namespace.as_str()) {
            Some(Ok(metallb)) => metallb,
            Some(Err(rejection)) => return self.assess_rejected(topology, service, rejection),
            None => return without_announcer(service, None, &Outcome::Unknown(Cause::no_metallb())),
        };
        let election = match metallb.elect(service) {
            Ok(election) => election,
            Err(ineligible) => {
                let unshared =
                    || self.unshared(metallb, service).filter(|_| ineligible == Ineligible::NoAddress);
                let cause =
                    unshared().unwrap_or_else(|| ineligible_cause(topology, metallb, service, &ineligible));
                return without_announcer(service, Some(metallb), &Outcome::Silent(cause));
            }
        };
        let Some(pool) = metallb.configuration().pool(election.pool) else {
            return Vec::new();
        };
        let decided = Decided { state: self, topology, metallb, service, election: &election, pool };
        decided.assess()
    }

    /// The reason why a Service without an address does not get that of another one whose key in `allow-shared-ip` is the same.
    fn unshared(&self, metallb: &MetalLb<'_>, service: BalancedService<'_>) -> Option<Cause> {
        let old_only = !metallb.version().reads_new_annotations();
        let key = sharing_key(service.balancer, old_only)?;
        let one = (service.service, service.balancer);
        let mut refusing = self.inventory.load_balancers.iter().filter(|(other, balancer)| {
            *other != service.key
                && !balancer.ingress.is_empty()
                && sharing_key(balancer, old_only) == Some(key)
                && self
                    .inventory
                    .services
                    .get(*other)
                    .is_some_and(|other| !may_share(one, (other, balancer), old_only))
        });
        let (other, _) = refusing.next()?;
        let name = excerpt(&format!("{}/{}", other.namespace, other.name));
        let cause = |what: &str, mend: &str| {
            let message = format!(
                "the Service has no address, and MetalLB does not let it share that of `{name}`: their {what}"
            );
            Cause::new(CauseCode::NoAddress, message, mend)
        };
        let spec = service.service.spec.as_ref()?;
        if spec.selector != self.inventory.services.get(other)?.spec.as_ref()?.selector {
            let mend =
                "remove the annotation `allow-shared-ip`, so that the Service gets an address of its own";
            return Some(
                cause("`externalTrafficPolicy`, or with `Local` their selectors, differ", mend)
                    .with([unshare(service)]),
            );
        }
        let policy = if service.is_local() { "Local" } else { "Cluster" };
        let mend = format!("set `spec.externalTrafficPolicy: {policy}` in `{name}`, too");
        let fields = json!({"spec": {"externalTrafficPolicy": policy}});
        let command = command::patch("Service", Some(&other.namespace), &other.name, &fields);
        Some(cause("`externalTrafficPolicy` differs", &mend).with([command]))
    }

    /// Running speakers keep their last valid configuration, which is unknown; speakers that start announce nothing.
    fn assess_rejected(
        &self,
        topology: &ResolvedTopology,
        service: BalancedService<'_>,
        rejection: &Rejection,
    ) -> Vec<AddressAssessment> {
        let namespace = &topology.spec.metallb_namespace;
        let reported = self.inventory.reported_announcers.get(service.key).and_then(|nodes| nodes.first());
        let outcome = match reported {
            Some(node) => Outcome::Fragile(rejected(
                rejection,
                namespace,
                &format!(
                    "`{node}` still announces by an older configuration, and a speaker that restarts will announce nothing"
                ),
            )),
            None => Outcome::Silent(rejected(
                rejection,
                namespace,
                "a speaker that starts announces nothing, and one that runs keeps its last valid configuration",
            )),
        };
        let mut addresses = without_announcer(service, None, &outcome);
        for address in &mut addresses {
            address.announcer = reported.cloned();
        }
        addresses
    }
}

fn rejected(rejection: &Rejection, namespace: &str, consequence: &str) -> Cause {
    let cause = Cause::new(
        CauseCode::ConfigurationRejected,
        format!("{consequence}, because MetalLB rejects the configuration: {rejection}"),
        format!("correct or delete {} `{}`", rejection.kind, rejection.name),
    );
    cause.with([command::edit(rejection.kind, namespace, &rejection.name)])
}

/// Returns the same outcome for each address, or once for a Service without addresses.
fn without_announcer(
    service: BalancedService<'_>,
    metallb: Option<&MetalLb<'_>>,
    outcome: &Outcome,
) -> Vec<AddressAssessment> {
    let entry = |address: Option<String>, pool: Option<String>| AddressAssessment {
        address,
        pool,
        outcome: outcome.clone(),
        announcer: None,
        next: None,
        bgp_announcers: Vec::new(),
        candidates: 0,
    };
    if service.balancer.ingress.is_empty() {
        return vec![entry(None, None)];
    }
    let entries = service.balancer.ingress.iter().map(|ingress| {
        let written = if ingress.ip.is_empty() { &ingress.hostname } else { &ingress.ip };
        let address = parse_address(written);
        let pool = address.zip(metallb).and_then(|(address, metallb)| {
            let configuration = metallb.configuration();
            configuration.pool(configuration.pool_of(address)?).map(|pool| pool.name.clone())
        });
        entry(Some(address.map_or_else(|| excerpt(written), |address| address.to_string())), pool)
    });
    entries.collect()
}

fn ineligible_cause(
    topology: &ResolvedTopology,
    metallb: &MetalLb<'_>,
    service: BalancedService<'_>,
    ineligible: &Ineligible,
) -> Cause {
    match ineligible {
        Ineligible::NoAddress => no_address(metallb, service),
        Ineligible::NotAnAddress(text) => Cause::new(
            CauseCode::NotAnAddress,
            format!(
                "the status has `{}`, which is not an IP address, so MetalLB announces none of the Service's addresses",
                excerpt(text)
            ),
            "remove the entry: another controller than MetalLB wrote it, so let only one of them serve the Service",
        ),
        Ineligible::NoPool(address) => {
            let own = metallb.configuration().pools.iter().find(|pool| {
                pool.kind == "IPAddressPool" && topology.spec.address_pools.contains(&pool.name)
            });
            let length = if address.is_ipv4() { 32 } else { 128 };
            let add = own.map(|pool| {
                let range = format!("{address}/{length}");
                command::append(pool.kind, metallb.namespace(), &pool.name, "/spec/addresses", &range)
            });
            let cause = Cause::new(
                CauseCode::AddressInNoPool,
                format!(
                    "no address pool has {address}, so MetalLB announces none of the Service's addresses"
                ),
                format!(
                    "add {address} to `spec.addresses` of an IPAddressPool, or let MetalLB give the Service another address"
                ),
            );
            cause.with(add)
        }
        Ineligible::SeveralPools { one, other } => Cause::new(
            CauseCode::SeveralPools,
            format!(
                "the addresses are in the pools `{one}` and `{other}`, and MetalLB announces a Service only if one pool has them all"
            ),
            format!(
                "put the ranges of `{one}` and `{other}` into one pool, or ask for addresses of one pool"
            ),
        ),
    }
}

fn no_address(metallb: &MetalLb<'_>, service: BalancedService<'_>) -> Cause {
    let pool_names = |pools: &[usize]| {
        let configuration = metallb.configuration();
        names(pools.iter().filter_map(|pool| configuration.pool(*pool)).map(|pool| pool.name.as_str()))
    };
    match metallb.origin(service) {
        Err(error) => Cause::new(
            CauseCode::NoAddress,
            format!("MetalLB gives the Service no address: {error}"),
            "correct the Service's annotations and `spec.loadBalancerIP`, or add a pool that serves it",
        ),
        Ok(origin) => {
            let any = if matches!(origin, Origin::Any(_)) { "any of " } else { "" };
            Cause::new(
                CauseCode::NoAddress,
                format!(
                    "the Service has no address; MetalLB would take one from {any}{}",
                    pool_names(origin.first_choice())
                ),
                "check that MetalLB's controller runs and that the pool has free addresses: `kubectl describe service` shows its events",
            )
        }
    }
}

/// A Service and its election.
struct Decided<'a> {
    state: &'a State<'a>,
    topology: &'a ResolvedTopology,
    metallb: &'a MetalLb<'a>,
    service: BalancedService<'a>,
    election: &'a Election,
    pool: &'a AddressPool,
}

impl Decided<'_> {
    fn assess(&self) -> Vec<AddressAssessment> {
        let name = |node: usize| self.metallb.node_name(node).to_owned();
        let announcer = self.layer2_announcer();
        let (next, by_layer2) = match self.election.layer2 {
            Layer2::Elected { next, candidates, .. } => (next, candidates),
            Layer2::Nobody(_) => (None, 0),
        };
        let candidates = by_layer2.max(self.election.bgp.len());
        let outcome = self.outcome(announcer, next);
        let bgp: Vec<String> = self.election.bgp.iter().copied().map(name).collect();
        let addresses = self.election.addresses.iter().map(|address| AddressAssessment {
            address: Some(address.to_string()),
            pool: Some(self.pool.name.clone()),
            outcome: outcome.clone(),
            announcer: announcer.map(name),
            next: next.map(name),
            bgp_announcers: bgp.clone(),
            candidates,
        });
        addresses.collect()
    }

    /// The elected node, if its speaker announces.
    fn layer2_announcer(&self) -> Option<usize> {
        match self.election.layer2 {
            Layer2::Elected { winner, .. } => self.silence_of(winner).is_none().then_some(winner),
            Layer2::Nobody(_) => None,
        }
    }

    /// The reason why the speaker of an elected node does not announce. No other speaker takes over then.
    fn silence_of(&self, winner: usize) -> Option<Cause> {
        let node = self.metallb.node_name(winner);
        if self.metallb.has_speaker(winner) == Some(false) {
            return Some(Cause::new(
                CauseCode::NoSpeaker,
                format!(
                    "`{node}` is elected, but no speaker is ready on it, and without a memberlist no other speaker knows"
                ),
                format!("start the speaker on `{node}`, or run the speakers with a memberlist"),
            ));
        }
        let rejection = self.metallb.rejection_on(winner)?;
        let consequence = format!(
            "`{node}` is elected, but its speaker cannot use the configuration, and no other node steps in"
        );
        Some(rejected(rejection, self.metallb.namespace(), &consequence))
    }

    fn outcome(&self, announcer: Option<usize>, next: Option<usize>) -> Outcome {
        if let Some(cause) = self.released() {
            return Outcome::Silent(cause);
        }
        if announcer.is_none() && self.election.bgp.is_empty() {
            return Outcome::Silent(self.silence());
        }
        if !self.service.is_local() {
            return Outcome::Lost(self.not_local());
        }
        if let Some(cause) = self.bypassed() {
            return Outcome::Lost(cause);
        }
        if let Some(cause) = self.aggregated() {
            return Outcome::Fragile(cause);
        }
        let first = announcer.or_else(|| self.election.bgp.first().copied());
        let others = self.election.bgp.iter().any(|node| Some(*node) != first);
        match first {
            Some(only) if next.is_none() && !others => Outcome::Fragile(self.one_node(only)),
            _ => Outcome::Preserved,
        }
    }

    /// The reason why MetalLB's controller takes the address away: its pool is reserved for other Services (`Assign`,
    /// internal/allocator/allocator.go, and `convergeBalancer`, controller/service.go, 0.15.2 and 0.16.2).
    fn released(&self) -> Option<Cause> {
        if !self.pool.is_reserved_for_others(self.service) {
            return None;
        }
        let next = match self.metallb.origin(self.service) {
            Ok(origin) => {
                let configuration = self.metallb.configuration();
                let pools = origin.first_choice().iter().filter_map(|pool| configuration.pool(*pool));
                format!("gives it one of {}", names(pools.map(|pool| pool.name.as_str())))
            }
            Err(_) => "gives it no other".to_owned(),
        };
        let pool = &self.pool.name;
        Some(Cause::new(
            CauseCode::NoAddress,
            format!(
                "`serviceAllocation` of pool `{pool}` reserves it for other Services: MetalLB takes the address away and {next}"
            ),
            format!(
                "let `spec.serviceAllocation` of pool `{pool}` select namespace `{}` and the Service's labels",
                excerpt(&self.service.key.namespace)
            ),
        ))
    }

    /// A Service that leads to the gateway, has one of the addresses in `externalIPs` and is not `Local`: kube-proxy answers for
    /// the address on every node.
    fn bypassed(&self) -> Option<Cause> {
        self.election.addresses.iter().find_map(|address| {
            let mut others = self.state.external_services(self.service.key, address);
            let (key, _) = others.find(|(key, service)| {
                service
                    .spec
                    .as_ref()
                    .is_some_and(|spec| !spec.is_local() && self.state.leads_to(self.topology, key, spec))
            })?;
            let name = excerpt(&key.name);
            let cause = Cause::new(
                CauseCode::ExternalIp,
                format!(
                    "Service `{name}` has {address} in `spec.externalIPs`, leads to the gateway, and its externalTrafficPolicy is not \
                     `Local`: kube-proxy replaces the client's source IP by a node's"
                ),
                format!("remove the address from Service `{name}`, or set `spec.externalTrafficPolicy: Local` in it"),
            );
            Some(cause.with([set_local(key)]))
        })
    }

    fn silence(&self) -> Cause {
        let pool = &self.pool.name;
        let why = match self.election.layer2 {
            Layer2::Elected { winner, .. } => {
                return self.silence_of(winner).unwrap_or_else(|| self.no_candidate());
            }
            Layer2::Nobody(why) => why,
        };
        match why {
            NobodyElected::NoEndpoint => Cause::new(
                CauseCode::NoEndpoint,
                "the Service has no ready endpoint, and MetalLB announces no Service without one",
                "start a gateway pod, and make it ready: `kubectl get endpointslices` and `kubectl describe pod` show what is missing",
            ),
            // With BGP advertisements only, the reason is the same as by layer 2: no node passes every condition.
            NobodyElected::NotAdvertised if self.pool.bgp.is_empty() => {
                self.state.not_advertised(self.topology, pool)
            }
            NobodyElected::NotAdvertised => self.no_bgp_announcer(),
            NobodyElected::ServiceNotSelected => Cause::new(
                CauseCode::ServiceNotSelected,
                format!(
                    "none of the advertisements of pool `{pool}` selects the Service: {}",
                    self.advertisement_names()
                ),
                "label the Service as one of them asks, or add the Service's labels to its `serviceSelectors`",
            )
            .with(self.label_service()),
            NobodyElected::SharedAddress => Cause::new(
                CauseCode::SharedAddress,
                format!(
                    "the Service has the annotation `allow-shared-ip`, and MetalLB announces no such Service while an advertisement of pool `{pool}` with `serviceSelectors` selects it"
                ),
                "remove the annotation, or the `serviceSelectors`",
            )
            .with(self.unshare()),
            NobodyElected::NoMemberlist => Cause::new(
                CauseCode::NoMemberlist,
                format!(
                    "MetalLB {} announces nothing by layer 2 without a memberlist, and its speaker pods set no address or no labels for one",
                    self.metallb.version()
                ),
                "set `METALLB_ML_BIND_ADDR` (from the field `status.podIP`) and `METALLB_ML_LABELS` in the speaker DaemonSet, or upgrade MetalLB to 0.15.0 or later",
            ),
            NobodyElected::NoCandidate => self.no_candidate(),
        }
    }

    /// The names of the pool's advertisements of both kinds.
    fn advertisement_names(&self) -> String {
        names(self.metallb.configuration().advertisements_of(self.pool).map(|(_, name, _)| name))
    }

    /// The reason why no node announces, which is the obstacle of the node that comes closest.
    fn no_candidate(&self) -> Cause {
        let nodes = if self.service.is_local() {
            self.metallb.endpoint_nodes(self.service)
        } else {
            (0..self.metallb.node_count()).collect()
        };
        let obstacles = nodes.iter().filter_map(|node| {
            Some((self.metallb.obstacle(self.service, self.election.pool, *node)?, *node))
        });
        // If several come equally close, the first by name counts.
        let closest = obstacles.max_by_key(|(obstacle, node)| (*obstacle, std::cmp::Reverse(*node)));
        closest
            .map_or_else(|| self.endpoint_without_node(), |(obstacle, node)| self.obstructed(obstacle, node))
    }

    fn endpoint_without_node(&self) -> Cause {
        let active = self.service.endpoints().filter(|endpoint| self.metallb.is_active(endpoint));
        let unknown: Vec<&str> =
            active.map(|endpoint| endpoint.node_name.as_str()).filter(|node| !node.is_empty()).collect();
        let message = if unknown.is_empty() {
            "the ready endpoints of the Service name no node, and with `Local` MetalLB counts only endpoints on a node".to_owned()
        } else {
            format!(
                "the ready endpoints of the Service are on {}, which is no node of the cluster",
                names(unknown)
            )
        };
        Cause::new(
            CauseCode::EndpointWithoutNode,
            message,
            "let the Service select pods, so that its endpoints name their nodes",
        )
    }

    fn obstructed(&self, obstacle: Obstacle, node: usize) -> Cause {
        let name = self.metallb.node_name(node);
        let pool = &self.pool.name;
        let runs = if self.service.is_local() { "runs a ready gateway pod" } else { "could announce" };
        match obstacle {
            Obstacle::NoSpeaker => no_speaker(
                self.metallb,
                node,
                &format!("`{name}` {runs}, but no MetalLB speaker is ready on it"),
            ),
            Obstacle::NetworkUnavailable => Cause::new(
                CauseCode::NetworkUnavailable,
                format!(
                    "`{name}` {runs}, but its condition `NetworkUnavailable` is true, and MetalLB does not announce from it"
                ),
                format!("repair the node's network: `kubectl describe node {name}` shows the condition"),
            ),
            Obstacle::Excluded => excluded(
                &[name],
                &format!("`{name}` {runs}, but the label `{EXCLUDE}` keeps MetalLB from announcing from it"),
            ),
            Obstacle::Rejected => self.metallb.rejection_on(node).map_or_else(
                || self.endpoint_without_node(),
                |rejection| {
                    rejected(
                        rejection,
                        self.metallb.namespace(),
                        &format!("`{name}` {runs}, but its speaker announces nothing"),
                    )
                },
            ),
            Obstacle::Contradiction => Cause::new(
                CauseCode::Contradiction,
                format!(
                    "`{name}` {runs}, but the BGPAdvertisements of pool `{pool}` that select it contradict each other in `spec.localPref` or `spec.asPathPrepend`"
                ),
                format!("set the same values in {}", self.advertisement_names()),
            ),
            Obstacle::NotSelected | Obstacle::NoLocalEndpoint => {
                let (mend, commands) = self.mend_selection(node);
                let message = format!("`{name}` {runs}, but no advertisement of pool `{pool}` selects it");
                Cause::new(CauseCode::NodeNotSelected, message, mend).with(commands)
            }
        }
    }

    /// The mend, and its commands: labels for the node, if an advertisement would select it with the placement's labels;
    /// otherwise a change of the advertisement, too.
    fn mend_selection(&self, node: usize) -> (String, Vec<String>) {
        let name = self.metallb.node_name(node);
        let labels = &self.service.service.metadata.labels;
        let held = self.metallb.node_labels(node).cloned().unwrap_or_default();
        let mut placed = held.clone();
        placed.extend(self.topology.spec.placement.node_selector.clone());
        let mut missing = placed.clone();
        missing.retain(|key, value| held.get(key) != Some(value));
        let label = (!missing.is_empty()).then(|| command::label_nodes(&[name], &missing));
        let announces = |placed: &Labels| {
            let mut all = self.metallb.configuration().advertisements_of(self.pool);
            all.any(|(.., advertisement)| {
                advertisement.applies_to(labels) && advertisement.announces_from(placed)
            })
        };
        if announces(&placed) {
            return (format!("label `{}` as a gateway node", excerpt(name)), label.into_iter().collect());
        }
        let mend = format!(
            "let `nodeSelectors` of {} select `{}`, or move the gateway to a node that they select",
            self.advertisement_names(),
            excerpt(name)
        );
        let admit = self.state.announce_placement(self.topology, self.metallb, self.pool, labels);
        (mend, label.into_iter().chain([admit]).collect())
    }

    /// The command that labels the Service so that an advertisement of the pool selects it.
    fn label_service(&self) -> Option<String> {
        let mut all = self.metallb.configuration().advertisements_of(self.pool);
        let held = &self.service.service.metadata.labels;
        let missing = all.find_map(|(.., advertisement)| advertisement.labels_to_apply_to(held))?;
        Some(command::label_service(&self.service.key.namespace, &self.service.key.name, &missing))
    }

    /// The command that removes the annotations for sharing, unless the Service shares its address: it would lose it.
    fn unshare(&self) -> Option<String> {
        self.sharers().is_empty().then(|| unshare(self.service))
    }

    /// The other Services that have one of the addresses.
    fn sharers(&self) -> Vec<String> {
        let sharers = self.election.addresses.iter().flat_map(|address| self.state.sharers.get(address));
        let others = sharers.filter(|key| **key != self.service.key);
        others.map(|key| format!("{}/{}", key.namespace, key.name)).collect()
    }

    /// The reason why no node announces a pool that is announced by BGP only. It names the first possible node.
    fn no_bgp_announcer(&self) -> Cause {
        let nodes = if self.service.is_local() {
            self.metallb.endpoint_nodes(self.service)
        } else {
            (0..self.metallb.node_count()).collect()
        };
        let obstacle = |node: &usize| self.metallb.bgp_obstacle(self.service, self.election.pool, *node);
        let found = nodes.iter().find_map(|node| Some((obstacle(node)?, *node)));
        found.map_or_else(|| self.endpoint_without_node(), |(obstacle, node)| self.obstructed(obstacle, node))
    }

    fn not_local(&self) -> Cause {
        let policy = self.service.service.spec.as_ref().map_or("", |spec| &spec.external_traffic_policy);
        let policy = if policy.is_empty() { "Cluster" } else { policy };
        let message = format!(
            "externalTrafficPolicy is `{}`: kube-proxy replaces the client's source IP by a node's",
            excerpt(policy)
        );
        let others = self.sharers();
        if others.is_empty() {
            return Cause::new(CauseCode::NotLocal, message, "set `spec.externalTrafficPolicy: Local`")
                .with([set_local(self.service.key)]);
        }
        // MetalLB compares the policy and selector of Services before they share an address (`k8salloc.BackendKey`).
        let mend = format!(
            "give the Service an address of its own first: it shares its address with {}, and MetalLB takes the address away from a Service that alone turns to `Local`; then set `spec.externalTrafficPolicy: Local`",
            names(others.iter().map(String::as_str))
        );
        Cause::new(CauseCode::NotLocal, message, mend)
    }

    fn aggregated(&self) -> Option<Cause> {
        if self.election.bgp.is_empty() {
            return None;
        }
        let labels = &self.service.service.metadata.labels;
        self.election.addresses.iter().find_map(|address| {
            let (_, bgp) = self
                .metallb
                .configuration()
                .bgp_of(self.pool)
                .find(|(_, bgp)| bgp.advertisement.applies_to(labels) && bgp.aggregates(*address))?;
            let (field, length) = match Family::of(*address) {
                Family::V4 => ("aggregationLength", bgp.aggregation_length),
                Family::V6 => ("aggregationLengthV6", bgp.aggregation_length_v6),
            };
            let prefix = AddressRange::parse(&format!("{address}/{length}"), self.metallb.version()).ok().flatten()?;
            let cause = Cause::new(
                CauseCode::Aggregated,
                format!("BGPAdvertisement `{}` announces {prefix} as one prefix: a node with a pod of another Service in the prefix draws this address's traffic and drops it", bgp.name),
                format!("remove `spec.{field}` from BGPAdvertisement `{}`", bgp.name),
            );
            let fields = json!({"spec": {field: null}});
            let namespace = Some(self.metallb.namespace());
            Some(cause.with([command::patch("BGPAdvertisement", namespace, &bgp.name, &fields)]))
        })
    }

    fn one_node(&self, only: usize) -> Cause {
        let name = self.metallb.node_name(only);
        let message =
            format!("only `{name}` can announce the address, so that nobody takes over when the node goes");
        // A second pod that is ready but cannot be announced is easier to fix than a new pod.
        let is_obstructed = |node: usize| {
            let obstacle = if self.pool.layer2.is_empty() {
                self.metallb.bgp_obstacle(self.service, self.election.pool, node)
            } else {
                self.metallb.obstacle(self.service, self.election.pool, node)
            };
            Some((obstacle?, node))
        };
        let mut running = self.metallb.endpoint_nodes(self.service).into_iter().filter(|node| *node != only);
        if let Some((obstacle, node)) = running.find_map(is_obstructed) {
            let other = self.obstructed(obstacle, node);
            return Cause::new(CauseCode::OneNode, format!("{message}: {}", other.message), other.mend)
                .with(other.commands);
        }
        let nodes = self.state.snapshot.nodes();
        let other =
            nodes.selected(&self.topology.placement).map(|(name, _)| name).find(|other| *other != name);
        let mend = other.map_or_else(
            || "label a second node as a gateway node, and run a ready gateway pod on it".to_owned(),
            |other| format!("run a ready gateway pod on a second gateway node, such as `{}`", excerpt(other)),
        );
        Cause::new(CauseCode::OneNode, message, mend)
    }
}

pub(super) const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

pub(super) fn excluded(nodes: &[&str], message: &str) -> Cause {
    let mend = "remove the label, or run MetalLB's speakers with `--ignore-exclude-lb`";
    Cause::new(CauseCode::NodeExcluded, message, mend).with([command::unlabel_nodes(nodes, EXCLUDE)])
}

/// Sets a Service's policy to `Local`.
pub(super) fn set_local(service: &ObjectKey) -> String {
    let fields = json!({"spec": {"externalTrafficPolicy": "Local"}});
    command::patch("Service", Some(&service.namespace), &service.name, &fields)
}

impl State<'_> {
    /// No advertisement of either kind announces the pool.
    pub(super) fn not_advertised(&self, topology: &ResolvedTopology, pool: &str) -> Cause {
        let mut mend = format!(
            "create an L2Advertisement in namespace `{}` that announces the pool from the gateway nodes",
            topology.spec.metallb_namespace
        );
        if self.snapshot.nodes().selected(&topology.placement).next().is_none() {
            mend.push_str(", and label these, because no node has the placement's labels");
        }
        Cause::new(
            CauseCode::NotAdvertised,
            format!("no L2Advertisement and no BGPAdvertisement announces pool `{pool}`"),
            mend,
        )
        .with([self.create_advertisement(topology, pool)])
    }

    /// Lets the pool be announced from the gateway nodes: by an advertisement that announces nothing but the topology's pools,
    /// else by a new one, because others depend on the advertisements that there are.
    pub(super) fn announce_placement(
        &self,
        topology: &ResolvedTopology,
        metallb: &MetalLb<'_>,
        pool: &AddressPool,
        service: &Labels,
    ) -> String {
        let is_own = |advertisement: &Advertisement| {
            advertisement.applies_to(service) && announces_only(topology, advertisement)
        };
        match metallb
            .configuration()
            .advertisements_of(pool)
            .find(|(.., advertisement)| is_own(advertisement))
        {
            Some((kind, name, _)) => restrict(topology, kind, name),
            None => self.create_advertisement(topology, &pool.name),
        }
    }

    /// Creates an L2Advertisement of a pool from the gateway nodes, under a name that is free.
    pub(super) fn create_advertisement(&self, topology: &ResolvedTopology, pool: &str) -> String {
        let namespace = &topology.spec.metallb_namespace;
        let name = command::free_name(&self.inventory.advertisements, namespace, &topology.name);
        let mut spec = json!({"ipAddressPools": [pool]});
        let selectors = command::node_selectors(&topology.spec.placement.node_selector);
        if let (Some(spec), false) = (spec.as_object_mut(), selectors.is_null()) {
            spec.insert("nodeSelectors".to_owned(), selectors);
        }
        command::create(&json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "L2Advertisement",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }))
    }
}

/// Removes the annotations that let a Service share its address.
fn unshare(service: BalancedService<'_>) -> String {
    let annotations = service.balancer.annotations.keys().map(smol_str::SmolStr::as_str);
    let keys: Vec<&str> = annotations.filter(|key| key.ends_with("/allow-shared-ip")).collect();
    command::unannotate_service(&service.key.namespace, &service.key.name, &keys)
}

/// Whether an advertisement announces nothing but pools of the topology, so that changing it changes nothing for others.
pub(super) fn announces_only(topology: &ResolvedTopology, advertisement: &Advertisement) -> bool {
    let own = &topology.spec.address_pools;
    advertisement.names_pools_only() && advertisement.named_pools().iter().all(|pool| own.contains(pool))
}

/// Lets an advertisement announce from the gateway nodes, and from no others.
pub(super) fn restrict(topology: &ResolvedTopology, kind: &str, name: &str) -> String {
    let selectors = command::node_selectors(&topology.spec.placement.node_selector);
    let fields = json!({"spec": {"nodeSelectors": selectors}});
    command::patch(kind, Some(&topology.spec.metallb_namespace), name, &fields)
}

pub(super) fn no_speaker(metallb: &MetalLb<'_>, node: usize, message: &str) -> Cause {
    let taints = metallb.taints(node);
    let mend = if metallb.is_down(node) {
        format!("bring node `{}` back", metallb.node_name(node))
    } else if taints.is_empty() {
        format!(
            "start the speaker on `{}`: `kubectl -n {} get pods -o wide` shows where speakers run",
            metallb.node_name(node),
            metallb.namespace()
        )
    } else {
        format!("add tolerations for the node's taints to the speaker DaemonSet: {}", join(taints))
    };
    Cause::new(CauseCode::NoSpeaker, message, mend)
}
