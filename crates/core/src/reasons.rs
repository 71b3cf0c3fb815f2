//! The table of codes: what each one means, why it matters, and how to mend it.
//!
//! `lockstep reason`, `docs/reasons.md` and the rules in SARIF show it. Codes never change, because programs and alerts use them.

/// The text on one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReasonText {
    /// The code.
    pub code: &'static str,
    /// The meaning of the code, in one sentence.
    pub meaning: &'static str,
    /// The harm that it does.
    pub why: &'static str,
    /// The steps that mend it.
    pub mend: &'static str,
}

/// Every code, in groups: verdicts, assessments, the condition `Guarded`, and remarks of `lockstep check`.
pub const REASONS: &[ReasonText] = &[
    ReasonText {
        code: "WIDER",
        meaning: "Nodes announce that cannot run the gateway.",
        why: "With `externalTrafficPolicy: Local`, such a node has no endpoint and drops the traffic; with `Cluster`, it forwards the traffic and replaces the client's source IP.",
        mend: "Restrict `spec.nodeSelectors` of the advertisement to the topology's `placement.nodeSelector`. The message has the selectors to write.",
    },
    ReasonText {
        code: "NARROWER",
        meaning: "A gateway node does not announce.",
        why: "A gateway pod on that node gets no traffic by layer 2, and the node cannot take over when the announcing node fails.",
        mend: "Widen `spec.nodeSelectors` of the advertisement to all gateway nodes, or set `announcements.match: Contained` in the topology if it is meant to be so.",
    },
    ReasonText {
        code: "DISJOINT",
        meaning: "No announcing node can run the gateway.",
        why: "The address is announced from nodes without a gateway pod, so with `Local` nobody answers.",
        mend: "Set `spec.nodeSelectors` of the advertisement to the topology's `placement.nodeSelector`.",
    },
    ReasonText {
        code: "INVALID",
        meaning: "Kubernetes or MetalLB rejects the selectors or names of the object.",
        why: "MetalLB keeps its last valid configuration, and ignores every later change until the object is corrected.",
        mend: "Correct the field that the message names.",
    },
    ReasonText {
        code: "TOO_COMPLEX",
        meaning: "The selectors are too many to compare with the placement.",
        why: "The comparison of selectors is exact, and its cost grows with their product. Without a result, the change is denied.",
        mend: "Write fewer or simpler selectors: one `matchLabels` per advertisement is enough.",
    },
    ReasonText {
        code: "NO_GATEWAY_NODE",
        meaning: "No node has the labels of the placement.",
        why: "No gateway pod can be scheduled, so there is no node that may announce.",
        mend: "Label the nodes that the gateway is to run on.",
    },
    ReasonText {
        code: "CONFLICT",
        meaning: "The pod asks for another value of a placement label.",
        why: "The pod would run on nodes that do not announce its address.",
        mend: "Remove the label from the pod's `nodeSelector`, or set `placement.onConflict: Override` in the topology.",
    },
    ReasonText {
        code: "UNSATISFIABLE",
        meaning: "The required affinity of the pod contradicts the placement.",
        why: "No node satisfies both, so the pod would stay Pending.",
        mend: "Remove the term from the pod's required node affinity, or correct the placement.",
    },
    ReasonText {
        code: "PINNED_OUTSIDE",
        meaning: "The pod is bound to a node outside the placement.",
        why: "The pod bypasses the scheduler, and runs where its address is not announced.",
        mend: "Remove `spec.nodeName`, or label the node as the placement asks.",
    },
    ReasonText {
        code: "NOT_PLACED",
        meaning: "A gateway pod has no placement.",
        why: "The scheduler may put it on a node that does not announce its address.",
        mend: "Add the placement's labels to `spec.nodeSelector` of the pod template. The mutating webhook does it where it is called.",
    },
    ReasonText {
        code: "AMBIGUOUS",
        meaning: "Several topologies claim the same pod.",
        why: "Their placements may contradict each other, so none of them is applied.",
        mend: "Make `spec.gateway.podLabels` of the topologies differ.",
    },
    ReasonText {
        code: "NOT_LOCAL",
        meaning: "The Service's `externalTrafficPolicy` is not `Local`.",
        why: "kube-proxy forwards the traffic to any node and replaces the client's source IP, so the gateway and its audit log see a node's address.",
        mend: "Set `spec.externalTrafficPolicy: Local`; Istio's chart has a value for it.",
    },
    ReasonText {
        code: "MIRROR_POD",
        meaning: "The pod is a static pod of a node.",
        why: "The kubelet runs it from a file on the node, so the API server can neither place nor stop it.",
        mend: "Run the gateway as a Deployment or DaemonSet.",
    },
    ReasonText {
        code: "UNKNOWN_POOL",
        meaning: "The advertisement names a pool that does not exist.",
        why: "MetalLB announces nothing for it, and announces the pool once somebody creates it.",
        mend: "Correct the name in `spec.ipAddressPools`, or create the pool first.",
    },
    ReasonText {
        code: "INTERFACES",
        meaning: "The advertisement is limited to some network interfaces.",
        why: "MetalLB elects a node without looking at its interfaces. A node without one of them is elected all the same, and then nobody answers.",
        mend: "Remove `spec.interfaces`, or check that every gateway node has one of them.",
    },
    ReasonText {
        code: "PLACED",
        meaning: "Admission adds the placement to the object.",
        why: "The pods then run on the nodes that announce their address.",
        mend: "Nothing is to do. Write the labels into the manifest if it must be exactly what runs.",
    },
    ReasonText {
        code: "MADE_LOCAL",
        meaning: "Admission sets `externalTrafficPolicy: Local`.",
        why: "The client's source IP then reaches the gateway.",
        mend: "Nothing is to do. Write the policy into the manifest if it must be exactly what runs.",
    },
    ReasonText {
        code: "LOST",
        meaning: "The gateway would no longer see the client's address.",
        why: "The change makes the state worse: the gateway logs another address than the client's.",
        mend: "Make the change that the message names first. `lockstep explain --with FILE` shows the state after a change.",
    },
    ReasonText {
        code: "SILENT",
        meaning: "No node would announce an address of the gateway any longer.",
        why: "The change makes the state worse: clients of the address get no answer.",
        mend: "Make the change that the message names first. `lockstep explain --with FILE` and `--without KIND/NAME` show the state after a change.",
    },
    ReasonText {
        code: "FRAGILE",
        meaning: "An address of the gateway would depend on one more step.",
        why: "The address works after the change, and a failing node, a restarting speaker or another Service's route ends that.",
        mend: "Make the change that the message names first.",
    },
    ReasonText {
        code: "UNKNOWN",
        meaning: "The outcome at an address of the gateway after the change is not known.",
        why: "A kind that the outcome depends on could not be read, so the change is not judged by the state.",
        mend: "Grant the rights that the message names: the chart's role has them.",
    },
    ReasonText {
        code: "SHARED_ADDRESS",
        meaning: "The Service shares its address with another one.",
        why: "MetalLB lets Services share an address only if both have the same policy, and takes it away from the one that alone turns to `Local`. In a state: MetalLB does not announce a shared address whose advertisement selects Services.",
        mend: "Set `externalTrafficPolicy: Local` in both Services by one `kubectl apply`, or give the Service an address of its own. In a state: remove the annotation `allow-shared-ip`, or the `serviceSelectors`.",
    },
    ReasonText {
        code: "UNREAD",
        meaning: "Kinds that the decision depends on were not read.",
        why: "An outcome that rests on what nobody looked at would be a guess, so it is Unknown.",
        mend: "Grant `get`, `list` and `watch` on the kinds, or add the objects to the input.",
    },
    ReasonText {
        code: "NO_ADDRESS",
        meaning: "The Service has no address.",
        why: "MetalLB has assigned none, so no client can reach the Service.",
        mend: "Read the events of the Service with `kubectl describe service`; the message names the cause that can be seen.",
    },
    ReasonText {
        code: "NOT_AN_ADDRESS",
        meaning: "An entry of the Service's status is not an IP address.",
        why: "Another controller wrote it, or a person did. MetalLB does not announce it.",
        mend: "Remove the other controller, or clear the status.",
    },
    ReasonText {
        code: "ADDRESS_IN_NO_POOL",
        meaning: "No pool contains the address.",
        why: "MetalLB announces only addresses of its pools, and takes this one away at the next change.",
        mend: "Add the address to a pool, or let the Service ask for another one.",
    },
    ReasonText {
        code: "SEVERAL_POOLS",
        meaning: "The addresses of the Service are in several pools.",
        why: "MetalLB takes the addresses of one Service from one pool.",
        mend: "Put the ranges of both families into one pool.",
    },
    ReasonText {
        code: "CONFIGURATION_REJECTED",
        meaning: "MetalLB rejects its configuration.",
        why: "It keeps its last valid configuration, and nobody sees that from the objects.",
        mend: "Correct the object that the message names.",
    },
    ReasonText {
        code: "NO_ENDPOINT",
        meaning: "The Service has no endpoint that takes traffic.",
        why: "With `Local`, no node announces; with `Cluster`, connections are refused.",
        mend: "Start gateway pods, and check that their labels and readiness match the Service's selector.",
    },
    ReasonText {
        code: "NOT_ADVERTISED",
        meaning: "No advertisement announces the pool.",
        why: "MetalLB assigns addresses from the pool, and nobody answers for them.",
        mend: "Create an L2Advertisement or BGPAdvertisement for the pool.",
    },
    ReasonText {
        code: "SERVICE_NOT_SELECTED",
        meaning: "No advertisement of the pool selects the Service.",
        why: "`serviceSelectors` leave the Service out, so nobody answers for its address.",
        mend: "Add the Service's labels to `serviceSelectors`, or remove the selectors.",
    },
    ReasonText {
        code: "NO_MEMBERLIST",
        meaning: "MetalLB's speakers have no memberlist.",
        why: "Before 0.15.0, no node then counts as alive, and nobody announces.",
        mend: "Configure the memberlist secret, or upgrade MetalLB.",
    },
    ReasonText {
        code: "NODE_NOT_SELECTED",
        meaning: "No advertisement selects the node.",
        why: "The node runs a gateway pod, and does not announce.",
        mend: "Add the node's labels to `spec.nodeSelectors` of the advertisement.",
    },
    ReasonText {
        code: "NODE_EXCLUDED",
        meaning: "The node has the label `node.kubernetes.io/exclude-from-external-load-balancers`.",
        why: "MetalLB does not announce from it since 0.14.2. kubeadm sets the label on control-plane nodes.",
        mend: "Remove the label, or run MetalLB's speakers with `--ignore-exclude-lb`.",
    },
    ReasonText {
        code: "NETWORK_UNAVAILABLE",
        meaning: "The condition `NetworkUnavailable` of the node is True.",
        why: "MetalLB does not announce from it since 0.13.10.",
        mend: "Repair the node's network: `kubectl describe node` shows the condition.",
    },
    ReasonText {
        code: "NO_SPEAKER",
        meaning: "No MetalLB speaker is ready on the node.",
        why: "Only speakers announce.",
        mend: "Check the speaker DaemonSet: its pods, tolerations and node selector.",
    },
    ReasonText {
        code: "NO_LOCAL_ENDPOINT",
        meaning: "The node runs no endpoint that takes traffic, and the policy is `Local`.",
        why: "MetalLB does not announce from it, because the node would drop the traffic.",
        mend: "Run a gateway pod on the node, or leave it out of the gateway nodes.",
    },
    ReasonText {
        code: "CONTRADICTION",
        meaning: "BGP advertisements that select the node contradict each other.",
        why: "MetalLB rejects them for that node.",
        mend: "Give them the same `localPref`, or other pools.",
    },
    ReasonText {
        code: "ENDPOINT_WITHOUT_NODE",
        meaning: "Endpoints name no node, or one that does not exist.",
        why: "With `Local`, MetalLB cannot find the node to announce from.",
        mend: "Write `nodeName` into the EndpointSlice, or select pods by labels.",
    },
    ReasonText {
        code: "ONE_NODE",
        meaning: "Only one node can announce the address.",
        why: "The address is silent while that node is down.",
        mend: "Run gateway pods on a second gateway node.",
    },
    ReasonText {
        code: "AGGREGATED",
        meaning: "A BGP advertisement announces more than the address.",
        why: "Routers send the traffic of other addresses, too, and a more specific route elsewhere takes it away.",
        mend: "Set `aggregationLength: 32`, or 128 for IPv6, unless it is meant to be so.",
    },
    ReasonText {
        code: "NO_POD",
        meaning: "No pod has the labels of the topology's gateway.",
        why: "The topology covers nothing.",
        mend: "Correct `spec.gateway` of the topology, or start the gateway.",
    },
    ReasonText {
        code: "NO_SERVICE",
        meaning: "No Service sends traffic to the gateway.",
        why: "There is no address to preserve.",
        mend: "Correct `spec.gateway` of the topology, or create the Service.",
    },
    ReasonText {
        code: "NO_POOL",
        meaning: "A pool of the topology does not exist.",
        why: "Nothing can be announced from it.",
        mend: "Create the IPAddressPool, or correct `spec.addressPools`.",
    },
    ReasonText {
        code: "POD_OFF_PLACEMENT",
        meaning: "A gateway pod runs on a node outside the placement.",
        why: "With `Local`, it gets no traffic; with `Cluster`, the source IP is lost.",
        mend: "Label the node, or delete the pod so that its successor is placed.",
    },
    ReasonText {
        code: "NO_READY_POD",
        meaning: "Gateway nodes run no ready gateway pod.",
        why: "They cannot take over when the announcing node fails.",
        mend: "Raise the gateway's replicas, and spread them over the gateway nodes.",
    },
    ReasonText {
        code: "NODE_TAINTED",
        meaning: "A taint may keep MetalLB's speaker off a gateway node.",
        why: "Without a speaker, the node does not announce. The speaker pods themselves were not read.",
        mend: "Check that the speaker DaemonSet tolerates the taint.",
    },
    ReasonText {
        code: "OTHER_POOL",
        meaning: "The addresses of the Service come from a pool that the topology does not name.",
        why: "Advertisements of that pool are not judged.",
        mend: "Add the pool to `spec.addressPools` of the topology, or let the Service ask for another pool.",
    },
    ReasonText {
        code: "OTHER_CLASS",
        meaning: "The Service has a load balancer class that the topology does not name.",
        why: "MetalLB does not serve the Service. Who gives it addresses, and what happens to the client's source IP there, is not known.",
        mend: "Use a class of `spec.service.loadBalancerClasses` of the topology, or add the class there if MetalLB serves it.",
    },
    ReasonText {
        code: "EXTERNAL_IP",
        meaning: "Another Service has the gateway's address in `spec.externalIPs`.",
        why: "kube-proxy answers for the address on every node, by that Service's ports and policy: with `Cluster`, it replaces the client's source IP.",
        mend: "Remove the address from `spec.externalIPs` of the Service, or set `externalTrafficPolicy: Local` in it if it leads to the gateway.",
    },
    ReasonText {
        code: "POOL_CONFLICT",
        meaning: "An older topology with another placement names the same pool.",
        why: "No advertisement of the pool can suit both, so every change of it would be denied. The older topology keeps the pool, by `creationTimestamp` and then by name; the younger one is not enforced for the pool.",
        mend: "Give each placement a pool of its own, or set the same `placement.nodeSelector` in both topologies.",
    },
    ReasonText {
        code: "EXCEPTION",
        meaning: "An exception of the topology lifts a rule for an object, until the time that it names.",
        why: "A change of the object that breaks the rule is stored with a warning. After its end, the exception counts as none.",
        mend: "Remove the entry from `spec.exceptions` of the topology, once it is not needed.",
    },
    ReasonText {
        code: "NotEnforced",
        meaning: "Rules of the topology only warn or only record, or an exception lifts one for an object.",
        why: "Changes that break such a rule are stored as they are.",
        mend: "Set `spec.enforcement: Enforce`, and remove the entries of `spec.enforcementByRule` and `spec.exceptions` that the message names, once they are not needed.",
    },
    ReasonText {
        code: "REPORTED_ELSEWHERE",
        meaning: "MetalLB reports another announcer than the replayed election.",
        why: "A speaker may be partitioned, or decides by a newer configuration.",
        mend: "Wait for the next election; then read the logs of the speakers.",
    },
    ReasonText {
        code: "ONE_REPLICA",
        meaning: "The gateway's workloads ask for fewer than two replicas.",
        why: "A drain, a rollout or a crash stops every gateway pod.",
        mend: "Raise `spec.replicas` to at least 2.",
    },
    ReasonText {
        code: "NOT_SPREAD",
        meaning: "All ready gateway pods run on one gateway node.",
        why: "One failing node stops every gateway pod, although there are other nodes.",
        mend: "Add `topologySpreadConstraints` or pod anti-affinity by `kubernetes.io/hostname`.",
    },
    ReasonText {
        code: "ROLLOUT_STOPS_ALL",
        meaning: "A rollout may stop every gateway pod at once.",
        why: "The address is silent until new pods are ready.",
        mend: "Set `maxUnavailable` so that one pod stays.",
    },
    ReasonText {
        code: "NO_DISRUPTION_BUDGET",
        meaning: "No PodDisruptionBudget covers the gateway's pods.",
        why: "Two drains at a time may evict every pod.",
        mend: "Create a PodDisruptionBudget with `maxUnavailable: 1`.",
    },
    ReasonText {
        code: "DISRUPTION_BUDGET_ALLOWS_ALL",
        meaning: "A PodDisruptionBudget lets every gateway pod be evicted at once.",
        why: "It protects nothing.",
        mend: "Set `maxUnavailable: 1`.",
    },
    ReasonText {
        code: "DISRUPTION_BUDGET_ALLOWS_NONE",
        meaning: "PodDisruptionBudgets let no gateway pod be evicted.",
        why: "A drain of a gateway node never ends.",
        mend: "Set `maxUnavailable: 1`, or raise the replicas.",
    },
    ReasonText {
        code: "OK",
        meaning: "The condition holds.",
        why: "Everything that the condition depends on was read, and nothing is wrong.",
        mend: "Nothing is to do.",
    },
    ReasonText {
        code: "Unusable",
        meaning: "The topology is invalid.",
        why: "Nothing is enforced for it.",
        mend: "Correct the field that the message names.",
    },
    ReasonText {
        code: "NoConfiguration",
        meaning: "The webhook configuration does not exist.",
        why: "The API server sends nothing to Lockstep, so nothing is enforced.",
        mend: "Install the chart again.",
    },
    ReasonText {
        code: "NotCovered",
        meaning: "The API server does not send some requests to Lockstep.",
        why: "These requests are stored unchecked.",
        mend: "Install the chart again, or change the selectors of the webhook configuration as the message says.",
    },
    ReasonText {
        code: "FailsOpen",
        meaning: "The API server stores objects when a call fails.",
        why: "An outage of Lockstep lets wrong objects in.",
        mend: "Set `failurePolicy: Fail`.",
    },
    ReasonText {
        code: "NoCaBundle",
        meaning: "The webhook configuration has no `caBundle`.",
        why: "The API server cannot verify the certificate, so every call fails.",
        mend: "Let Lockstep write it, or set it to the CA of the serving certificate.",
    },
    ReasonText {
        code: "OtherCaBundle",
        meaning: "The API server trusts another CA.",
        why: "Calls fail, and with `failurePolicy: Fail` changes are rejected.",
        mend: "Add the CA of the serving certificate to `caBundle`.",
    },
    ReasonText {
        code: "CallsFail",
        meaning: "Lockstep does not answer calls of this form.",
        why: "Every call fails.",
        mend: "Set `admissionReviewVersions: [v1]` and `sideEffects: None`.",
    },
    ReasonText {
        code: "Unreachable",
        meaning: "The API server's calls do not reach the webhook that a webhook configuration names.",
        why: "With the failure policy `Fail`, the API server refuses every request that it should send to Lockstep.",
        mend: "Correct the Service, its port or `caBundle` in the webhook configuration, or start replicas, as the message says.",
    },
    ReasonText {
        code: "Unread",
        meaning: "Whether the API server's calls reach the webhook is not known, because an object could not be read.",
        why: "A webhook that cannot be called makes the API server refuse requests.",
        mend: "Give Lockstep the right that the message names.",
    },
    ReasonText {
        code: "Covered",
        meaning: "The API server sends every request that the topology depends on.",
        why: "Nothing is stored unchecked.",
        mend: "Nothing is to do.",
    },
    ReasonText {
        code: "NOT_RENDERED",
        meaning: "The source of a tool was not judged.",
        why: "Charts, kustomizations and variables are not what is applied. A verdict on them would be about other objects.",
        mend: "Render it and pipe the result: the note has the command.",
    },
    ReasonText {
        code: "NOT_JUDGED",
        meaning: "No rule judges the kind.",
        why: "The object may still decide who announces: `lockstep explain` takes it into account where it can.",
        mend: "Read the state of the topology below the verdicts.",
    },
    ReasonText {
        code: "SPECIAL_FILE",
        meaning: "A FIFO, a socket or a device in a folder was not read.",
        why: "Reading it may never end.",
        mend: "Name it as an argument to read it all the same.",
    },
    ReasonText {
        code: "UNUSED_FIELD",
        meaning: "A field does nothing, or a text has an invisible character.",
        why: "The API server drops a field that its schema does not have, and applies the rest: `nodeSelector` for `nodeSelectors` announces from every node.",
        mend: "Write the field that the message proposes.",
    },
    ReasonText {
        code: "PRUNED_FIELD",
        meaning: "The CustomResourceDefinition of the input does not have the field.",
        why: "An older MetalLB drops it, and announces more than was asked for. The object is judged without the field.",
        mend: "Upgrade MetalLB, or remove the field.",
    },
    ReasonText {
        code: "REPEATED",
        meaning: "The same object is defined twice with the same content.",
        why: "It is harmless today, and differs once one of them is edited.",
        mend: "Remove one of them.",
    },
    ReasonText {
        code: "NO_MATCH",
        meaning: "A topology covers no object of the input.",
        why: "A topology with a wrong name in it guards nothing, and nothing is rejected.",
        mend: "Correct `spec.gateway`, `spec.addressPools` and `spec.metallbNamespace`. `--require-match` makes this an error.",
    },
    ReasonText {
        code: "UNGUARDED_GATEWAY",
        meaning: "A Service looks like that of a gateway, and no topology covers it.",
        why: "Nothing of that gateway is guarded.",
        mend: "Add the proposed GatewayTopology, or correct the one that is meant for it.",
    },
    ReasonText {
        code: "NOT_CLAIMED",
        meaning: "Pods behind the gateway's Service lack labels of the topology.",
        why: "They are not placed, and with `Local` those off the announcing nodes get no traffic.",
        mend: "Add the labels to the pod template, or remove them from `spec.gateway.podLabels`.",
    },
    ReasonText {
        code: "POOL_NOT_FOUND",
        meaning: "The topology names a pool that does not exist, and there are others.",
        why: "The advertisements of the other pools are not guarded.",
        mend: "Set `spec.addressPools` of the topology to the gateway's pools.",
    },
    ReasonText {
        code: "OTHER_NAMESPACE",
        meaning: "MetalLB's objects are in a namespace that no topology names.",
        why: "MetalLB reads its own namespace only, and Lockstep judges that of `spec.metallbNamespace`.",
        mend: "Set `spec.metallbNamespace` of the topology, or the namespace of the objects.",
    },
    ReasonText {
        code: "SHARING_ENDS",
        meaning: "A Service would lose the address that it shares.",
        why: "MetalLB lets Services with `Local` share an address only if both are `Local` and have the same selector.",
        mend: "Give the gateway's Service an address of its own.",
    },
];

