//! docs/cli.md describes every command and flag, and no others; docs/reasons.md describes every code.

use std::path::Path;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use lockstep::cli::Cli;
use lockstep::reasons::{REASONS, ReasonText};

use lockstep_test_support::golden_file::{assert_file_holds, assert_part_holds};

const BEGIN: &str = "<!-- What `lockstep --help` says: made by `just cli-docs`. -->\n";
const END: &str = "<!-- end -->\n";

/// Returns the root command, with subcommands and flags.
pub fn command() -> Command {
    let mut command = Cli::command();
    command.build();
    command
}

fn text(styled: Option<&StyledStr>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

fn code(word: &str) -> String {
    format!("`{word}`")
}

/// Returns a name such as `` `-n`, `--namespace NAME` `` or `FILE...`.
fn name(arg: &Arg) -> String {
    let value = arg.get_value_names().unwrap_or_default().join(" ");
    let takes = arg.get_action().takes_values();
    let dots =
        if arg.is_positional() && arg.get_action().takes_values() && is_repeated(arg) { "..." } else { "" };
    let Some(long) = arg.get_long() else { return code(&format!("{value}{dots}")) };
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let is_optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    match (takes, is_optional) {
        (false, _) => format!("{short}`--{long}`"),
        (true, true) => format!("{short}`--{long}[={value}]`"),
        (true, false) => format!("{short}`--{long} {value}`"),
    }
}

fn is_repeated(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

/// Returns the help text, the possible values, and the conflicting flags.
fn meaning(command: &Command, arg: &Arg) -> String {
    let mut meaning = text(arg.get_long_help().or(arg.get_help()));
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() && !arg.is_hide_possible_values_set() {
        let values: Vec<String> = values
            .iter()
            .map(|value| match value.get_help() {
                Some(help) => format!("{} ({help})", code(value.get_name())),
                None => code(value.get_name()),
            })
            .collect();
        meaning += &format!(": {}", values.join(", "));
    }
    if is_repeated(arg) && !arg.is_positional() && !meaning.contains("repeated") {
        meaning += "; may be repeated";
    }
    if let Some(delimiter) = arg.get_value_delimiter() {
        meaning += &format!("; `{delimiter}` stands between several");
    }
    let others = opponents(command, arg);
    if !others.is_empty() {
        meaning += &format!("; not with {}", others.join(", "));
    }
    meaning.replace('\n', " ").replace('|', "\\|")
}

/// Returns the conflicting flags, in whichever of the two arguments the conflict is declared.
fn opponents(command: &Command, arg: &Arg) -> Vec<String> {
    let are_opposed = |one: &Arg, other: &Arg| {
        command.get_arg_conflicts_with(one).iter().any(|named| named.get_id() == other.get_id())
    };
    let all = command.get_arguments().filter(|other| are_opposed(arg, other) || are_opposed(other, arg));
    all.filter_map(Arg::get_long).map(|long| code(&format!("--{long}"))).collect()
}

fn row(command: &Command, arg: &Arg) -> String {
    let variable = arg.get_env().map(|name| code(name.to_str().unwrap())).unwrap_or_default();
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| code(value.to_str().unwrap())).collect();
    let default = match defaults.join(", ") {
        none if !arg.get_action().takes_values() && none == "`false`" => String::new(),
        default => default,
    };
    let name = if arg.is_required_set() { format!("{}, required", name(arg)) } else { name(arg) };
    format!("| {name} | {variable} | {default} | {} |\n", meaning(command, arg))
}

fn section(command: &Command, path: &str, out: &mut String) {
    let is_root = path == command.get_name();
    out.push_str(&format!("## `{path}`\n\n{}\n\n", text(command.get_long_about().or(command.get_about()))));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap();
    out.push_str(&format!("```text\n{usage}\n```\n\n"));
    let own = |arg: &&Arg| {
        is_root || (!arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str()))
    };
    let rows: String = command.get_arguments().filter(own).map(|arg| row(command, arg)).collect();
    if !rows.is_empty() {
        out.push_str("| argument | variable | default | meaning |\n|---|---|---|---|\n");
        out.push_str(&format!("{rows}\n"));
    }
    if let Some(after) = command.get_after_long_help() {
        out.push_str(&format!("```text\n{after}\n```\n\n"));
    }
    for inner in command.get_subcommands() {
        section(inner, &format!("{path} {}", inner.get_name()), out);
    }
}

#[test]
fn the_reference_equals_the_help_texts() {
    let mut expected = "\n".to_owned();
    section(&command(), "lockstep", &mut expected);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    assert_part_holds(&path, BEGIN, END, &expected);
}

/// Every heading has an anchor with the code as it is: GitHub's own anchors are in small letters.
#[test]
fn the_page_of_codes_equals_the_table() {
    let mut page = "# Reason codes\n\n**For operators** who read a code in a message, an Event, a metric or a report.\n\n<!-- Made from the table of codes by `just cli-docs`. -->\n\n\
        `lockstep reason CODE` prints the same. A code never changes its meaning.\n\n\
        | code | meaning |\n|---|---|\n"
        .to_owned();
    for reason in REASONS {
        let heading = reason.code.to_lowercase();
        page += &format!("| [`{}`](#{heading}) | {} |\n", reason.code, reason.meaning);
    }
    for ReasonText { code, meaning, why, mend } in REASONS {
        page += &format!(
            "\n<a id=\"{code}\"></a>\n\n## `{code}`\n\n{meaning}\n\n**Why it matters:** {why}\n\n**What to do:** {mend}\n"
        );
    }
    assert_file_holds(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reasons.md"), &page);
}

#[test]
fn an_environment_variable_is_named_after_its_flag() {
    let command = command();
    let serve = command.find_subcommand("serve").unwrap();
    let mut seen = 0;
    for arg in serve.get_arguments() {
        if let (Some(variable), Some(flag)) = (arg.get_env(), arg.get_long()) {
            assert_eq!(
                variable.to_str().unwrap(),
                format!("LOCKSTEP_{}", flag.to_uppercase().replace('-', "_"))
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}
