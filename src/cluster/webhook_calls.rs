//! Whether the API server's calls of the webhooks arrive: this replica resolves and dials what the live webhook configurations name.
//!
//! It resolves a Service as kube-apiserver does with `--enable-aggregator-routing` (`pkg/util/proxy` of kube-aggregator, Kubernetes 1.36):
//! the port of the Service, then a ready endpoint of it. A connection to the Service's own address would depend on
//! kube-proxy and on hairpin traffic on this node, which calls of the API server do not. The connection ends after the
//! TLS handshake: by then the server's certificate is verified, and a client certificate is not needed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::mem::discriminant;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::ListParams;
use kube::{Api, Client};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use super::failure::words;
use super::wake::{next_value, until};
use super::webhook_configurations::WebhookConfigurations;
use crate::coverage::{CallFault, CallTarget, Calls};
use crate::error::chain;
use crate::labels::is_dns_label;
use crate::tls::client_config;

/// The time between two checks of a target that is reached.
const PERIOD: Duration = Duration::from_secs(10);

/// The time between two checks while a fault is not confirmed, and while one lasts.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The time for which a fault must last that only an edit can cause.
const CONFIRM_EDIT: Duration = Duration::from_secs(2);

/// The time for which a fault must last that a rollout or a restarted pod can cause for a moment.
const CONFIRM_OUTAGE: Duration = Duration::from_secs(15);

/// The time limit of a connection with its handshake.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit of a request to the API server.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of endpoints that are dialled.
const MAX_ENDPOINTS: usize = 4;

/// The calls that were tried, and the future that keeps them current.
///
/// A fault is published once it has lasted; until then the target keeps its last result, and a new target has none.
pub fn webhook_calls(
    client: Client,
    configurations: watch::Receiver<WebhookConfigurations>,
) -> (watch::Receiver<Arc<Calls>>, impl Future<Output = Infallible> + Send + 'static) {
    let (publish, receiver) = watch::channel(Arc::new(Calls::new()));
    (receiver, keep_current(client, configurations, publish))
}

/// The results for one target.
#[derive(Default)]
struct Course {
    /// The result that is published.
    settled: Option<Option<CallFault>>,
    /// A fault that has not lasted long enough, and since when.
    pending: Option<(CallFault, Instant)>,
}

impl Course {
    fn record(&mut self, result: Option<CallFault>, now: Instant) {
        let Some(fault) = result else {
            *self = Self { settled: Some(None), pending: None };
            return;
        };
        let since = match &self.pending {
            Some((pending, since)) if discriminant(pending) == discriminant(&fault) => *since,
            _ => now,
        };
        let is_same =
            matches!(&self.settled, Some(Some(settled)) if discriminant(settled) == discriminant(&fault));
        if is_same {
            // The text of an error may vary, and no status needs to follow that.
            self.pending = None;
        } else if now.duration_since(since) >= must_last(&fault) {
            *self = Self { settled: Some(Some(fault)), pending: None };
        } else {
            self.pending = Some((fault, since));
        }
    }

    /// The time until the next check.
    fn pause(&self) -> Duration {
        match (&self.pending, &self.settled) {
            (Some(_), _) => CONFIRM_EVERY,
            (None, Some(Some(_))) => RETRY_AFTER,
            (None, _) => PERIOD,
        }
    }
}

const fn must_last(fault: &CallFault) -> Duration {
    match fault {
        CallFault::NoService | CallFault::NoPort | CallFault::Certificate(_) => CONFIRM_EDIT,
        CallFault::NoEndpoint | CallFault::NotConnected(_) | CallFault::Unread(_) => CONFIRM_OUTAGE,
    }
}

async fn keep_current(
    client: Client,
    mut configurations: watch::Receiver<WebhookConfigurations>,
    publish: watch::Sender<Arc<Calls>>,
) -> Infallible {
    let mut courses: BTreeMap<CallTarget, Course> = BTreeMap::new();
    loop {
        let targets = targets(&configurations.borrow_and_update());
        courses.retain(|target, _| targets.contains(target));
        for target in targets {
            let result = fault(&client, &target).await;
            courses.entry(target).or_default().record(result, Instant::now());
        }
        let calls: Calls = courses
            .iter()
            .filter_map(|(target, course)| Some((target.clone(), course.settled.clone()?)))
            .collect();
        publish.send_if_modified(|current| {
            let is_new = **current != calls;
            if is_new {
                report(current, &calls);
                *current = Arc::new(calls);
            }
            is_new
        });
        let pause = courses.values().map(Course::pause).min().unwrap_or(PERIOD);
        tokio::select! {
            () = next_value(&mut configurations) => {}
            () = until(Instant::now().checked_add(pause)) => {}
        }
    }
}

