//! An HTTP/1.1 client written by hand, so that it can also send invalid or slow requests.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The time limit for an event.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for an event, and fails the test if it takes too long.
pub(super) async fn soon<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, event).await.expect("the event happens within the test's timeout")
}

/// The CAs that a client trusts.
#[derive(Clone)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    pub(super) fn in_authorities(authorities: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).unwrap();
        }
        Self { roots: Arc::new(roots) }
    }

    pub(super) fn config(&self, alpn: &str, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        config
    }
}

/// Opens a TLS connection.
pub(super) async fn handshake(address: SocketAddr, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
    soon(async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    })
    .await
}

/// Opens a TCP connection from another address of the loopback network.
pub(super) async fn connect_from(peer: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((peer, 0)))?;
    soon(socket.connect(address)).await
}

/// Opens a TLS connection from another address of the loopback network.
pub(super) async fn handshake_from(
    peer: Ipv4Addr,
    address: SocketAddr,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = connect_from(peer, address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

/// One connection.
pub(super) struct Client<S> {
    stream: BufReader<S>,
}

impl Client<TlsStream<TcpStream>> {
    pub(super) async fn connect(address: SocketAddr, trust: &Trust) -> io::Result<Self> {
        let stream = handshake(address, trust.config("http/1.1", rustls::ALL_VERSIONS)).await?;
        Ok(Self::over(stream))
    }

    /// The certificate that the server presented.
    pub(super) fn leaf(&self) -> CertificateDer<'static> {
        self.stream.get_ref().get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) fn over(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> io::Result<Answer> {
        self.send(&request(path, body)).await?;
        self.answer().await
    }

    pub(super) async fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await?;
        self.answer().await
    }

    pub(super) async fn send(&mut self, text: &str) -> io::Result<()> {
        soon(async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        })
        .await
    }

    pub(super) async fn answer(&mut self) -> io::Result<Answer> {
        soon(self.read_answer()).await
    }

    /// Waits until the server closes the connection. Bytes that it still sends are ignored.
    pub(super) async fn end(&mut self) {
        let mut rest = Vec::new();
        // A connection may also end by a reset.
        let _ = soon(self.stream.read_to_end(&mut rest)).await;
    }

    async fn read_answer(&mut self) -> io::Result<Answer> {
        let status_line = self.line().await?;
        let status = status_line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        answer.body = String::from_utf8(body).unwrap();
        Ok(answer)
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Returns the text of a POST request with a JSON body.
pub(super) fn request(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
    headers: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }
}
