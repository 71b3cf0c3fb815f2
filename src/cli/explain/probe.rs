//! `lockstep explain --probe`: what kube-proxy on each node reports at a Service's `healthCheckNodePort`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use lockstep_core::escape::excerpt;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::assessment::{Assessment, NodeAssessment, ServiceAssessment};
use crate::error::without_number;
use crate::snapshot::ObjectKey;

/// The time that a node may take for its whole answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The number of nodes that are asked at once, which bounds open sockets: a process often may open no more than 1024 files.
const AT_ONCE: usize = 128;

/// The largest answer that is read, in bytes; kube-proxy's has about 150.
const MAX_ANSWER: usize = 16 * 1024;

/// The answers of the nodes, by Service and node.
#[derive(Debug, Default)]
pub(super) struct Probes(BTreeMap<(ObjectKey, String), NodeProbe>);

/// The result of asking one node about one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeProbe {
    /// The number of ready endpoints on the node, as kube-proxy there knows them; `None` without a usable answer.
    pub(super) local_endpoints: Option<u64>,
    /// The reason why there is no usable answer, or the fault of the node's kube-proxy, in a sentence.
    pub(super) error: Option<String>,
}

impl NodeProbe {
    fn failed(error: String) -> Self {
        Self { local_endpoints: None, error: Some(error) }
    }

    /// The contradiction of the answer to the `EndpointSlices`, in a sentence. The numbers may differ without a contradiction,
    /// because kube-proxy does not count an endpoint that terminates.
    pub(super) fn disagreement(&self, node: &NodeAssessment) -> Option<String> {
        let local = self.local_endpoints?;
        let ready = node.ready_endpoints;
        let next = "read the state again: it may be older than the answer, or the endpoints terminate; else look at the \
            log of kube-proxy there";
        ((local > 0) != (ready > 0)).then(|| {
            format!("kube-proxy counts {local} ready endpoints on the node, and the EndpointSlices {ready}; {next}")
        })
    }
}

impl Probes {
    /// The answer of a node; `None` if it was not asked.
    pub(super) fn of(&self, service: &ServiceAssessment, node: &NodeAssessment) -> Option<&NodeProbe> {
        self.0.get(&(service.key.clone(), node.name.clone()))
    }

    /// Asks every node that is listed for a Service with a health check.
    ///
    /// # Errors
    /// If no runtime can be started.
    pub(super) fn ask(assessment: &Assessment) -> io::Result<Self> {
        let services = assessment.topologies.iter().flat_map(|topology| &topology.services);
        // Two topologies may have the same Service.
        let questions: BTreeSet<Question> = services.flat_map(questions).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answers = runtime.block_on(
            futures::stream::iter(questions)
                .map(|question| async move {
                    let probe = question.ask().await;
                    ((question.service, question.node), probe)
                })
                .buffer_unordered(AT_ONCE)
                .collect(),
        );
        Ok(Self(answers))
    }
}

/// The reason why no node is asked about a Service, in a sentence; `None` if the listed nodes are asked.
pub(super) fn obstacle(service: &ServiceAssessment) -> Option<&'static str> {
    if service.policy != "Local" {
        Some("kube-proxy has a health check only for `externalTrafficPolicy: Local`")
    } else if service.health_check_node_port.is_none() {
        Some("the Service has no `healthCheckNodePort`")
    } else if service.nodes.is_empty() {
        Some("no node is listed for the Service")
    } else {
        None
    }
}

/// One request.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    service: ObjectKey,
    node: String,
    ip: Option<IpAddr>,
    port: u16,
}

fn questions(service: &ServiceAssessment) -> impl Iterator<Item = Question> {
    let port = service.health_check_node_port.filter(|_| obstacle(service).is_none());
    port.into_iter().flat_map(move |port| {
        service.nodes.iter().map(move |node| Question {
            service: service.key.clone(),
            node: node.name.clone(),
            ip: address_of(service, node),
            port,
        })
    })
}

/// The node's address of the family of the Service: kube-proxy serves the health check in the families that the Service
/// has (`NewServiceHealthServer`, the same file as of [`Answer`]).
fn address_of(service: &ServiceAssessment, node: &NodeAssessment) -> Option<IpAddr> {
    let held = service.addresses.iter().filter_map(|held| held.address.as_ref()?.parse::<IpAddr>().ok());
    let is_ipv4: Vec<bool> = held.map(|address| address.is_ipv4()).collect();
    let is_served = |ip: &&IpAddr| is_ipv4.is_empty() || is_ipv4.contains(&ip.is_ipv4());
    node.internal_ips.iter().find(is_served).copied()
}

impl Question {
    async fn ask(&self) -> NodeProbe {
        let Some(ip) = self.ip else {
            return NodeProbe::failed(
                "no `InternalIP` of the Service's family is known in the node's `status.addresses`"
                    .to_owned(),
            );
        };
        let address = SocketAddr::new(ip, self.port);
        match tokio::time::timeout(TIMEOUT, get(address)).await {
            Err(_) => NodeProbe::failed(format!(
                "no answer from {address} in {} s: the node's firewall may block it from here",
                TIMEOUT.as_secs()
            )),
            Ok(Err(error)) => NodeProbe::failed(format!(
                "no answer from {address}: {}: kube-proxy may not run there, or not know the Service",
                without_number(&error.to_string())
            )),
            Ok(Ok((status, body))) => self.read(address, status, &body),
        }
    }

    fn read(&self, address: SocketAddr, status: StatusCode, body: &[u8]) -> NodeProbe {
        let Ok(answer) = serde_json::from_slice::<Answer>(body) else {
            return NodeProbe::failed(format!(
                "{address} answered {}, but not as kube-proxy does: another program may listen there",
                status.as_u16()
            ));
        };
        let Name { namespace, name } = answer.service;
        if namespace != self.service.namespace || name != self.service.name {
            return NodeProbe::failed(format!(
                "{address} answered for Service `{}`: the Service's `healthCheckNodePort` may have changed",
                excerpt(&format!("{namespace}/{name}"))
            ));
        }
        let is_unhealthy = answer.service_proxy_healthy == Some(false);
        NodeProbe {
            local_endpoints: Some(answer.local_endpoints),
            error: is_unhealthy.then(|| {
                format!(
                    "kube-proxy at {address} reports that it is not healthy, and answers {}",
                    status.as_u16()
                )
            }),
        }
    }
}

/// The answer of kube-proxy's health check (`hcHandler.ServeHTTP`, pkg/proxy/healthcheck/service_health.go, Kubernetes
/// 1.36): 200 with local endpoints, 503 without any or if kube-proxy is not healthy, which older ones do not report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    service: Name,
    local_endpoints: u64,
    service_proxy_healthy: Option<bool>,
}

#[derive(Deserialize)]
struct Name {
    namespace: String,
    name: String,
}

/// Gets `/healthz`, without a proxy and without following a redirect.
async fn get(address: SocketAddr) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get("/healthz")
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => Ok((status, body.to_bytes())),
        // So long an answer is none of kube-proxy's.
        Err(error) if error.is::<LengthLimitError>() => Ok((status, Bytes::new())),
        Err(error) => Err(error),
    }
}
