//! `lockstep serve`: the webhook.

mod decisions;
mod reports;
mod signals;
mod snapshot;
mod spans;
mod status;
mod tls;

use std::error::Error;
use std::future::pending;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::error;

use super::{Exit, duration};
use crate::cluster::{
    self, AssessmentMetrics, MIN_STALE_AFTER, ReportInputs, STALE_AFTER, StatusInputs,
    watch_webhook_configurations,
};
use crate::error::chain;
use crate::server::{Admin, BoundServer, Limits, Server, ServerMetrics};
use crate::snapshot::Snapshot;
use crate::telemetry::{self, Log, LogFormat};
use crate::tls::Tls;
use crate::webhook::{NodeNames, ReviewMetrics, Webhook};
use decisions::DecisionArgs;
use signals::Stop;
use snapshot::SnapshotSource;
use spans::SpanArgs;
use tls::TlsSettings;

/// Run the webhook
///
/// Verdicts follow the live state of the cluster, which is found as kubectl finds it (`KUBECONFIG`, `~/.kube/config`, or the
/// pod's ServiceAccount). With `--facts`, they follow manifests on disk, and no cluster is needed.
///
/// The webhook answers `POST /mutate` and `POST /validate` over HTTPS, and `/livez`, `/readyz` and `/metrics` over plain HTTP
/// on the admin port. Until it has read the cluster's state, it answers every review with 503 and `Retry-After`.
///
/// The first SIGTERM or SIGINT drains and exits, and the second exits at once. The exit code is 0 after a signal, and 2 if the
/// webhook cannot start or cannot continue.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ServeArgs {
    /// Listen for reviews on this address
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8443", env = "LOCKSTEP_LISTEN")]
    listen: SocketAddr,
    /// Listen for probes on this address, and for metrics without `--metrics-listen`
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080", env = "LOCKSTEP_ADMIN_LISTEN")]
    admin_listen: SocketAddr,
    /// Listen for metrics on this address, so that nobody who reads them can reach the probes
    #[arg(long, value_name = "ADDRESS:PORT", env = "LOCKSTEP_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Report in the status of every topology whether the mutating and the validating webhook configuration of this name
    /// cover it
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "facts",
        env = "LOCKSTEP_WEBHOOK_CONFIGURATION",
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    webhook_configuration: Option<String>,
    /// Write a report of every topology: a ClusterReport of OpenReports, or a ClusterPolicyReport (wgpolicyk8s.io) where only
    /// that kind is installed; the validating webhook configuration owns the reports, so that they go with it
    #[arg(long, requires = "webhook_configuration", env = "LOCKSTEP_REPORTS")]
    reports: bool,
    /// Stop answering reviews when the API server has sent nothing on a watch for this long, 10s at least, until it
    /// does again
    #[arg(
        long,
        value_name = "DURATION",
        default_value = duration::show(STALE_AFTER),
        value_parser = duration::at_least(MIN_STALE_AFTER),
        conflicts_with = "facts",
        env = "LOCKSTEP_STALE_AFTER"
    )]
    stale_after: Duration,
    /// Read the state from this manifest or directory instead of a cluster
    #[arg(long, value_name = "PATH")]
    facts: Vec<PathBuf>,
    #[command(flatten)]
    tls: tls::TlsArgs,
    #[command(flatten)]
    decisions: DecisionArgs,
    #[command(flatten)]
    spans: SpanArgs,
    /// Keep answering reviews for this long after SIGTERM, while the API server moves to other replicas
    #[arg(
        long,
        value_name = "DURATION",
        default_value = duration::show(Limits::default().drain),
        value_parser = duration::parse,
        env = "LOCKSTEP_DRAIN"
    )]
    drain: Duration,
    /// Choose who learns the names of current nodes from a denial: callers with a certificate of `--client-ca`, or whoever
    /// calls; the decision log has them in any case
    #[arg(long, value_enum, value_name = "CALLERS", default_value_t, env = "LOCKSTEP_NODE_NAMES")]
    node_names: NodeNames,
    /// Set the format of the log on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Auto, env = "LOCKSTEP_LOG_FORMAT")]
    log_format: LogFormat,
    /// Log events of this level and above (`error`, `warn`, `info`, `debug`, `trace`), or by directives such as
    /// `info,lockstep::cluster=debug`; SIGUSR1 adds debug events, SIGUSR2 removes them
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info,kube_runtime::watcher=error,rustls=error",
        env = "LOCKSTEP_LOG_LEVEL"
    )]
    log_level: String,
}

/// The reason why the webhook cannot start or continue.
type Failure = Box<dyn Error + Send + Sync>;

/// Runs the webhook until a signal or a failure.
pub(super) fn run(args: ServeArgs) -> ExitCode {
    let log = match telemetry::start_log(args.log_format, &args.log_level) {
        Ok(log) => log,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lockstep: {error}");
            return Exit::Unusable.into();
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(serve(args, &log)));
    match outcome {
        Ok(()) => Exit::Fine.into(),
        Err(failure) => {
            error!(error = chain(&*failure), "exiting");
            Exit::Unusable.into()
        }
    }
}

