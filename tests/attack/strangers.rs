//! The strangers: each attack from an address of its own, over and over again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lockstep_test_support::https::trusting;
use lockstep_test_support::reviews::review;
use lockstep_test_support::serve::Serve;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The time for which a stranger holds a connection, unless the server closes it.
const HOLD: Duration = Duration::from_secs(30);

/// The running attacks.
pub struct Strangers {
    _tasks: JoinSet<()>,
    counts: Vec<(&'static str, Arc<AtomicU64>)>,
}

impl Strangers {
    /// Stops the attacks. Returns how often each was made.
    pub fn stop(self) -> String {
        let count = |(name, count): &(&str, Arc<AtomicU64>)| {
            format!("  {name}: {} times", count.load(Ordering::Relaxed))
        };
        format!("attacks:\n{}", self.counts.iter().map(count).collect::<Vec<_>>().join("\n"))
    }
}

/// The target as one stranger sees it.
#[derive(Clone)]
struct Target {
    from: Ipv4Addr,
    webhook: SocketAddr,
    admin: SocketAddr,
    ca_pem: Arc<str>,
}

impl Target {
    async fn tcp(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        socket.bind(SocketAddr::from((self.from, 0)))?;
        timeout(Duration::from_secs(5), socket.connect(to)).await?
    }

    async fn tls(&self, alpn: &str) -> io::Result<TlsStream<TcpStream>> {
        let mut config: ClientConfig = trusting(&self.ca_pem).config().as_ref().clone();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = self.tcp(self.webhook).await?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        timeout(Duration::from_secs(10), TlsConnector::from(Arc::new(config)).connect(name, stream)).await?
    }

    fn post<B>(&self, body: B) -> Request<B> {
        let uri = format!("https://{}/validate", self.webhook);
        Request::post(uri).header("content-type", "application/json").body(body).expect("a request")
    }
}

/// Starts every attack, or the one called `only`, each `at once` times.
pub fn start(serve: &Serve, only: Option<&str>) -> Strangers {
    let mut strangers = Strangers { _tasks: JoinSet::new(), counts: Vec::new() };
    let mut from = 2;
    macro_rules! attack {
        ($name:literal, $at_once:literal, $attack:expr) => {
            let target = Target {
                from: Ipv4Addr::new(127, 0, 0, from),
                webhook: serve.webhook.parse().expect("an address"),
                admin: serve.admin.parse().expect("an address"),
                ca_pem: serve.ca_pem.as_str().into(),
            };
            from += 1;
            if only.is_none_or(|only| only == $name) {
                let count = Arc::new(AtomicU64::new(0));
                strangers.counts.push(($name, Arc::clone(&count)));
                for _ in 0..$at_once {
                    let (target, count) = (target.clone(), Arc::clone(&count));
                    strangers._tasks.spawn(async move {
                        loop {
                            count.fetch_add(1, Ordering::Relaxed);
                            // Whatever the server does to a stranger, the stranger comes again.
                            if $attack(target.clone()).await.is_err() {
                                sleep(Duration::from_millis(20)).await;
                            }
                        }
                    });
                }
            }
        };
    }
    attack!("window-0", 1, unread_over_http2);
    attack!("unread", 40, unread_over_http1);
    attack!("idle-admin", 80, idle_admin);
    attack!("no-bodies", 5, bodies_that_never_come);
    attack!("all-but-one-byte", 9, all_but_one_byte);
    attack!("no-handshake", 1151, no_handshake);
    attack!("silent", 1022, silent);
    attack!("forged", 1, forged);
    attack!("heavy", 4, heavy);
    let _ = from;
    strangers
}

fn with_uid(length: usize) -> String {
    let mut review = review();
    review["request"]["uid"] = "u".repeat(length).into();
    review.to_string()
}

async fn http2<B>(target: &Target, window: Option<u32>) -> io::Result<http2::SendRequest<B>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = target.tls("h2").await?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A hundred answers that the window lets through at no time.
async fn unread_over_http2(target: Target) -> io::Result<()> {
    let sender = http2::<Full<Bytes>>(&target, Some(0)).await?;
    let mut answers = JoinSet::new();
    let body = Bytes::from(with_uid(3 << 20));
    for _ in 0..100 {
        let (mut sender, request) = (sender.clone(), target.post(Full::new(body.clone())));
        answers.spawn(async move { sender.send_request(request).await });
    }
    let answers = timeout(HOLD, answers.join_all()).await?;
    timeout(HOLD, async {
        for answer in answers.into_iter().flatten() {
            let _ = answer.collect().await;
        }
    })
    .await?;
    Ok(())
}

async fn unread_over_http1(target: Target) -> io::Result<()> {
    let mut stream = target.tls("http/1.1").await?;
    let body = with_uid(7 << 20);
    stream.write_all(head("/validate", body.len()).as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await?;
    sleep(HOLD).await;
    Ok(())
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

async fn until_closed(mut stream: impl tokio::io::AsyncRead + Unpin) -> io::Result<()> {
    let _ = timeout(HOLD, stream.read(&mut [0; 16])).await?;
    Ok(())
}

async fn idle_admin(target: Target) -> io::Result<()> {
    until_closed(target.tcp(target.admin).await?).await
}

async fn bodies_that_never_come(target: Target) -> io::Result<()> {
    let sender = http2(&target, None).await?;
    let mut answers = JoinSet::new();
    for _ in 0..250 {
        let body = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, io::Error>>());
        let (mut sender, request) = (sender.clone(), target.post(body));
        answers.spawn(async move { sender.send_request(request).await });
    }
    timeout(HOLD, answers.join_all()).await?;
    Ok(())
}

async fn all_but_one_byte(target: Target) -> io::Result<()> {
    let mut stream = target.tls("http/1.1").await?;
    let length = 8 << 20;
    stream.write_all(head("/mutate", length).as_bytes()).await?;
    stream.write_all(&vec![b' '; length - 1]).await?;
    stream.flush().await?;
    until_closed(stream).await
}

async fn no_handshake(target: Target) -> io::Result<()> {
    until_closed(target.tcp(target.webhook).await?).await
}

async fn silent(target: Target) -> io::Result<()> {
    until_closed(target.tls("http/1.1").await?).await
}

/// Denials in the name of an administrator, as fast as one connection allows.
async fn forged(target: Target) -> io::Result<()> {
    let mut review = review();
    review["request"]["userInfo"] = json!({"username": "system:admin", "groups": ["system:masters"]});
    let body = review.to_string();
    post_again_and_again(&target, &body).await
}

/// Advertisements of 600 KB with thousands of selectors, of which none covers the placement.
async fn heavy(target: Target) -> io::Result<()> {
    let selectors: Vec<_> = (0..6000)
        .map(|number| json!({"matchLabels": {"loadbalancerIPs.metallb.io": "arp", "zone": format!("zone-{number}")}}))
        .collect();
    let text = include_str!("../../benches/reviews/l2advertisement.json");
    let mut review: serde_json::Value = serde_json::from_str(text)?;
    review["request"]["object"]["spec"]["nodeSelectors"] = selectors.into();
    post_again_and_again(&target, &review.to_string()).await
}

async fn post_again_and_again(target: &Target, body: &str) -> io::Result<()> {
    let mut stream = target.tls("http/1.1").await?;
    let mut answer = vec![0; 64 << 10];
    loop {
        stream.write_all(head("/validate", body.len()).as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        stream.flush().await?;
        // One read returns at least the head of the answer; the rest is read with the next ones.
        if stream.read(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