/// The text on a code; `None` for a code that does not exist.
#[must_use]
pub fn reason_text(code: &str) -> Option<&'static ReasonText> {
    REASONS.iter().find(|reason| reason.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::assessment::CauseCode;
    use crate::coverage::GuardedReason;
    use crate::reach::MissCode;
    use crate::verdict::Reason;

    #[test]
    fn every_code_has_a_text() {
        let codes: BTreeSet<&str> = Reason::ALL
            .map(Reason::code)
            .into_iter()
            .chain(CauseCode::ALL.map(CauseCode::code))
            .chain(GuardedReason::ALL.map(GuardedReason::as_str))
            .chain(MissCode::ALL.map(MissCode::code))
            .collect();
        let without: Vec<&&str> = codes.iter().filter(|code| reason_text(code).is_none()).collect();
        assert!(without.is_empty(), "{without:?}");
        let all: BTreeSet<&str> = REASONS.iter().map(|reason| reason.code).collect();
        assert_eq!(all.len(), REASONS.len(), "a code stands twice");
    }

    #[test]
    fn texts_are_sentences() {
        for reason in REASONS {
            for text in [reason.meaning, reason.why, reason.mend] {
                assert!(text.ends_with('.') && !text.contains("  "), "{}: {text}", reason.code);
            }
        }
    }
}
