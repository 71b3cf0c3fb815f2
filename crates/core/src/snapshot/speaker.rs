//! MetalLB's speaker pods: their detection, nodes and settings.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::labels::Labels;
use crate::labels::nulls::or_default;

/// A speaker pod of MetalLB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Speaker {
    /// The node that the pod is bound to; empty while it is not scheduled.
    pub node: String,
    /// Whether the pod is ready.
    pub is_ready: bool,
    /// The image of the speaker's container; empty if it is unknown.
    pub image: String,
    /// The settings in the container's arguments and environment.
    pub settings: MetalLbSettings,
}

/// The settings of MetalLB that influence the election.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetalLbSettings {
    /// Whether speakers ignore `node.kubernetes.io/exclude-from-external-load-balancers` (`--ignore-exclude-lb`, since
    /// 0.14.4).
    pub ignores_exclude_label: bool,
    /// Whether speakers run without a memberlist, so that no speaker knows which others are live.
    pub lacks_memberlist: bool,
}

/// The fields of a pod that speakers are detected by, and their node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct RunningPod {
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    node_name: String,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    image: String,
    #[serde(deserialize_with = "or_default")]
    command: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    args: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<Variable>,
    #[serde(deserialize_with = "or_default")]
    env_from: Vec<IgnoredAny>,
}

/// Returns the name of an image, and its tag; empty if it has none. A registry may have a port, and a digest is not a
/// tag.
pub(crate) fn image_name(image: &str) -> (&str, &str) {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, tag),
        _ => (image, ""),
    }
}

/// An environment variable.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Variable {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
    /// The source of the value, usually the pod's own address, which is not empty.
    value_from: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
}

impl RunningPod {
    /// Whether the pod is a speaker, by the labels of MetalLB's manifests or chart, or by the image if a chart was
    /// installed under another name.
    #[must_use]
    pub fn is_speaker(&self, labels: &Labels) -> bool {
        let is = |key: &str, value: &str| labels.get(key).is_some_and(|held| held == value);
        is("app", "metallb") && is("component", "speaker")
            || is("app.kubernetes.io/name", "metallb") && is("app.kubernetes.io/component", "speaker")
            || self.spec.containers.iter().any(Container::runs_speaker)
    }

    /// The node that the pod is bound to; empty while it is not scheduled.
    #[must_use]
    pub fn into_node(self) -> String {
        self.spec.node_name
    }

    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }

    /// Returns the container of the speaker, not one of FRR or of a metrics proxy.
    fn container(&self) -> Option<&Container> {
        let containers = || self.spec.containers.iter();
        let is_named = |container: &&Container| container.name == "speaker";
        containers().find(is_named).or_else(|| containers().find(|container| container.runs_speaker()))
    }
}

impl From<RunningPod> for Speaker {
    fn from(pod: RunningPod) -> Self {
        let is_ready = pod.is_ready();
        let container = pod.container();
        let settings = container.map(Container::settings).unwrap_or_default();
        let image = container.map(|container| container.image.clone()).unwrap_or_default();
        Self { node: pod.into_node(), is_ready, image, settings }
    }
}

impl Container {
    /// Whether the image is that of a speaker, including builds and mirrors of others:
    /// `quay.io/metallb/speaker:v0.16.2`, `bitnami/metallb-speaker`.
    fn runs_speaker(&self) -> bool {
        let (path, _) = image_name(&self.image);
        path.contains("metallb") && path.ends_with("speaker")
    }

    /// Returns the settings as `speaker/main.go` reads them: a flag takes precedence over its variable. Without a bind
    /// address or labels of the other speakers there is no memberlist (`New`, internal/speakerlist/speakerlist.go, in
    /// 0.13.5, 0.15.2 and 0.16.2).
    fn settings(&self) -> MetalLbSettings {
        let is_set = |flag: &str, variable: &str| match self.flag(flag) {
            Some(value) => !value.is_empty(),
            None => self.has(variable),
        };
        MetalLbSettings {
            // The texts that Go's `flag.Bool` reads as true (`strconv.ParseBool`).
            ignores_exclude_label: self
                .flag("ignore-exclude-lb")
                .is_some_and(|value| matches!(value, "" | "1" | "t" | "T" | "true" | "TRUE" | "True")),
            lacks_memberlist: !is_set("ml-bindaddr", "METALLB_ML_BIND_ADDR")
                || !is_set("ml-labels", "METALLB_ML_LABELS"),
        }
    }

