//! The scenarios of a gateway, each without Lockstep first and then with it.

use serde_json::{Value, json};

use super::machines::Machine;
use super::objects::{ARP, LABEL, METALLB, deployment, placed, right, service, with_policy};
use super::program::folder;
use super::sandbox::say;
use super::stage::{Expected, Stage};

mod addresses;
mod announcements;
mod life;
mod nodes;
mod outage;
mod policy;
mod seed;

/// The path of the gateway's Service.
const SERVICE: &str = "/api/v1/namespaces/istio-system/services/istio-ingressgateway";

/// Everything, in one cluster.
pub fn all() {
    // What a run before this one has left behind would be taken for this one's.
    drop(std::fs::remove_dir_all(folder()));
    std::fs::create_dir_all(folder().join("logs")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    let begun = std::time::Instant::now();
    let mut stage = Stage::build().await;
    say(format_args!("the cluster is up after {:.0} s", begun.elapsed().as_secs_f64()));
    both(&mut stage, seed::seed).await;
    both(&mut stage, policy::cluster).await;
    both(&mut stage, policy::by_hand).await;
    both(&mut stage, announcements::wider).await;
    both(&mut stage, announcements::narrower).await;
    both(&mut stage, announcements::disjoint).await;
    both(&mut stage, announcements::second).await;
    both(&mut stage, announcements::covering).await;
    both(&mut stage, addresses::shared).await;
    both(&mut stage, addresses::second_pool_taken).await;
    both(&mut stage, nodes::cannot_announce).await;
    both(&mut stage, life::label_moved).await;
    life::label_moved_by_hand(&mut stage).await;
    life::rolled_out(&mut stage).await;
    both(&mut stage, life::drained).await;
    life::drained_by_hand(&mut stage).await;
    both(&mut stage, life::speaker_killed).await;
    both(&mut stage, life::node_failed).await;
    both(&mut stage, outage::webhook_down).await;
    stage.write_report();
    say(format_args!("all scenarios took {:.0} s", begun.elapsed().as_secs_f64()));
}

/// A scenario without Lockstep, and then with it.
async fn both(stage: &mut Stage, scenario: impl AsyncFn(&mut Stage, bool)) {
    for guarded in [false, true] {
        scenario(stage, guarded).await;
    }
}

impl Stage {
    /// A gateway that nobody has configured for the client's address: pods anywhere, no policy, announced from
    /// everywhere. With Lockstep, the advertisement is refused, and they do as they are told.
    async fn careless(&mut self, guarded: bool) {
        self.gateway(&deployment()).await;
        self.make(&service()).await;
        self.advertise(&super::objects::advertisement("default", None), "WIDER", guarded).await;
    }

    /// The seed's topology, by hand.
    async fn by_hand(&self) {
        self.gateway(&placed(deployment())).await;
        self.make(&with_policy(service(), "Local")).await;
        self.make(&right()).await;
    }

    /// The seed's topology: by hand, or by Lockstep out of what people make.
    async fn right(&mut self, guarded: bool) {
        if guarded {
            self.careless(true).await;
        } else {
            self.by_hand().await;
        }
    }

    /// Offers an advertisement that is wrong. With Lockstep it is refused for this reason, and the right one made. What
    /// becomes of the gateway's addresses with the one that is made is predicted.
    async fn advertise(&mut self, advertisement: &Value, reason: &str, guarded: bool) {
        self.lacks_announcement_only().await;
        self.predict_with(&if guarded { right() } else { advertisement.clone() }).await;
        let answer = self.offer(advertisement).await;
        if !guarded {
            assert!(answer.is_ok(), "{answer:?}");
            return;
        }
        let refusal = answer.unwrap_err();
        assert!(refusal.starts_with(&format!("{reason}: ")), "{refusal}");
        self.note(format!("the advertisement was refused: {refusal}"));
        self.make(&right()).await;
    }

    /// Every gateway pod has the placement, and the Service the policy.
    async fn assert_in_lockstep(&self) {
        for pod in self.pods().await {
            assert_eq!(pod["spec"]["nodeSelector"], json!({LABEL: ARP}), "{}", pod["metadata"]["name"]);
        }
        assert_eq!(self.policy().await, "Local");
    }

    /// The Service's policy.
    async fn policy(&self) -> String {
        let service = lockstep_test_support::release::read(&self.cluster.client, SERVICE).await;
        service["spec"]["externalTrafficPolicy"].as_str().unwrap().to_owned()
    }
}

/// The arguments that suppose the end of a node's speaker.
fn without_speaker(node: Machine) -> [String; 2] {
    ["--without".to_owned(), format!("Pod/{METALLB}/speaker-{}", node.name)]
}

/// The arguments that suppose the end of a node.
fn without_node(node: Machine) -> [&'static str; 2] {
    ["--fail-node", node.name]
}

/// The expectation where this is the damage without Lockstep.
fn kept_or(damage: Expected, guarded: bool) -> Expected {
    if guarded { Expected::Kept } else { damage }
}
