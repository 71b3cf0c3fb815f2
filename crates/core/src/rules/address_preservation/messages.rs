//! The messages of `address-preservation`.

use super::{Change, Details, Loss};
use crate::assessment::{Cause, CauseCode};
use crate::change::Operation;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::objects::{Object, ServiceSpec};
use crate::snapshot::{ObjectKey, ResolvedTopology};
use crate::verdict::Reason;

/// An address that gets worse, and the number of further addresses for which the same holds.
pub(super) fn loss(change: &Change, loss: &Loss<'_>, more: usize) -> Details {
    let key = &loss.service.key;
    let service = format!("Service `{}/{}`", excerpt(&key.namespace), excerpt(&key.name));
    let place = match &loss.address.address {
        Some(address) => format!("{address} of {service}"),
        None => service,
    };
    let place = match more {
        0 => place,
        1 => format!("{place} and another address"),
        more => format!("{place} and {more} other addresses"),
    };
    let subject = subject(change);
    let cause = &loss.cause.message;
    let message = match loss.reason {
        Reason::Lost => format!("{subject} would lose the client's source IP at {place}: {cause}"),
        Reason::Fragile => format!("{subject} would leave {place} fragile: {cause}"),
        Reason::Unknown => format!("it is not known what {subject} does to {place}: {cause}"),
        _ => format!("{subject} would silence {place}: {cause}"),
    };
    let help = match (change.operation, loss.reason) {
        // The rejected object may be another one, which was right before.
        (Operation::Create | Operation::Update, _) if loss.cause.code == CauseCode::ConfigurationRejected => {
            format!("correct {} `{}`", change.object.kind().name(), excerpt(name(change)))
        }
        (_, Reason::Unknown) | (Operation::Create | Operation::Update | Operation::Connect, _) => {
            loss.cause.mend.clone()
        }
        (Operation::Delete, _) => format!(
            "first delete the Service, or {}; `spec.announcements.onDelete: Warn` of the topology allows the deletion",
            loss.cause.mend
        ),
    };
    Details { field: field(change), message, help, ..Details::default() }
}

/// A finding on the topology that was not there before.
pub(super) fn misaligned(change: &Change, topology: &ResolvedTopology, finding: &Cause) -> Details {
    let message =
        format!("{} would misalign topology `{}`: {}", subject(change), topology.name, finding.message);
    Details { field: field(change), message, help: finding.mend.clone(), ..Details::default() }
}

/// A pool of no topology that MetalLB may choose for the next address of a Service.
pub(super) fn other_choice(
    change: &Change,
    topology: &ResolvedTopology,
    service: &ObjectKey,
    pool: &str,
) -> Details {
    let own = pools(topology);
    let (service, pool) = (excerpt(&format!("{}/{}", service.namespace, service.name)), excerpt(pool));
    let message = match change.object {
        Object::Service(..) => format!(
            "the Service asks for no pool, so MetalLB may give it an address of pool `{pool}`, which topology `{}` does not name",
            topology.name
        ),
        _ => format!(
            "MetalLB may give Service `{service}` its next address from pool `{pool}`, which topology `{}` does not name",
            topology.name
        ),
    };
    let help = format!(
        "annotate the Service with `metallb.io/address-pool` to name {own}, or set `autoAssign: false` in pool `{pool}`"
    );
    Details { field: field(change), message, help, ..Details::default() }
}

/// A load balancer class that the topology does not name.
pub(super) fn other_class(topology: &ResolvedTopology, spec: &ServiceSpec) -> Details {
    let classes = topology.spec.service.load_balancer_classes.iter().map(|class| match class.as_str() {
        "" => "no class".to_owned(),
        class => format!("`{}`", excerpt(class)),
    });
    let classes = classes.collect::<Vec<_>>().join(", ");
    let class = match spec.load_balancer_class.as_str() {
        "" => "has no load balancer class".to_owned(),
        class => format!("has the load balancer class `{}`", excerpt(class)),
    };
    Details {
        field: FieldPath::fields(["spec", "loadBalancerClass"]),
        message: format!(
            "the Service leads to the gateway of topology `{}` and {class}: MetalLB does not serve it, so nothing is guarded of its \
             addresses",
            topology.name
        ),
        help: format!(
            "use a class of the topology ({classes}), or add it to `spec.service.loadBalancerClasses` if MetalLB serves it"
        ),
        ..Details::default()
    }
}

/// The pools of a topology in a sentence.
fn pools(topology: &ResolvedTopology) -> String {
    let pools = topology.spec.address_pools.iter().take(3).map(|pool| format!("`{}`", excerpt(pool)));
    pools.collect::<Vec<_>>().join(" or ")
}

/// The change as the subject of a sentence.
fn subject(change: &Change) -> String {
    let kind = change.object.kind().name();
    let name = excerpt(name(change));
    match change.operation {
        Operation::Create => format!("{kind} `{name}`"),
        Operation::Update | Operation::Connect => format!("the change of {kind} `{name}`"),
        Operation::Delete => format!("the deletion of {kind} `{name}`"),
    }
}

/// The name of the object, or the prefix of the name that the API server generates.
fn name(change: &Change) -> &str {
    if change.name.is_empty() { &change.object.metadata().generate_name } else { &change.name }
}

fn field(change: &Change) -> FieldPath {
    let path: &[&'static str] = match (&change.object, &change.old) {
        _ if change.operation == Operation::Delete => &["metadata", "name"],
        (Object::IpAddressPool(new), Some(Object::IpAddressPool(old))) if new.spec == old.spec => {
            &["metadata", "labels"]
        }
        (Object::IpAddressPool(_) | Object::AddressPool(_), _) => &["spec", "addresses"],
        (Object::Service(new, _), Some(Object::Service(old, _)))
            if new.metadata.labels != old.metadata.labels =>
        {
            &["metadata", "labels"]
        }
        (Object::Service(_, new), Some(Object::Service(_, old))) if new.annotations != old.annotations => {
            &["metadata", "annotations"]
        }
        _ => &["spec"],
    };
    FieldPath::fields(path.iter().copied())
}
