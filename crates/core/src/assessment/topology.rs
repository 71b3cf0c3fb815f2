//! Findings on a topology as a whole.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::json;

use crate::election::{AddressPool, MetalLb, Origin, parse_address};
use crate::escape::excerpt;
use crate::labels::{Selector, TooComplex, Work, uncovered};
use crate::node_relation::{Outside, Relation};
use crate::snapshot::{ObjectKey, ResolvedTopology, Source, in_namespace};
use crate::topology::Match;

use super::address::{Entry, announces_only, excluded, no_speaker, restrict, set_local};
use super::cause::{join, names};
use super::{Cause, CauseCode, State, command};

/// An advertisement of either kind: its name in messages, and its announcing nodes.
struct Announcing<'a> {
    kind: &'static str,
    own_name: &'a str,
    name: String,
    nodes: &'a [Selector],
    /// Whether it announces nothing but the topology's pools.
    is_own: bool,
}

/// Labels nodes as gateway nodes; nothing for no node.
fn label_as_placed(topology: &ResolvedTopology, nodes: &BTreeSet<&str>) -> Option<String> {
    /// More than a person would read.
    const LIMIT: usize = 20;
    let labels = &topology.spec.placement.node_selector;
    let nodes: Vec<&str> = nodes.iter().copied().take(LIMIT).collect();
    (!nodes.is_empty() && !labels.is_empty()).then(|| command::label_nodes(&nodes, labels))
}

/// Finds the pools that an older topology keeps.
fn pool_conflicts(topology: &ResolvedTopology, findings: &mut Vec<Cause>) {
    for (pool, older) in &topology.yielded_pools {
        let (pool, older) = (excerpt(pool), excerpt(older));
        findings.push(Cause::new(
            CauseCode::PoolConflict,
            format!(
                "topology `{older}`, which is older, also names pool `{pool}` and places its gateway on other nodes, so no \
                 advertisement can suit both: topology `{}` is not enforced for the pool",
                topology.name
            ),
            format!(
                "give each placement a pool of its own, or set the same `placement.nodeSelector` as in `{older}`"
            ),
        ));
    }
}

