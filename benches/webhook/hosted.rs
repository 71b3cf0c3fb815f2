//! Webhooks that this program hosts on the server stack of the product: a no-op, the rules and the codec alone, and
//! the product's own with its metrics and its decision log.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lockstep::admission::{Body, review};
use lockstep::assessment::{Changes, CurrentAssessments};
use lockstep::audit::{DecisionLog, LineHash, RotatingFile, Rotation};
use lockstep::election::MetalLbVersion;
use lockstep::labels::Labels;
use lockstep::server::{Admin, Call, Handled, Handler, Limits, Reply, Server, ServerMetrics, Shutdown};
use lockstep::snapshot::{Inventory, Snapshot};
use lockstep::tls::{Ephemeral, server_config};
use lockstep::webhook::{Decisions, NodeNames, ReviewMetrics, Webhook};
use rustix::process::nice;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::cluster;

/// The argument that makes this program the no-op webhook.
pub const NOOP: &str = "--noop-webhook";

/// The argument that makes this program the rules and the codec, without logs and metrics.
pub const ENGINE: &str = "--engine-webhook";

/// The argument that makes this program the product's webhook with its metrics. The decision log is written to the
/// file in the next argument, or to standard output for `-`.
pub const RECORDING: &str = "--recording-webhook";

/// The argument that makes this program a no-op webhook on rustls and hyper alone.
pub const BARE: &str = "--bare-webhook";

/// The argument that makes this program the product's webhook with the state of a large cluster, or of one with the number of topologies
/// in the next argument.
pub const LARGE: &str = "--large-webhook";

/// The argument that relabels a node of the large cluster ten times a second, as often as snapshots are published.
pub const CHANGING: &str = "--changing-state";

/// The argument that has the topologies assessed again that each relabelled node concerns, as in `lockstep serve`.
pub const ASSESSING: &str = "--assessing";

/// The shortest pause between two snapshots of `lockstep serve`.
const PAUSE: Duration = Duration::from_millis(100);

struct Noop;

struct Engine(Snapshot);

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: RequestOfReview<'a>,
}

#[derive(Deserialize)]
struct RequestOfReview<'a> {
    uid: &'a str,
}

impl Handler for Noop {
    fn handle(&self, call: Call<'_>) -> Handled {
        Handled::Reply(self.handle_heavy(call))
    }

    fn handle_heavy(&self, call: Call<'_>) -> Reply {
        let review: Review<'_> = serde_json::from_slice(call.body).expect("the load sends reviews");
        Reply::json(allowed(review.request.uid).into_bytes())
    }
}

impl Handler for Engine {
    fn handle(&self, call: Call<'_>) -> Handled {
        Handled::Reply(self.handle_heavy(call))
    }

    fn handle_heavy(&self, call: Call<'_>) -> Reply {
        match review(&Body::new(call.body), call.phase, &self.0) {
            Ok(review) => Reply::json(review.response),
            Err(error) => panic!("the load sends reviews: {error}"),
        }
    }
}

/// Returns the webhook that these arguments select.
pub fn asked_for(arguments: &[String]) -> Option<Arc<dyn Handler>> {
    let place = |name: &str| arguments.iter().position(|argument| argument == name);
    if place(NOOP).is_some() {
        return Some(Arc::new(Noop));
    }
    if let Some(place_of_large) = place(LARGE) {
        let topologies = arguments.get(place_of_large + 1).and_then(|number| number.parse().ok());
        let (is_changing, is_assessing) = (place(CHANGING).is_some(), place(ASSESSING).is_some());
        return Some(Arc::new(large(topologies.unwrap_or(cluster::LARGE), is_changing, is_assessing)));
    }
    let facts = Snapshot::new(&Inventory::default().or_built_in());
    if place(ENGINE).is_some() {
        return Some(Arc::new(Engine(facts)));
    }
    let log = arguments.get(place(RECORDING)? + 1).expect("a file, or `-`");
    Some(Arc::new(recording(facts, log)))
}

