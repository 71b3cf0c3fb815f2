//! The messages of `address-preservation`.

use super::{Change, Details, Loss};
use crate::assessment::{Cause, CauseCode};
use crate::change::Operation;
use crate::escape::excerpt;
use crate::field::FieldPath;
use crate::objects::Object;
use crate::snapshot::ResolvedTopology;
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
