//! The credentials of the API server and of its users.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};

use super::{Error, Result, files};

/// The user with all rights.
pub(super) const ADMIN: &str = "admin";

/// The users with their tokens, `admin` first.
type Tokens = [(&'static str, String); 3];

/// Keys, certificates and tokens of one control plane, generated at each start.
#[derive(Debug)]
pub(super) struct Credentials {
    ca_pem: String,
    tokens: Tokens,
    kubeconfig: PathBuf,
}

impl Credentials {
    /// Writes the files that kube-apiserver's flags name, and a matching kubeconfig.
    pub(super) fn create(directory: &Path, url: &str) -> Result<Self> {
        write_service_account_key(directory)?;
        let ca_pem = write_serving_certificate(directory)?;
        let tokens =
            [(ADMIN, files::random_hex()?), ("alice", files::random_hex()?), ("bob", files::random_hex()?)];
        files::write(&directory.join("tokens.csv"), &tokens_csv(&tokens))?;
        let kubeconfig = directory.join("kubeconfig");
        let content = kubeconfig_for(url, &directory.join("ca.crt"), &tokens);
        files::write(&kubeconfig, &content.to_string())?;
        Ok(Self { ca_pem, tokens, kubeconfig })
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) fn admin_token(&self) -> &str {
        let [(_, token), ..] = &self.tokens;
        token
    }

    pub(super) fn token(&self, name: &str) -> Result<&str> {
        self.tokens.iter().find(|(user, _)| *user == name).map(|(_, token)| token.as_str()).ok_or_else(|| {
            Error::failed(format_args!("there is no user `{name}`; ask for admin, alice or bob"))
        })
    }

    /// A client from the kubeconfig, so that every test checks that file, too.
    pub(super) async fn client(&self, name: &str) -> Result<kube::Client> {
        self.token(name)?;
        self.client_with(name, |_| {}).await
    }

    /// A client as `admin`, who impersonates a user.
    pub(super) async fn client_impersonating(&self, user: &str, groups: &[&str]) -> Result<kube::Client> {
        let impersonate = |config: &mut kube::Config| {
            config.auth_info.impersonate = Some(user.to_owned());
            config.auth_info.impersonate_groups =
                Some(groups.iter().map(|&group| group.to_owned()).collect());
        };
        self.client_with(ADMIN, impersonate).await
    }

    async fn client_with(
        &self,
        name: &str,
        complete: impl FnOnce(&mut kube::Config),
    ) -> Result<kube::Client> {
        let cannot = |error: &dyn std::error::Error| {
            Error::failed(format_args!("cannot make a client from `{}`: {error}", self.kubeconfig.display()))
        };
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).map_err(|error| cannot(&error))?;
        let options = KubeConfigOptions { context: Some(name.to_owned()), ..KubeConfigOptions::default() };
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(|error| cannot(&error))?;
        // A proxy of this machine cannot reach this loopback address.
        config.proxy_url = None;
        // A test must see the first response: retries would hide a 429 or a 503 of a webhook.
        config.default_retry = false;
        complete(&mut config);
        kube::Client::try_from(config).map_err(|error| cannot(&error))
    }
}

/// Writes the key that signs the tokens of service accounts, and its public key.
fn write_service_account_key(directory: &Path) -> Result<()> {
    let key = KeyPair::generate().map_err(|error| cannot_certify(&error))?;
    files::write(&directory.join("service-account.key"), &key.serialize_pem())?;
    files::write(&directory.join("service-account.pub"), &key.public_key_pem())
}

/// Writes a CA and a serving certificate that it has signed. kube-apiserver can sign its own, but then a client could
/// not trust it before it has started.
fn write_serving_certificate(directory: &Path) -> Result<String> {
    let certify = || {
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, "lockstep-tests-ca");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_key = KeyPair::generate()?;
        let ca_pem = ca.self_signed(&ca_key)?.pem();

        let mut serving = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        serving.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = serving.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();
        Ok::<_, rcgen::Error>((ca_pem, certificate, key.serialize_pem()))
    };
    let (ca_pem, certificate, key) = certify().map_err(|error| cannot_certify(&error))?;
    files::write(&directory.join("ca.crt"), &ca_pem)?;
    files::write(&directory.join("tls.crt"), &certificate)?;
    files::write(&directory.join("tls.key"), &key)?;
    Ok(ca_pem)
}

fn cannot_certify(error: &rcgen::Error) -> Error {
    Error::failed(format_args!("cannot make the API server's keys and certificates: {error}"))
}

/// Returns lines of `token,name,uid`, and a group for `admin`. The other users have no rights until a test binds a
/// role to them.
fn tokens_csv(tokens: &Tokens) -> String {
    let line = |(user, token): &(&str, String)| {
        let group = if *user == ADMIN { ",system:masters" } else { "" };
        format!("{token},{user},{user}{group}\n")
    };
    tokens.iter().map(line).collect()
}

fn kubeconfig_for(url: &str, ca: &Path, tokens: &Tokens) -> Value {
    let users: Vec<_> =
        tokens.iter().map(|(user, token)| json!({"name": user, "user": {"token": token}})).collect();
    let contexts: Vec<_> = tokens
        .iter()
        .map(|(user, _)| json!({"name": user, "context": {"cluster": "lockstep-tests", "user": user}}))
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lockstep-tests", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": users,
        "contexts": contexts,
        "current-context": ADMIN,
    })
}
