//! The flags of mutual TLS.

use std::path::PathBuf;

use crate::certs::callers::Callers;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct CallerArgs {
    /// Let only callers in that show a certificate of one of these CAs, as PEM; the file is read again when it
    /// changes
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_CLIENT_CA")]
    client_ca: Option<PathBuf>,
    /// A name of which the certificate of a caller must carry one, as DNS name or common name; may be repeated, and
    /// without it any will do; needs `--client-ca`
    #[arg(
        long,
        value_name = "NAME",
        requires = "client_ca",
        value_delimiter = ',',
        env = "LOCKSTEP_CLIENT_NAME"
    )]
    client_name: Vec<String>,
}

impl CallerArgs {
    /// `None` if anybody may call.
    pub(super) fn take(&mut self) -> Option<Callers> {
        let names = std::mem::take(&mut self.client_name);
        self.client_ca.take().map(|ca| Callers { ca, names })
    }
}