/// The targets of all webhooks. They differ only if somebody has edited them.
fn targets(configurations: &WebhookConfigurations) -> BTreeSet<CallTarget> {
    let both = [&configurations.mutating, &configurations.validating];
    let known = both.into_iter().filter_map(|observed| observed.known().flatten());
    known.flat_map(|observed| &observed.configuration.webhooks).filter_map(CallTarget::of).collect()
}

fn report(before: &Calls, now: &Calls) {
    for (target, fault) in now.iter().filter(|(target, fault)| before.get(*target) != Some(*fault)) {
        let service = format!("{}/{}:{}", target.namespace, target.name, target.port);
        match fault {
            Some(fault) => warn!(service, ?fault, "calls of the webhook do not arrive"),
            None => info!(service, "calls of the webhook arrive"),
        }
    }
}

/// The reason why no call arrives at the target; `None` if one would.
async fn fault(client: &Client, target: &CallTarget) -> Option<CallFault> {
    let endpoints = match timeout(READ_TIMEOUT, endpoints(client, target)).await {
        Ok(Ok(endpoints)) => endpoints,
        Ok(Err(fault)) => return Some(fault),
        Err(_) => return Some(CallFault::Unread("the API server has not answered in time".to_owned())),
    };
    let config = match trusting(&target.ca_bundle) {
        Ok(config) => config,
        Err(problem) => return Some(CallFault::Certificate(problem)),
    };
    let mut first = None;
    for endpoint in endpoints.into_iter().take(MAX_ENDPOINTS) {
        match dial(endpoint, target, Arc::clone(&config)).await {
            None => return None,
            fault => first = first.or(fault),
        }
    }
    Some(first.unwrap_or(CallFault::NoEndpoint))
}

/// The addresses of the ready endpoints behind the port of the Service.
async fn endpoints(client: &Client, target: &CallTarget) -> Result<Vec<SocketAddr>, CallFault> {
    // Webhook configurations may name what can be no name. In a path or a selector it would mean something else.
    if ![&target.namespace, &target.name].into_iter().all(|name| is_dns_label(name)) {
        return Err(CallFault::NoService);
    }
    let unread = |error: kube::Error| CallFault::Unread(words(&error));
    let services: Api<Service> = Api::namespaced(client.clone(), &target.namespace);
    let named = ListParams::default().fields(&format!("metadata.name={}", target.name));
    let services = services.list(&named).await.map_err(unread)?;
    let service = services.items.into_iter().next().ok_or(CallFault::NoService)?;
    let ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
    let port = ports.into_iter().find(|port| i64::from(port.port) == target.port).ok_or(CallFault::NoPort)?;
    let port_name = port.name.unwrap_or_default();

    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &target.namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={}", target.name));
    let slices = slices.list(&of_service).await.map_err(unread)?;
    let mut found = Vec::new();
    for slice in slices {
        let ports = slice.ports.unwrap_or_default();
        let named = ports.into_iter().find(|port| port.name.as_deref().unwrap_or_default() == port_name);
        let Some(port) = named.and_then(|port| u16::try_from(port.port?).ok()) else {
            continue;
        };
        let is_ready = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
            // A missing condition means ready (`discovery/v1` types).
            endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
        };
        let ready = slice.endpoints.into_iter().filter(is_ready);
        let addresses = ready.filter_map(|endpoint| endpoint.addresses.first()?.parse::<IpAddr>().ok());
        found.extend(addresses.map(|address| SocketAddr::new(address, port)));
    }
    if found.is_empty() { Err(CallFault::NoEndpoint) } else { Ok(found) }
}

/// The TLS settings of a client that trusts the bundle.
fn trusting(ca_bundle: &str) -> Result<Arc<ClientConfig>, String> {
    let pem = STANDARD.decode(ca_bundle).map_err(|_| "`caBundle` is not base64".to_owned())?;
    let roots = client_config::roots(&pem).ok_or_else(|| "`caBundle` has no certificate".to_owned())?;
    client_config::client_config(roots).map_err(|error| chain(&error))
}

