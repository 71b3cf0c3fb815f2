//! Errors at startup, and their messages.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use lockstep_test_support::reviews::seed;

/// Runs `lockstep serve` until it exits. Returns its exit code and standard error.
async fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.arg("serve").args(arguments);
    for (flag, port) in [("--listen", "127.0.0.1:0"), ("--admin-listen", "127.0.0.1:0")] {
        if !arguments.contains(&flag) {
            command.args([flag, port]);
        }
    }
    command
        .env("HOME", home.path())
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    let output = ended.expect("the process keeps running").unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Returns the message of the only error in the JSON log.
async fn error(arguments: &[&str]) -> String {
    let (code, log) = fails(arguments).await;
    assert_eq!(code, Some(2), "{log}");
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let errors: Vec<Value> = events.filter(|event| event["level"] == "ERROR").collect();
    assert_eq!(errors.len(), 1, "{log}");
    errors[0]["error"].as_str().unwrap().to_owned()
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_invalid_command_line_is_explained() {
    for (arguments, sentence) in [
        (&["--tls-cert", "tls.crt"][..], "--tls-key <FILE>"),
        (&["--tls-key", "tls.key"], "--tls-cert <FILE>"),
        (&["--tls-cert", "a", "--tls-key", "b", "--write-ca", "c"], "cannot be used with"),
        (&["--tls-reload", "0"], "'--tls-reload <DURATION>'"),
        (&["--tls-secret", "a/b", "--tls-name", "x"], "--webhook-configuration <NAME>"),
        (&["--tls-secret", "a/b", "--webhook-configuration", "x"], "--tls-name <NAME>"),
        (&["--tls-secret", "b"], "`b` names no Secret; give NAMESPACE/NAME"),
        (
            &["--facts", "x", "--tls-secret", "a/b", "--tls-name", "x", "--webhook-configuration", "x"],
            "cannot be used with",
        ),
        (&["--client-name", "x"], "--client-ca <FILE>"),
        (&["--otlp-ca", "x"], "--otlp-endpoint <URL>"),
        (
            &["--otlp-endpoint", "otel-collector:4317"],
            "it is not the URL of a collector: its scheme is neither `http` nor `https`; write it as in `http://otel-collector",
        ),
        (&["--listen", "everywhere"], "'--listen <ADDRESS:PORT>'"),
        (&["--log-level", "lockstep=loud"], "is not a log level"),
    ] {
        let (code, said) = fails(arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(sentence), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn certificate_files_that_cannot_be_served_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let pair = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (one, other) = (pair(), pair());
    let cert = file(folder.path(), "tls.crt", &one.cert.pem());
    let key = file(folder.path(), "tls.key", &one.signing_key.serialize_pem());
    let other_key = file(folder.path(), "other.key", &other.signing_key.serialize_pem());
    let empty = file(folder.path(), "empty", "");
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    for (cert, key, sentence) in [
        (&missing, &key, format!("`--tls-cert` `{missing}` cannot be read")),
        (&cert, &missing, format!("`--tls-key` `{missing}` cannot be read")),
        (&empty, &key, format!("`--tls-cert` `{empty}` holds no certificate chain")),
        (&cert, &empty, format!("`--tls-key` `{empty}` holds no key")),
        (&cert, &other_key, format!("`{cert}` and `--tls-key` `{other_key}` do not belong together")),
    ] {
        let error = error(&["--facts", seed().to_str().unwrap(), "--tls-cert", cert, "--tls-key", key]).await;
        assert!(error.contains(&sentence), "{error}");
    }
}

#[tokio::test]
async fn invalid_lifetimes_and_client_cas_are_named() {
    let own = ["--tls-secret", "a/b", "--tls-name", "x", "--webhook-configuration", "x"];
    let error_of = async |flag: &str| error(&[&own[..], &[flag, "0"]].concat()).await;
    assert!(error_of("--ca-lifetime").await.starts_with("`--ca-lifetime` must not be 0"));
    assert!(error_of("--leaf-lifetime").await.starts_with("`--leaf-lifetime` must not be 0"));
    let facts = seed();
    for (path, sentence) in [("/nonexistent", "cannot be read"), ("/dev/null", "holds no CA certificates")] {
        let error = error(&["--facts", facts.to_str().unwrap(), "--client-ca", path]).await;
        assert!(error.starts_with(&format!("`--client-ca` `{path}` {sentence}")), "{error}");
    }
}

#[tokio::test]
async fn the_ca_of_a_collector_that_cannot_be_used_is_named() {
    let facts = seed();
    let https = ["--facts", facts.to_str().unwrap(), "--otlp-endpoint", "https://collector:4318"];
    for (path, sentence) in [("/nonexistent", "cannot be read"), ("/dev/null", "holds no certificate")] {
        let error = error(&[&https[..], &["--otlp-ca", path]].concat()).await;
        assert!(error.starts_with(&format!("`--otlp-ca` `{path}` {sentence}")), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin-listen"] {
        let error = error(&["--facts", seed().to_str().unwrap(), flag, &address]).await;
        assert!(error.contains(&format!("`{flag}` `{address}` cannot be bound")), "{error}");
    }
}

#[tokio::test]
async fn facts_that_cannot_be_read_in_full_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "good.yaml", "{apiVersion: v1, kind: Node, metadata: {name: a}}");
    let broken = file(folder.path(), "broken.yaml", "apiVersion: v1\nkind: Node\nmetadata: {name: [\n");
    let missing = folder.path().join("missing").to_str().unwrap().to_owned();
    for (facts, place) in
        [(folder.path().to_str().unwrap(), &*broken), (&*broken, &*broken), (&*missing, &*missing)]
    {
        let error = error(&["--facts", facts]).await;
        assert!(error.starts_with("`--facts` cannot be used: ") && error.contains(place), "{error}");
    }
}

#[tokio::test]
async fn without_a_cluster_the_error_names_the_places_searched() {
    let error = error(&[]).await;
    for word in ["no cluster is configured", "KUBECONFIG", ".kube/config", "`--facts PATH`"] {
        assert!(error.contains(word), "{error}");
    }
}
