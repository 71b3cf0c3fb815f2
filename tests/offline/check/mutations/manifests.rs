//! Real manifests, and what mutations make of them.

use std::path::{Path, PathBuf};

use lockstep_test_support::{case, root};
use serde_json::{Value, json};

use super::numbers::Numbers;

/// The longest manifest in bytes: of longer ones, whole lines up to here are used.
const LONGEST: usize = 4 << 10;

/// The text that a mutation inserts at any place, as real files have it where nobody expects it.
const SNIPPETS: [&str; 26] = [
    "\u{feff}",
    "\u{200b}",
    "\u{202e}",
    "\u{1b}[2J",
    "（",
    "\0",
    "\r\n",
    "\t",
    "---\n",
    "...\n",
    "{{ .Values.a }}",
    "${A}",
    "&a ",
    "*a",
    "!!binary ",
    "? ",
    ": ",
    "- ",
    "\"",
    "'",
    "[",
    "}",
    "<<: *a\n",
    "99999999999999999999",
    "null",
    "%YAML 1.1\n",
];

/// The text that a mutation writes instead of a value.
const VALUES: [&str; 24] = [
    "null",
    "~",
    "{}",
    "[]",
    "\"\"",
    "true",
    "yes",
    "0",
    "-1",
    "1.5",
    "0x1F",
    "4294967296",
    "Local",
    "Cluster",
    "LoadBalancer",
    "192.0.2.0/33",
    "192.0.2.9-192.0.2.1",
    "2001:db8::/64",
    "istio-system",
    "L2Advertisement",
    "GatewayTopology",
    "[a, b]",
    "{a: b}",
    "\"a\u{301}\u{1f469}\u{200d}\u{1f4bb}\"",
];

/// The examples, the inputs of the cases and recorded requests, as YAML and as JSON, in a fixed order.
pub fn manifests() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for folder in
        ["examples", "tests/cases/check", "tests/cases/state", "tests/cases/facts", "benches/reviews"]
    {
        add_files(&root().join(folder), &mut files);
    }
    files.sort_unstable();
    let mut found = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        if path.starts_with(root().join("tests/cases/check")) {
            found.extend(files_of_cases(&text));
        } else {
            found.push(text);
        }
    }
    for case in case::all() {
        let objects: Vec<&Value> =
            [&case.object].into_iter().chain(&case.topologies).chain(&case.objects).collect();
        found.push(yaml(&objects));
        let review = case.review(&case.object);
        let recorded: Vec<&Value> =
            [&review].into_iter().chain(&case.topologies).chain(&case.objects).collect();
        found.push(yaml(&recorded));
    }
    let json: Vec<String> = found.iter().filter_map(|text| as_json_list(text)).collect();
    found.extend(json);
    assert!(found.len() > 500, "{}", found.len());
    found.into_iter().map(|text| up_to_longest(&text).as_bytes().to_vec()).collect()
}

fn add_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
            files.push(path);
        }
    }
}

