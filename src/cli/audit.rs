//! `lockstep audit`: verifies and queries a decision log.

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
/// `lockstep serve --audit-log` records every denial, edit and warning as one JSON object per line. Each line has the hash of
/// the previous one, so that a line that was changed, removed or moved is found.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum AuditCommand {
    Verify(verify::VerifyArgs),
    Query(Box<query::QueryArgs>),
    /// Print the JSON Schema of a line of the decision log
    Schema,
}

/// Runs `lockstep audit`.
pub(super) fn run(args: &AuditArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    match &args.command {
        AuditCommand::Verify(args) => verify::run(args, streams),
        AuditCommand::Query(args) => query::run(args, streams),
        AuditCommand::Schema => {
            print(streams.stdout, json_document(&schema())?.as_bytes())?;
            Ok(Exit::Fine)
        }
    }
}

/// The reason why reading a file stopped before its end.
#[derive(Debug)]
enum Stopped {
    /// The file cannot be read.
    Read(io::Error),
    /// Standard output cannot be written.
    Print(io::Error),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Passes each file to `each` with its name; `-` is standard input. The first file that cannot be read is reported on
/// standard error and ends the command. Returns whether all files were read.
fn each_file(
    paths: &[PathBuf],
    streams: &mut Streams<'_>,
    mut each: impl FnMut(&str, &mut dyn BufRead, &mut dyn Write) -> Result<(), Stopped>,
) -> io::Result<bool> {
    for path in paths {
        let name = path.display().to_string();
        let outcome = if path == Path::new("-") {
            each("standard input", streams.stdin, streams.stdout)
        } else {
            File::open(path)
                .map_err(Stopped::from)
                .and_then(|file| each(&name, &mut BufReader::new(file), streams.stdout))
        };
        match outcome {
            Ok(()) => {}
            Err(Stopped::Print(error)) => return Err(error),
            Err(Stopped::Read(error)) => {
                let sentence = format!("lockstep: cannot read `{name}`: {error}\n");
                print(streams.stderr, sentence.as_bytes())?;
                return Ok(false);
            }
        }
    }
    Ok(true)
}
