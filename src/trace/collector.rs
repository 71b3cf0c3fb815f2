//! The OpenTelemetry collector, which takes spans by [OTLP over HTTP](https://opentelemetry.io/docs/specs/otlp/#otlphttp).

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::http::uri::{PathAndQuery, Scheme};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls::client_config::{client_config, roots};

/// The time limit of an export, which is the default of OpenTelemetry's exporters.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum size of an answer in bytes. One without errors is empty, and the message of another one is a sentence.
const ANSWER_BYTES: usize = 64 << 10;

/// The path of traces below the URL of a collector.
const PATH: &str = "/v1/traces";

const AGENT: &str = concat!("lockstep/", env!("CARGO_PKG_VERSION"));

/// The URL of a collector, without the path of traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    is_https: bool,
    /// The host and, unless it is the scheme's own, the port.
    authority: String,
    host: String,
    port: u16,
    path: String,
}

/// The error of a URL that names no collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not the URL of a collector: {reason}; write it as in `http://otel-collector.observability:4318`"
)]
pub struct EndpointError {
    reason: &'static str,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let wrong = |reason| EndpointError { reason };
        let uri: Uri = text.parse().map_err(|_| wrong("it cannot be parsed"))?;
        let is_https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(wrong("its scheme is neither `http` nor `https`")),
        };
        let authority = uri.authority().ok_or(wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user, and credentials are not sent"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        let bare = |host: &str| host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self {
            is_https,
            authority: authority.as_str().to_owned(),
            host: bare(authority.host()),
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
            path: format!("{}{PATH}", uri.path().trim_end_matches('/')),
        })
    }
}

/// A collector, and how it is reached.
#[derive(Debug)]
pub struct Collector {
    endpoint: Endpoint,
    tls: Option<Trust>,
}

/// The CAs that a collector's certificate is verified by.
#[derive(Debug)]
enum Trust {
    /// Those of the system.
    System(Arc<ClientConfig>),
    /// Those in a PEM file, which is read for each connection: somebody rotates them.
    File(PathBuf),
}

