//! Tools that render manifests from sources, which are not what is applied.

use serde_json::Value;

/// A tool that renders manifests from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Renderer {
    /// A Helm chart.
    Helm {
        /// Whether the chart names other charts, which are downloaded first.
        has_dependencies: bool,
    },
    /// A kustomization that changes its resources.
    Kustomize,
    /// Terraform or `OpenTofu`.
    Terraform,
    /// Jsonnet.
    Jsonnet,
    /// CUE.
    Cue,
    /// Helmfile.
    Helmfile,
    /// Skaffold.
    Skaffold,
    /// Fleet's bundles.
    Fleet,
    /// cdk8s.
    Cdk8s,
    /// Pulumi.
    Pulumi,
    /// ytt, whose templates are YAML with comments such as `#@ data.values.name`.
    Ytt,
    /// Variables such as `${NAME}` or `{{ NAME }}` that a tool replaces.
    Variables,
    /// A patch of kustomize, which changes another object.
    Patch,
    /// A kustomization that was given as a file, not found in its folder.
    Kustomization,
    /// Flux's `Kustomization`.
    FluxKustomization,
    /// Flux's `HelmRelease`.
    HelmRelease,
    /// Argo CD's `Application`.
    ArgoApplication,
    /// Argo CD's `ApplicationSet`.
    ArgoApplicationSet,
    /// Istio's `IstioOperator`.
    IstioOperator,
}

impl Renderer {
    /// The tool whose sources have this file name; `None` for a manifest, and for any other file.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        Some(match (name, extension) {
            ("helmfile.yaml" | "helmfile.yml" | "helmfile.yaml.gotmpl", _) => Self::Helmfile,
            ("skaffold.yaml" | "skaffold.yml", _) => Self::Skaffold,
            ("fleet.yaml" | "fleet.yml", _) => Self::Fleet,
            ("cdk8s.yaml", _) => Self::Cdk8s,
            ("Pulumi.yaml" | "Pulumi.yml", _) => Self::Pulumi,
            (_, "tf") => Self::Terraform,
            (name, "json") if name.ends_with(".tf.json") => Self::Terraform,
            (_, "jsonnet" | "libsonnet") => Self::Jsonnet,
            (_, "cue") => Self::Cue,
            _ => return None,
        })
    }

    /// The tool that an object configures: what the tool applies is not in the object.
    #[must_use]
    pub fn of_object(object: &Value) -> Option<Self> {
        let field = |name| object.get(name).and_then(Value::as_str);
        if object.get("$patch").is_some() {
            return Some(Self::Patch);
        }
        let (group, _) = field("apiVersion")?.split_once('/')?;
        Some(match (group, field("kind")?) {
            ("kustomize.toolkit.fluxcd.io", "Kustomization") => Self::FluxKustomization,
            ("kustomize.config.k8s.io", "Kustomization" | "Component") => Self::Kustomization,
            (
                "helm.toolkit.fluxcd.io" | "helm.cattle.io",
                "HelmRelease" | "HelmChart" | "HelmChartConfig",
            ) => Self::HelmRelease,
            ("argoproj.io", "Application") => Self::ArgoApplication,
            ("argoproj.io", "ApplicationSet") => Self::ArgoApplicationSet,
            ("install.istio.io", "IstioOperator") => Self::IstioOperator,
            _ => return None,
        })
    }

    /// Whether a text is a template of ytt: a line begins with `#@`, or a value is `#@` and an expression.
    pub(super) fn is_ytt(text: &str) -> bool {
        // Most texts have none, and need no look at each line.
        text.contains("#@")
            && text.lines().any(|line| line.trim_start().starts_with("#@") || line.contains(": #@ "))
    }

    /// Whether a field that is read has a variable such as `${NAME}`, `$(NAME)` or `{{ NAME }}` in it. Shells write the same in the
    /// commands of containers, which are not read.
    #[must_use]
    pub fn is_needed_for(object: &Value) -> bool {
        const NOT_READ: [&str; 8] =
            ["annotations", "args", "command", "containers", "data", "env", "initContainers", "volumes"];
        match object {
            Value::String(text) => has_variable(text),
            Value::Array(items) => items.iter().any(Self::is_needed_for),
            Value::Object(fields) => fields.iter().any(|(key, value)| {
                has_variable(key) || !NOT_READ.contains(&key.as_str()) && Self::is_needed_for(value)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Whether a text has a variable: `${NAME}`, or with a default as in `${NAME:=text}`; `$(NAME)`; `{{ NAME }}`; or it is `$NAME` as a
/// whole.
fn has_variable(text: &str) -> bool {
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let is_braced = |rest: &str| {
        let after = rest.trim_start_matches(is_name);
        after.len() < rest.len() && after.starts_with(['}', ':', '-', '=', '?', '+', '/', '#', '%'])
    };
    let is_in_parentheses = |rest: &str| {
        let after = rest.trim_start_matches(is_name);
        after.len() < rest.len() && after.starts_with(')')
    };
    text.split("${").skip(1).any(is_braced)
        || text.split("$(").skip(1).any(is_in_parentheses)
        || text.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}"))
        || text.strip_prefix('$').is_some_and(|name| !name.is_empty() && name.chars().all(is_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_of_ytt_are_told_from_others() {
        assert!(Renderer::is_ytt("#@ load(\"@ytt:data\", \"data\")\na: 1\n"));
        assert!(Renderer::is_ytt("metadata:\n  name: #@ data.values.name\n"));
        assert!(Renderer::is_ytt("---\n#@overlay/match by=overlay.all\na: 1\n"));
        assert!(!Renderer::is_ytt("# write to admin#@example.com\na: \"b#@c\"\n"));
    }

    #[test]
    fn variables_are_found_where_fields_are_read() {
        let cases = [
            (json!({"metadata": {"name": "${CLUSTER}-pool"}}), true),
            (json!({"spec": {"nodeSelectors": [{"matchLabels": {"edge": "${EDGE:=true}"}}]}}), true),
            (json!({"spec": {"nodeSelector": {"${KEY}": "true"}}}), true),
            (json!({"spec": {"containers": [{"command": ["sh", "-c", "echo ${HOME}"]}]}}), false),
            (json!({"metadata": {"name": "$(CLUSTER)-pool"}}), true),
            (json!({"spec": {"ipAddressPools": ["{{ pool }}"]}}), true),
            (json!({"spec": {"ipAddressPools": ["$POOL"]}}), true),
            (
                json!({"metadata": {"name": "a$b", "labels": {"a": "${}", "b": "${ x }", "c": "$", "d": "$(a b)", "e": "{{"}}}),
                false,
            ),
        ];
        for (object, expected) in cases {
            assert_eq!(Renderer::is_needed_for(&object), expected, "{object}");
        }
    }
}
