//! What a server is made of, up to the moment in which it has its ports.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::admin::Admin;
use super::call::Handler;
use super::limits::{Limits, LimitsError};
use super::metrics::Metrics;

/// What a server needs.
pub struct Config {
    /// Where calls are taken. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The TLS configuration of the moment. A new value is used for every connection from then on, and
    /// changes nothing for open ones.
    pub tls: watch::Receiver<Arc<ServerConfig>>,
    /// Who answers the calls.
    pub handler: Arc<dyn Handler>,
    /// The admin port.
    pub admin: Admin,
    /// How much is taken on.
    pub limits: Limits,
    /// Where things are counted.
    pub metrics: Metrics,
}

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum BindError {
    /// The limits make no sense.
    #[error("the server's limits cannot be kept")]
    Limits(#[from] LimitsError),
    /// The port for calls is not to be had.
    #[error("`--listen` `{address}` cannot be bound; choose an address and a free port of this machine")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The admin port is not to be had.
    #[error(
        "`--admin-listen` `{address}` cannot be bound; choose an address and a free port of this machine"
    )]
    AdminListen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A server that has its ports. The kernel queues connections; none is accepted yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) config: Config,
    pub(super) webhook: TcpListener,
    pub(super) admin: TcpListener,
    address: SocketAddr,
    admin_address: SocketAddr,
}

impl Config {
    /// Checks the limits and takes the ports.
    ///
    /// # Errors
    /// Limits that cannot be kept, or a port that cannot be had.
    pub async fn bind(self) -> Result<Bound, BindError> {
        self.limits.check()?;
        let (webhook, address) = listen(self.listen).await.map_err(|source| BindError::Listen {
            address: self.listen,
            source,
        })?;
        let (admin, admin_address) =
            listen(self.admin.listen)
                .await
                .map_err(|source| BindError::AdminListen {
                    address: self.admin.listen,
                    source,
                })?;
        Ok(Bound {
            config: self,
            webhook,
            admin,
            address,
            admin_address,
        })
    }
}

async fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

impl Bound {
    /// Where calls are taken, as it was really bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the admin port is, as it was really bound.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin_address
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            listen,
            tls: _,
            handler: _,
            admin,
            limits,
            metrics: _,
        } = self;
        f.debug_struct("Config")
            .field("listen", listen)
            .field("admin", admin)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}
