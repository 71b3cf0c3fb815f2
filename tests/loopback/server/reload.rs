//! Renewal of certificates that are in use, as the kubelet updates a mounted Secret.

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
use super::test_server::{TestServer, limits};

const INTERVAL: Duration = Duration::from_millis(20);

/// A certificate with a CA of its own.
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

/// Writes a pair as the kubelet does: into a new directory, to which one rename then points the link.
fn publish(volume: &Path, version: &str, issued: &Issued) {
    let data = volume.join(version);
    fs::create_dir(&data).unwrap();
    fs::write(data.join("tls.crt"), &issued.cert_pem).unwrap();
    fs::write(data.join("tls.key"), &issued.key_pem).unwrap();
    symlink(version, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

/// A volume as the kubelet mounts it: the files are links into `..data`, which is a link to a directory.
fn mount(volume: &Path, issued: &Issued) -> CertificateFiles {
    publish(volume, "..v1", issued);
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), volume.join(file)).unwrap();
    }
    CertificateFiles { cert: volume.join("tls.crt"), key: volume.join("tls.key") }
}

async fn serve(files: CertificateFiles, trust: Trust) -> TestServer {
    let mut registry = Registry::default();
    let tls = Tls::start(Source::Files(files), None, INTERVAL, &mut registry).await.unwrap();
    let server = TestServer::with(limits(), tls.config(), trust, registry).await;
    tokio::spawn(tls.run());
    server
}

async fn until_served(server: &TestServer, issued: &Issued) {
    soon(async { while server.connect().await.leaf() != issued.leaf {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_and_no_call_fails() {
    let (old, new) = (issue("old"), issue("new"));
    let volume = tempfile::tempdir().unwrap();
    let trust = Trust::in_authorities([old.authority.clone(), new.authority.clone()]);
    let server = Arc::new(serve(mount(volume.path(), &old), trust).await);

    let enough = CancellationToken::new();
    let on_one_connection = tokio::spawn({
        let (server, enough) = (Arc::clone(&server), enough.clone());
        async move {
            let mut client = server.connect().await;
            while !enough.is_cancelled() {
                assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);
            }
            client.leaf()
        }
    });
    let on_new_connections = tokio::spawn({
        let (server, enough) = (Arc::clone(&server), enough.clone());
        async move {
            while !enough.is_cancelled() {
                assert_eq!(server.post("/mutate", "x").await.status, 200);
            }
        }
    });
    server.has_metric("connections_open 2").await;
    publish(volume.path(), "..v2", &new);
    until_served(&server, &new).await;
    enough.cancel();
    assert_eq!(on_one_connection.await.unwrap(), old.leaf, "an open connection keeps its certificate");
    on_new_connections.await.unwrap();

    let only_new = Trust::in_authorities([new.authority]);
    assert!(Client::connect(server.address, &only_new).await.is_ok());
    let only_old = Trust::in_authorities([old.authority]);
    assert!(Client::connect(server.address, &only_old).await.is_err());
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test]
async fn an_invalid_renewal_keeps_the_last_valid_pair() {
    let (old, new) = (issue("old"), issue("new"));
    let volume = tempfile::tempdir().unwrap();
    let trust = Trust::in_authorities([old.authority.clone(), new.authority.clone()]);
    let server = serve(mount(volume.path(), &old), trust).await;

    let mixed = Issued { cert_pem: new.cert_pem.clone(), key_pem: old.key_pem.clone(), ..issue("mixed") };
    publish(volume.path(), "..v2", &mixed);
    server.has_metric("tls_reloads_total{result=\"failed\"} 1").await;
    let mut client = server.connect().await;
    assert_eq!(client.leaf(), old.leaf);
    assert_eq!(client.post("/mutate", "x").await.unwrap().status, 200);

    publish(volume.path(), "..v3", &new);
    until_served(&server, &new).await;
    server.stop().await;
}