    /// Returns the value of a flag, in the forms of Go's `flag`: `--name=value`, `-name value`. It is empty for a flag
    /// without a value. The last occurrence counts.
    fn flag(&self, name: &str) -> Option<&str> {
        let all: Vec<&str> = self.command.iter().chain(&self.args).map(String::as_str).collect();
        let mut found = None;
        for (position, argument) in all.iter().enumerate() {
            let Some(flag) = argument.strip_prefix('-').map(|flag| flag.strip_prefix('-').unwrap_or(flag))
            else {
                continue;
            };
            match flag.split_once('=') {
                Some((flag, value)) if flag == name => found = Some(value),
                None if flag == name => {
                    let next = all.get(position.saturating_add(1)).copied();
                    found = Some(next.filter(|next| !next.starts_with('-')).unwrap_or_default());
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a variable has a value. Variables from a `ConfigMap` or Secret are unknown here and count as set.
    fn has(&self, variable: &str) -> bool {
        let mut of_name = self.env.iter().filter(|held| held.name == variable);
        of_name
            .next_back()
            .map_or(!self.env_from.is_empty(), |held| held.value_from.is_some() || !held.value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn speaker(container: &Value) -> Speaker {
        let pod = json!({
            "metadata": {"name": "speaker-x"},
            "spec": {"nodeName": "n1", "containers": [
                {"name": "frr", "image": "quay.io/frrouting/frr:10", "args": ["--ignore-exclude-lb"]},
                container,
            ]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        serde_json::from_value::<RunningPod>(pod).unwrap().into()
    }

    /// Returns a container as in MetalLB's own manifests, with additional arguments and variables.
    fn container(args: &[&str], env: &[Value]) -> Value {
        let image = "quay.io/metallb/speaker:v0.16.2";
        json!({"name": "speaker", "image": image, "args": args, "env": env, "command": null})
    }

    fn memberlist() -> [Value; 2] {
        let address = json!({"fieldRef": {"fieldPath": "status.podIP"}});
        [
            json!({"name": "METALLB_ML_BIND_ADDR", "valueFrom": address}),
            json!({"name": "METALLB_ML_LABELS", "value": "app=metallb,component=speaker"}),
        ]
    }

    #[test]
    fn a_speaker_of_metallbs_own_manifests_has_the_default_settings() {
        let speaker = speaker(&container(&["--port=7472", "--log-level=info"], &memberlist()));
        assert_eq!(
            speaker,
            Speaker {
                node: "n1".to_owned(),
                is_ready: true,
                image: "quay.io/metallb/speaker:v0.16.2".to_owned(),
                settings: MetalLbSettings::default(),
            }
        );
    }

    #[test]
    fn the_exclude_label_is_ignored_with_the_flag() {
        let ignores = |args: &[&str]| speaker(&container(args, &memberlist())).settings.ignores_exclude_label;
        for args in [
            &["--ignore-exclude-lb"][..],
            &["-ignore-exclude-lb=true"],
            &["--ignore-exclude-lb=T", "--port=1"],
            &["--ignore-exclude-lb=false", "--ignore-exclude-lb"],
        ] {
            assert!(ignores(args), "{args:?}");
        }
        for args in [&[][..], &["--ignore-exclude-lb=false"], &["ignore-exclude-lb"], &["--ignore-exclude"]] {
            assert!(!ignores(args), "{args:?}");
        }
    }

    #[test]
    fn without_an_address_or_labels_there_is_no_memberlist() {
        let lacks = |args: &[&str], env: &[Value]| speaker(&container(args, env)).settings.lacks_memberlist;
        let [address, labels] = memberlist();
        assert!(lacks(&[], &[]));
        assert!(lacks(&[], std::slice::from_ref(&labels)));
        assert!(lacks(&[], std::slice::from_ref(&address)));
        assert!(lacks(&["--ml-bindaddr="], &memberlist()), "a flag wins over its variable");
        assert!(lacks(&[], &[json!({"name": "METALLB_ML_BIND_ADDR", "value": ""}), labels.clone()]));
        assert!(!lacks(&[], &memberlist()));
        assert!(!lacks(&["--ml-bindaddr", "0.0.0.0"], &[labels]));
        assert!(!lacks(&["--ml-labels=app=metallb"], &[address]));
        let mut from = container(&[], &[]);
        from["envFrom"] = json!([{"configMapRef": {"name": "memberlist"}}]);
        assert!(!speaker(&from).settings.lacks_memberlist, "variables that cannot be seen may be any");
    }

    #[test]
    fn speakers_are_known_by_their_labels_or_their_image() {
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
        };
        let pod = |image: &str| -> RunningPod {
            serde_json::from_value(json!({"spec": {"containers": [{"name": "x", "image": image}]}})).unwrap()
        };
        let unlabelled = labels(&[]);
        for image in [
            "quay.io/metallb/speaker:v0.13.5",
            "docker.io/bitnami/metallb-speaker:0.14.9-debian-12-r0",
            "registry:5000/mirrored-metallb-speaker@sha256:0123",
        ] {
            assert!(pod(image).is_speaker(&unlabelled), "{image}");
        }
        for image in ["quay.io/metallb/controller:v0.13.5", "loud/speaker:1", "", ":", "@"] {
            assert!(!pod(image).is_speaker(&unlabelled), "{image}");
        }
        assert!(pod("x").is_speaker(&labels(&[("app", "metallb"), ("component", "speaker")])));
        let chart = [("app.kubernetes.io/name", "metallb"), ("app.kubernetes.io/component", "speaker")];
        assert!(pod("x").is_speaker(&labels(&chart)));
        assert!(!pod("x").is_speaker(&labels(&[("app", "metallb"), ("component", "controller")])));
    }
}
