//! Key pairs in files, and taking over their renewals.
//!
//! The files are read again on a timer and compared byte by byte. A notification on the file itself would
//! die at the first renewal: the kubelet does not write to a mounted file, it swaps a symbolic link in the
//! path to it.

mod load;
mod reload;

pub use load::{FilesError, KeyPairFiles};
pub(super) use reload::REST;
pub use reload::{INTERVAL, Reloader};
