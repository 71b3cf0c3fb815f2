//! `lockstep completions`: completion scripts for shells.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, print};

/// Print the completion script for a shell
///
/// For bash: `lockstep completions bash > /etc/bash_completion.d/lockstep`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Print the script for this shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(args: &CompletionsArgs, stdout: &mut dyn Write) -> io::Result<Exit> {
    let CompletionsArgs { shell } = args;
    // The script is generated in memory, because the generator panics if it cannot write.
    let mut text = Vec::new();
    clap_complete::generate(*shell, &mut Cli::command(), "lockstep", &mut text);
    print(stdout, &text)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_a_script() {
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            run(&CompletionsArgs { shell: *shell }, &mut text).unwrap();
            assert!(String::from_utf8(text).unwrap().contains("check"), "{shell}");
        }
    }
}
