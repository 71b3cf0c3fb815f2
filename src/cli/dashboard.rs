//! `lockstep dashboard`: the page of `lockstep explain -o html`, live on loopback.

mod follow;
mod server;
mod token;
mod view;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Exit;
use super::cluster_args::ClusterArgs;
use super::explain::{Nodes, Question, Version};
use super::output::{Streams, print};
use super::render::printable;
use token::Token;
use view::View;

/// Show the state of the cluster in a browser, and follow it
///
/// Serves the page of `lockstep explain -o html` on 127.0.0.1, prints its URL, and updates the page whenever the state changes,
/// until Ctrl-C. The cluster is read with your own rights, and nothing runs in it. The command changes nothing: the page has no
/// buttons, and the server answers GET and HEAD alone.
///
/// The URL has a random token, without which nothing is shown: other users of this machine cannot read the page unless they
/// know the URL. No browser is started, because a URL on a command line can be read by every user of the machine. Requests
/// that another web page causes are refused, by their `Host` and `Origin`.
///
/// While the cluster cannot be read, the page says so, since when, and why, above the last state that was read.
///
/// The exit code is 0 after Ctrl-C, and 2 if there is no such cluster or the port is taken.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DashboardArgs {
    /// Only this topology, Service (`NAME` or `NAMESPACE/NAME`) or IP address
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// The namespace of a Service that TARGET names without one; by default, any
    #[arg(short, long, requires = "target")]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The MetalLB version whose decision is replayed; by default that of the speaker pods' image, else
    /// that of the kinds that the cluster serves, else the newest
    #[arg(long, value_enum, value_name = "VERSION")]
    metallb: Option<Version>,
    /// Serve on this port of 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

/// Serves the page until Ctrl-C.
///
/// # Errors
/// If the URL cannot be written, or the operating system gives no runtime or no random bytes.
pub(super) fn run(args: &DashboardArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exit = runtime.block_on(serve(args, streams));
    // What still renders a page is not waited for.
    runtime.shutdown_background();
    exit
}

async fn serve(args: &DashboardArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let DashboardArgs { target, namespace, cluster, metallb, port } = args;
    // Installed before the URL is printed, so that no Ctrl-C is lost.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let client = match cluster.connect().await {
        Ok(client) => client,
        Err(error) => return unusable(&error.to_string(), streams),
    };
    let listener = match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).await {
        Ok(listener) => listener,
        Err(error) => {
            let problem = format!(
                "`--port {port}` of 127.0.0.1 cannot be bound: {error}; choose another port, or 0 for any"
            );
            return unusable(&problem, streams);
        }
    };
    let address = listener.local_addr()?;
    let token = Token::random()?;
    print(streams.stdout, format!("http://{address}/{}/\n", token.text()).as_bytes())?;
    print(
        streams.stderr,
        b"lockstep: open the URL in a browser on this machine; Ctrl-C ends the dashboard\n",
    )?;

    let question = Question {
        target: target.as_deref(),
        namespace: namespace.as_deref(),
        metallb: *metallb,
        nodes: Nodes::EveryUpToALimit,
        changes: &[],
    };
    let (sender, views) = watch::channel(View::reading());
    tokio::select! {
        () = follow::follow(&client, &question, &sender) => {}
        () = server::serve(listener, address.port(), token, views) => {}
        _ = interrupts.recv() => {}
        _ = terminations.recv() => {}
    }
    Ok(Exit::Fine)
}

fn unusable(problem: &str, streams: &mut Streams<'_>) -> io::Result<Exit> {
    print(streams.stderr, format!("lockstep: {}\n", printable(problem)).as_bytes())?;
    Ok(Exit::Unusable)
}
