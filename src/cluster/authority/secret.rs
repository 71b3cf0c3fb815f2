//! The Secret: read, and written only onto the version that was read.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use futures::stream::BoxStream;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::json;

use super::error::Error;
use super::news::news;
use crate::certs::authority::Authority;

/// Where a Secret is: `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What is no `NAMESPACE/NAME`.
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

/// The Secret on its API server.
pub(super) struct Store {
    name: SecretName,
    api: Api<Secret>,
}

/// What a Secret held when it was read.
pub(super) struct Held {
    pub(super) authority: Option<Authority>,
    version: Option<String>,
}

/// Somebody else was faster.
pub(super) struct Conflict;

impl Store {
    pub(super) fn new(client: Client, name: SecretName) -> Self {
        Self { api: Api::namespaced(client, &name.namespace), name }
    }

    pub(super) async fn read(&self) -> Result<Held, Error> {
        let secret = self.api.get_opt(&self.name.name).await.map_err(|error| self.failed("read", &error))?;
        let secret = secret.ok_or_else(|| Error::NoSecret(self.name.clone()))?;
        let data = secret.data.unwrap_or_default();
        let data = data.into_iter().map(|(key, ByteString(value))| (key, value)).collect();
        let authority = Authority::parse(&data)
            .map_err(|problem| Error::BadSecret { name: self.name.to_string(), problem })?;
        Ok(Held { authority, version: secret.metadata.resource_version })
    }

    /// Writes `authority` if the Secret is still the one that was `held`, and leaves everything else in it alone.
    pub(super) async fn write(
        &self,
        held: &Held,
        authority: &Authority,
    ) -> Result<Result<(), Conflict>, Error> {
        let mut data: BTreeMap<&str, Option<ByteString>> =
            Authority::KEYS.into_iter().map(|key| (key, None)).collect();
        let written = authority.data();
        data.extend(written.iter().map(|(key, value)| (key.as_str(), Some(ByteString(value.clone())))));
        let patch = json!({"metadata": {"resourceVersion": held.version}, "data": data});
        match self.api.patch(&self.name.name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Ok(_) => Ok(Ok(())),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Err(Conflict)),
            Err(error) => Err(self.failed("written", &error)),
        }
    }

    fn failed(&self, verb: &'static str, error: &kube::Error) -> Error {
        Error::api(format!("Secret `{}`", self.name), verb, error)
    }
}

/// An item whenever the Secret changes.
pub(super) fn changes(client: &Client, name: &SecretName) -> BoxStream<'static, ()> {
    let resource = ApiResource::erase::<Secret>(&());
    news(Api::namespaced_with(client.clone(), &name.namespace, &resource), &name.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_named_with_its_namespace() {
        let name: SecretName = "lockstep-system/lockstep-ca".parse().unwrap();
        assert_eq!((name.namespace.as_str(), name.name.as_str()), ("lockstep-system", "lockstep-ca"));
        assert_eq!(name.to_string(), "lockstep-system/lockstep-ca");
        for wrong in ["", "lockstep-ca", "/lockstep-ca", "lockstep-system/", "a/b/c"] {
            let error = wrong.parse::<SecretName>().unwrap_err().to_string();
            assert_eq!(error, format!("`{wrong}` names no Secret; give NAMESPACE/NAME"));
        }
    }
}