/// The error of a collector whose certificate cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// The file of CAs cannot be read.
    #[error("`--otlp-ca` `{path}` cannot be read: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The file has no certificate.
    #[error("`--otlp-ca` `{path}` holds no certificate; give a PEM file with the CA of the collector", path = path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The system has no CAs, as in the image.
    #[error(
        "this system has no CA certificates to verify an `https` collector by; give the CA of the collector with `--otlp-ca`"
    )]
    NoSystemCertificates,
    /// The certificates cannot be used.
    #[error("the CA certificates cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The error of an export.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("the collector has not answered within 10s")]
    Timeout,
    #[error("the collector is not reached")]
    Connect(#[source] io::Error),
    #[error(transparent)]
    Collector(#[from] CollectorError),
    #[error("the name of the collector cannot be in a certificate")]
    Name(#[from] InvalidDnsNameError),
    #[error("the connection to the collector failed")]
    Connection(#[from] hyper::Error),
    #[error("the request cannot be written")]
    Request(#[from] hyper::http::Error),
    #[error("the collector answers {0}")]
    Status(StatusCode),
    #[error("the answer is not one of an OTLP collector, or larger than 64 KiB")]
    Answer,
}

impl ExportError {
    /// Whether the same request may succeed later. Of the answers, these are the ones that OTLP names.
    pub(super) const fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Connect(_) | Self::Connection(_) | Self::Collector(_) => true,
            Self::Name(_) | Self::Request(_) | Self::Answer => false,
            Self::Status(status) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
        }
    }
}

/// Spans that a collector took, but for some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// The number of spans that it rejected.
    pub(super) rejected: u64,
    /// The reason for the rejection, or a warning.
    pub(super) message: String,
}

impl Collector {
    /// The collector at `endpoint`. Its certificate is verified by the CAs in the PEM file `ca`, or else by those of the system.
    ///
    /// # Errors
    /// If the endpoint's scheme is `https` and there are no CAs.
    pub fn new(endpoint: Endpoint, ca: Option<PathBuf>) -> Result<Self, CollectorError> {
        let tls = match (endpoint.is_https, ca) {
            (false, _) => None,
            (true, Some(path)) => {
                roots_in(&path)?;
                Some(Trust::File(path))
            }
            (true, None) => Some(Trust::System(client_config(roots_of_the_system()?)?)),
        };
        Ok(Self { endpoint, tls })
    }

    /// The URL that spans are sent to.
    pub(super) fn url(&self) -> String {
        let Endpoint { is_https, authority, path, .. } = &self.endpoint;
        format!("http{}://{authority}{path}", if *is_https { "s" } else { "" })
    }

    /// Sends an encoded `ExportTraceServiceRequest`. Each has a connection of its own, because there is at most one a second.
    pub(super) async fn send(&self, body: Bytes) -> Result<Taken, ExportError> {
        timeout(TIMEOUT, self.post(body)).await.unwrap_or(Err(ExportError::Timeout))
    }

    async fn post(&self, body: Bytes) -> Result<Taken, ExportError> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(ExportError::Connect)?;
        let config = match &self.tls {
            None => return self.exchange(stream, body).await,
            Some(Trust::System(config)) => Arc::clone(config),
            Some(Trust::File(path)) => client_config(roots_in(path)?).map_err(CollectorError::Unusable)?,
        };
        let name = ServerName::try_from(host.clone())?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(ExportError::Connect)?;
        self.exchange(stream, body).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        body: Bytes,
    ) -> Result<Taken, ExportError> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The connection is driven here and not by a task, so that it is closed with the last word of the answer.
        tokio::select! {
            taken = self.request(sender, body) => taken,
            never = async {
                // Why it has ended is what the request fails with, unless it was answered before.
                let _ = connection.await;
                pending().await
            } => never,
        }
    }

    async fn request(&self, mut sender: SendRequest<Full<Bytes>>, body: Bytes) -> Result<Taken, ExportError> {
        let path = PathAndQuery::try_from(self.endpoint.path.as_str()).map_err(hyper::http::Error::from)?;
        let request = Request::post(Uri::from(path))
            .header(HOST, &self.endpoint.authority)
            .header(CONTENT_TYPE, "application/x-protobuf")
            .header(USER_AGENT, AGENT)
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(ExportError::Status(status));
        }
        let answer = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let answer = answer.map_err(|_| ExportError::Answer)?.to_bytes();
        let answer = ExportTraceServiceResponse::decode(answer).map_err(|_| ExportError::Answer)?;
        Ok(answer.partial_success.map_or_else(Taken::default, |partial| Taken {
            rejected: u64::try_from(partial.rejected_spans).unwrap_or_default(),
            message: partial.error_message,
        }))
    }
}

fn roots_in(path: &PathBuf) -> Result<RootCertStore, CollectorError> {
    let pem = std::fs::read(path).map_err(|error| CollectorError::Read { path: path.clone(), error })?;
    roots(&pem).ok_or_else(|| CollectorError::NoCertificate { path: path.clone() })
}

fn roots_of_the_system() -> Result<RootCertStore, CollectorError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(CollectorError::NoSystemCertificates) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_appended_to_the_url() {
        for (text, url, host, port) in [
            ("http://collector:4318", "http://collector:4318/v1/traces", "collector", 4318),
            ("http://collector:4318/", "http://collector:4318/v1/traces", "collector", 4318),
            ("http://collector", "http://collector/v1/traces", "collector", 80),
            (
                "https://otel.example.org/otlp/",
                "https://otel.example.org/otlp/v1/traces",
                "otel.example.org",
                443,
            ),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces", "::1", 4318),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!((endpoint.host.as_str(), endpoint.port), (host, port), "{text}");
            assert_eq!(Collector { endpoint, tls: None }.url(), url);
        }
    }

    #[test]
    fn what_is_no_url_of_a_collector_is_rejected() {
        for text in [
            "",
            "collector",
            "collector:4318",
            "grpc://collector:4317",
            "http://",
            "http:///v1/traces",
            "http://user:secret@collector:4318",
            "http://collector:4318?token=secret",
            "http://a b",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
