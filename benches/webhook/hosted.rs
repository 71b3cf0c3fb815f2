//! Webhooks that this program hosts on the server stack of the product: one with nothing behind it, and one with the
//! engine and the codec alone.

use std::process::ExitCode;
use std::sync::Arc;

use lockstep::admission::{Body, Outcome, Phase, review};
use lockstep::certs::self_made::self_made;
use lockstep::facts::{Facts, Inventory};
use lockstep::server::{Admin, Call, Config, Endpoint, Handler, Limits, Metrics, Reply, Shutdown};
use serde::Deserialize;
use tokio::sync::watch;

/// What makes this program the no-op webhook.
pub const NOOP: &str = "--noop-webhook";

/// What makes this program the engine and the codec: nothing is logged and nothing counted.
pub const ENGINE: &str = "--engine-webhook";

struct Noop;

struct Engine(Facts);

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

impl Handler for Engine {
    fn handle(&self, call: Call<'_>) -> Reply {
        let phase = match call.endpoint {
            Endpoint::Mutate => Phase::Mutate,
            Endpoint::Validate => Phase::Validate,
        };
        match review(&Body::new(call.body), phase, &self.0) {
            Outcome::Judged { body, .. } => Reply::json(body),
            other => panic!("the load sends reviews: {other:?}"),
        }
    }
}

/// The webhook that these arguments ask for.
pub fn asked_for(arguments: &[String]) -> Option<Arc<dyn Handler>> {
    let is = |name: &str| arguments.iter().any(|argument| argument == name);
    if is(NOOP) {
        return Some(Arc::new(Noop));
    }
    is(ENGINE).then(|| Arc::new(Engine(Facts::new(&Inventory::default().or_built_in()))) as Arc<dyn Handler>)
}

/// Serves until it is killed.
pub fn serve(handler: Arc<dyn Handler>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let made = self_made(&[]).expect("a certificate");
        let (_tls, tls) = watch::channel(made.pair.config);
        let localhost = "127.0.0.1:0".parse().expect("an address");
        let config = Config {
            listen: localhost,
            tls,
            handler,
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
