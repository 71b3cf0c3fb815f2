//! Every command line of Lockstep in a document is valid.

use clap::error::ErrorKind;
use clap::{Command, CommandFactory};
use lockstep::cli::Cli;

use super::reference::command;
use lockstep_test_support::documents::{Document, documents};

/// Flags of other programs in the documents.
const OTHERS: [&str; 12] = [
    "--admission-control-config-file",
    "--api-versions",
    "--enable-certificate-owner-ref",
    "--enable-feature",
    "--force",
    "--force-conflicts",
    "--force-replace",
    "--ignore-exclude-lb",
    "--reset-then-reuse-values",
    "--reuse-values",
    "--take-ownership",
    "--tracing-config-file",
];

/// Splits a line into commands and words as a shell does. Comments and the targets of redirections are left out.
pub(super) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![vec![String::new()]];
    let mut quote = None;
    for letter in line.chars() {
        let words = commands.last_mut().unwrap();
        let word = words.last_mut().unwrap();
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, '#') if word.is_empty() => break,
            (None, '|' | ';' | '&') => commands.push(vec![String::new()]),
            (None, ' ') => words.push(String::new()),
            _ => word.push(letter),
        }
    }
    for words in &mut commands {
        words.retain(|word| !word.is_empty());
        if let Some(redirected) = words.iter().position(|word| word.starts_with('>')) {
            words.truncate(redirected);
        }
    }
    commands
}

/// Returns the arguments of a call of Lockstep, in any of its forms.
pub(super) fn arguments(words: &[String]) -> Option<&[String]> {
    let words = words.strip_prefix(&["$".to_owned()]).unwrap_or(words);
    match words.first()?.as_str() {
        "lockstep" => Some(&words[1..]),
        "kubectl" if words.get(1)? == "lockstep" => Some(&words[2..]),
        "cargo" if words.get(1)? == "run" => {
            let end = words.iter().position(|word| word == "--")?;
            Some(&words[end + 1..])
        }
        _ => None,
    }
}

/// Returns the command lines in console blocks and in the output of `lockstep --help`.
fn shown(page: &Document) -> Vec<Vec<String>> {
    let blocks = page.blocks(&["console", "text"]);
    let lines = blocks.iter().flat_map(|block| block.text.lines()).flat_map(commands);
    lines.filter_map(|words| arguments(&words).map(<[String]>::to_vec)).collect()
}

#[test]
fn every_command_in_documents_parses() {
    let mut seen = 0;
    for page in documents() {
        // The usage line of a command in the reference is not a command line.
        for arguments in
            shown(&page).into_iter().filter(|words| !words.iter().any(|word| word == "[OPTIONS]"))
        {
            let words = std::iter::once("lockstep".to_owned()).chain(arguments.clone());
            let parsed = Cli::command().try_get_matches_from(words);
            if let Err(error) = parsed {
                let is_help = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind());
                assert!(is_help, "`{}` shows {arguments:?}: {error}", page.path.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} commands");
}

/// Returns the command that these words name, and the remaining words.
fn named<'c, 'w>(root: &'c Command, words: &'w [String]) -> (&'c Command, &'w [String]) {
    match words.first().and_then(|word| root.find_subcommand(word)) {
        Some(command) => named(command, &words[1..]),
        None => (root, words),
    }
}

fn has_flag(command: &Command, word: &str) -> bool {
    let name = word.split(['=', '[']).next().unwrap();
    command.get_arguments().any(|arg| {
        arg.get_long().is_some_and(|long| name == format!("--{long}"))
            || arg.get_short().is_some_and(|short| name == format!("-{short}"))
    })
}

fn any_has_flag(command: &Command, word: &str) -> bool {
    has_flag(command, word) || command.get_subcommands().any(|inner| any_has_flag(inner, word))
}

/// Commands in running text are abbreviated: each part of them must be correct.
#[test]
fn every_flag_named_in_documents_exists() {
    let root = command();
    let mut seen = 0;
    for page in documents() {
        for span in page.spans() {
            let words: Vec<String> = span.split_whitespace().map(ToOwned::to_owned).collect();
            let is_flag = |word: &&String| word.starts_with('-') && word.len() > 1;
            match arguments(&words) {
                Some(arguments) => {
                    let (command, rest) = named(&root, arguments);
                    let end =
                        rest.iter().position(|word| "|<>".contains(word.as_str())).unwrap_or(rest.len());
                    let is_known = |word: &&String| has_flag(command, word);
                    let unknown: Vec<_> =
                        rest[..end].iter().filter(is_flag).filter(|word| !is_known(word)).collect();
                    assert!(unknown.is_empty(), "`{}`: `{span}`: {unknown:?}", page.path.display());
                    let is_command = command.get_name() != "lockstep"
                        || rest.first().is_none_or(|word| word.starts_with('-'));
                    assert!(is_command, "`{}`: `{span}` is not a command", page.path.display());
                }
                None if span.starts_with("--") && !span.starts_with("-- ") => {
                    let flag = words[0].as_str();
                    let is_known =
                        OTHERS.contains(&flag.split('=').next().unwrap()) || any_has_flag(&root, flag);
                    assert!(is_known, "`{}` names `{span}`", page.path.display());
                    seen += 1;
                }
                None => {}
            }
        }
    }
    assert!(seen > 60, "{seen} flags");
}
