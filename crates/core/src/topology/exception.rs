//! Exceptions: objects that a rule of a topology does not edit or deny, for a reason and up to a time.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::escape::excerpt;
use crate::objects::Kind;
use crate::verdict::Rule;

/// An object that a rule does not edit or deny. What the rule would deny is a warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exception {
    /// The id of the rule.
    #[schemars(schema_with = "schema::rule_id")]
    pub rule: String,
    /// The kind of the object.
    #[schemars(schema_with = "schema::judged_kind")]
    pub kind: String,
    /// The namespace of the object.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// The name of the object. A `*` at the end stands for any rest, as in the names of a Deployment's pods.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// The reason for the exception, for those who read it later.
    #[schemars(schema_with = "schema::text")]
    pub reason: String,
    /// The time at which the exception ends. An exception that has ended counts as none; without a time, it never ends.
    #[schemars(schema_with = "schema::time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

impl Exception {
    /// Whether the exception has ended at this time.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until.as_ref().is_some_and(|until| until.0 <= now)
    }

    /// Whether the exception is for this rule and object, whose name may be generated after admission from a prefix.
    pub(crate) fn is_for(
        &self,
        rule: Rule,
        kind: Kind,
        namespace: &str,
        name: &str,
        generate_name: &str,
    ) -> bool {
        let is_named = match self.name.strip_suffix('*') {
            None => self.name == name && !name.is_empty(),
            Some(prefix) if name.is_empty() => generate_name.starts_with(prefix),
            Some(prefix) => name.starts_with(prefix),
        };
        is_named && self.rule == rule.id() && self.kind == kind.name() && self.namespace == namespace
    }
}

impl fmt::Display for Exception {
    /// Writes the exception as part of a sentence: the rule, the object, the end and the reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, kind, namespace, name, reason, until } = self;
        let object = excerpt(&format!("{namespace}/{name}"));
        write!(f, "rule `{}` for {} `{object}`", excerpt(rule), excerpt(kind))?;
        if let Some(until) = until {
            write!(f, " until {}", until.0)?;
        }
        write!(f, " ({})", excerpt(reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(name: &str, until: Option<i64>) -> Exception {
        Exception {
            rule: "gateway-placement".to_owned(),
            kind: "Pod".to_owned(),
            namespace: "istio-system".to_owned(),
            name: name.to_owned(),
            reason: "the rack is rebuilt".to_owned(),
            until: until.map(|second| Time(Timestamp::from_second(second).unwrap())),
        }
    }

    fn is_for(exception: &Exception, name: &str, generate_name: &str) -> bool {
        exception.is_for(Rule::GatewayPlacement, Kind::Pod, "istio-system", name, generate_name)
    }

    #[test]
    fn an_exception_is_for_one_rule_and_object_or_for_names_with_a_prefix() {
        for (pattern, is_so) in
            [("gateway-1", true), ("gateway-*", true), ("*", true), ("gateway", false), ("gateway-2*", false)]
        {
            assert_eq!(is_for(&exception(pattern, None), "gateway-1", ""), is_so, "{pattern}");
        }
        let one = exception("a", None);
        assert!(!one.is_for(Rule::ExternalTrafficPolicy, Kind::Pod, "istio-system", "a", ""));
        assert!(!one.is_for(Rule::GatewayPlacement, Kind::Service, "istio-system", "a", ""));
        assert!(!one.is_for(Rule::GatewayPlacement, Kind::Pod, "edge", "a", ""));
    }

    #[test]
    fn a_name_that_the_api_server_generates_is_known_by_its_prefix() {
        for (pattern, is_so) in
            [("gateway-*", true), ("gateway-5d-x*", false), ("", false), ("gateway-5d-", false)]
        {
            assert_eq!(is_for(&exception(pattern, None), "", "gateway-5d-"), is_so, "{pattern}");
        }
    }

    #[test]
    fn an_exception_ends_at_its_time() {
        let now = Timestamp::from_second(60).unwrap();
        assert!(exception("a", Some(60)).has_ended(now));
        assert!(!exception("a", Some(61)).has_ended(now) && !exception("a", None).has_ended(now));
    }

    #[test]
    fn a_sentence_names_the_object_the_end_and_the_reason() {
        let text = "rule `gateway-placement` for Pod `istio-system/a` until 1970-01-01T00:01:00Z (the rack is rebuilt)";
        assert_eq!(exception("a", Some(60)).to_string(), text);
    }
}
