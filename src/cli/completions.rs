//! `lockstep completions`: what the shell needs to complete arguments.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, print};

/// Print the completions for a shell
///
/// For bash: `lockstep completions bash > /etc/bash_completion.d/lockstep`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(args: &Args, stdout: &mut dyn Write) -> io::Result<Exit> {
    // Into memory first: the generator panics where it cannot write.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lockstep", &mut text);
    print(stdout, &text)?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_shell_gets_some() {
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            run(&Args { shell: *shell }, &mut text).unwrap();
            assert!(String::from_utf8(text).unwrap().contains("check"), "{shell}");
        }
    }
}
