//! Services, by the defaults and the validation of the API server (`k8s.io/kubernetes/pkg/apis/core`).

use std::collections::BTreeSet;

use fastrand::Rng;
use lockstep::change::Phase;
use lockstep::verdict::{Reason, Verdict};
use serde_json::{Value, json};

use super::{Answer, in_batches, judge, oracle, snapshot};
use crate::random::{chance, pick, weighted};

/// A Service as users write it, with addresses as the API server allocates them before it validates.
fn service(seed: u64) -> Value {
    let mut random = Rng::with_seed(seed);
    let random = &mut random;
    let mut spec = json!({"ports": [{"port": 443}]});
    let kinds = [
        (40, Some("LoadBalancer")),
        (20, Some("NodePort")),
        (15, Some("ClusterIP")),
        (20, None),
        (4, Some("ExternalName")),
        (1, Some("Loadbalancer")),
    ];
    let kind = weighted(random, &kinds);
    if let Some(kind) = kind {
        spec["type"] = json!(kind);
    }
    if kind == Some("ExternalName") {
        spec["externalName"] = json!("gateway.example.com");
    } else {
        let address = if chance(random, 5) { "None" } else { "10.96.0.10" };
        spec["clusterIP"] = json!(address);
        spec["clusterIPs"] = json!([address]);
        spec["ipFamilies"] = json!(["IPv4"]);
        spec["ipFamilyPolicy"] = json!("SingleStack");
    }
    let gateway = if chance(random, 90) { "ingressgateway" } else { "egressgateway" };
    spec["selector"] = json!({"app": format!("istio-{gateway}"), "istio": gateway});
    let policies = [
        (40, None),
        (25, Some("\"Cluster\"")),
        (20, Some("\"Local\"")),
        (5, Some("\"\"")),
        (5, Some("null")),
        (5, Some("\"local\"")),
    ];
    if let Some(policy) = weighted(random, &policies) {
        spec["externalTrafficPolicy"] = written(policy);
    }
    let with_addresses = if matches!(kind, None | Some("ClusterIP")) { 50 } else { 10 };
    let others: [(&str, u32, &[&str]); 5] = [
        (
            "externalIPs",
            with_addresses,
            &[r#"["192.0.2.9"]"#, r#"["192.0.2.9"]"#, "[]", "null", r#"["192.0.2"]"#],
        ),
        ("healthCheckNodePort", 10, &["0", "30100", "-1"]),
        ("allocateLoadBalancerNodePorts", 10, &["true", "false"]),
        ("internalTrafficPolicy", 10, &["\"Local\"", "\"Cluster\"", "null"]),
        ("sessionAffinity", 10, &["\"ClientIP\"", "\"None\""]),
    ];
    for (field, percent, values) in others {
        if chance(random, percent) {
            spec[field] = written(pick(random, values));
        }
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "gateway", "namespace": "istio-system"},
        "spec": spec,
    })
}

fn written(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

fn with_local(service: &Value) -> Value {
    let mut service = service.clone();
    service["spec"]["externalTrafficPolicy"] = json!("Local");
    service
}

fn reasons(verdict: &Verdict) -> BTreeSet<Reason> {
    verdict.findings.iter().map(|finding| finding.reason).collect()
}

#[test]
fn services_are_made_local_exactly_where_the_api_server_accepts_local() {
    let mut oracle = oracle();
    let edge = snapshot(&json!({"service": {"types": ["LoadBalancer", "NodePort", "ClusterIP"]}}));
    let (mut valid, mut made_local, mut untouched) = (0_usize, 0_usize, 0_usize);
    let count = in_batches("Services", |seeds| {
        let services: Vec<Value> = seeds.map(service).collect();
        let mut ask = |documents: &mut dyn Iterator<Item = Value>| -> Vec<Answer> {
            let questions: Vec<String> =
                documents.map(|service| json!({"service": service}).to_string()).collect();
            oracle.ask(&questions)
        };
        let answers = ask(&mut services.iter().cloned());
        let locals = ask(&mut services.iter().map(with_local));
        for ((service, answer), local) in services.iter().zip(answers).zip(locals) {
            // What the API server refuses never gets to validation, and mutation must not change why.
            if !answer.error.is_empty() {
                continue;
            }
            valid += 1;
            let (verdict, patch) = judge(service, Phase::Mutate, &edge);
            let makes_local = reasons(&verdict).contains(&Reason::MadeLocal);
            assert_eq!(makes_local, patch.is_some(), "{verdict:?} of {service}");
            let spec = &service["spec"];
            let leads_to_the_gateway =
                spec["selector"]["istio"] == "ingressgateway" && spec["type"] != "ExternalName";
            let is_local = answer.document["spec"]["externalTrafficPolicy"] == "Local";
            let may_be_local = local.error.is_empty() && leads_to_the_gateway && !is_local;
            assert_eq!(makes_local, may_be_local, "{} of {service}", local.error);
            // Defaults change no verdict: `check` reads manifests without them, and the API server sends objects with them.
            for phase in [Phase::Mutate, Phase::Validate] {
                let (written, defaulted) =
                    (judge(service, phase, &edge).0, judge(&answer.document, phase, &edge).0);
                assert_eq!(reasons(&written), reasons(&defaulted), "{phase:?} of {service}");
                assert_eq!(written.is_denied(), defaulted.is_denied(), "{phase:?} of {service}");
            }
            if makes_local {
                let (validated, _) = judge(&local.document, Phase::Validate, &edge);
                assert!(!validated.is_denied(), "{validated:?} of {}", local.document);
            }
            made_local += usize::from(makes_local);
            untouched += usize::from(!makes_local && !is_local);
        }
    });
    for (what, number) in [("valid", valid), ("made Local", made_local), ("left alone", untouched)] {
        assert!(number * 20 > count && number < count, "{number} of {count} {what}");
    }
}
