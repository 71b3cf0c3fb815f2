//! The program as `lockstep dashboard`, and a client that sends it what a browser, or an attacker, would.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// The longest time that a change may take to be seen: moments, on an idle machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// A running dashboard. It is killed when this is dropped.
#[derive(Debug)]
pub struct Dashboard {
    child: Child,
    /// The URL that it printed.
    pub url: String,
    /// The address of the URL.
    pub address: String,
    /// The path of the URL, with the token.
    pub path: String,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Dashboard {
    /// Starts the program with a kubeconfig and further arguments, and waits for its URL.
    ///
    /// # Panics
    /// If it prints no URL.
    pub async fn start(kubeconfig: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(crate::program())
            .args(["dashboard", "--kubeconfig"])
            .arg(kubeconfig)
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().expect("a URL");
        let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        Self { child, address: address.to_owned(), path: format!("/{path}"), url: url.clone() }
    }

    /// Sends a request with the `Host` of the URL.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("host", &self.address)]).await
    }

    /// Sends a request with these headers and no others.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let response = self.open(method, path, headers).await;
        let (parts, body) = response.into_parts();
        let body = timeout(DEADLINE, body.collect()).await.unwrap().unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn open(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        timeout(DEADLINE, sender.send_request(request)).await.unwrap().unwrap()
    }

    /// Opens the stream of events, as the page's script does.
    ///
    /// # Errors
    /// The status of an answer that is no stream.
    pub async fn events(&self) -> Result<Events, StatusCode> {
        let path = format!("{}events", self.path);
        let response = self.open(Method::GET, &path, &[("host", &self.address)]).await;
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Events { body: response.into_body(), text: String::new() })
    }

    /// Ends the program with Ctrl-C, and waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn interrupt(mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        timeout(DEADLINE, self.child.wait()).await.expect("the dashboard ends").unwrap()
    }
}

/// An open stream of events.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    /// The data of the next event.
    ///
    /// # Panics
    /// If there is none.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event
                    .strip_prefix("event: state\ndata: ")
                    .map(|data| serde_json::from_str(data).unwrap());
                self.text = rest.to_owned();
                match data {
                    Some(data) => return data,
                    // A comment keeps the connection alive.
                    None => continue,
                }
            }
            let frame =
                timeout(DEADLINE, self.body.frame()).await.expect("an event").expect("no end").unwrap();
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The first event from now on whose page has this text.
    pub async fn until(&mut self, text: &str) -> Value {
        loop {
            let event = self.next().await;
            if event["main"].as_str().is_some_and(|main| main.contains(text)) {
                return event;
            }
        }
    }
}
