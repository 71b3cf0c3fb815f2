//! Replicas that start and stop under load, as in a rolling update, a node drain or a crash. A real API server calls
//! three real replicas, each with a certificate that it signs itself, through a load balancer that works as a Service.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use futures::future::join_all;
use lockstep_test_support::api::create;
use lockstep_test_support::balancer::Balancer;
use lockstep_test_support::control_plane::ControlPlane;
use lockstep_test_support::load::{Admission, Load, Record};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::{replica, wait};

const REPLICAS: usize = 3;
const TERMINATED: usize = 30;
const KILLED: usize = 10;

/// The time that endpoints and kube-proxy need to direct new connections to other replicas. `--drain` covers it.
const LAG: Duration = Duration::from_millis(500);
const DRAIN: &str = "5";

/// 250 admissions a second: a trickle that leaves most of the API server's 25 idle connections unused, and bursts that
/// use all of them and open more.
const BURSTS: &[usize] = &[10, 10, 10, 70];
const EVERY: Duration = Duration::from_millis(100);
/// The least rate, which only proves that there was load. The actual rate depends on the machine and is printed.
const RATE: f64 = 50.0;

/// A cluster with replicas, the oldest first.
struct Cluster {
    control_plane: ControlPlane,
    balancer: Balancer,
    replicas: VecDeque<Serve>,
}

impl Cluster {
    async fn start() -> Self {
        let balancer = Balancer::start_as_service([]).await;
        let (control_plane, client) = replica::start_furnished(&balancer.address).await;
        let mut cluster = Self { control_plane, balancer, replicas: VecDeque::new() };
        create(&client, &replica::topology("arp")).await;
        for started in join_all((0..REPLICAS).map(|_| cluster.replica())).await {
            cluster.replicas.push_back(started);
        }
        cluster.endpoints_are_known();
        cluster
    }

    /// Starts a replica and waits until it is ready.
    async fn replica(&self) -> Serve {
        let replica = replica::start(&self.control_plane, &["--drain", DRAIN]).await;
        wait::until_ready(&replica.admin).await;
        replica
    }

    async fn load(&self) -> Load {
        Load::start(self.control_plane.client().await.unwrap(), BURSTS, EVERY)
    }

    /// Does the work of the endpoint controllers: new connections go to ready replicas, and open connections stay.
    fn endpoints_are_known(&self) {
        self.balancer.set(self.replicas.iter().map(|replica| replica.webhook.clone()));
    }

    /// Starts one more replica, as a Deployment does before it deletes another one.
    async fn surge(&mut self) {
        let replica = self.replica().await;
        self.replicas.push_back(replica);
        tokio::time::sleep(LAG).await;
        self.endpoints_are_known();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_replaced_one_after_the_other_lose_no_admission() {
    let mut cluster = Cluster::start().await;
    let load = cluster.load().await;
    for _ in 0..TERMINATED {
        cluster.surge().await;
        let mut oldest = cluster.replicas.pop_front().unwrap();
        oldest.signal("TERM");
        wait::until(&oldest.admin, "/readyz", |status, _| status == 503).await;
        tokio::time::sleep(LAG).await;
        cluster.endpoints_are_known();
        let (code, said) = oldest.ended().await;
        assert_eq!(code, Some(0), "{said:?}");
    }
    let record = load.end().await;
    tell(&record, &format!("{TERMINATED} replicas terminated"));
    assert_eq!((record.reasons(), record.unchecked()), (BTreeSet::new(), 0));
    assert!(record.rate() > RATE, "{} a second", record.rate());
}

/// The killing of a replica, and the calls that it may lose: over HTTP/1.1 a connection carries one call at a time.
struct Loss {
    /// From the kill to the time at which the load balancer knows of it.
    during: (Instant, Instant),
    /// The connections to the replica at the kill, and those that were still opened to it later.
    connections: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_a_replica_fails_only_the_calls_on_its_connections() {
    let mut cluster = Cluster::start().await;
    let load = cluster.load().await;
    let mut losses = Vec::new();
    for _ in 0..KILLED {
        cluster.surge().await;
        let oldest = cluster.replicas.pop_front().unwrap();
        losses.push(kill(&cluster, oldest).await);
    }
    let record = load.end().await;
    let causes: Vec<Vec<usize>> = record.failed().map(|(admission, _)| causes(admission, &losses)).collect();
    let connections: Vec<usize> = losses.iter().map(|loss| loss.connections).collect();
    let failed: Vec<usize> =
        (0..KILLED).map(|loss| causes.iter().filter(|causes| **causes == [loss]).count()).collect();
    tell(&record, &format!("{KILLED} replicas killed, {failed:?} failures on {connections:?} connections"));
    assert_eq!(record.unchecked(), 0);
    assert!(causes.iter().all(|causes| !causes.is_empty()), "{:?}", record.reasons());
    assert!(causes.len() <= connections.iter().sum());
    assert!(failed.iter().zip(&connections).all(|(failed, connections)| failed <= connections));
    assert!(record.rate() > RATE, "{} a second", record.rate());
}

async fn kill(cluster: &Cluster, mut replica: Serve) -> Loss {
    let address = replica.webhook.clone();
    let (killed, before) = (Instant::now(), cluster.balancer.tally(&address));
    replica.child.kill().await.unwrap();
    tokio::time::sleep(LAG).await;
    cluster.endpoints_are_known();
    let after = cluster.balancer.tally(&address);
    Loss { during: (killed, Instant::now()), connections: before.open + after.refused }
}

/// Returns the losses during an admission: none, one, or on a busy machine several.
fn causes(admission: &Admission, losses: &[Loss]) -> Vec<usize> {
    let lived_through =
        |Loss { during: (killed, heard), .. }: &Loss| admission.started < *heard && admission.ended > *killed;
    (0..losses.len()).filter(|loss| lived_through(&losses[*loss])).collect()
}

fn tell(record: &Record, what: &str) {
    println!(
        "{what}: {} admissions with the placement in {:.0} s, {:.0} a second; {} failed, {} unchecked: {:?}",
        record.placed(),
        record.took.as_secs_f64(),
        record.rate(),
        record.failed().count(),
        record.unchecked(),
        record.reasons(),
    );
}
