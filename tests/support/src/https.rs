//! A small HTTPS client that calls the webhook as the API server does.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An HTTP/1.1 connection, kept alive as by the API server.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The head of the response.
    pub head: Response<()>,
    /// The whole body.
    pub body: Bytes,
}

/// A TLS connector that trusts certificates signed by `ca_pem`.
pub fn trusting(ca_pem: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

impl Connection {
    /// Connects and verifies the server's certificate.
    pub async fn open(address: &str, tls: &TlsConnector) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Posts an `AdmissionReview`.
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.post_in_trace(path, &[], body).await
    }

    /// Posts an `AdmissionReview` with these values of the header `traceparent`.
    pub async fn post_in_trace(
        &mut self,
        path: &str,
        traceparents: &[&str],
        body: impl Into<Bytes>,
    ) -> Answer {
        let request =
            Request::post(path).header("host", "localhost").header("content-type", "application/json");
        let request =
            traceparents.iter().fold(request, |request, value| request.header("traceparent", *value));
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    /// Sends any request.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, head: Response::from_parts(parts, ()), body }
    }
}

/// GETs a path over plain HTTP, as a probe does.
pub async fn get(address: &str, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost");
    // As Prometheus asks for metrics.
    let request = request.header("accept", "application/openmetrics-text; version=1.0.0");
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