fn recording(facts: Snapshot, log: &str) -> Webhook {
    let out: Box<dyn io::Write + Send> = if log == "-" {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        Box::new(File::from(stdout.expect("a standard output")))
    } else {
        // The defaults of `lockstep serve`.
        let rotation = Rotation { size: 100 << 20, older: 5 };
        Box::new(RotatingFile::open(PathBuf::from(log), rotation).expect("a file that can be written"))
    };
    let log = DecisionLog::start(out, "benchmark", LineHash::NONE).expect("a thread");
    let (_publish, facts) = watch::channel(Some(Arc::new(facts)));
    Webhook::new(
        facts,
        ReviewMetrics::default(),
        Some(Decisions { log, also_allowed: false }),
        None,
        NodeNames::default(),
    )
}

/// Returns the webhook with the state of a large cluster, and its built-in topology, to which the measured review belongs.
fn large(topologies: usize, is_changing: bool, is_assessing: bool) -> Webhook {
    let mut inventory = cluster::inventory(topologies);
    inventory.topologies.extend(Inventory::default().or_built_in().topologies);
    let mut inventory = Arc::new(inventory);
    let (publish, facts) = watch::channel(Some(Arc::new(Snapshot::new(&inventory))));
    let (states, assess) = sync_channel::<(Arc<Inventory>, Arc<Snapshot>, Changes)>(0);
    std::thread::spawn(move || {
        // The assessor does the same.
        nice(10).expect("a lower priority");
        let (mut current, version) = (CurrentAssessments::default(), MetalLbVersion::default());
        for (inventory, snapshot, changes) in assess {
            assert!(!current.update(&inventory, &snapshot, version, &changes).is_empty(), "no assessment");
        }
    });
    std::thread::spawn(move || {
        let name = inventory.nodes.keys().next().expect("there are nodes").clone();
        let (mut other, mut changes) = (Arc::new(Labels::new()), Changes::everything());
        if !is_changing {
            return;
        }
        loop {
            let before = Arc::make_mut(&mut inventory).nodes.insert(name.clone(), Arc::clone(&other));
            let before = before.expect("the node exists");
            changes.add_node(&name, Some(&before), Some(&other));
            other = before;
            let snapshot = Arc::new(Snapshot::new(&inventory));
            publish.send_replace(Some(Arc::clone(&snapshot)));
            let changes = std::mem::take(&mut changes);
            if is_assessing {
                states.send((Arc::clone(&inventory), snapshot, changes)).expect("the other thread runs");
            }
            std::thread::sleep(PAUSE);
        }
    });
    Webhook::new(facts, ReviewMetrics::default(), None, None, NodeNames::default())
}

/// Serves a no-op webhook on rustls and hyper until the process is killed.
pub fn serve_bare() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let Ephemeral { certificate, ca_pem } = Ephemeral::generate(&[]).expect("a certificate");
        let tls = TlsAcceptor::from(server_config(&certificate).expect("a configuration"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        eprintln!("{}", serde_json::json!({"message": "serving", "webhook": address, "ca": ca_pem}));
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a socket");
            let tls = tls.clone();
            tokio::spawn(async move {
                // wrk leaves connections open when it ends.
                let Ok(stream) = tls.accept(stream).await else { return };
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(allow)).await;
            });
        }
    })
}

async fn allow(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let review: Review<'_> = serde_json::from_slice(&body).expect("the load sends reviews");
    let response = Response::new(Full::new(Bytes::from(allowed(review.request.uid))));
    Ok(response)
}

fn allowed(uid: &str) -> String {
    format!(
        "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{{\"uid\":\"{uid}\",\"allowed\":true}}}}"
    )
}

/// Serves until the process is killed.
pub fn serve(handler: Arc<dyn Handler>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let Ephemeral { certificate, ca_pem } = Ephemeral::generate(&[]).expect("a certificate");
        let (_tls, tls) = watch::channel(server_config(&certificate).expect("a configuration"));
        let localhost = "127.0.0.1:0".parse().expect("an address");
        let server = Server {
            listen: localhost,
            tls,
            handler,
            admin: Admin {
                listen: localhost,
                metrics_listen: None,
                ready: Box::new(|| Ok(())),
                metrics: Box::new(String::new),
            },
            limits: Limits::default(),
            metrics: ServerMetrics::default(),
        };
        let bound = server.bind().await.expect("free ports");
        // The only line that the caller reads, in the format of the product's log.
        eprintln!(
            "{}",
            serde_json::json!({"message": "serving", "webhook": bound.local_addr().to_string(), "ca": ca_pem})
        );
        bound.run(Shutdown::default()).await.expect("a server that keeps running");
    });
    ExitCode::SUCCESS
}
