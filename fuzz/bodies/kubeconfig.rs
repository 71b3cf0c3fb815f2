//! Kubeconfigs: any file makes a client or is refused in a sentence.
//!
//! Files that name other files or programs are left out, because kube would read and run them.

use std::io::Write;
use std::sync::LazyLock;

use kube::config::Kubeconfig;
use lockstep::cluster::connect_to;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    drop(rustls::crypto::ring::default_provider().install_default());
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
});

pub(super) fn body(bytes: &[u8]) {
    if std::str::from_utf8(bytes).is_ok_and(|text| !is_closed(text)) {
        return;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.write_all(bytes).expect("a temporary file can be written");
    for context in [None, Some("other")] {
        RUNTIME.block_on(async {
            if let Err(error) = connect_to(Some(file.path()), context).await {
                super::assert_is_sentence(&error, &[]);
            }
            // The task of a dropped client ends once it runs; without it, a million clients take 300 MB.
            tokio::task::yield_now().await;
        });
    }
}

/// Whether nothing but this file is read.
fn is_closed(text: &str) -> bool {
    let Ok(config) = Kubeconfig::from_yaml(text) else { return true };
    let mut users = config.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
    let mut clusters = config.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref());
    users.all(|user| {
        user.exec.is_none()
            && user.auth_provider.is_none()
            && user.token_file.is_none()
            && user.client_certificate.is_none()
            && user.client_key.is_none()
    }) && clusters.all(|cluster| cluster.certificate_authority.is_none())
}
