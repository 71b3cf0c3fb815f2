//! `lockstep check -o sarif`, as GitHub code scanning reads it: by Microsoft's validator, which has the schema of SARIF 2.1.0 (OASIS), the
//! rules of the specification (`SARIF1xxx`) and those of code scanning (`GH1xxx`, `GH2xxx`).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use lockstep_test_support::control_plane::sarif_validator;
use lockstep_test_support::root;

/// The validator's complaints. It exits with 0 for some of them.
fn complaints(logs: &[&Path]) -> Vec<String> {
    let mut validator = Command::new(sarif_validator().unwrap());
    validator.arg("validate").args(logs).args(["--rule-kind", "Sarif;Gh", "--level", "Error;Warning"]);
    // Without it, .NET needs the library ICU.
    let output = validator.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Analysis completed successfully."), "{text}");
    let is_complaint = |line: &&str| line.contains(": error ") || line.contains(": warning ");
    text.lines().filter(is_complaint).map(ToOwned::to_owned).collect()
}

fn sarif(arguments: &[&str], stdin: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["check", "-o", "sarif"])
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn sarif_passes_its_schema_and_the_rules_of_code_scanning() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("chart")).unwrap();
    fs::write(tree.join("chart/Chart.yaml"), "apiVersion: v2\nname: edge\nversion: 1.0.0\n").unwrap();
    fs::write(tree.join("wrong.yaml"), "kind: \"Service\"（\n").unwrap();
    let gateway = fs::read_to_string(root().join("examples/broken/gateway.yaml")).unwrap();
    let logs = [
        ("clusters", sarif(&["--cluster-root", "examples/broken", "--cluster-root", "examples/seed"], "")),
        ("strict", sarif(&["--strict", "examples/seed"], "")),
        ("problems", sarif(&["examples/seed", "examples/broken", "no-such-file"], "")),
        ("remarks", sarif(&[tree.to_str().unwrap()], "")),
        ("stdin", sarif(&["-"], &gateway)),
        ("unreadable", sarif(&["-"], "a: [")),
        ("empty", sarif(&["--allow-empty", "-"], "")),
    ];
    let paths = logs.map(|(name, log)| {
        let path = folder.path().join(format!("{name}.sarif"));
        fs::write(&path, log).unwrap();
        path
    });
    let logs: Vec<&Path> = paths.iter().map(std::path::PathBuf::as_path).collect();
    assert_eq!(complaints(&logs), [""; 0]);
    // The validator finds what is wrong: a field that the schema lacks, and a result without a place.
    let wrong = folder.path().join("wrong.sarif");
    fs::write(&wrong, sarif(&["--strict", "examples/seed"], "").replace("\"locations\"", "\"places\""))
        .unwrap();
    let found = complaints(&[&wrong]).join("\n");
    assert!(found.contains("JSON1005") && found.contains("GH1015"), "{found}");
}
