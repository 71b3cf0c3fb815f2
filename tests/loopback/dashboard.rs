//! `lockstep dashboard` shows its page to whoever has its URL on this machine, and to nobody else. The API server of these
//! tests is a port that nothing listens on.

use std::path::PathBuf;
use std::process::Command;

use axum::http::{Method, StatusCode};
use lockstep_test_support::dashboard::Dashboard;
use lockstep_test_support::markup::tags;
use serde_json::json;

/// A kubeconfig for an API server that is not there.
struct Nowhere(tempfile::TempDir);

impl Nowhere {
    fn new() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self::at(port)
    }

    /// A kubeconfig for an API server on this port.
    fn at(port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "users": [{"name": "it", "user": {}}],
        });
        std::fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("config")
    }

    async fn dashboard(&self) -> Dashboard {
        Dashboard::start(&self.path(), &[]).await
    }
}

const UNREAD: &str = "The cluster cannot be read: ";

#[tokio::test]
async fn the_holder_of_the_url_sees_the_page_with_headers_that_keep_it_to_this_browser() {
    let dashboard = Nowhere::new().dashboard().await;
    dashboard.events().await.unwrap().until(UNREAD).await;
    let page = dashboard.get(&dashboard.path).await;
    assert_eq!(page.status, StatusCode::OK);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(page.headers[name], value, "{name}");
    }
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(
        policy.contains("; script-src 'sha256-") && policy.ends_with("; frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(
        page.body.contains(UNREAD) && page.body.contains("The state of the cluster is not known"),
        "{}",
        page.body
    );
    let tags = tags(&page.body);
    let count = |name| tags.iter().filter(|tag| tag.name == name).count();
    assert_eq!((count("main"), count("h1"), count("script"), count("noscript")), (1, 1, 1, 1));
    // Nobody reads the token in the page, where it could be copied with it.
    assert!(!page.body.contains(dashboard.path.trim_matches('/')));
}

#[tokio::test]
async fn without_the_token_nothing_is_shown() {
    let dashboard = Nowhere::new().dashboard().await;
    let token = dashboard.path.trim_matches('/').to_owned();
    assert!(token.len() * 5 >= 128, "{token}");
    let other = Nowhere::new().dashboard().await;
    assert_ne!(other.path, dashboard.path);
    let almost = format!("/{}/", token.replace(&token[..1], if token.starts_with('a') { "b" } else { "a" }));
    let upper = format!("/{}/", token.to_uppercase());
    let long = format!("/{token}a/");
    for path in ["/", "//", "/index.html", "/favicon.ico", "/events", &almost, &upper, &long, &other.path] {
        let answer = dashboard.get(path).await;
        let expected = "the URL lacks its token: open the URL that `lockstep dashboard` printed\n";
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::FORBIDDEN, expected), "{path}");
    }
    for path in [format!("/{token}/other"), format!("/{token}"), format!("/{token}/../{token}/")] {
        let answer = dashboard.get(&path).await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::NOT_FOUND, "no such page\n"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn requests_for_other_hosts_and_from_other_pages_are_refused() {
    let dashboard = Nowhere::new().dashboard().await;
    let (own, path) = (dashboard.address.as_str(), dashboard.path.as_str());
    let port = own.split_once(':').unwrap().1;
    let localhost = format!("localhost:{port}");
    let ipv6 = format!("[::1]:{port}");
    let status = async |headers: &[(&str, &str)]| dashboard.send(Method::GET, path, headers).await.status;
    for host in [own, &localhost, &ipv6, &localhost.to_uppercase()] {
        assert_eq!(status(&[("host", host)]).await, StatusCode::OK, "{host}");
        let origin = format!("http://{host}");
        assert_eq!(status(&[("host", own), ("origin", &origin)]).await, StatusCode::OK, "{origin}");
    }
    let rebound = format!("evil.example:{port}");
    let suffix = format!("{own}.evil.example");
    for host in [rebound.as_str(), &suffix, "127.0.0.1", "127.0.0.1:1", "localhost", ""] {
        assert_eq!(status(&[("host", host)]).await, StatusCode::FORBIDDEN, "{host}");
    }
    assert_eq!(status(&[("host", own), ("host", &rebound)]).await, StatusCode::FORBIDDEN);
    let https = format!("https://{own}");
    let prefix = format!("http://{own}.evil.example");
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", &https, &prefix, ""] {
        let headers = [("host", own), ("origin", origin)];
        assert_eq!(status(&headers).await, StatusCode::FORBIDDEN, "{origin}");
    }
}

#[tokio::test]
async fn nothing_but_get_and_head_is_answered() {
    let dashboard = Nowhere::new().dashboard().await;
    let events = format!("{}events", dashboard.path);
    let host = [("host", dashboard.address.as_str())];
    for path in [&dashboard.path, &events] {
        for method in
            [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::TRACE]
        {
            let answer = dashboard.send(method.clone(), path, &host).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(answer.headers["allow"], "GET, HEAD", "{method} {path}");
        }
        let head = dashboard.send(Method::HEAD, path, &host).await;
        assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""), "{path}");
    }
}

#[tokio::test]
async fn more_pages_than_the_limit_are_told_to_come_back() {
    let dashboard = Nowhere::new().dashboard().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        open.push(dashboard.events().await.unwrap());
    }
    assert_eq!(dashboard.events().await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
    // The page itself is still there, and a page that is closed makes room.
    assert_eq!(dashboard.get(&dashboard.path).await.status, StatusCode::OK);
    for mut events in open {
        events.next().await;
    }
    let again = lockstep_test_support::wait::until_so(async || dashboard.events().await.is_ok());
    assert!(again.await, "a closed page makes no room");
}

#[tokio::test]
async fn an_api_server_that_accepts_and_never_answers_is_reported() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dashboard = Nowhere::at(silent.local_addr().unwrap().port()).dashboard().await;
    let event = dashboard.events().await.unwrap().until(UNREAD).await;
    assert_eq!(event["verdict"], "The state of the cluster is not known");
    assert!(event["main"].as_str().unwrap().contains("the API server does not answer in 5 s"), "{event}");
}

#[tokio::test]
async fn ctrl_c_ends_it_with_exit_code_0_although_pages_are_open() {
    let dashboard = Nowhere::new().dashboard().await;
    let mut events = dashboard.events().await.unwrap();
    events.next().await;
    assert_eq!(dashboard.interrupt().await.code(), Some(0));
}

#[test]
fn a_port_that_is_taken_and_a_cluster_that_is_not_configured_are_errors() {
    let nowhere = Nowhere::new();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
        let output =
            command.arg("dashboard").args(arguments).env("KUBECONFIG", nowhere.path()).output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let (code, words) = run(&["--port", &port]);
    assert_eq!(code, Some(2));
    let begin = format!("lockstep: `--port {port}` of 127.0.0.1 cannot be bound: ");
    assert!(words.starts_with(&begin) && words.ends_with("; choose another port, or 0 for any\n"), "{words}");
    let (code, words) = run(&["--context", "other"]);
    assert_eq!(code, Some(2));
    assert!(words.starts_with("lockstep: the kubeconfig has no context `other`"), "{words}");
}
