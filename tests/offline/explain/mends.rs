//! The commands that `lockstep explain` prints: a shell splits them into the words that are meant, and what they do mends
//! what they are printed for.

use std::collections::BTreeMap;
use std::fs;
use std::io::empty;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{addresses, document, states};

/// A call of kubectl: its words, and what it reads from standard input.
struct Call {
    words: Vec<String>,
    stdin: String,
}

/// The calls of kubectl that a shell makes of a command.
fn calls(command: &str) -> Call {
    let script = format!(
        "kubectl() {{ printf '%s\\0' \"$@\"; case \"$*\" in *'-f -') printf '\\1'; cat;; esac; }}\n{command}\n"
    );
    let output = Command::new("sh").args(["-euc", &script]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (words, stdin) = printed.split_once('\u{1}').unwrap_or((&printed, ""));
    let words = words.split_terminator('\0').map(str::to_owned).collect();
    Call { words, stdin: stdin.to_owned() }
}

/// The what-if flags that do what a command does, or nothing for one that opens an editor.
fn flags(command: &str, objects: &[Value], folder: &Path) -> Option<Vec<String>> {
    let Call { words, stdin } = calls(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (namespace, words) = match words[..] {
        ["-n", namespace, ref rest @ ..] => (Some(namespace), rest.to_vec()),
        _ => (None, words),
    };
    let applied = |object: &Value| {
        let number = fs::read_dir(folder).unwrap().count();
        let path = folder.join(format!("{number}.json"));
        fs::write(&path, object.to_string()).unwrap();
        Some(vec!["--with".to_owned(), path.to_str().unwrap().to_owned()])
    };
    let object = |kind: &str, name: &str| {
        let is_it = |object: &&Value| {
            object["kind"].as_str().unwrap().eq_ignore_ascii_case(kind)
                && object["metadata"]["name"] == name
                && object["metadata"]["namespace"].as_str() == namespace
        };
        objects.iter().find(is_it).unwrap_or_else(|| panic!("{command}: no {kind} {name}")).clone()
    };
    match words[..] {
        ["label", "node", ref rest @ ..] => {
            let is_label = |word: &&&str| word.contains('=') || word.ends_with('-');
            let names = || rest.iter().filter(|word| !is_label(word) && **word != "--overwrite");
            let labels = rest.iter().filter(is_label);
            let pairs = labels.flat_map(|label| names().map(move |node| format!("{node}:{label}")));
            Some(pairs.flat_map(|pair| ["--label-node".to_owned(), pair]).collect())
        }
        ["label", kind, name, "--overwrite", ref labels @ ..] => {
            let mut object = object(kind, name);
            for (key, value) in labels.iter().map(|label| label.split_once('=').unwrap()) {
                object["metadata"]["labels"][key] = json!(value);
            }
            applied(&object)
        }
        ["annotate", kind, name, ref keys @ ..] => {
            let mut object = object(kind, name);
            for key in keys {
                let annotations = object["metadata"]["annotations"].as_object_mut().unwrap();
                annotations.remove(key.strip_suffix('-').unwrap()).unwrap();
            }
            applied(&object)
        }
        ["patch", kind, name, "--type", "merge", "-p", patch] => {
            let mut object = object(kind, name);
            json_patch::merge(&mut object, &serde_json::from_str(patch).unwrap());
            applied(&object)
        }
        ["patch", kind, name, "--type", "json", "-p", patch] => {
            let mut object = object(kind, name);
            json_patch::patch(&mut object, &serde_json::from_str::<json_patch::Patch>(patch).unwrap())
                .unwrap();
            applied(&object)
        }
        ["scale", kind, name, replicas] => {
            let mut object = object(kind, name);
            let replicas: u32 = replicas.strip_prefix("--replicas=").unwrap().parse().unwrap();
            object["spec"]["replicas"] = json!(replicas);
            applied(&object)
        }
        ["create", "poddisruptionbudget", name, selector, "--max-unavailable=1"] => {
            let pairs = selector.strip_prefix("--selector=").unwrap().split(',');
            let labels: BTreeMap<&str, &str> = pairs.map(|pair| pair.split_once('=').unwrap()).collect();
            applied(&json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
            }))
        }
        ["create", "-f", "-"] => {
            let created: Value = serde_json::from_str(&stdin).unwrap();
            let is_taken = |object: &Value| {
                object["kind"] == created["kind"] && object["metadata"]["name"] == created["metadata"]["name"]
            };
            assert!(!objects.iter().any(is_taken), "{command}: the name is taken");
            applied(&created)
        }
        ["edit", kind, name] => {
            object(kind, name);
            None
        }
        ref words => panic!("{command}: {words:?}"),
    }
}

fn rank(outcome: &Value) -> usize {
    let order = ["Preserved", "Fragile", "Lost", "Silent", "Unknown"];
    order.iter().position(|word| outcome == word).unwrap()
}

/// Each finding and each cause of an address, with the commands that mend it, and how to count it.
fn problems(document: &Value) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut add = |problem: &Value| {
        let commands = problem["commands"].as_array().unwrap();
        let commands = commands.iter().map(|command| command.as_str().unwrap().to_owned());
        found.push((format!("{}: {}", problem["reason"], problem["message"]), commands.collect()));
    };
    for topology in document["topologies"].as_array().unwrap() {
        topology["findings"].as_array().unwrap().iter().for_each(&mut add);
    }
    addresses(document).iter().for_each(|(_, address)| add(address));
    found
}

fn explained(state: &Path, flags: &[String]) -> Value {
    let mut arguments = vec!["-f", state.to_str().unwrap()];
    arguments.extend(flags.iter().map(String::as_str));
    document(&arguments)
}

#[test]
fn what_the_printed_commands_do_mends_what_they_are_printed_for_and_makes_nothing_worse() {
    let mut mended: BTreeMap<String, usize> = BTreeMap::new();
    for state in states() {
        let loaded = lockstep::manifests::load(&[PathBuf::from(&state)], &mut empty());
        let objects: Vec<Value> = loaded.documents.into_iter().map(|document| document.value).collect();
        let before = explained(&state, &[]);
        for (problem, commands) in problems(&before) {
            let folder = tempfile::tempdir().unwrap();
            let flags: Option<Vec<Vec<String>>> =
                commands.iter().map(|command| flags(command, &objects, folder.path())).collect();
            let Some(flags) = flags.map(|flags| flags.concat()).filter(|flags| !flags.is_empty()) else {
                continue;
            };
            let after = explained(&state, &flags);
            let about = format!("{}: {problem}: {commands:?}", state.display());
            assert!(!problems(&after).iter().any(|(other, _)| *other == problem), "not mended: {about}");
            let outcomes = addresses(&before);
            let worse = addresses(&after).into_iter().find(|(service, address)| {
                outcomes.iter().any(|(held, before)| {
                    held == service
                        && before["address"] == address["address"]
                        && rank(&address["outcome"]) > rank(&before["outcome"])
                })
            });
            assert_eq!(worse, None, "worse: {about}");
            *mended.entry(problem.split(':').next().unwrap().to_owned()).or_default() += 1;
        }
    }
    assert!(mended.len() >= 15, "only these were mended: {mended:?}");
}
