//! `lockstep man`: manual pages.

use std::io::{self, Write};

use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use clap_mangen::Man;

use super::{Cli, Exit, print};

/// Print a manual page
///
/// For packages: `lockstep man > lockstep.1`, and `lockstep man audit-query > lockstep-audit-query.1` for each command.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ManArgs {
    /// Print the page of this command; by default, that of `lockstep` itself
    #[arg(value_parser = PossibleValuesParser::new(PAGES))]
    command: Option<String>,
}

/// The commands with a page. Listed here, because clap needs the list while it builds the commands.
const PAGES: [&str; 14] = [
    "serve",
    "check",
    "explain",
    "dashboard",
    "generate",
    "reason",
    "status",
    "audit",
    "audit-verify",
    "audit-query",
    "audit-schema",
    "crd",
    "completions",
    "man",
];

/// Prints the page.
pub(super) fn run(args: ManArgs, stdout: &mut dyn Write) -> io::Result<Exit> {
    let ManArgs { command } = args;
    let mut root = Cli::command();
    root.build();
    let path = command.iter().flat_map(|name| name.split('-'));
    let page = path.fold(&root, |command, name| command.find_subcommand(name).unwrap_or(command));
    let mut text = Vec::new();
    Man::new(page.clone()).render(&mut text)?;
    print(stdout, &text)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Command;

    fn page(name: &str) -> String {
        let Command::Man(args) = Cli::parse_from(["lockstep", "man", name]).command else {
            panic!("another command")
        };
        let mut text = Vec::new();
        run(args, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn names(commands: &clap::Command, before: &str) -> Vec<String> {
        let inner = commands.get_subcommands().flat_map(|command| {
            let name = format!("{before}{}", command.get_name());
            let below = names(command, &format!("{name}-"));
            std::iter::once(name).chain(below)
        });
        inner.collect()
    }

    #[test]
    fn every_command_has_a_page() {
        let names = names(&Cli::command(), "");
        assert_eq!(names, PAGES);
        for name in names {
            let heading = format!("lockstep\\-{} \\-", name.replace('-', "\\-"));
            assert!(page(&name).contains(&heading), "{name}: {}", page(&name));
        }
    }
}
