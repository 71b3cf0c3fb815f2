//! What happens to a gateway, each time without Lockstep first and then with it.

use serde_json::{Value, json};

use super::objects::{ARP, LABEL, deployment, placed, right, service, with_policy};
use super::program::folder;
use super::sandbox::say;
use super::stage::{Expected, Stage};

mod announcements;
mod life;
mod outage;
mod policy;
mod seed;

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
    for guarded in [false, true] {
        seed::seed(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        policy::cluster(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        policy::by_hand(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        announcements::wider(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        announcements::narrower(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        announcements::disjoint(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        announcements::second(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        life::label_moved(&mut stage, guarded).await;
    }
    life::label_moved_by_hand(&mut stage).await;
    life::rolled_out(&mut stage).await;
    for guarded in [false, true] {
        life::drained(&mut stage, guarded).await;
    }
    life::drained_by_hand(&mut stage).await;
    for guarded in [false, true] {
        life::speaker_killed(&mut stage, guarded).await;
    }
    for guarded in [false, true] {
        outage::webhook_down(&mut stage, guarded).await;
    }
    stage.write_report();
    say(format_args!("all scenarios took {:.0} s", begun.elapsed().as_secs_f64()));
}

impl Stage {
    /// What people make of the gateway who have thought of nothing: pods anywhere, no policy, announced from
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

    /// Offers an advertisement that is wrong. With Lockstep it is refused for this reason, and the right one made.
    async fn advertise(&mut self, advertisement: &Value, reason: &str, guarded: bool) {
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
        let path = "/api/v1/namespaces/istio-system/services/istio-ingressgateway";
        let service = crate::chart::cluster::read(&self.cluster.client, path).await;
        service["spec"]["externalTrafficPolicy"].as_str().unwrap().to_owned()
    }
}

/// What is expected of a gateway that loses the client's address without Lockstep.
fn lost_without(guarded: bool) -> Expected {
    if guarded { Expected::Kept } else { Expected::Lost }
}
