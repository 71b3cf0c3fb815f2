//! The no-op webhook: the server stack of the product, and nothing behind it.

use std::process::ExitCode;
use std::sync::Arc;

use lockstep::certs::self_made::self_made;
use lockstep::server::{Admin, Call, Config, Handler, Limits, Metrics, Reply, Shutdown};
use serde::Deserialize;
use tokio::sync::watch;

/// What makes this program the no-op webhook.
pub const ARGUMENT: &str = "--noop-webhook";

struct Noop;

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: &'a str,
}

impl Handler for Noop {
    fn handle(&self, call: Call<'_>) -> Reply {
        let review: Review<'_> = serde_json::from_slice(call.body).expect("the load sends reviews");
        let uid = review.request.uid;
        let answer = format!(
            "{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{{\"uid\":\"{uid}\",\"allowed\":true}}}}"
        );
        Reply::json(answer.into_bytes())
    }
}

/// Serves until it is killed.
pub fn serve() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let made = self_made(&[]).expect("a certificate");
        let (_tls, tls) = watch::channel(made.pair.config);
        let localhost = "127.0.0.1:0".parse().expect("an address");
        let config = Config {
            listen: localhost,
            tls,
            handler: Arc::new(Noop),
            admin: Admin { listen: localhost, ready: Box::new(|| Ok(())), metrics: Box::new(String::new) },
            limits: Limits::default(),
            metrics: Metrics::default(),
        };
        let bound = config.bind().await.expect("free ports");
        // The one line that the caller reads, in the form of the product's log.
        eprintln!("{}", serde_json::json!({"message": "serving", "webhook": bound.local_addr().to_string(), "ca": made.ca_pem}));
        bound.run(Shutdown::default()).await.expect("a server that goes on");
    });
    ExitCode::SUCCESS
}