impl<'i> State<'i> {
    /// The findings of a topology. Kinds that were not read lead to no finding.
    pub(super) fn findings(&self, topology: &'i ResolvedTopology, services: &[Entry<'i>]) -> Vec<Cause> {
        let mut findings = Vec::new();
        pool_conflicts(topology, &mut findings);
        self.check_services(topology, services, &mut findings);
        if self.has_read(Source::Pods) {
            self.check_pods(topology, &mut findings);
        }
        let can_judge =
            [Source::Nodes, Source::AddressPools, Source::L2Advertisements, Source::BgpAdvertisements];
        let metallb = self.metallb.get(topology.spec.metallb_namespace.as_str());
        if let Some(Ok(metallb)) = metallb
            && can_judge.into_iter().all(|source| self.has_read(source))
        {
            self.check_pools(topology, metallb, services, &mut findings);
            self.check_alignment(topology, metallb, services, &mut findings);
            self.check_nodes(topology, metallb, services, &mut findings);
            self.check_reports(metallb, services, &mut findings);
            self.check_spread(topology, metallb, services, &mut findings);
        }
        self.check_workloads(topology, &mut findings);
        for exception in &topology.spec.exceptions {
            findings.push(Cause::new(
                CauseCode::Exception,
                format!("an exception lifts {exception}"),
                "remove it from `spec.exceptions` of the topology, once it is not needed",
            ));
        }
        // Nodes without a pod follow from these, and so does the mend.
        let is_why = |finding: &Cause| matches!(finding.code, CauseCode::OneReplica | CauseCode::NotSpread);
        if findings.iter().any(is_why) {
            findings.retain(|finding| finding.code != CauseCode::NoReadyPod);
        }
        findings
    }

    fn check_services(
        &self,
        topology: &'i ResolvedTopology,
        services: &[Entry<'i>],
        findings: &mut Vec<Cause>,
    ) {
        if !self.has_read(Source::Services) {
            return;
        }
        let namespace = &topology.spec.gateway.namespace;
        if services.is_empty() {
            findings.push(Cause::new(
                CauseCode::NoService,
                format!("no Service of type LoadBalancer in namespace `{namespace}` sends traffic to the gateway's pods"),
                "correct `spec.gateway` of the topology, or create the Service",
            ));
        }
        let balancers = services.iter().filter_map(|(key, _)| self.inventory.load_balancers.get(*key));
        let addresses: BTreeSet<IpAddr> = balancers
            .flat_map(|balancer| &balancer.ingress)
            .filter_map(|entry| parse_address(&entry.ip))
            .collect();
        // Services that are reachable from outside without MetalLB.
        let others = in_namespace(&self.inventory.services, namespace).filter(|(key, service)| {
            service.spec.as_ref().is_some_and(|spec| {
                let is_external = match spec.kind.as_str() {
                    "LoadBalancer" | "NodePort" => true,
                    "" | "ClusterIP" => !spec.external_ips.is_empty(),
                    _ => false,
                };
                let is_of_gateway = |address: &String| {
                    parse_address(address).is_some_and(|address| addresses.contains(&address))
                };
                is_external
                    // The outcome at the address reports it.
                    && !spec.external_ips.iter().any(is_of_gateway)
                    && spec.external_traffic_policy != "Local"
                    && topology.is_behind(spec)
                    && !services.iter().any(|(known, _)| known == key)
            })
        });
        self.check_external_addresses(topology, services, findings);
        for (key, _) in others {
            findings.push(Cause::new(
                CauseCode::NotLocal,
                format!("Service `{}` also leads to the gateway, and its externalTrafficPolicy is not `Local`: kube-proxy replaces the client's source IP", key.name),
                "set `spec.externalTrafficPolicy: Local`",
            )
            .with([set_local(key)]));
        }
    }

    /// Finds Services that take traffic of the gateway's addresses away from it.
    fn check_external_addresses(
        &self,
        topology: &'i ResolvedTopology,
        services: &[Entry<'i>],
        findings: &mut Vec<Cause>,
    ) {
        for (key, _) in services {
            let ingress = self.inventory.load_balancers.get(*key).map(|balancer| &balancer.ingress);
            for address in ingress.into_iter().flatten().filter_map(|entry| parse_address(&entry.ip)) {
                let foreign = self.external_services(key, &address).filter(|(other, service)| {
                    service.spec.as_ref().is_some_and(|spec| !self.leads_to(topology, other, spec))
                });
                findings.extend(foreign.map(|(other, _)| {
                    let other = excerpt(&other.name);
                    Cause::new(
                        CauseCode::ExternalIp,
                        format!(
                            "Service `{other}` has {address} of Service `{}` in `spec.externalIPs` and does not lead to the gateway: \
                             kube-proxy sends its ports of the address elsewhere",
                            excerpt(&key.name)
                        ),
                        format!("remove the address from Service `{other}`"),
                    )
                }));
            }
        }
    }

    fn check_pods(&self, topology: &'i ResolvedTopology, findings: &mut Vec<Cause>) {
        let namespace = &topology.spec.gateway.namespace;
        let pods: Vec<&ObjectKey> = in_namespace(&self.inventory.pods, namespace)
            .filter(|(_, labels)| topology.claims(labels))
            .map(|(key, _)| key)
            .collect();
        if pods.is_empty() {
            let labels =
                topology.spec.gateway.pod_labels.iter().map(|(key, value)| format!("`{key}={value}`"));
            findings.push(Cause::new(
                CauseCode::NoPod,
                format!("no pod in namespace `{namespace}` carries the gateway's labels {}", join(labels)),
                "correct `spec.gateway` of the topology, or start the gateway",
            ));
        }
        let off = pods.into_iter().filter_map(|key| {
            let node = self.inventory.pod_nodes.get(key).filter(|node| !node.is_empty())?;
            let labels = self.inventory.nodes.get(node)?;
            (!topology.placement.matches(labels)).then_some((key, node.as_str()))
        });
        let off: Vec<_> = off.collect();
        if let Some((first, node)) = off.first() {
            let (first, node) = (excerpt(&first.name), excerpt(node));
            let message = match off.len() {
                1 => format!("gateway pod `{first}` runs on `{node}`, which lacks the placement's labels"),
                many => format!(
                    "{many} gateway pods run on nodes that lack the placement's labels, such as `{first}` on `{node}`"
                ),
            };
            let nodes: BTreeSet<&str> = off.iter().map(|(_, node)| *node).collect();
            let mut mend = format!("label {} as the placement asks", names(nodes.iter().copied()));
            // A pod that is deleted while no node has the labels would have no successor.
            if self.snapshot.nodes().selected(&topology.placement).next().is_some() {
                mend.push_str(", or delete the pods there, so that their successors run on gateway nodes");
            }
            findings.push(
                Cause::new(CauseCode::PodOffPlacement, message, mend).with(label_as_placed(topology, &nodes)),
            );
        }
    }

    fn check_pools(
        &self,
        topology: &'i ResolvedTopology,
        metallb: &MetalLb<'_>,
        services: &[Entry<'i>],
        findings: &mut Vec<Cause>,
    ) {
        let configuration = metallb.configuration();
        let own = &topology.spec.address_pools;
        let named = || names(own.iter().map(String::as_str));
        for missing in own.iter().filter(|pool| configuration.pool_named(pool).is_none()) {
            let namespace = &topology.spec.metallb_namespace;
            let key = ObjectKey { namespace: namespace.clone(), name: missing.clone() };
            let (message, mend) = if self.inventory.legacy_pools.contains_key(&key) {
                (
                    format!(
                        "the topology's pool `{}` is an AddressPool, which MetalLB reads up to 0.13 only",
                        excerpt(missing)
                    ),
                    "convert it to an IPAddressPool and an L2Advertisement",
                )
            } else {
                (
                    format!(
                        "the topology's pool `{}` does not exist in namespace `{namespace}`",
                        excerpt(missing)
                    ),
                    "create the IPAddressPool, or correct `spec.addressPools` of the topology",
                )
            };
            findings.push(Cause::new(CauseCode::NoPool, message, mend));
        }
        let is_other = |pool: &usize| configuration.pool(*pool).filter(|pool| !own.contains(&pool.name));
        for entry in services {
            let service = self.balanced(*entry);
            let held = metallb.elect(service).ok().and_then(|election| is_other(&election.pool));
            let asked = || match metallb.origin(service) {
                // A pool that is reserved for the Service takes no address away that it has.
                Ok(Origin::Reserved(_)) if !service.balancer.ingress.is_empty() => None,
                Ok(origin @ (Origin::Address(_) | Origin::Requested(_) | Origin::Reserved(_))) => {
                    origin.first_choice().iter().find_map(is_other)
                }
                _ => None,
            };
            if let Some(pool) = held.or_else(asked) {
                let all: Vec<&String> = own.iter().chain([&pool.name]).collect();
                let all = json!({"spec": {"addressPools": all}});
                findings.push(
                    Cause::new(
                        CauseCode::OtherPool,
                        format!(
                            "the addresses of Service `{}` come from pool `{}`, and the topology names {}",
                            excerpt(&service.key.name),
                            pool.name,
                            named()
                        ),
                        format!(
                            "add `{}` to `spec.addressPools` of the topology, or let the Service ask for {}",
                            pool.name,
                            named()
                        ),
                    )
                    .with([command::patch(
                        "GatewayTopology",
                        None,
                        &topology.name,
                        &all,
                    )]),
                );
            }
        }
    }

    /// Compares the announcing nodes of all advertisements of a pool together, as the rule compares those of one.
    fn check_alignment(
        &self,
        topology: &'i ResolvedTopology,
        metallb: &MetalLb<'_>,
        services: &[Entry<'i>],
        findings: &mut Vec<Cause>,
    ) {
        // While pods run elsewhere, advertisements that are restricted to gateway nodes would silence them.
        let endpoints = services.iter().flat_map(|entry| metallb.endpoint_nodes(self.balanced(*entry)));
        let can_restrict = endpoints
            .filter_map(|node| metallb.node_labels(node))
            .all(|labels| topology.placement.matches(labels));
        let configuration = metallb.configuration();
        let own = |pool: &&AddressPool| {
            topology.spec.address_pools.contains(&pool.name)
                && !topology.yielded_pools.contains_key(&pool.name)
        };
        for pool in configuration.pools.iter().filter(own) {
            for service in &topology.services {
                let announcing: Vec<Announcing<'_>> = configuration
                    .advertisements_of(pool)
                    .filter(|(.., advertisement)| advertisement.applies_to(service))
                    .map(|(kind, name, advertisement)| Announcing {
                        kind,
                        own_name: name,
                        name: format!("{kind} `{}`", excerpt(name)),
                        nodes: advertisement.nodes(),
                        is_own: announces_only(topology, advertisement),
                    })
                    .collect();
                let found = match announcing.as_slice() {
                    [] if configuration.advertisements_of(pool).next().is_some() => Vec::new(),
                    [] => vec![self.not_advertised(topology, &pool.name)],
                    announcing => self.compare(topology, pool, announcing, can_restrict),
                };
                for finding in found {
                    if !findings.contains(&finding) {
                        findings.push(finding);
                    }
                }
            }
        }
    }

    fn compare(
        &self,
        topology: &ResolvedTopology,
        pool: &AddressPool,
        announcing: &[Announcing<'_>],
        can_restrict: bool,
    ) -> Vec<Cause> {
        let placement = &topology.placement;
        let nodes = self.snapshot.nodes();
        let selectors: Vec<Selector> = announcing.iter().flat_map(|ad| ad.nodes).cloned().collect();
        let relation = match topology.spec.announcements.relation {
            Match::Exact => Relation::exact(&selectors, placement, &mut Work::default()),
            Match::Contained => Ok(Relation::contained(&selectors, placement)),
            Match::LiveNodes => Relation::live(&selectors, placement, nodes, &mut Work::default()),
            Match::Covering => Ok(Relation::Matches),
        };
        let owner_of = |outside: &Outside| {
            let mut owners = announcing.iter().flat_map(|ad| ad.nodes.iter().map(move |_| ad));
            owners.nth(outside.selector)
        };
        let owner = |outside: &Outside| owner_of(outside).map(|ad| ad.name.clone()).unwrap_or_default();
        let align = |ad: Option<&Announcing<'_>>| {
            let ad = ad.filter(|ad| can_restrict && ad.is_own)?;
            Some(restrict(topology, ad.kind, ad.own_name))
        };
        let align_first = || align(announcing.iter().find(|ad| ad.is_own));
        let all = || join(announcing.iter().take(3).map(|ad| ad.name.clone()));
        let pool = &pool.name;
        let wider = |code, outside: &Outside| {
            let others: Vec<String> = announcing
                .iter()
                .filter(|ad| ad.name != owner(outside) && !ad.nodes.iter().any(Selector::is_everything))
                .take(3)
                .map(|ad| ad.name.clone())
                .collect();
            let undone = if others.is_empty() {
                String::new()
            } else {
                format!(", which undoes the restriction by {}", join(others))
            };
            Cause::new(
                code,
                format!(
                    "{} announces pool `{pool}` from nodes that are no gateway nodes, such as a node {}{undone}",
                    owner(outside),
                    outside.witness
                ),
                format!("restrict `spec.nodeSelectors` of {} to the topology's placement", owner(outside)),
            )
            .with(align(owner_of(outside)))
        };
        let narrower = |witness: &dyn std::fmt::Display| {
            Cause::new(
                CauseCode::Narrower,
                format!("no advertisement announces pool `{pool}` from a gateway node {witness}"),
                format!("widen `spec.nodeSelectors` of {} to the topology's placement", all()),
            )
            .with(align_first())
        };
        let mut findings = match relation {
            Err(TooComplex) => vec![Cause::new(
                CauseCode::TooComplex,
                format!("the selectors of {} are too many to compare with the placement", all()),
                "write fewer or simpler selectors",
            )],
            Ok(Relation::Matches) => Vec::new(),
            Ok(Relation::NoGatewayNode) => return Vec::new(),
            Ok(Relation::SelectsNothing) => vec![
                Cause::new(
                    CauseCode::Narrower,
                    format!("the selectors of {} contradict themselves and select no node", all()),
                    "set them to the topology's placement",
                )
                .with(align_first()),
            ],
            Ok(Relation::Disjoint(outside)) => vec![wider(CauseCode::Disjoint, &outside)],
            Ok(Relation::Differs { wider: outside, narrower: witness }) => outside
                .map(|outside| wider(CauseCode::Wider, &outside))
                .into_iter()
                .chain(witness.map(|witness| narrower(&witness)))
                .collect(),
        };
        // `Exact` has already compared both directions.
        let gap = match topology.spec.announcements.relation {
            Match::Exact => None,
            Match::Contained | Match::Covering => uncovered(placement, &selectors)
                .ok()
                .flatten()
                .and_then(|rest| rest.witness())
                .map(|witness| narrower(&witness)),
            Match::LiveNodes => nodes
                .selected(placement)
                .find(|(_, labels)| !selectors.iter().any(|selector| selector.matches(labels)))
                .map(|(name, _)| narrower(&format_args!("`{}`", excerpt(name)))),
        };
        findings.extend(gap);
        findings
    }

    /// Finds gateway nodes that cannot announce, or have no pod to announce.
    fn check_nodes(
        &self,
        topology: &'i ResolvedTopology,
        metallb: &MetalLb<'_>,
        services: &[Entry<'i>],
        findings: &mut Vec<Cause>,
    ) {
        let gateway_nodes: Vec<usize> = if topology.spec.placement.node_selector.is_empty() {
            // Every node may run the gateway, and the state of one without a pod changes nothing.
            let running: BTreeSet<usize> =
                services.iter().flat_map(|entry| metallb.endpoint_nodes(self.balanced(*entry))).collect();
            if running.is_empty() {
                return;
            }
            running.into_iter().collect()
        } else {
            metallb.selected(&topology.placement).collect()
        };
        if gateway_nodes.is_empty() {
            let labels = topology.spec.placement.node_selector.iter();
            let labels: Vec<String> = labels.map(|(key, value)| format!("{key}={value}")).collect();
            let running = services.iter().flat_map(|entry| metallb.endpoint_nodes(self.balanced(*entry)));
            let running = running.map(|node| metallb.node_name(node)).collect();
            findings.push(Cause::new(
                CauseCode::NoGatewayNode,
                format!(
                    "no node carries the placement's labels `{}`, so that no new gateway pod can be scheduled",
                    labels.join(",")
                ),
                "label the nodes that the gateway is to run on",
            )
            .with(label_as_placed(topology, &running)));
            return;
        }
        let name = |node: &usize| metallb.node_name(*node);
        let those = |is_such: &dyn Fn(usize) -> bool| -> Vec<usize> {
            gateway_nodes.iter().copied().filter(|node| is_such(*node)).collect()
        };
        let told = |nodes: &[usize]| names(nodes.iter().map(name));
        let excluded_nodes = those(&|node| metallb.is_excluded(node));
        if !excluded_nodes.is_empty() {
            let message = format!(
                "MetalLB does not announce from these gateway nodes, because of the label `node.kubernetes.io/exclude-from-external-load-balancers`: {}",
                told(&excluded_nodes)
            );
            let nodes: Vec<&str> = excluded_nodes.iter().map(name).collect();
            findings.push(excluded(&nodes, &message));
        }
        let unavailable = those(&|node| metallb.is_network_unavailable(node));
        if let Some(first) = unavailable.first() {
            findings.push(Cause::new(
                CauseCode::NetworkUnavailable,
                format!(
                    "MetalLB does not announce from these gateway nodes, because their network is unavailable: {}",
                    told(&unavailable)
                ),
                format!(
                    "repair the node's network: `kubectl describe node {}` shows the condition",
                    name(first)
                ),
            ));
        }
        let deaf = those(&|node| metallb.has_speaker(node) == Some(false));
        if let Some(first) = deaf.first() {
            let message = format!("no MetalLB speaker is ready on these gateway nodes: {}", told(&deaf));
            findings.push(no_speaker(metallb, *first, &message));
        }
        // Speakers tolerate the taints of control-plane nodes (charts/metallb/templates/speaker.yaml).
        let is_foreign = |taint: &String| !taint.contains("node-role.kubernetes.io/");
        let tainted =
            those(&|node| metallb.has_speaker(node).is_none() && metallb.taints(node).iter().any(is_foreign));
        if let Some(first) = tainted.first() {
            findings.push(Cause::new(
                CauseCode::NodeTainted,
                format!("a taint may keep MetalLB's speaker off these gateway nodes, and the speaker pods could not be read: {}", told(&tainted)),
                format!("check that the speaker DaemonSet tolerates {}", join(metallb.taints(*first))),
            ));
        }
        if self.has_read(Source::EndpointSlices) && !services.is_empty() {
            let running: BTreeSet<usize> =
                services.iter().flat_map(|entry| metallb.endpoint_nodes(self.balanced(*entry))).collect();
            let idle = those(&|node| !running.contains(&node));
            if !idle.is_empty() && !running.is_empty() {
                findings.push(Cause::new(
                    CauseCode::NoReadyPod,
                    format!(
                        "these gateway nodes run no ready gateway pod, so that they cannot take over: {}",
                        told(&idle)
                    ),
                    "raise the gateway's replicas and spread them over the gateway nodes",
                ));
            }
        }
    }

    /// Checks whether MetalLB's own reports name the elected node.
    fn check_reports(&self, metallb: &MetalLb<'_>, services: &[Entry<'i>], findings: &mut Vec<Cause>) {
        for entry in services {
            let service = self.balanced(*entry);
            let Some(reported) = self.inventory.reported_announcers.get(service.key) else { continue };
            let elected = metallb.elected_node(service);
            if reported.len() == 1 && reported.first().map(String::as_str) == elected {
                continue;
            }
            findings.push(Cause::new(
                CauseCode::ReportedElsewhere,
                format!(
                    "MetalLB reports that {} announces Service `{}`, and should elect {}",
                    names(reported.iter().map(String::as_str)),
                    excerpt(&service.key.name),
                    elected.map_or_else(|| "nobody".to_owned(), |node| format!("`{}`", excerpt(node)))
                ),
                "wait for the next election; if it stays so, check the speakers' logs and whether the node has the advertisement's interfaces",
            ));
        }
    }
}
