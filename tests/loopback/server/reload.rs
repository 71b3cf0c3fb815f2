//! Certificates that are renewed while they are served.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockstep::tls::{CertificateFiles, Source, Tls};
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Trust, soon};
use super::rig::{Rig, limits};

const INTERVAL: Duration = Duration::from_millis(20);

/// A certificate of an authority of its own.
pub(super) struct Issued {
    pub(super) authority: CertificateDer<'static>,
    leaf: CertificateDer<'static>,
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
}

pub(super) fn issue(authority: &str) -> Issued {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, authority);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    Issued {
        authority: authority.der().clone(),
        leaf: leaf.der().clone(),
        cert_pem: leaf.pem(),
        key_pem: key.serialize_pem(),
    }
}

/// Brings a pair into a directory as the kubelet does: a new directory, and a link swapped in one step.
fn publish(volume: &Path, version: &str, issued: &Issued) {
    let data = volume.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("tls.crt"), &issued.cert_pem).unwrap();
    fs::write(data.join("tls.key"), &issued.key_pem).unwrap();
    symlink(version, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

/// A volume as the kubelet mounts it: the files are links into `..data`, which is a link itself.
fn mount(volume: &Path, issued: &Issued) -> CertificateFiles {
    publish(volume, "..v1", issued);
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
    }
    CertificateFiles { cert: volume.join("tls.crt"), key: volume.join("tls.key") }
}

async fn serve(files: CertificateFiles, trust: Trust) -> Rig {
    let mut registry = Registry::default();
    let tls = Tls::start(Source::Files(files), None, INTERVAL, &mut registry).await.unwrap();
    let rig = Rig::with(limits(), tls.config(), trust, registry).await;
    tokio::spawn(tls.run());
    rig
}

async fn until_served(rig: &Rig, issued: &Issued) {
    soon(async { while rig.connect().await.leaf() != issued.leaf {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_served_and_no_call_fails() {
    let (old, new) = (issue("old"), issue("new"));
    let volume = tempfile::tempdir().unwrap();
    let trust = Trust::in_authorities([old.authority.clone(), new.authority.clone()]);
    let rig = Arc::new(serve(mount(volume.path(), &old), trust).await);

    let enough = CancellationToken::new();
    let on_one_connection = tokio::spawn({
        let (rig, enough) = (Arc::clone(&rig), enough.clone());
        async move {
            let mut client = rig.connect().await;
            while !enough.is_cancelled() {
                assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);
            }
            client.leaf()
        }
    });
    let on_new_connections = tokio::spawn({
        let (rig, enough) = (Arc::clone(&rig), enough.clone());
        async move {
            while !enough.is_cancelled() {
                assert_eq!(rig.post("/mutate", "x").await.status, 200);
            }
        }
    });
    rig.shows("connections_open 2").await;
    publish(volume.path(), "..v2", &new);
    until_served(&rig, &new).await;
    enough.cancel();
    assert_eq!(on_one_connection.await.unwrap(), old.leaf, "an open connection keeps what it has");
    on_new_connections.await.unwrap();

    let only_new = Trust::in_authorities([new.authority]);
    assert!(Client::connect(rig.address, &only_new).await.is_ok());
    let only_old = Trust::in_authorities([old.authority]);
    assert!(Client::connect(rig.address, &only_old).await.is_err());
    Arc::into_inner(rig).unwrap().stop().await;
}

#[tokio::test]
async fn a_broken_renewal_keeps_the_last_good_pair() {
    let (old, new) = (issue("old"), issue("new"));
    let volume = tempfile::tempdir().unwrap();
    let trust = Trust::in_authorities([old.authority.clone(), new.authority.clone()]);
    let rig = serve(mount(volume.path(), &old), trust).await;

    let mixed = Issued { cert_pem: new.cert_pem.clone(), key_pem: old.key_pem.clone(), ..issue("mixed") };
    publish(volume.path(), "..v2", &mixed);
    rig.shows("tls_reloads_total{result=\"failed\"} 1").await;
    let mut client = rig.connect().await;
    assert_eq!(client.leaf(), old.leaf);
    assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);

    publish(volume.path(), "..v3", &new);
    until_served(&rig, &new).await;
    rig.stop().await;
}
