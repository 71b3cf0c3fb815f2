//! Mutual TLS: which client certificates are accepted, and what a rejected caller reads.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use lockstep::tls::{CertificateFiles, ClientCa as ClientCaFile, Source, Tls};
use lockstep_test_support::busy::BusyThreads;
use prometheus_client::registry::Registry;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;

use super::client::{Answer, Client, Trust, handshake, request, soon};
use super::reload::{Issued, issue};
use super::test_server::{TestServer, limits};

const INTERVAL: Duration = Duration::from_millis(20);

/// The number of calls of a rejected caller. Whether an alert is lost depends on timing.
const TRIES: usize = 200;

/// The size of an ordinary review.
const REVIEW_BYTES: usize = 17 << 10;

/// A CA that signs client certificates.
struct ClientCa(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

impl ClientCa {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn identity(&self, common: &str, dns: &[&str], usage: ExtendedKeyUsagePurpose) -> Identity {
        let names: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn client(&self, common: &str, dns: &[&str]) -> Identity {
        self.identity(common, dns, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// A server that requires client certificates.
struct MutualTls {
    server: TestServer,
    folder: TempDir,
    trust_anchors: Arc<RootCertStore>,
}

impl MutualTls {
    async fn start(ca: &ClientCa, names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &ca.0.pem());
        let issued = issue("server CA");
        write_certificate(folder.path(), &issued);
        let path = |name| folder.path().join(name);
        let source = Source::Files(CertificateFiles { cert: path("tls.crt"), key: path("tls.key") });
        let client_ca = ClientCaFile {
            path: path("ca.pem"),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut registry = Registry::default();
        let tls = Tls::start(source, Some(client_ca), INTERVAL, &mut registry).await.unwrap();
        let trust = Trust::in_authorities([issued.authority.clone()]);
        let server = TestServer::with(limits(), tls.config(), trust, registry).await;
        tokio::spawn(tls.run());
        Self { server, folder, trust_anchors: trusting(&issued) }
    }

    async fn call(&self, identity: Option<&Identity>) -> io::Result<Answer> {
        self.call_over(rustls::ALL_VERSIONS, identity).await
    }

    async fn call_over(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> io::Result<Answer> {
        self.post_over(versions, identity, "x").await
    }

    async fn post_over(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
        body: &str,
    ) -> io::Result<Answer> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&self.trust_anchors));
        let mut config = match identity {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut client = Client::over(handshake(self.server.address, config).await?);
        // Two writes, as in Go's client: after a reset, the second one fails.
        let request = request("/mutate", body);
        let (head, body) = request.split_at(request.len() - body.len());
        client.send(head).await?;
        client.send(body).await?;
        client.answer().await
    }

    /// Calls many times, over both versions of TLS in turn. Returns the number of errors by text.
    async fn errors(&self, identity: Option<&Identity>) -> BTreeMap<String, usize> {
        let review = "x".repeat(REVIEW_BYTES);
        let attempts = (0..TRIES).map(async |attempt| {
            let version = if attempt % 2 == 0 { &TLS12 } else { &TLS13 };
            self.post_over(&[version], identity, &review).await.unwrap_err().to_string()
        });
        let errors: Vec<String> = stream::iter(attempts).buffer_unordered(20).collect().await;
        errors.into_iter().fold(BTreeMap::new(), |mut counts, error| {
            *counts.entry(error).or_default() += 1;
            counts
        })
    }
}

fn write(folder: &Path, pem: &str) {
    fs::write(folder.join("ca.pem"), pem).unwrap();
}

fn write_certificate(folder: &Path, issued: &Issued) {
    fs::write(folder.join("tls.crt"), &issued.cert_pem).unwrap();
    fs::write(folder.join("tls.key"), &issued.key_pem).unwrap();
}

fn trusting(issued: &Issued) -> Arc<RootCertStore> {
    let mut trust_anchors = RootCertStore::empty();
    trust_anchors.add(issued.authority.clone()).unwrap();
    Arc::new(trust_anchors)
}

#[tokio::test]
async fn only_a_client_certificate_of_the_ca_is_accepted() {
    let (ca, other) = (ClientCa::new("ours"), ClientCa::new("theirs"));
    let mutual = MutualTls::start(&ca, &[]).await;
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let answer = mutual.call_over(versions, Some(&ca.client("anybody", &[]))).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "/mutate x"));
        assert!(mutual.call_over(versions, None).await.is_err());
        assert!(mutual.call_over(versions, Some(&other.client("anybody", &[]))).await.is_err());
    }
    let server_certificate = ca.identity("anybody", &[], ExtendedKeyUsagePurpose::ServerAuth);
    assert!(
        mutual.call(Some(&server_certificate)).await.is_err(),
        "the extended key usage is that of a server"
    );
    // The callers were rejected in the handshake, not by an answer to a request.
    mutual.server.has_metric("tls_handshakes_failed_total{reason=\"caller\"} 5").await;
    mutual.server.has_metric("connections_total 7").await;
    mutual.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_caller_reads_the_alert_on_every_try() {
    let (ca, other) = (ClientCa::new("ours"), ClientCa::new("theirs"));
    let mutual = MutualTls::start(&ca, &["kube-apiserver"]).await;
    let nobody = ca.client("nobody", &[]);
    let stranger = other.client("kube-apiserver", &[]);
    let each = |alert: &str| BTreeMap::from([(format!("received fatal alert: {alert}"), TRIES)]);
    let busy = BusyThreads::start();
    assert_eq!(mutual.errors(None).await, each("CertificateRequired"));
    assert_eq!(mutual.errors(Some(&nobody)).await, each("AccessDenied"));
    assert_eq!(mutual.errors(Some(&stranger)).await, each("UnknownCA"));
    drop(busy);
    assert_eq!(mutual.errors(None).await, each("CertificateRequired"));
    mutual.server.stop().await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_with_the_same_name_is_rejected() {
    let (ca, forged) = (ClientCa::new("ours"), ClientCa::new("ours"));
    let mutual = MutualTls::start(&ca, &[]).await;
    assert!(mutual.call(Some(&forged.client("anybody", &[]))).await.is_err());
    mutual.server.stop().await;
}

#[tokio::test]
async fn a_client_certificate_must_have_one_of_the_names() {
    let ca = ClientCa::new("ours");
    let mutual = MutualTls::start(&ca, &["kube-apiserver", "apiserver.example"]).await;
    for (common, dns, is_let_in) in [
        ("kube-apiserver", &[][..], true),
        ("somebody", &["apiserver.example"], true),
        ("somebody", &["other.example", "apiserver.example"], true),
        ("somebody", &[], false),
        ("somebody", &["other.example"], false),
        ("kube-apiserver.evil", &["evil.apiserver.example"], false),
        ("Kube-Apiserver", &[], false),
    ] {
        let outcome = mutual.call(Some(&ca.client(common, dns))).await;
        assert_eq!(outcome.is_ok(), is_let_in, "{common} {dns:?}");
    }
    mutual.server.stop().await;
}

#[tokio::test]
async fn a_new_client_ca_is_used_and_an_invalid_one_is_not() {
    let (old, new) = (ClientCa::new("old"), ClientCa::new("new"));
    let mutual = MutualTls::start(&old, &[]).await;
    let (with_old, with_new) = (old.client("anybody", &[]), new.client("anybody", &[]));
    assert!(mutual.call(Some(&with_new)).await.is_err());

    write(mutual.folder.path(), "garbage");
    soon(async {
        while mutual.server.metrics().contains("tls_reloads_total{result=\"failed\"} 0\n") {
            tokio::time::sleep(INTERVAL).await;
        }
    })
    .await;
    assert!(mutual.call(Some(&with_old)).await.is_ok(), "the last valid CA still applies");
    assert!(mutual.call(None).await.is_err());

    write(mutual.folder.path(), &format!("{}{}", old.0.pem(), new.0.pem()));
    mutual.server.has_metric("tls_reloads_total{result=\"ok\"} 1").await;
    assert!(mutual.call(Some(&with_old)).await.is_ok());
    assert!(mutual.call(Some(&with_new)).await.is_ok());

    write(mutual.folder.path(), &new.0.pem());
    mutual.server.has_metric("tls_reloads_total{result=\"ok\"} 2").await;
    assert!(mutual.call(Some(&with_old)).await.is_err());
    assert!(mutual.call(Some(&with_new)).await.is_ok());
    mutual.server.stop().await;
}

#[tokio::test]
async fn a_new_pair_is_served_and_client_certificates_are_still_required() {
    let ca = ClientCa::new("ours");
    let mut mutual = MutualTls::start(&ca, &[]).await;
    let caller = ca.client("anybody", &[]);
    let issued = issue("another server CA");
    write_certificate(mutual.folder.path(), &issued);
    mutual.trust_anchors = trusting(&issued);
    soon(async { while mutual.call(Some(&caller)).await.is_err() {} }).await;
    assert!(mutual.call(None).await.is_err());
    mutual.server.stop().await;
}
