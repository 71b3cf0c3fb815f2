//! The CAs in the webhook configurations.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::stream::BoxStream;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::error::Error;
use super::news::news;

/// Both configurations of one name.
pub(super) struct Configurations {
    name: String,
    both: [Api<DynamicObject>; 2],
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Every webhook of both was read with the bundle in it.
    Complete,
    /// This many webhooks were given the bundle, and have not been read back yet.
    Mended(u64),
    /// Somebody else changed one in the meantime.
    Conflict,
}

const KINDS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

fn resources() -> [ApiResource; 2] {
    [
        ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    ]
}

/// Items whenever one of them changes.
pub(super) fn changes(client: &Client, name: &str) -> [BoxStream<'static, ()>; 2] {
    resources().map(|resource| news(Api::all_with(client.clone(), &resource), name))
}

impl Configurations {
    pub(super) fn new(client: &Client, name: String) -> Self {
        Self { name, both: resources().map(|resource| Api::all_with(client.clone(), &resource)) }
    }

    /// Gives every webhook `bundle` that has another one, and leaves everything else alone.
    pub(super) async fn align(&self, bundle: &str) -> Result<Found, Error> {
        let bundle = BASE64_STANDARD.encode(bundle);
        let mut all = Found::Complete;
        for (api, kind) in self.both.iter().zip(KINDS) {
            all = all.and(self.align_one(api, kind, &bundle).await?);
        }
        Ok(all)
    }

    async fn align_one(
        &self,
        api: &Api<DynamicObject>,
        kind: &'static str,
        bundle: &str,
    ) -> Result<Found, Error> {
        let failed = |verb, error: &kube::Error| Error::api(format!("{kind} `{}`", self.name), verb, error);
        let configuration = api.get_opt(&self.name).await.map_err(|error| failed("read", &error))?;
        let configuration =
            configuration.ok_or_else(|| Error::NoConfiguration { kind, name: self.name.clone() })?;
        let version = configuration.metadata.resource_version.unwrap_or_default();
        let Some((mended, patch)) = patch(&configuration.data, &version, bundle) else {
            return Ok(Found::Complete);
        };
        match api.patch(&self.name, &PatchParams::default(), &Patch::Json::<()>(patch)).await {
            Ok(_) => Ok(Found::Mended(mended)),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Found::Conflict),
            Err(error) => Err(failed("patched", &error)),
        }
    }
}

impl Found {
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Conflict, _) | (_, Self::Conflict) => Self::Conflict,
            (Self::Mended(one), Self::Mended(other)) => Self::Mended(one.saturating_add(other)),
            (Self::Mended(some), Self::Complete) | (Self::Complete, Self::Mended(some)) => Self::Mended(some),
            (Self::Complete, Self::Complete) => Self::Complete,
        }
    }
}

/// Sets the bundle wherever it is another one: for how many webhooks, and how. `None` if it is nowhere.
fn patch(configuration: &Value, version: &str, bundle: &str) -> Option<(u64, json_patch::Patch)> {
    // A version that is written must be the stored one, or the API server answers with a conflict: the indices
    // are those of the list that was read.
    let guard = json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version});
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
    let all = std::iter::once(guard).chain(sets).collect();
    let patch = serde_json::from_value(Value::Array(all)).ok()?;
    (mended > 0).then_some((mended, patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_bundle_is_left_alone() {
        let configuration = json!({"webhooks": [{"clientConfig": {"caBundle": "eA=="}}]});
        assert!(patch(&configuration, "1", "eA==").is_none());
        assert!(patch(&json!({"webhooks": []}), "1", "eA==").is_none());
        assert!(patch(&json!({}), "1", "eA==").is_none());
    }

    #[test]
    fn only_what_lacks_the_bundle_is_changed() {
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
