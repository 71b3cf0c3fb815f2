//! The examples of README.md.

use super::*;

#[test]
fn the_seed_is_allowed_with_edits() {
    let (code, report) = as_json(&["examples/seed"], "");
    assert_eq!(code, 0);
    let topology = &report["topologies"][0];
    assert_eq!((&topology["name"], &topology["builtIn"]), (&json!("istio-ingressgateway"), &json!(true)));
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["summary"]["judged"], 4);
    assert_eq!(report["summary"]["edited"], 2);

    let advertisement = object(&report, "L2Advertisement", "default-l2advertisement");
    assert_eq!(advertisement["verdict"], "allow");
    assert!(reasons(advertisement).is_empty());
    assert!(line_at("examples/seed/advertisement.yaml", advertisement).starts_with("apiVersion:"));

    let deployment = object(&report, "Deployment", "istio-ingressgateway");
    let edit = &deployment["edits"][0];
    assert_eq!(deployment["verdict"], "edit");
    assert_eq!(edit["rule"], "gateway-placement");
    assert_eq!(edit["reason"], "PLACED");
    assert_eq!(edit["field"], "spec.template.spec.nodeSelector[loadbalancerIPs.metallb.io]");
    assert_eq!(edit["pointer"], "/spec/template/spec/nodeSelector/loadbalancerIPs.metallb.io");
    assert_eq!(edit["value"], "arp");
    assert_eq!(line_at("examples/seed/gateway.yaml", edit), "spec:");

    let service = object(&report, "Service", "istio-ingressgateway");
    assert_eq!(service["verdict"], "edit");
    assert_eq!(service["edits"][0]["reason"], "MADE_LOCAL");
    assert_eq!(service["edits"][0]["pointer"], "/spec/externalTrafficPolicy");
    assert_eq!(service["edits"][0]["value"], "Local");
}

#[test]
fn text_lists_every_object_with_its_verdict_and_place() {
    let run = run(&["check", "examples/seed"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let listed =
        "allow  L2Advertisement metallb-system/default-l2advertisement  examples/seed/advertisement.yaml:";
    assert!(run.out.contains(listed), "{}", run.out);
    assert!(run.out.contains("`spec.externalTrafficPolicy` would be set to `Local`"), "{}", run.out);
    assert!(run.out.contains("no topology in the input: using the built-in `istio-ingressgateway`\n"));
    let sum = run.out.lines().last().unwrap();
    assert!(sum.starts_with("4 objects judged: 0 denied, 2 would be changed, "), "{sum}");
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn with_strict_an_edit_is_a_rejection() {
    let run = run(&["check", "--strict", "examples/seed"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("error[gateway-placement/PLACED]"), "{}", run.out);
    assert!(!run.out.contains("warning["), "{}", run.out);
}

#[test]
fn every_mistake_is_denied_at_its_line() {
    let (code, report) = as_json(&["examples/broken"], "");
    assert_eq!(code, 1);
    let wider = object(&report, "L2Advertisement", "default-l2advertisement");
    let disjoint = object(&report, "L2Advertisement", "istio-l2advertisement");
    let conflict = object(&report, "Deployment", "istio-ingressgateway");
    for (object, reason, file, line) in [
        (wider, "WIDER", "advertisements", "spec:"),
        (disjoint, "DISJOINT", "advertisements", "matchLabels:"),
        (conflict, "CONFLICT", "gateway", "ndp"),
    ] {
        assert_eq!(object["verdict"], "deny");
        assert_eq!(object["edits"], json!([]));
        assert_eq!(reasons(object), [reason]);
        assert_eq!(line_at(&format!("examples/broken/{file}.yaml"), &object["findings"][0]), line);
        assert!(!object["findings"][0]["help"].as_str().unwrap().is_empty());
    }
    assert_eq!(wider["findings"][0]["witness"]["without"], json!(["loadbalancerIPs.metallb.io"]));
    assert_eq!(wider["findings"][0]["nodes"][0], "demo-dev-master-01");
}

#[test]
fn text_shows_the_line_and_the_remedy_of_a_denial() {
    let run = run(&["check", "examples/broken"]);
    assert_eq!(run.code, 1);
    assert!(run.out.contains("error[gateway-placement/CONFLICT]: "), "{}", run.out);
    assert!(run.out.contains(" |         loadbalancerIPs.metallb.io: ndp\n"), "{}", run.out);
    assert!(run.out.contains("= object: Deployment istio-system/istio-ingressgateway\n"), "{}", run.out);
    assert!(run.out.contains("= help: "), "{}", run.out);
    assert!(run.out.contains("`spec.nodeSelectors` is not set"), "{}", run.out);
    assert!(run.out.ends_with("4 objects judged: 3 denied, 0 would be changed, 0 warnings\n"), "{}", run.out);
}

#[test]
fn with_quiet_only_rejections_are_printed() {
    assert_eq!(run(&["check", "-q", "examples/seed"]).out, "");
    let clusters = ["--cluster-root", "examples/seed", "--cluster-root", "examples/broken"];
    let run = run(&[&["check", "-q"][..], &clusters].concat());
    assert_eq!(run.code, 1);
    assert_eq!(run.out.matches("error[").count(), 3, "{}", run.out);
    assert!(!run.out.contains("warning[") && !run.out.contains("help[") && !run.out.contains("judged"));
}
