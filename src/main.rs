//! The `lockstep` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one place that chooses the cryptography. It fails only where it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    lockstep::cli::run()
}
