//! Renewal of certificate files, as a Secret volume does it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rcgen::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use lockstep_test_support::https::{Connection, trusting};
use lockstep_test_support::reviews::{response, review, seed};
use lockstep_test_support::serve::Serve;
use lockstep_test_support::wait;

type Pair = CertifiedKey<rcgen::KeyPair>;

fn pair() -> Pair {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// Writes a version of the Secret and points `..data` to it, as the kubelet does.
fn mount(volume: &Path, version: &str, pair: &Pair) {
    let folder = volume.join(version);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("tls.crt"), pair.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    symlink(version, volume.join("..data_tmp")).unwrap();
    std::fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

/// Returns the certificate that a new connection gets.
async fn served(address: &str, tls: &TlsConnector) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.unwrap();
    let stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_served_without_a_failed_request() {
    let volume = tempfile::tempdir().unwrap();
    let pairs = [pair(), pair(), pair()];
    mount(volume.path(), "..1", &pairs[0]);
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), volume.path().join(name)).unwrap();
    }
    let path = |name: &str| volume.path().join(name).to_str().unwrap().to_owned();
    let (facts, cert, key) = (seed(), path("tls.crt"), path("tls.key"));
    let arguments =
        ["--facts", facts.to_str().unwrap(), "--tls-cert", &cert, "--tls-key", &key, "--tls-reload", "1"];
    let serve = Serve::start(&arguments, None).await;
    let tls = trusting(&pairs.each_ref().map(|pair| pair.cert.pem()).concat());
    assert_eq!(served(&serve.webhook, &tls).await, pairs[0].cert.der().to_vec());

    let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers: Vec<_> = [true, false]
        .into_iter()
        .map(|keeps_alive| {
            let (address, tls) = (serve.webhook.clone(), tls.clone());
            let (ended, answered) = (Arc::clone(&ended), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut connection = Connection::open(&address, &tls).await;
                while !ended.load(Ordering::Relaxed) {
                    if !keeps_alive {
                        connection = Connection::open(&address, &tls).await;
                    }
                    let answer = connection.post("/mutate", review().to_string()).await;
                    assert_eq!(response(&answer)["allowed"], true);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for (renewals, pair) in pairs.iter().enumerate().skip(1) {
        let before = answered.load(Ordering::Relaxed);
        mount(volume.path(), &format!("..{}", renewals + 1), pair);
        let counted = format!("lockstep_tls_reloads_total{{result=\"ok\"}} {renewals}\n");
        wait::until(&serve.admin, "/metrics", |_, text| text.contains(&counted)).await;
        assert_eq!(served(&serve.webhook, &tls).await, pair.cert.der().to_vec());
        assert!(answered.load(Ordering::Relaxed) > before);
    }
    ended.store(true, Ordering::Relaxed);
    for caller in callers {
        tokio::time::timeout(Duration::from_secs(30), caller).await.unwrap().unwrap();
    }
    let failed = "lockstep_tls_reloads_total{result=\"failed\"} 0\n";
    wait::until(&serve.admin, "/metrics", |_, text| text.contains(failed)).await;
}
