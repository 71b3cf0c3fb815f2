//! `lockstep explain --watch`: the explanation of a cluster, again whenever it changes.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use super::super::Exit;
use super::super::output::Streams;
use super::what_if::{self, Change};
use super::{ExplainArgs, Explanation, Reading, explain, unusable, warn};
use crate::cluster::state::{Followed, Follower};

/// Prints the explanation, and again whenever its text changes, until Ctrl-C.
///
/// # Errors
/// If the output cannot be written.
pub(super) fn run(
    args: &ExplainArgs,
    changes: &[Change],
    streams: &mut Streams<'_>,
    has_color: bool,
) -> io::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Installed before the first request, so that no Ctrl-C is lost.
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut follow = std::pin::pin!(follow(args, changes, streams, has_color));
        tokio::select! {
            exit = &mut follow => exit,
            _ = interrupts.recv() => Ok(Exit::Fine),
        }
    })
}

/// Follows the cluster until the reader of standard output goes away, or the cluster cannot be read.
async fn follow(
    args: &ExplainArgs,
    changes: &[Change],
    streams: &mut Streams<'_>,
    has_color: bool,
) -> io::Result<Exit> {
    let also: Vec<_> = what_if::topologies(changes).collect();
    let client = match args.cluster.connect().await {
        Ok(client) => client,
        Err(error) => return unusable(&[error.to_string()], streams),
    };
    let mut follower = match Follower::start(client, args.target.as_deref(), &also).await {
        Ok(follower) => follower,
        Err(error) => return unusable(&[error.to_string()], streams),
    };
    let mut last: Option<Explanation> = None;
    loop {
        match follower.next().await {
            Ok(Followed::State(state)) => {
                let explanation = explain(args, changes, Reading::of_cluster(*state), has_color)?;
                if last.as_ref() == Some(&explanation) {
                    continue;
                }
                if last.as_ref().is_none_or(|last| last.warnings != explanation.warnings) {
                    warn(&explanation.warnings, streams)?;
                }
                let gap = if last.as_ref().is_some_and(|last| !last.text.is_empty()) { "\n" } else { "" };
                let text = format!("{gap}{}", explanation.text);
                match streams.stdout.write_all(text.as_bytes()).and_then(|()| streams.stdout.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Fine),
                    written => written?,
                }
                last = Some(explanation);
            }
            Ok(Followed::Broken(words)) => warn(&[words], streams)?,
            Err(error) => return unusable(&[error.to_string()], streams),
        }
    }
}