/// The files that the cases of `tests/cases/check` hold.
fn files_of_cases(text: &str) -> Vec<String> {
    let cases: Vec<Value> = serde_saphyr::from_str(text).unwrap();
    let files = cases.iter().flat_map(|case| case["files"].as_object().unwrap().values());
    files.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn yaml(objects: &[&Value]) -> String {
    objects.iter().map(|object| serde_saphyr::to_string(object).unwrap()).collect::<Vec<_>>().join("---\n")
}

/// The documents as a `List` of JSON, spread over lines; `None` for what is no YAML.
fn as_json_list(text: &str) -> Option<String> {
    let items: Vec<Value> = serde_saphyr::from_multiple(text).ok()?;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    if items.len().is_multiple_of(2) {
        serde_json::to_string(&list).ok()
    } else {
        serde_json::to_string_pretty(&list).ok()
    }
}

/// The documents that fit, or the lines of the first one.
fn up_to_longest(text: &str) -> &str {
    let ends = |separator: &str| {
        let mut end = 0;
        let parts = text.split_inclusive(separator).map(move |part| {
            end += part.len();
            end
        });
        parts.take_while(|end| *end <= LONGEST).last()
    };
    let end = ends("\n---\n").or_else(|| ends("\n")).unwrap_or_else(|| text.floor_char_boundary(LONGEST));
    &text[..end]
}

/// A manifest after up to three mutations. Half of them keep the form of YAML, so that rules judge what is left.
pub fn mutant(manifests: &[Vec<u8>], numbers: &mut Numbers) -> Vec<u8> {
    let mut text = manifests[numbers.below(manifests.len())].clone();
    let keeps_form = numbers.below(2) == 0;
    for _ in 0..=numbers.below(3) {
        if keeps_form {
            mutate_form(&mut text, manifests, numbers);
        } else {
            mutate_bytes(&mut text, manifests, numbers);
        }
    }
    text
}

fn mutate_bytes(text: &mut Vec<u8>, manifests: &[Vec<u8>], numbers: &mut Numbers) {
    let at = numbers.below(text.len());
    match numbers.below(9) {
        0 => text.truncate(at),
        1 => text.insert(at.min(text.len()), u8::try_from(numbers.below(256)).unwrap()),
        2 if !text.is_empty() => text[at] ^= 1 << numbers.below(8),
        3 => drop(text.drain(at..(at + numbers.below(40)).min(text.len()))),
        4 | 5 => {
            let snippet = numbers.of(&SNIPPETS);
            text.splice(at..at, snippet.bytes());
        }
        6 => swap_lines(text, numbers),
        7 => {
            let other = &manifests[numbers.below(manifests.len())];
            let from = numbers.below(other.len());
            text.splice(at..at, other[from..(from + 200).min(other.len())].iter().copied());
        }
        _ => *text = utf_16(text, numbers),
    }
}

fn mutate_form(text: &mut Vec<u8>, manifests: &[Vec<u8>], numbers: &mut Numbers) {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = numbers.below(lines.len());
    match numbers.below(12) {
        // Another value, with the indentation and the key that the line has.
        0..=2 => set_value(&mut lines[at], numbers),
        // The values of two lines, such as two names.
        3 => {
            let other = numbers.below(lines.len());
            let (one, another) = (value_of(&lines[at]).to_vec(), value_of(&lines[other]).to_vec());
            replace_value(&mut lines[at], &another);
            replace_value(&mut lines[other], &one);
        }
        // A letter of a word, which misspells a kind, a field or a label.
        4 => misspell(&mut lines[at], numbers),
        5 => drop(lines.remove(at)),
        6 => {
            let line = lines[at].clone();
            lines.insert(at, line);
        }
        // Documents: one twice, one of another manifest, or two in the other order.
        7 => {
            let documents = documents(text);
            let one = documents[numbers.below(documents.len())];
            let both = [text, &b"\n---\n"[..], one].concat();
            *text = both;
            return;
        }
        8 => {
            let other = &manifests[numbers.below(manifests.len())];
            let other = documents(other);
            let one = other[numbers.below(other.len())];
            let both = [text, &b"\n---\n"[..], one].concat();
            *text = both;
            return;
        }
        9 => {
            let mut documents = documents(text);
            let (one, other) = (numbers.below(documents.len()), numbers.below(documents.len()));
            documents.swap(one, other);
            *text = documents.join(&b"\n---\n"[..]);
            return;
        }
        10 => {
            *text = String::from_utf8_lossy(text).replace('\n', "\r\n").into_bytes();
            return;
        }
        _ => {
            // A whole text in another encoding, as PowerShell writes it.
            if numbers.below(4) == 0 {
                *text = utf_16(text, numbers);
            }
            return;
        }
    }
    *text = lines.join(&b'\n');
}

/// The value on a line: what follows `: ` or `- `.
fn value_of(line: &[u8]) -> &[u8] {
    &line[value_start(line)..]
}

fn value_start(line: &[u8]) -> usize {
    let after = |mark: &[u8]| line.windows(2).position(|pair| pair == mark).map(|at| at + 2);
    after(b": ").or_else(|| after(b"- ")).unwrap_or(line.len())
}

fn replace_value(line: &mut Vec<u8>, value: &[u8]) {
    let start = value_start(line);
    if start < line.len() {
        line.splice(start.., value.iter().copied());
    }
}

fn set_value(line: &mut Vec<u8>, numbers: &mut Numbers) {
    let value = numbers.of(&VALUES);
    let start = value_start(line);
    // A compact JSON list is one line, and any scalar in it may be replaced.
    if line.starts_with(b"{") {
        let at = numbers.below(line.len());
        let end = line[at..].iter().position(|byte| b",}]".contains(byte)).map_or(line.len(), |end| at + end);
        let start = line[..end].iter().rposition(|byte| b":[,".contains(byte)).map_or(end, |start| start + 1);
        let json = serde_json::to_string(value).unwrap();
        line.splice(start..end, json.bytes());
    } else if start < line.len() || line.ends_with(b":") {
        line.splice(start.., [b" ", value.as_bytes()].concat());
    }
}

fn misspell(line: &mut [u8], numbers: &mut Numbers) {
    let letters: Vec<usize> = (0..line.len()).filter(|at| line[*at].is_ascii_alphabetic()).collect();
    if let Some(&at) = letters.get(numbers.below(letters.len())) {
        line[at] = if numbers.below(2) == 0 {
            line[at] ^ 0x20
        } else {
            b'a' + u8::try_from(numbers.below(26)).unwrap()
        };
    }
}

fn documents(text: &[u8]) -> Vec<&[u8]> {
    let (mut documents, mut start) = (Vec::new(), 0);
    for (at, _) in text.windows(5).enumerate().filter(|(_, bytes)| *bytes == b"\n---\n") {
        if at >= start {
            documents.push(&text[start..at]);
            start = at + 5;
        }
    }
    documents.push(&text[start..]);
    documents
}

fn swap_lines(text: &mut Vec<u8>, numbers: &mut Numbers) {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let (one, other) = (numbers.below(lines.len()), numbers.below(lines.len()));
    lines.swap(one, other);
    *text = lines.join(&b'\n');
}

fn utf_16(text: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).into_owned();
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    if numbers.below(2) == 0 {
        units.flat_map(u16::to_le_bytes).collect()
    } else {
        units.flat_map(u16::to_be_bytes).collect()
    }
}
