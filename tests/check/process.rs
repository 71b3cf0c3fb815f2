//! What a process owes its caller.

use super::*;

#[test]
fn usage_errors_end_with_2_and_help_with_0() {
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

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    for (arguments, code) in [(vec!["crd"], 0), (vec!["check", "examples/broken"], 1)] {
        let mut child = command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(code), ""), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_plugin_of_kubectl_shows_itself_as_one() {
    use std::os::unix::process::CommandExt;
    let output = command(&["check", "--help"]).arg0("/usr/bin/kubectl-lockstep").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: kubectl lockstep check"));
}

#[test]
fn the_kind_the_completions_and_the_manual_are_printed() {
    assert!(run(&["crd"]).out.contains("name: gatewaytopologies.lockstep.dev\n"));
    assert!(run(&["completions", "bash"]).out.contains("complete -F _lockstep"));
    assert!(run(&["man", "check"]).out.contains(".SH SYNOPSIS"));
}
