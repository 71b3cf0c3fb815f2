//! Loopback ports that stay reserved.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

use super::{Error, Result};

/// A port reserved on 127.0.0.1 until drop.
///
/// Asking for a free port, releasing it and passing its number on is a race that parallel tests sometimes lose. This
/// socket stays bound, so no other process gets the port. The server binds it, too, which the kernel allows because
/// both set `SO_REUSEPORT` (`--permit-port-sharing`, `--socket-reuse-port`). Connections go to the server only,
/// because this socket never listens.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    _reservation: TcpSocket,
}

impl Port {
    pub(super) fn reserve() -> Result<Self> {
        let reserve = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseport(true)?;
            socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
            let number = socket.local_addr()?.port();
            Ok::<_, std::io::Error>(Self { number, _reservation: socket })
        };
        reserve().map_err(|error| Error::failed(format_args!("cannot reserve a port on 127.0.0.1: {error}")))
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }
}
