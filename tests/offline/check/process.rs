//! Exit codes, streams and names of the process.

use super::*;

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    for arguments in [&["check"][..], &[], &["no-such-command"], &["check", "--format", "xml", "-"]] {
        let run = run(arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(run.err.contains("--help"), "{}", run.err);
    }
    for arguments in [["--help"], ["--version"]] {
        let run = run(&arguments);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
    }
    assert!(run(&["--help"]).out.contains("helm template"));
}

/// Returns a line of a decision log with the fields that queries use.
fn recorded() -> String {
    let line = json!({
        "schema": 1, "chain": "1", "replica": "one", "sequence": 1, "time": "2026-11-22T20:00:00Z",
        "previous": "0".repeat(64), "hash": "0".repeat(64), "event": "review",
        "webhook": "validate", "verdict": "deny", "uid": "1", "user": "alice", "groups": [], "operation": "CREATE",
        "kind": "Pod", "namespace": "istio-system", "name": "gateway", "dryRun": false, "findings": [],
        "facts": {"snapshot": 1, "ageMicroseconds": 1}, "latencyMicroseconds": 100,
    });
    format!("{line}\n")
}

/// Returns every command that prints, with its exit code if its output can be written. `status` is in
/// `tests/control_plane/status.rs`.
fn printing(log: &str) -> Vec<(Vec<&str>, i32)> {
    vec![
        (vec!["--help"], 0),
        (vec!["--version"], 0),
        (vec!["audit", "query", log], 0),
        (vec!["audit", "query", "--by", "user", log], 0),
        (vec!["audit", "query", "--format", "json", log], 0),
        (vec!["audit", "query", "--format", "lines", log], 0),
        (vec!["audit", "schema"], 0),
        (vec!["audit", "verify", log], 1),
        (vec!["audit", "verify", "--format", "json", log], 1),
        (vec!["check", "examples/broken"], 1),
        (vec!["check", "--format", "json", "examples/broken"], 1),
        (vec!["check", "--format", "junit", "examples/broken"], 1),
        (vec!["check", "--format", "sarif", "examples/broken"], 1),
        (vec!["completions", "bash"], 0),
        (vec!["crd"], 0),
        (vec!["crd", "-o", "json"], 0),
        (vec!["man"], 0),
    ]
}

/// Asserts the exit code and standard error of each command with this standard output. The log is so long that
/// commands print before they have read it all.
fn assert_prints(stdout: impl Fn() -> Stdio, expected: impl Fn(i32) -> (i32, &'static str)) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.log");
    std::fs::write(&log, recorded().repeat(500)).unwrap();
    let log = log.to_str().unwrap();
    assert!(run(&["audit", "query", log]).out.len() > 1 << 15);
    for (arguments, code) in printing(log) {
        assert_eq!(run(&arguments).code, code, "{arguments:?}");
        let output = command(&arguments).stdout(stdout()).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), err.as_str()),
            {
                let (code, err) = expected(code);
                (Some(code), err)
            },
            "{arguments:?}"
        );
    }
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer.into()
    };
    assert_prints(closed, |code| (code, ""));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_names_it() {
    let full = || std::fs::File::create("/dev/full").unwrap().into();
    let err = "lockstep: standard output cannot be written: No space left on device\n";
    assert_prints(full, |_| (2, err));
}

#[cfg(unix)]
#[test]
fn the_kubectl_plugin_shows_the_command_that_users_type() {
    use std::os::unix::process::CommandExt;
    let output = command(&["check", "--help"]).arg0("/usr/bin/kubectl-lockstep").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: kubectl lockstep check"));
}

#[test]
fn the_crd_the_completions_and_the_manual_are_printed() {
    assert!(run(&["crd"]).out.contains("name: gatewaytopologies.lockstep.dev\n"));
    assert!(run(&["completions", "bash"]).out.contains("-F _clap_complete_lockstep lockstep"));
    assert!(run(&["man", "check"]).out.contains(".SH SYNOPSIS"));
}

#[test]
fn a_cluster_that_cannot_be_read_is_an_error_that_names_the_kubeconfig() {
    let run = run(&["check", "--kubeconfig", "/no/such/kubeconfig", "examples/seed"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.starts_with("lockstep: ") && run.err.contains("/no/such/kubeconfig"), "{}", run.err);
}

/// kube panics at it.
#[test]
fn a_kubeconfig_in_utf_16_that_ends_within_a_character_is_an_error() {
    let file = "fuzz/seeds/kubeconfig/utf16_cut";
    let run = run(&["check", "--kubeconfig", file, "examples/seed"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    let expected = format!(
        "lockstep: the kubeconfig cannot be used: `{file}` cannot be read: it is UTF-16 and ends within"
    );
    assert!(run.err.starts_with(&expected), "{}", run.err);
}

#[test]
fn a_glob_that_is_none_is_an_error_that_names_the_flag() {
    let run = run(&["check", "--exclude", "{a", "examples/seed"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("`--exclude {a` is no glob"), "{}", run.err);
}
