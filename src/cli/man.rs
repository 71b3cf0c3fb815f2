//! `lockstep man`: the manual pages.

use std::io::{self, Write};

use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use clap_mangen::Man;

use super::{Cli, Exit, print};

/// Print a manual page
///
/// `lockstep man > lockstep.1` and `lockstep man check > lockstep-check.1` are what a package installs.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The command that the page is about; without it, `lockstep` itself
    #[arg(value_parser = PossibleValuesParser::new(["serve", "check", "status", "audit", "crd", "completions", "man"]))]
    command: Option<String>,
}

/// Prints the page.
pub(super) fn run(args: &Args, stdout: &mut dyn Write) -> io::Result<Exit> {
    let mut root = Cli::command();
    root.build();
    let page = args.command.as_deref().and_then(|name| root.find_subcommand(name)).unwrap_or(&root);
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

    #[test]
    fn every_command_has_a_page() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let Command::Man(args) = Cli::parse_from(["lockstep", "man", name]).command else {
                panic!("another command")
            };
            let mut text = Vec::new();
            run(&args, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(&format!("lockstep\\-{name}")), "{name}: {text}");
        }
    }
}
