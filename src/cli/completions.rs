//! `lockstep completions`: completion scripts for shells, and the answers to the scripts' questions.
//!
//! A script asks this program for what may follow, so that it also completes what no script can know: the contexts of the
//! kubeconfig and the namespaces of the cluster.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::time::Duration;

use clap::ValueEnum;
use clap_complete::CompletionCandidate;
use clap_complete::env::{Bash, CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;

use super::cluster_args::ClusterArgs;
use super::{Exit, command, print};
use crate::cluster::kubeconfig;

/// The variable with which a script asks; its value is the shell.
const VARIABLE: &str = "LOCKSTEP_COMPLETE";

/// The time that a cluster has to name its namespaces. Whoever presses Tab waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Print the completion script for a shell
///
/// The script completes commands, flags, formats, codes and files, the contexts of the kubeconfig, and the namespaces of its
/// current context, which it asks the cluster for.
///
/// For bash: `lockstep completions bash > /etc/bash_completion.d/lockstep`. For zsh: `source <(lockstep completions zsh)` in
/// `~/.zshrc`. For kubectl's own completion of the plugin: `lockstep completions kubectl > /usr/local/bin/kubectl_complete-lockstep`, made
/// executable. For fish: `lockstep completions fish > ~/.config/fish/completions/lockstep.fish`. Write it again after an upgrade.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CompletionsArgs {
    /// Print the script for this shell
    #[arg(value_enum)]
    shell: Shell,
}

/// A shell that has completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    /// The program that kubectl asks for completions of its plugin
    Kubectl,
    Powershell,
    Zsh,
}

/// The program that kubectl runs as `kubectl_complete-lockstep`: a candidate a line with its description after a tab, and what to do if
/// there is none (4: no files, because the candidates have them; cobra, completions.go).
const KUBECTL: &str = "#!/bin/sh
# Completes `kubectl lockstep`. Save as kubectl_complete-lockstep in the PATH, and make it executable.
LOCKSTEP_COMPLETE=fish lockstep -- lockstep \"$@\"
echo :4
";

impl Shell {
    /// The writer of the script; `None` for that of kubectl.
    fn completer(self) -> Option<&'static dyn EnvCompleter> {
        match self {
            Self::Bash => Some(&Bash),
            Self::Elvish => Some(&Elvish),
            Self::Fish => Some(&Fish),
            Self::Kubectl => None,
            Self::Powershell => Some(&Powershell),
            Self::Zsh => Some(&Zsh),
        }
    }
}

/// Prints the script.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn run(args: &CompletionsArgs, stdout: &mut dyn Write) -> io::Result<Exit> {
    let CompletionsArgs { shell } = args;
    const NAME: &str = "lockstep";
    let mut text = Vec::new();
    match shell.completer() {
        Some(completer) => completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut text)?,
        None => text.extend_from_slice(KUBECTL.as_bytes()),
    }
    print(stdout, &text)?;
    Ok(Exit::Fine)
}

/// Answers a script, if one asks. Returns whether one did.
///
/// # Errors
/// [`clap::Error`], if the script is that of an unknown shell.
pub(super) fn complete(called: Option<&OsStr>, arguments: &[OsString]) -> clap::error::Result<bool> {
    if arguments.is_empty() {
        return Ok(false);
    }
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(|| command(called))
        .var(VARIABLE)
        .try_complete(arguments.iter().cloned(), directory.as_deref())
}

/// The contexts of the kubeconfig; none if it cannot be read.
pub(super) fn contexts() -> Vec<CompletionCandidate> {
    let contexts = kubeconfig::read(None).map(|config| config.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| CompletionCandidate::new(context.name)).collect()
}

/// The namespaces of the current context's cluster; none if it cannot be read in time.
pub(super) fn namespaces() -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let listed = async {
        let client = ClusterArgs::default().connect().await.ok()?;
        let list = Api::<Namespace>::all(client).list_metadata(&ListParams::default()).await.ok()?;
        Some(list.items.into_iter().filter_map(|namespace| namespace.metadata.name).collect::<Vec<_>>())
    };
    let names = runtime.block_on(async { tokio::time::timeout(PATIENCE, listed).await.ok().flatten() });
    names.unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_that_asks_this_program() {
        for shell in Shell::value_variants() {
            let mut text = Vec::new();
            run(&CompletionsArgs { shell: *shell }, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains(VARIABLE) && text.contains("lockstep"), "{shell:?}: {text}");
        }
    }
}
