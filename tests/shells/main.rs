//! The scripts of `lockstep completions` in the shells that they are for: bash, zsh and fish, started for each test.
//!
//! Namespaces are completed from a cluster: `tests/control_plane/check.rs` has that test.

use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep_test_support::documents::assert_named_tests_exist;

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// A kubeconfig with two contexts, whose cluster cannot be reached.
const KUBECONFIG: &str = "apiVersion: v1
kind: Config
current-context: east
contexts:
- {name: east, context: {cluster: c, user: u}}
- {name: west-2, context: {cluster: c, user: u}}
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: u, user: {}}]
";

/// Asks the function of the script, as bash does when the user presses Tab.
const BASH: &str = r#"
source <(lockstep completions bash)
read -ra COMP_WORDS <<< "$LINE"
[[ "$LINE" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
_clap_complete_lockstep lockstep "${COMP_WORDS[COMP_CWORD]}" ""
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Types the line and Tab on a pseudo-terminal, and prints what the line is then.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -Uz compinit; compinit -u -D; source <(lockstep completions zsh)'
zpty -w z 'accept-line() { print -r -- "LINE[$BUFFER]"; BUFFER=; zle .accept-line }; zle -N accept-line; print REA""DY'
zpty -r z out '*READY*'
zpty -w -n z "$LINE"$'\t\n'
zpty -r z out '*LINE\[*\]*'
print -r -- "${${out##*LINE\[}%%\]*}"
"#;

const FISH: &str = r#"
lockstep completions fish | source
complete -C "$LINE" | string split -f1 \t
exit 0
"#;

/// What a shell completes a line to: bash and fish list the candidates for the last word, zsh completes the line.
fn completed(shell: &str, line: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    std::fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let binaries = Path::new(env!("CARGO_BIN_EXE_lockstep")).parent().unwrap().to_owned();
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(binaries).chain(std::env::split_paths(&path))).unwrap();
    let arguments: &[&str] = match shell {
        "bash" => &["--norc", "-c", BASH],
        "zsh" => &["-f", "-c", ZSH],
        _ => &["--no-config", "-c", FISH],
    };
    let output = Command::new(shell)
        .args(arguments)
        .env("LINE", line)
        .env("KUBECONFIG", &kubeconfig)
        .env("HOME", directory.path())
        .env("TERM", "dumb")
        .env("PATH", path)
        .current_dir(directory.path())
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}"));
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{shell}, {line}: {error}");
    text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[track_caller]
fn assert_completes(line: &str, word: &str) {
    for shell in SHELLS {
        let found = completed(shell, line);
        if shell == "zsh" {
            let (before, _) = line.rsplit_once(' ').unwrap();
            assert_eq!(found, [format!("{before} {word}")], "{shell}");
        } else {
            assert_eq!(found, [word], "{shell}");
        }
    }
}

#[test]
fn commands_flags_and_formats_are_completed() {
    assert_completes("lockstep expl", "explain");
    assert_completes("lockstep check --require-m", "--require-match");
    assert_completes("lockstep check -o mark", "markdown");
    assert_completes("lockstep explain --metallb 0.15", "0.15.2");
    for shell in ["bash", "fish"] {
        let formats = completed(shell, "lockstep check -o ");
        assert_eq!(formats, ["human", "json", "sarif", "junit", "github", "markdown", "html"], "{shell}");
    }
}

#[test]
fn codes_and_contexts_are_completed() {
    assert_completes("lockstep reason NOT_SP", "NOT_SPREAD");
    for command in ["status", "explain", "check", "dashboard", "generate"] {
        assert_completes(&format!("lockstep {command} --context we"), "west-2");
    }
}

#[test]
fn a_cluster_that_does_not_answer_completes_no_namespace_and_no_error() {
    for shell in ["bash", "fish"] {
        let found = completed(shell, "lockstep check -n kube-");
        assert!(found.is_empty(), "{shell}: {found:?}");
    }
}

#[test]
fn files_are_completed() {
    for shell in ["bash", "fish"] {
        let found = completed(shell, "lockstep check conf");
        assert_eq!(found.first().map(PathBuf::from), Some(PathBuf::from("config")), "{shell}: {found:?}");
    }
}

#[test]
fn the_tests_named_in_documents_exist() {
    assert_named_tests_exist("shells");
}
