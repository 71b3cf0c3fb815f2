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
        let address = self.listen;
        let (webhook, bound) =
            listen(address).await.map_err(|source| BindError::Listen { address, source })?;
        let address = self.admin.listen;
        let (admin, admin_bound) =
            listen(address).await.map_err(|source| BindError::AdminListen { address, source })?;
        Ok(Bound { config: self, webhook, admin, address: bound, admin_address: admin_bound })
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
        let Self { listen, tls: _, handler: _, admin, limits, metrics: _ } = self;
        f.debug_struct("Config")
            .field("listen", listen)
            .field("admin", admin)
            .field("limits", limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certs::self_made::self_made;
    use crate::server::{Call, Reply};

    struct Nobody;

    impl Handler for Nobody {
        fn handle(&self, _call: Call<'_>) -> Reply {
            Reply::not_now("nobody is here")
        }
    }

    fn config(listen: SocketAddr, admin: SocketAddr) -> Config {
        let (_, tls) = watch::channel(self_made(&[]).unwrap().pair.config);
        Config {
            listen,
            tls,
            handler: Arc::new(Nobody),
            admin: Admin { listen: admin, ready: Box::new(|| Ok(())), metrics: Box::new(String::new) },
            limits: Limits::default(),
            metrics: Metrics::default(),
        }
    }

    fn any_port() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[tokio::test]
    async fn a_free_port_is_told() {
        let bound = config(any_port(), any_port()).bind().await.unwrap();
        assert!(bound.local_addr().port() > 0 && bound.admin_addr().port() > 0);
        assert_ne!(bound.local_addr(), bound.admin_addr());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_flag() {
        let holder = TcpListener::bind(any_port()).await.unwrap();
        let taken = holder.local_addr().unwrap();
        for (config, flag) in
            [(config(taken, any_port()), "--listen"), (config(any_port(), taken), "--admin-listen")]
        {
            let error = config.bind().await.unwrap_err().to_string();
            let rest = "cannot be bound; choose an address and a free port of this machine";
            assert_eq!(error, format!("`{flag}` `{taken}` {rest}"));
        }
    }

    #[tokio::test]
    async fn limits_are_checked_before_a_port_is_taken() {
        let holder = TcpListener::bind(any_port()).await.unwrap();
        let mut config = config(holder.local_addr().unwrap(), any_port());
        config.limits.connections = 0;
        assert!(matches!(config.bind().await, Err(BindError::Limits(_))));
    }
}