/// Connects and verifies the certificate.
async fn dial(endpoint: SocketAddr, target: &CallTarget, config: Arc<ClientConfig>) -> Option<CallFault> {
    let name = match ServerName::try_from(target.server_name()) {
        Ok(name) => name,
        Err(error) => return Some(CallFault::Certificate(chain(&error))),
    };
    let handshake = async {
        let stream = TcpStream::connect(endpoint).await?;
        TlsConnector::from(config).connect(name, stream).await
    };
    let error = match timeout(DIAL_TIMEOUT, handshake).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error,
        Err(_) => return Some(CallFault::NotConnected(format!("{endpoint} has not answered in time"))),
    };
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) => Some(CallFault::Certificate(chain(&error))),
        // The server has its certificate verified by now, and asks for that of the client.
        Some(rustls::Error::AlertReceived(_)) => None,
        _ => Some(CallFault::NotConnected(format!("{endpoint}: {}", chain(&error)))),
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
    use rustls::server::WebPkiClientVerifier;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const NAME: &str = "lockstep.lockstep-system.svc";

    /// A self-signed certificate for this name.
    fn certified(name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap()
    }

    /// A server with the certificate, which asks clients for one of a CA if that is given.
    async fn serve(
        served: &rcgen::CertifiedKey<rcgen::KeyPair>,
        client_ca: Option<&CertificateDer<'static>>,
    ) -> SocketAddr {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let mut roots = RootCertStore::empty();
                roots.add(ca.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivatePkcs8KeyDer::from(served.signing_key.serialize_der());
        let config = builder.with_single_cert(vec![served.cert.der().clone()], key.into()).unwrap();
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = acceptor.accept(stream).await;
            }
        });
        address
    }

    /// Dials as a client that trusts this certificate.
    async fn dialled(
        endpoint: SocketAddr,
        trusted: &rcgen::CertifiedKey<rcgen::KeyPair>,
    ) -> Option<CallFault> {
        let target = CallTarget {
            namespace: "lockstep-system".to_owned(),
            name: "lockstep".to_owned(),
            port: 443,
            ca_bundle: STANDARD.encode(trusted.cert.pem()),
        };
        let config = trusting(&target.ca_bundle).unwrap();
        dial(endpoint, &target, config).await
    }

    #[tokio::test]
    async fn a_call_arrives_where_the_bundle_verifies_the_certificate_for_the_service() {
        let (right, other, misnamed) =
            (certified(NAME), certified(NAME), certified("other.lockstep-system.svc"));
        assert_eq!(dialled(serve(&right, None).await, &right).await, None);
        // Only the API server has the client certificate.
        assert_eq!(dialled(serve(&right, Some(other.cert.der())).await, &right).await, None);
        for (served, trusted) in [(&other, &right), (&misnamed, &misnamed)] {
            let fault = dialled(serve(served, None).await, trusted).await;
            assert!(matches!(fault, Some(CallFault::Certificate(_))), "{fault:?}");
        }
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let fault = dialled(closed, &right).await;
        assert!(matches!(fault, Some(CallFault::NotConnected(_))), "{fault:?}");
        assert!(trusting("no base64").is_err() && trusting(&STANDARD.encode("no PEM")).is_err());
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start.checked_add(Duration::from_secs(seconds)).unwrap()
    }

    #[tokio::test]
    async fn a_fault_counts_once_it_has_lasted_and_one_success_ends_it() {
        let start = Instant::now();
        let mut course = Course::default();
        course.record(Some(CallFault::NoPort), start);
        assert_eq!(course.settled, None);
        course.record(Some(CallFault::NoPort), after(start, 2));
        assert_eq!(course.settled, Some(Some(CallFault::NoPort)));
        course.record(None, after(start, 3));
        assert_eq!((&course.settled, course.pause()), (&Some(None), PERIOD));
    }

    #[tokio::test]
    async fn a_moment_without_endpoints_is_no_fault() {
        let start = Instant::now();
        let mut course = Course::default();
        course.record(None, start);
        for (second, fault) in [
            (1, Some(CallFault::NoEndpoint)),
            (14, Some(CallFault::NoEndpoint)),
            (15, None),
            (16, Some(CallFault::NoEndpoint)),
            (25, Some(CallFault::NotConnected("refused".to_owned()))),
            (31, Some(CallFault::NoEndpoint)),
        ] {
            course.record(fault, after(start, second));
            assert_eq!(course.settled, Some(None), "after {second} s");
        }
        course.record(Some(CallFault::NoEndpoint), after(start, 46));
        assert_eq!(course.settled, Some(Some(CallFault::NoEndpoint)));
    }

    #[tokio::test]
    async fn another_text_of_the_same_fault_changes_nothing() {
        let start = Instant::now();
        let mut course = Course::default();
        for (second, text) in [(0, "a"), (15, "b"), (30, "c")] {
            course.record(Some(CallFault::NotConnected(text.to_owned())), after(start, second));
        }
        assert_eq!(course.settled, Some(Some(CallFault::NotConnected("b".to_owned()))));
    }

    #[test]
    fn what_can_be_no_name_is_not_asked_for() {
        assert!(is_dns_label("lockstep-system"));
        for name in ["", "a/b", "a,b=c", "..", "A", "a%2f"] {
            assert!(!is_dns_label(name), "{name}");
        }
    }
}
