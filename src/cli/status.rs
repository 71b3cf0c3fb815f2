//! `lockstep status`: whether the cluster's topologies are guarded.

mod report;

use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;

use super::cluster_args::ClusterArgs;
use super::{Exit, duration, print};
use crate::cluster::topology_status::{self, TopologyStatuses};
use report::Report;

/// Show whether the cluster's topologies are guarded
///
/// A topology is guarded while the cluster's webhook configurations send every request that the topology depends on
/// to Lockstep, and reject requests that cannot be reviewed. `lockstep serve --webhook-configuration` writes the
/// condition `Guarded`; this command shows it.
///
/// The exit code is 0 if there is at least one topology and all are guarded, 1 if not, and 2 if the cluster cannot
/// be read.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StatusArgs {
    /// The output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
    /// Wait up to this long until all topologies are guarded
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON document, for programs
    Json,
}

/// Shows the cluster's topologies.
pub(super) fn run(args: &StatusArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<Exit> {
    let StatusArgs { format, wait, cluster } = args;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = match runtime.block_on(read(cluster, *wait)) {
        Ok(topologies) => Report::new(&topologies),
        Err(problem) => {
            print(stderr, format!("lockstep: {problem}\n").as_bytes())?;
            return Ok(Exit::Unusable);
        }
    };
    let text = match format {
        Format::Table => report.table(),
        Format::Json => report.json()?,
    };
    print(stdout, text.as_bytes())?;
    Ok(if report.is_guarded() { Exit::Fine } else { Exit::Denied })
}

async fn read(cluster: &ClusterArgs, wait: Option<Duration>) -> Result<TopologyStatuses, String> {
    let client = cluster.connect().await.map_err(|error| error.to_string())?;
    let read = match wait {
        Some(patience) => {
            let is_wanted = |topologies: &TopologyStatuses| Report::new(topologies).is_guarded();
            topology_status::wait(client, patience, is_wanted).await
        }
        None => topology_status::list(client).await,
    };
    read.map_err(|error| error.to_string())
}
