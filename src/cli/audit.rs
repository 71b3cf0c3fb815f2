//! `lockstep audit`: what the decision log says, and whether it is whole.

mod moment;
mod query;
mod verify;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::Exit;
use super::output::{Streams, json_document, print};
use crate::audit::schema;

/// Verify and query the decision log
///
/// `lockstep serve --audit-log` records every denial, edit and warning as one JSON object a line. The records of
/// each process are chained by hash, so that a line that was changed, removed or moved is found.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Subcommand)]
enum Command {
    Verify(verify::VerifyArgs),
    Query(Box<query::QueryArgs>),
    /// Print the JSON Schema of a line of the decision log
    Schema,
}

/// Verifies, queries, or describes.
pub(super) fn run(args: &AuditArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    match &args.command {
        Command::Verify(args) => verify::run(args, streams),
        Command::Query(args) => query::run(args, streams),
        Command::Schema => {
            print(streams.stdout, json_document(&schema())?.as_bytes())?;
            Ok(Exit::Fine)
        }
    }
}

/// Why a file was not gone through to its end.
#[derive(Debug)]
enum Stopped {
    /// It cannot be read.
    Unreadable(io::Error),
    /// What it holds cannot be printed.
    Unprintable(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Hands on each file by its name, and `-` as standard input. The first one that cannot be read is told, and ends it.
fn each_file(
    paths: &[PathBuf],
    streams: &mut Streams<'_>,
    mut each: impl FnMut(&str, &mut dyn BufRead, &mut dyn Write) -> Result<(), Stopped>,
) -> io::Result<bool> {
    for path in paths {
        let name = path.display().to_string();
        let gone_through = if path == Path::new("-") {
            each("standard input", streams.stdin, streams.stdout)
        } else {
            File::open(path)
                .map_err(Stopped::from)
                .and_then(|file| each(&name, &mut BufReader::new(file), streams.stdout))
        };
        match gone_through {
            Ok(()) => {}
            Err(Stopped::Unprintable(error)) => return Err(error),
            Err(Stopped::Unreadable(error)) => {
                let sentence = format!("lockstep: `{name}` cannot be read: {error}\n");
                print(streams.stderr, sentence.as_bytes())?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