async fn serve(args: ServeArgs, log: &Log) -> Result<(), Failure> {
    let ServeArgs {
        listen,
        admin_listen,
        metrics_listen,
        webhook_configuration,
        reports,
        stale_after,
        facts,
        tls,
        decisions,
        spans,
        drain,
        node_names,
        // `run` has already used them.
        log_format: _,
        log_level: _,
    } = args;
    tls.check()?;
    let mut registry = telemetry::registry();
    log.register(&mut registry);
    let stop = Stop::on_signals()?;
    signals::change_level(log.level())?;
    let spans = spans.start(&decisions.replica(), &mut registry)?;
    let decisions = decisions.start(&mut registry)?;
    // They are dropped last, so that the log contains every decision, and the collector gets every span.
    let _spans = spans.clone().map(|spans| End(move || spans.close()));
    let _decisions =
        decisions.as_ref().map(|decisions| decisions.log.clone()).map(|log| End(move || log.close()));
    let source = if facts.is_empty() {
        SnapshotSource::cluster(&mut registry).await?
    } else {
        SnapshotSource::manifests(&facts)?
    };
    let cluster = source.cluster_access();
    // All readers of the webhook configurations share one watch.
    let (configurations, configuration_watch) = cluster
        .clone()
        .zip(webhook_configuration)
        .map(|((client, metrics), name)| watch_webhook_configurations(client, name, metrics))
        .unzip();
    let client = cluster.as_ref().map(|(client, _)| client.clone());
    let TlsSettings { source: certificate, client_ca, reload_interval } =
        tls.settings(client.zip(configurations.clone()));
    let tls = Tls::start(certificate, client_ca, reload_interval, &mut registry).await?;
    let (states, assessments, assessing) = match cluster.clone() {
        Some((client, metrics)) => {
            let (states, assessments, assessing) = cluster::assessor(client, metrics);
            registry.register_collector(Box::new(AssessmentMetrics::new(assessments.clone())));
            (Some(states), Some(assessments), Some(assessing))
        }
        None => (None, None, None),
    };
    let inputs = configurations.zip(assessments);
    let reported = inputs.clone().filter(|_| reports);
    let reports = reported.map(|(configurations, assessments)| ReportInputs { assessments, configurations });
    let reports = reports::keep(cluster.clone(), reports);
    let client = cluster.as_ref().map(|(client, _)| client.clone());
    let (calls, calling) = client
        .zip(inputs.as_ref().map(|(configurations, _)| configurations.clone()))
        .map(|(client, configurations)| cluster::webhook_calls(client, configurations))
        .unzip();
    let status = inputs.zip(calls).map(|((configurations, assessments), calls)| StatusInputs {
        assessments,
        configurations,
        trust_anchors: tls.trust_anchors(),
        calls,
    });
    let status = status::keep(cluster, status);
    let webhook_metrics = ReviewMetrics::default();
    webhook_metrics.register(&mut registry);
    let webhook = Webhook::new(source.snapshots(), webhook_metrics, decisions, spans, node_names);
    let served =
        Served { tls: tls.config(), tls_readiness: tls.readiness(), webhook, snapshots: source.snapshots() };
    let bound = bind(Ports { listen, admin_listen, metrics_listen }, drain, served, registry).await?;
    let shutdown = stop.shutdown();
    tokio::select! {
        // Snapshots must outlive the last response, so only the end of the server is a regular end.
        ended = bound.run(shutdown) => ended.map_err(Failure::from),
        failure = source.keep(states, stale_after) => Err(failure),
        never = tls.run() => match never {},
        never = status => match never {},
        never = reports => match never {},
        never = until_ended(calling) => match never {},
        failure = until_ended(configuration_watch) => Err(failure.into()),
        failure = until_ended(assessing) => Err(failure.into()),
    }
}

/// Waits for the end of a task, which only a bug can cause; without a task, waits forever.
async fn until_ended<T>(task: Option<impl Future<Output = T>>) -> T {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}

/// Calls a function when dropped.
struct End<F: Fn()>(F);

impl<F: Fn()> Drop for End<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

struct Ports {
    listen: SocketAddr,
    admin_listen: SocketAddr,
    metrics_listen: Option<SocketAddr>,
}

/// The TLS source, the webhook and the snapshots, with the readiness of each.
struct Served {
    tls: watch::Receiver<Arc<rustls::ServerConfig>>,
    tls_readiness: watch::Receiver<Result<(), String>>,
    webhook: Webhook,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
}

/// Binds the ports. Every configuration error is found here, before the first connection is accepted.
async fn bind(
    ports: Ports,
    drain: Duration,
    served: Served,
    mut registry: Registry,
) -> Result<BoundServer, Failure> {
    let Served { tls, tls_readiness, webhook, snapshots } = served;
    let server_metrics = ServerMetrics::default();
    server_metrics.register(&mut registry);
    let server = Server {
        listen: ports.listen,
        tls,
        handler: Arc::new(webhook),
        admin: Admin {
            listen: ports.admin_listen,
            metrics_listen: ports.metrics_listen,
            ready: Box::new(move || readiness(&tls_readiness, &snapshots)),
            metrics: Box::new(move || telemetry::render(&registry)),
        },
        limits: Limits { drain, ..Limits::default() },
        metrics: server_metrics,
    };
    Ok(server.bind().await?)
}

fn readiness(
    tls: &watch::Receiver<Result<(), String>>,
    snapshots: &watch::Receiver<Option<Arc<Snapshot>>>,
) -> Result<(), String> {
    tls.borrow().clone()?;
    match &*snapshots.borrow() {
        Some(_) => Ok(()),
        None => Err("the cluster's state is not known".to_owned()),
    }
}
