//! Mends as `kubectl` commands that can be pasted into a shell.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::labels::Labels;
use crate::snapshot::ObjectKey;

/// Quotes a word for a POSIX shell, if it has characters other than letters, digits and marks without a special meaning.
fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

fn kubectl(namespace: Option<&str>, words: &[&str]) -> String {
    let place = namespace.into_iter().flat_map(|namespace| ["-n", namespace]);
    let words = ["kubectl"].into_iter().chain(place).chain(words.iter().copied());
    words.map(word).collect::<Vec<_>>().join(" ")
}

/// Sets labels of nodes.
pub(crate) fn label_nodes(nodes: &[&str], labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let words = ["label", "node"].into_iter().chain(nodes.iter().copied()).chain(["--overwrite"]);
    kubectl(None, &words.chain(pairs.iter().map(String::as_str)).collect::<Vec<_>>())
}

/// Removes a label of nodes.
pub(crate) fn unlabel_nodes(nodes: &[&str], key: &str) -> String {
    let key = format!("{key}-");
    let words = ["label", "node"].into_iter().chain(nodes.iter().copied()).chain([key.as_str()]);
    kubectl(None, &words.collect::<Vec<_>>())
}

/// Sets labels of a Service.
pub(crate) fn label_service(namespace: &str, name: &str, labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let words = ["label", "service", name, "--overwrite"].into_iter();
    kubectl(Some(namespace), &words.chain(pairs.iter().map(String::as_str)).collect::<Vec<_>>())
}

/// Removes annotations of a Service.
pub(crate) fn unannotate_service(namespace: &str, name: &str, keys: &[&str]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("{key}-")).collect();
    let words = ["annotate", "service", name].into_iter().chain(keys.iter().map(String::as_str));
    kubectl(Some(namespace), &words.collect::<Vec<_>>())
}

/// Changes fields of an object: null removes one.
pub(crate) fn patch(kind: &str, namespace: Option<&str>, name: &str, fields: &Value) -> String {
    let kind = kind.to_ascii_lowercase();
    kubectl(namespace, &["patch", &kind, name, "--type", "merge", "-p", &fields.to_string()])
}

/// Adds an item to a list of an object.
pub(crate) fn append(kind: &str, namespace: &str, name: &str, list: &str, item: &str) -> String {
    let operations = json!([{"op": "add", "path": format!("{list}/-"), "value": item}]).to_string();
    let kind = kind.to_ascii_lowercase();
    kubectl(Some(namespace), &["patch", &kind, name, "--type", "json", "-p", &operations])
}

/// Opens an object in an editor.
pub(crate) fn edit(kind: &str, namespace: &str, name: &str) -> String {
    kubectl(Some(namespace), &["edit", &kind.to_ascii_lowercase(), name])
}

/// Creates an object. It fails if the object exists, while `kubectl apply` would replace it.
pub(crate) fn create(object: &Value) -> String {
    format!("printf '%s' {} | kubectl create -f -", word(&object.to_string()))
}

/// Returns a name that no object in the namespace has: `first`, or `first` with a number.
pub(crate) fn free_name<T>(objects: &BTreeMap<ObjectKey, T>, namespace: &str, first: &str) -> String {
    let is_free = |name: &String| {
        !objects.contains_key(&ObjectKey { namespace: namespace.to_owned(), name: name.clone() })
    };
    let numbered = (2_u32..).map(|number| format!("{first}-{number}"));
    std::iter::once(first.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// Sets the number of replicas of a workload.
pub(crate) fn scale(kind: &str, namespace: &str, name: &str, replicas: u32) -> String {
    let kind = kind.to_ascii_lowercase();
    kubectl(Some(namespace), &["scale", &kind, name, &format!("--replicas={replicas}")])
}

/// Creates a `PodDisruptionBudget` that lets one pod with these labels be evicted at a time.
pub(crate) fn create_disruption_budget(namespace: &str, name: &str, labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let selector = format!("--selector={}", pairs.join(","));
    kubectl(Some(namespace), &["create", "poddisruptionbudget", name, &selector, "--max-unavailable=1"])
}

/// The `nodeSelectors` of an advertisement that announces from the nodes with these labels.
pub(crate) fn node_selectors(placement: &Labels) -> Value {
    if placement.is_empty() { Value::Null } else { json!([{"matchLabels": placement}]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_more_into_it() {
        for (text, expected) in [
            ("worker-03", "worker-03"),
            ("a.b/c=d", "a.b/c=d"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$(reboot)", "'$(reboot)'"),
            ("a'b", r"'a'\''b'"),
            ("~root", "'~root'"),
            ("a\nb", "'a\nb'"),
            ("é", "'é'"),
            ("#a", "'#a'"),
        ] {
            assert_eq!(word(text), expected);
        }
    }

    #[test]
    fn commands_are_what_a_person_would_type() {
        let labels: Labels = [("a/b".into(), "c".into())].into();
        assert_eq!(label_nodes(&["n1", "n2"], &labels), "kubectl label node n1 n2 --overwrite a/b=c");
        assert_eq!(unlabel_nodes(&["n1"], "a/b"), "kubectl label node n1 a/b-");
        let fields = json!({"spec": {"externalTrafficPolicy": "Local"}});
        assert_eq!(
            patch("Service", Some("istio-system"), "gateway", &fields),
            r#"kubectl -n istio-system patch service gateway --type merge -p '{"spec":{"externalTrafficPolicy":"Local"}}'"#
        );
        assert_eq!(create(&json!({"a": "b'"})), r#"printf '%s' '{"a":"b'\''"}' | kubectl create -f -"#);
    }
}
