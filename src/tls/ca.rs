//! The CA in a Secret that all replicas share, and its rotation.
//!
//! Every replica signs its own serving certificate with the CA, and ensures that every webhook configuration trusts
//! the CA. Clients trust all CAs in the Secret: a new CA is trusted before it signs, and an old one until the last
//! certificate that it signed has expired.
//!
//! There is no leader. The reconciler of each replica reads the Secret, decides the next step of a rotation from the
//! stored and observed state, and writes it onto the version of the Secret that it read. If several replicas write at
//! once, one write succeeds and the others read again.

mod ca_bundle;
mod ca_set;
mod certificate;
mod leaf;
mod lifetimes;
mod reconciler;
mod replica;
mod rotation;
mod secret;
mod time;

pub use ca_set::{CaSet, CaSetError, NextCa, OldCa};
pub use certificate::{Ca, CaCertificate, CaError};
pub use leaf::{Leaf, LeafError, NameError};
pub use lifetimes::{Lifetimes, LifetimesError};
pub use reconciler::Settings;
pub(super) use reconciler::{Reconciler, Status};
pub use secret::{SecretName, SecretNameError};
