//! Replicas that start at the same time agree on one CA.

use futures::StreamExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::world::{World, create_namespace, until};
use lockstep_test_support::control_plane::{ControlPlane, Options};

const TRIES: usize = 100;
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_start_at_once_agree_on_one_ca_every_time() {
    let control_plane = ControlPlane::start_with(Options::default().alone()).await.unwrap();
    let client = control_plane.client().await.unwrap();
    create_namespace(&client).await;
    let tries = (0..TRIES).map(|index| {
        let client = client.clone();
        async move { agree(World::create(&client, &format!("try-{index}")).await).await }
    });
    let agreed: Vec<()> = futures::stream::iter(tries).buffer_unordered(AT_ONCE).collect().await;
    assert_eq!(agreed.len(), TRIES);
}

async fn agree(world: World) {
    let (mut one, mut other) = tokio::join!(world.replica(), world.replica());
    tokio::join!(one.ready(), other.ready());
    let ca = world.data("ca.crt").await.unwrap();
    assert_eq!(CertificateDer::pem_slice_iter(ca.as_bytes()).count(), 1);
    for key in ["ca-next.crt", "ca-old.crt"] {
        assert_eq!(world.data(key).await, None);
    }
    let (one_issuer, other_issuer) = (one.issuer().unwrap(), other.issuer().unwrap());
    assert_eq!(one_issuer, other_issuer);
    assert_eq!(world.bundles().await, vec![ca.clone(); 4]);
    // Each replica has signed one certificate, so neither has used another CA before.
    for replica in [&mut one, &mut other] {
        assert!(replica.served.has_changed().unwrap());
        replica.served.mark_unchanged();
    }
    drop(one);
    // A replica that starts later uses the same CA.
    let mut late = world.replica().await;
    late.ready().await;
    assert_eq!(late.issuer().unwrap(), other_issuer);
    assert_eq!(world.data("ca.crt").await, Some(ca));
    until("nobody signs again", async || !other.served.has_changed().unwrap()).await;
}
