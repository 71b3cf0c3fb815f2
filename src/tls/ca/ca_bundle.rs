//! The CA bundle in the webhook configurations: the field `caBundle` of every webhook.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::describe_error;

/// The error for a webhook configuration that cannot be read or patched.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaBundleError {
    #[error(
        "{kind} `{name}` does not exist, so nobody calls this webhook: apply it, or correct `--webhook-configuration`"
    )]
    NotFound { kind: String, name: String },
    #[error("{kind} `{name}` cannot be {verb}: {cause}")]
    Api { kind: String, name: String, verb: &'static str, cause: String },
}

/// The CA bundle in the two webhook configurations of one name.
pub(super) struct CaBundle {
    name: String,
    client: Client,
}

/// The result of comparing the webhook configurations with the CA bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) enum Found {
    /// Every webhook has the bundle.
    Complete(Revision),
    /// The bundle was written to this number of webhooks, and has not been read back yet.
    Mended(u64),
    /// A configuration has changed since it was read.
    Conflict,
}

/// A number that differs if any webhook of a configuration has changed, or the configuration was created anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(super) struct Revision(pub(super) u64);

impl Revision {
    /// `metadata.generation` changes with the webhooks, and not with labels.
    fn of(metadata: &ObjectMeta) -> Self {
        let mut hasher = DefaultHasher::new();
        (&metadata.uid, metadata.generation).hash(&mut hasher);
        Self(hasher.finish())
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0.rotate_left(1) ^ other.0)
    }
}

fn resources() -> [ApiResource; 2] {
    [
        ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    ]
}

impl CaBundle {
    pub(super) const fn new(client: Client, name: String) -> Self {
        Self { name, client }
    }

    /// Reads every webhook configuration, and writes `bundle` into every webhook with another one. It changes no other
    /// field.
    ///
    /// It reads from the API server instead of a watch, which may be out of date: if a CA signs before clients trust
    /// it, their calls fail.
    pub(super) async fn write(&self, bundle: &str) -> Result<Found, CaBundleError> {
        let bundle = BASE64_STANDARD.encode(bundle);
        let [mutating, validating] = resources();
        // Both are read at once, because a rotation must finish within a third of the CA's lifetime, however slow the
        // API server is.
        let (mutating, validating) =
            tokio::join!(self.write_one(&mutating, &bundle), self.write_one(&validating, &bundle));
        Ok(mutating?.and(validating?))
    }

    async fn write_one(&self, resource: &ApiResource, bundle: &str) -> Result<Found, CaBundleError> {
        let (kind, name) = (&resource.kind, &self.name);
        let failed = |verb, error: &kube::Error| CaBundleError::Api {
            kind: kind.clone(),
            name: name.clone(),
            verb,
            cause: describe_error(error),
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let configuration = api.get_opt(name).await.map_err(|error| failed("read", &error))?;
        let configuration = configuration
            .ok_or_else(|| CaBundleError::NotFound { kind: kind.clone(), name: name.clone() })?;
        let revision = Revision::of(&configuration.metadata);
        let version = configuration.metadata.resource_version.unwrap_or_default();
        let Some((mended, patch)) = patch(&configuration.data, &version, bundle) else {
            return Ok(Found::Complete(revision));
        };
        match api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await {
            Ok(_) => Ok(Found::Mended(mended)),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Found::Conflict),
            Err(error) => Err(failed("patched", &error)),
        }
    }
}

impl Found {
    pub(super) const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Conflict, _) | (_, Self::Conflict) => Self::Conflict,
            (Self::Mended(one), Self::Mended(other)) => Self::Mended(one.saturating_add(other)),
            (Self::Mended(some), Self::Complete(_)) | (Self::Complete(_), Self::Mended(some)) => {
                Self::Mended(some)
            }
            (Self::Complete(one), Self::Complete(other)) => Self::Complete(one.and(other)),
        }
    }
}

/// Returns the number of webhooks without `bundle`, and the patch that sets it in them; `None` if every webhook has
/// it.
pub(super) fn patch(configuration: &Value, version: &str, bundle: &str) -> Option<(u64, json_patch::Patch)> {
    // The indices are those of the list that was read. The patch sets the version of that list, so that the API server
    // rejects it with a conflict if the list has changed since.
    let test_version = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version});
    let webhooks = configuration.get("webhooks").and_then(Value::as_array)?;
    let lacks = |(_, webhook): &(usize, &Value)| {
        webhook.pointer("/clientConfig/caBundle").and_then(Value::as_str) != Some(bundle)
    };
    let set = |(index, _)| {
        let path = format!("/webhooks/{index}/clientConfig/caBundle");
        json!({"op": "add", "path": path, "value": bundle})
    };
    let sets: Vec<Value> = webhooks.iter().enumerate().filter(lacks).map(set).collect();
    let mended = u64::try_from(sets.len()).unwrap_or(u64::MAX);
    let all = std::iter::once(test_version).chain(sets).collect();
    let patch = serde_json::from_value(Value::Array(all)).ok()?;
    (mended > 0).then_some((mended, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_with_the_bundle_are_not_patched() {
        let configuration = json!({"webhooks": [{"clientConfig": {"caBundle": "eA=="}}]});
        assert!(patch(&configuration, "1", "eA==").is_none());
        assert!(patch(&json!({"webhooks": []}), "1", "eA==").is_none());
        assert!(patch(&json!({}), "1", "eA==").is_none());
    }

    #[test]
    fn a_revision_differs_if_the_webhooks_or_the_configuration_do() {
        let of = |uid: &str, generation| {
            Revision::of(&ObjectMeta {
                uid: Some(uid.to_owned()),
                generation: Some(generation),
                ..ObjectMeta::default()
            })
        };
        let complete = |one, other| Found::Complete(one).and(Found::Complete(other));
        let [a, changed, recreated, b] = [of("a", 1), of("a", 2), of("c", 1), of("b", 1)];
        assert_eq!(complete(a, b), complete(of("a", 1), of("b", 1)));
        for other in [changed, recreated] {
            assert_ne!(complete(a, b), complete(other, b));
            assert_ne!(complete(b, a), complete(b, other));
        }
        assert_eq!(Found::Mended(1).and(Found::Complete(a)), Found::Mended(1));
        assert_eq!(Found::Complete(a).and(Found::Conflict), Found::Conflict);
    }

    #[test]
    fn only_webhooks_without_the_bundle_are_patched() {
        let service = json!({"namespace": "lockstep-system", "name": "lockstep"});
        let configuration = json!({
            "metadata": {"resourceVersion": "7"},
            "webhooks": [
                {"name": "a", "clientConfig": {"service": service}},
                {"name": "b", "clientConfig": {"service": service, "caBundle": "eA=="}},
                {"name": "c", "clientConfig": {"service": service, "caBundle": "other"}},
            ],
        });
        let (mended, patch) = patch(&configuration, "7", "eA==").unwrap();
        assert_eq!(mended, 2);
        let mut patched = configuration.clone();
        json_patch::patch(&mut patched, &patch).unwrap();
        let mut expected = configuration;
        for webhook in expected["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = "eA==".into();
        }
        assert_eq!(patched, expected);
        assert_eq!(serde_json::to_value(&patch).unwrap()[0]["path"], "/metadata/resourceVersion");
    }
}
