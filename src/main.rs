//! The `lockstep` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The only place that sets rustls' crypto provider. It fails only if a provider is set already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    lockstep::cli::run()
}
