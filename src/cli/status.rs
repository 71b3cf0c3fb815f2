//! `lockstep status`: what the replicas have written into the status of the cluster's topologies.

mod report;

use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;

use super::cluster_args::ClusterArgs;
use super::{Exit, duration, print};
use crate::cluster::topology_status::{self, TopologyStatuses};
use report::Report;

/// Show the conditions of the cluster's topologies
///
/// `lockstep serve --webhook-configuration` writes four conditions into the status of every topology, and this command shows
/// them. Guarded: the webhook configurations send every request that the topology depends on to Lockstep, and reject
/// requests that cannot be reviewed. Aligned: advertisements announce the topology's pools from its gateway nodes and no
/// others. `SourceIPPreserved`: the client's source IP survives at every address. Resilient: it still does after one node fails.
///
/// The exit code is 0 if there is at least one topology and all are guarded, 1 if not, and 2 if the cluster cannot
/// be read. With `--for`, other conditions decide.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct StatusArgs {
    /// The output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    format: Format,
    /// The condition that decides on the exit code and on the end of `--wait`; may be repeated
    #[arg(long = "for", value_enum, value_name = "CONDITION", default_values_t = [ConditionName::Guarded])]
    conditions: Vec<ConditionName>,
    /// Wait up to this long until the conditions hold in all topologies
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Accepted as with kubectl: topologies belong to no namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// The same with numbers of addresses and nodes
    Wide,
    /// One JSON document, for programs
    Json,
}

/// A condition of a topology, as users type it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConditionName {
    /// Guarded
    Guarded,
    /// Aligned
    Aligned,
    /// `SourceIPPreserved`
    Preserved,
    /// Resilient
    Resilient,
}

impl ConditionName {
    const ALL: [Self; 4] = [Self::Guarded, Self::Aligned, Self::Preserved, Self::Resilient];

    /// The type of the condition.
    const fn kind(self) -> &'static str {
        match self {
            Self::Guarded => "Guarded",
            Self::Aligned => "Aligned",
            Self::Preserved => "SourceIPPreserved",
            Self::Resilient => "Resilient",
        }
    }
}

/// Shows the cluster's topologies.
pub(super) fn run(args: &StatusArgs, stdout: &mut dyn Write, stderr: &mut dyn Write) -> io::Result<Exit> {
    // Every topology is shown.
    let StatusArgs { format, conditions, wait, cluster, all_namespaces: _ } = args;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = match runtime.block_on(read(cluster, conditions, *wait)) {
        Ok(topologies) => Report::new(&topologies),
        Err(problem) => {
            print(stderr, format!("lockstep: {problem}\n").as_bytes())?;
            return Ok(Exit::Unusable);
        }
    };
    let text = match format {
        Format::Table => report.table(false),
        Format::Wide => report.table(true),
        Format::Json => report.json()?,
    };
    print(stdout, text.as_bytes())?;
    Ok(if report.holds(conditions) { Exit::Fine } else { Exit::Denied })
}

async fn read(
    cluster: &ClusterArgs,
    conditions: &[ConditionName],
    wait: Option<Duration>,
) -> Result<TopologyStatuses, String> {
    let client = cluster.connect().await.map_err(|error| error.to_string())?;
    let read = match wait {
        Some(patience) => {
            let is_wanted = |topologies: &TopologyStatuses| Report::new(topologies).holds(conditions);
            topology_status::wait(client, patience, is_wanted).await
        }
        None => topology_status::list(client).await,
    };
    read.map_err(|error| error.to_string())
}
