//! The CA Secret on the API server.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde_json::json;

use super::ca_set::{CaSet, CaSetError};
use crate::cluster::describe_error;

/// The duration of a watch request, in seconds. A dead connection is noticed after it.
const WATCH_SECONDS: u32 = 60;

/// A Secret: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    namespace: String,
    name: String,
}

/// The error of a text that is not `NAMESPACE/NAME`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` names no Secret; give NAMESPACE/NAME")]
pub struct SecretNameError(String);

impl FromStr for SecretName {
    type Err = SecretNameError;

    fn from_str(text: &str) -> Result<Self, SecretNameError> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err(SecretNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The error of a Secret that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum SecretError {
    #[error(
        "Secret `{0}` does not exist: create an empty one, as the chart does: `kubectl create secret generic {name} -n {namespace}`",
        name = .0.name,
        namespace = .0.namespace,
    )]
    NotFound(SecretName),
    #[error("Secret `{name}` holds no certificate authority: {problem}")]
    Invalid { name: SecretName, problem: CaSetError },
    #[error("Secret `{name}` cannot be {verb}: {cause}")]
    Api { name: SecretName, verb: &'static str, cause: String },
}

/// The Secret with the CAs.
pub(super) struct CaSecret {
    name: SecretName,
    client: Client,
}

/// The CAs in the Secret, with the version of the Secret.
pub(super) struct Stored {
    pub(super) cas: Option<CaSet>,
    version: Option<String>,
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    /// The Secret has changed since it was read.
    Conflict,
}

impl CaSecret {
    pub(super) const fn new(client: Client, name: SecretName) -> Self {
        Self { name, client }
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.name.namespace)
    }

    /// Yields an item whenever the Secret is created, changed or deleted, and when its watch restarts. Errors of the
    /// watch are omitted, because [`CaSecret::read`] reports them.
    pub(super) fn changes(&self) -> BoxStream<'static, ()> {
        let fields = format!("metadata.name={}", self.name.name);
        let config = watcher::Config::default().fields(&fields).timeout(WATCH_SECONDS);
        let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(self.client.clone(), &self.name.namespace);
        let events = watcher(api, config).default_backoff();
        events.filter_map(async |event| event.ok().map(drop)).boxed()
    }

    pub(super) async fn read(&self) -> Result<Stored, SecretError> {
        let secret = self.api().get_opt(&self.name.name).await;
        let secret = secret.map_err(|error| self.failed("read", &error))?;
        let secret = secret.ok_or_else(|| SecretError::NotFound(self.name.clone()))?;
        let data = secret.data.unwrap_or_default();
        let data = data.into_iter().map(|(key, ByteString(value))| (key, value)).collect();
        let cas = CaSet::parse(&data)
            .map_err(|problem| SecretError::Invalid { name: self.name.clone(), problem })?;
        Ok(Stored { cas, version: secret.metadata.resource_version })
    }

    /// Writes `cas` onto the version of the Secret that was read as `stored`. Other keys of the Secret stay unchanged.
    pub(super) async fn write(&self, stored: &Stored, cas: &CaSet) -> Result<Written, SecretError> {
        let mut data: BTreeMap<&str, Option<ByteString>> =
            CaSet::KEYS.into_iter().map(|key| (key, None)).collect();
        let written = cas.data();
        data.extend(written.iter().map(|(key, value)| (key.as_str(), Some(ByteString(value.clone())))));
        let patch = json!({"metadata": {"resourceVersion": stored.version}, "data": data});
        match self.api().patch(&self.name.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(Written::Yes),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Written::Conflict),
            Err(error) => Err(self.failed("written", &error)),
        }
    }

    fn failed(&self, verb: &'static str, error: &kube::Error) -> SecretError {
        SecretError::Api { name: self.name.clone(), verb, cause: describe_error(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_by_namespace_and_name() {
        let name: SecretName = "lockstep-system/lockstep-ca".parse().unwrap();
        assert_eq!((name.namespace.as_str(), name.name.as_str()), ("lockstep-system", "lockstep-ca"));
        assert_eq!(name.to_string(), "lockstep-system/lockstep-ca");
        for wrong in ["", "lockstep-ca", "/lockstep-ca", "lockstep-system/", "a/b/c"] {
            let error = wrong.parse::<SecretName>().unwrap_err().to_string();
            assert_eq!(error, format!("`{wrong}` names no Secret; give NAMESPACE/NAME"));
        }
    }
}
