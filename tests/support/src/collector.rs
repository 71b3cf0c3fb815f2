//! An OpenTelemetry collector that takes spans by OTLP over HTTP and decodes them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

/// An answer of the collector.
#[derive(Debug, Clone)]
pub enum Reply {
    /// All spans are taken.
    Takes,
    /// All spans but for this number are taken, for the reason `too old`.
    Rejects(i64),
    /// This status and text; no span is taken.
    Says(StatusCode, &'static str),
}

/// A running collector. It ends with the runtime.
#[derive(Debug)]
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    requests: UnboundedReceiver<ExportTraceServiceRequest>,
}

/// A span as the collector has it: its resource, its own fields, and its attributes as text.
#[derive(Debug)]
pub struct Received {
    /// The attributes of the resource.
    pub resource: BTreeMap<String, String>,
    /// The span.
    pub span: Span,
    /// The attributes of the span.
    pub attributes: BTreeMap<String, String>,
}

impl Collector {
    /// Starts a collector that takes all spans.
    pub async fn start() -> Self {
        Self::start_with(Vec::new(), None).await
    }

    /// Starts a collector that answers with `replies`, and then takes all spans. With a certificate, it speaks TLS.
    pub async fn start_with(replies: Vec<Reply>, tls: Option<&rcgen::CertifiedKey<rcgen::KeyPair>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls.map(acceptor);
        let (sender, requests) = unbounded_channel();
        tokio::spawn(async move {
            let mut replies = replies.into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let Some(acceptor) = &acceptor else {
                    serve(TokioIo::new(stream), &mut replies, &sender).await;
                    continue;
                };
                // A client that does not trust the certificate ends the handshake.
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(TokioIo::new(stream), &mut replies, &sender).await;
                }
            }
        });
        Self { address, requests }
    }

    /// Whether no further request with spans has arrived.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Waits for the next request with spans. Returns its spans.
    pub async fn spans(&mut self) -> Vec<Received> {
        let request = tokio::time::timeout(Duration::from_secs(30), self.requests.recv()).await;
        let request = request.expect("no span is exported").expect("the collector runs");
        let of_resource = request.resource_spans.into_iter().flat_map(|spans| {
            let resource = texts(&spans.resource.unwrap_or_default().attributes);
            let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.map(move |span| (resource.clone(), span)).collect::<Vec<_>>()
        });
        of_resource
            .map(|(resource, span)| Received { resource, attributes: texts(&span.attributes), span })
            .collect()
    }
}

fn acceptor(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let config = builder.with_single_cert(vec![certified.cert.der().clone()], key.into()).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers the requests of one connection.
async fn serve(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin,
    replies: &mut (impl Iterator<Item = Reply> + Send),
    sender: &UnboundedSender<ExportTraceServiceRequest>,
) {
    let replies = Mutex::new(replies);
    let service = service_fn(async |request: Request<Incoming>| {
        assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/v1/traces"));
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let spans = ExportTraceServiceRequest::decode(body).unwrap();
        let reply = replies.lock().unwrap().next().unwrap_or(Reply::Takes);
        let partial = |rejected_spans| ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too old".to_owned(),
        };
        let (status, partial_success) = match reply {
            Reply::Takes => (StatusCode::OK, None),
            Reply::Rejects(count) => (StatusCode::OK, Some(partial(count))),
            Reply::Says(status, text) => {
                let mut response = Response::new(Full::new(Bytes::from(text)));
                *response.status_mut() = status;
                return Ok::<_, Infallible>(response);
            }
        };
        // The test may be over.
        let _ = sender.send(spans);
        let answer = ExportTraceServiceResponse { partial_success }.encode_to_vec();
        let mut response = Response::new(Full::new(Bytes::from(answer)));
        *response.status_mut() = status;
        Ok(response)
    });
    // Each export has a connection of its own, so one after the other suffices.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}

/// Attributes as text.
fn texts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |attribute: &KeyValue| match attribute.value.clone().and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), text(attribute))).collect()
}
