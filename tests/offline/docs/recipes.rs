//! Commands in documents that need files of the repository alone are run, and what is shown below them is what they print.

use lockstep_test_support::documents::{Block, documents};
use lockstep_test_support::root;

use super::commands::{arguments, commands};
use crate::check::{self, Run};

/// A command line of Lockstep, and the lines that are shown as its output.
#[derive(Debug)]
struct Recipe {
    arguments: Vec<String>,
    shown: String,
}

/// The command lines of a block. A line that begins with `$` is followed by its output.
fn recipes(block: &Block) -> Vec<Recipe> {
    let mut found: Vec<Recipe> = Vec::new();
    let has_output = block.text.starts_with("$ ");
    for line in block.text.lines() {
        if has_output && !line.starts_with("$ ") {
            if let Some(recipe) = found.last_mut() {
                recipe.shown += &format!("{line}\n");
            }
            continue;
        }
        // What a pipe delivers is not known here.
        if let [words] = &commands(line)[..]
            && let Some(arguments) = arguments(words)
        {
            found.push(Recipe { arguments: arguments.to_vec(), shown: String::new() });
        }
    }
    found
}

/// Whether the command reads files of the repository, and no cluster.
fn is_offline(recipe: &Recipe) -> bool {
    let names_a_file = recipe.arguments.iter().any(|word| word.contains('/') && root().join(word).exists());
    let is_of_files = ["check", "explain", "generate"].contains(&recipe.arguments[0].as_str());
    is_of_files && names_a_file && !recipe.arguments.iter().any(|word| word.starts_with("--cluster"))
}

#[test]
fn commands_on_files_of_the_repository_print_what_is_shown() {
    let (mut run, mut compared) = (0, 0);
    for page in documents() {
        let recipes = page.blocks(&["console"]).iter().flat_map(recipes).collect::<Vec<_>>();
        for recipe in recipes.into_iter().filter(is_offline) {
            let Recipe { arguments, shown } = recipe;
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let Run { code, out, err } = check::run(&words);
            let place = format!("`{}`: {arguments:?}", page.path.display());
            assert!(matches!(code, 0 | 1), "{place}: {err}");
            assert!(out.contains(&shown), "{place} shows:\n{shown}\nand this is printed:\n{out}");
            run += 1;
            compared += usize::from(!shown.is_empty());
        }
    }
    assert!(run >= 12 && compared >= 3, "{run} commands, {compared} with output");
}
