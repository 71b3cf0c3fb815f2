//! `lockstep explain -o html`: one page that needs nothing else, whatever the cluster's names and size are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use lockstep_core::escape::is_unsafe;
use lockstep_test_support::golden_file::assert_file_holds;
use lockstep_test_support::markup::{Tag, tags};
use serde_json::{Value, json};

use super::{explain, states, text};

fn page(arguments: &[&str]) -> String {
    let mut all = vec!["-o", "html"];
    all.extend(arguments);
    let output = explain(&all);
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The page without its style, which is the same in every page.
fn without_style(page: &str) -> String {
    let (before, rest) = page.split_once("<style>").unwrap();
    let (_, after) = rest.split_once("</style>").unwrap();
    let (start, rest) = before.split_once("'sha256-").unwrap();
    let (_, end) = rest.split_once('\'').unwrap();
    format!("{start}'sha256-...'{end}<style></style>{after}")
}

#[test]
fn pages_are_as_they_were_reviewed() {
    let mut pages = 0;
    for state in states() {
        let name = state.file_stem().unwrap().to_str().unwrap();
        if ["the-gateway-survives-drains-and-rollouts", "the-last-advertisement-is-gone"].contains(&name) {
            let page = without_style(&page(&["-f", state.to_str().unwrap()]));
            assert_file_holds(&state.with_extension("html"), &page);
            pages += 1;
        }
    }
    assert_eq!(pages, 2);
}

fn named<'t>(tags: &'t [Tag], name: &str) -> impl Iterator<Item = &'t Tag> {
    tags.iter().filter(move |tag| tag.name == name)
}

#[test]
fn every_page_has_landmarks_headings_in_order_and_tables_with_captions_and_scopes() {
    for state in states() {
        let path = state.to_str().unwrap();
        let page = page(&["-f", path]);
        let tags = tags(&page);
        for landmark in ["header", "main", "footer", "h1", "title"] {
            assert_eq!(named(&tags, landmark).count(), 1, "{path}: {landmark}");
        }
        let level = |tag: &Tag| tag.name.strip_prefix('h').and_then(|level| level.parse::<u8>().ok());
        let levels: Vec<u8> = tags.iter().filter_map(level).collect();
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{path}: {levels:?}");
        let ids: Vec<&str> = tags.iter().filter_map(|tag| tag.attribute("id")).collect();
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(unique.len(), ids.len(), "{path}: {ids:?}");
        for tag in &tags {
            let label = tag.attribute("aria-labelledby");
            let link = tag.attribute("href").and_then(|link| link.strip_prefix('#'));
            assert!(label.into_iter().chain(link).all(|id| unique.contains(id)), "{path}: {tag:?}");
        }
        assert_eq!(named(&tags, "table").count(), named(&tags, "caption").count(), "{path}");
        assert!(named(&tags, "th").all(|tag| tag.attribute("scope").is_some()), "{path}");
        // A drawing is hidden, because the same is said in words.
        assert!(named(&tags, "svg").all(|tag| tag.attribute("aria-hidden") == Some("true")), "{path}");
        assert!(named(&tags, "pre").all(|tag| tag.attribute("tabindex") == Some("0")), "{path}");
    }
}

#[test]
fn a_page_has_the_verdict_the_cause_the_mend_and_every_node_that_the_text_has() {
    for state in states() {
        let path = state.to_str().unwrap();
        let (page, document) = (page(&["-f", path]), super::document(&["-f", path]));
        let shown = page.replace("<code>", "`").replace("</code>", "`");
        let has = |words: &str| {
            let escaped = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            assert!(shown.contains(&escaped.replace('"', "&quot;")), "{path} lacks {words}");
        };
        for (_, address) in super::addresses(&document) {
            has(&address["outcome"].as_str().unwrap().to_uppercase());
            for field in ["address", "reason", "message", "mend"] {
                address[field].as_str().inspect(|words| has(words));
            }
            for command in address["commands"].as_array().unwrap() {
                has(&format!("`{}`", command.as_str().unwrap()));
            }
            for node in address["nodes"].as_array().unwrap() {
                let row = format!("<th scope=\"row\">{}</th>", node["name"].as_str().unwrap());
                assert!(page.contains(&row), "{path} lacks {row}");
            }
        }
        for finding in document["topologies"][0]["findings"].as_array().unwrap() {
            has(finding["message"].as_str().unwrap());
        }
        for condition in document["topologies"][0]["conditions"].as_array().unwrap() {
            has(condition["reason"].as_str().unwrap());
        }
    }
}

#[test]
fn a_what_if_shows_the_outcome_before_and_after_and_what_would_be_gone() {
    let state = "tests/cases/state/announced-by-bgp-alone.yaml";
    let silent = page(&["-f", state, "--fail-node", "n1", "--fail-node", "n2"]);
    assert!(silent.contains("This is the state as it would be. Nothing was changed."), "{silent}");
    assert!(silent.contains("PRESERVED</span><span>to</span>"), "{silent}");
    let gone = page(&["-f", state, "--without", "service/istio-system/istio-ingressgateway"]);
    assert!(gone.contains("<strong>GONE</strong>: 10.6.229.180"), "{gone}");
}

#[test]
fn warnings_are_on_the_page_and_on_standard_error() {
    let nodes = "{apiVersion: v1, kind: Node, metadata: {name: n1}}";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nodes.yaml");
    fs::write(&path, nodes).unwrap();
    let output = explain(&["-o", "html", "-f", path.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("no GatewayTopology in the input"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("no GatewayTopology in the input"), "{}", text(&output.stdout));
}

#[test]
fn a_page_cannot_be_printed_again_and_again_and_the_command_that_follows_the_cluster_is_named() {
    let output = explain(&["-o", "html", "--watch"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
    assert_eq!(
        text(&output.stderr),
        "lockstep: `--watch` would print one page after another: `lockstep dashboard` shows one that follows the cluster\n"
    );
}

/// Names that would leave their element, start a script, or turn the text around, if they were not escaped.
const HOSTILE: [&str; 9] = [
    "</code><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style><script>",
    "<!--",
    "]]>&lt;&#x3c;script>",
    "a`b`<b>`c",
    "\u{202e}drawkcab\u{2066}\u{200b}",
    "bell\u{7}escape\u{1b}[31mnull\u{0}line\nfeed\u{2028}",
];

fn hostile_state(name: &str) -> String {
    let labels = json!({"app": "istio-ingressgateway", "istio": "ingressgateway"});
    let topology = json!({"apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": name},
        "spec": {"addressPools": [name]}});
    let node = json!({"apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"loadbalancerIPs.metallb.io": "arp"}},
        "spec": {"taints": [{"key": name, "value": name, "effect": "NoSchedule"}]}});
    let pool = json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": name, "namespace": "metallb-system"}, "spec": {"addresses": ["10.6.229.180/32"]}});
    let advertisement = json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
        "metadata": {"name": name, "namespace": "metallb-system"}, "spec": {"ipAddressPools": [name]}});
    let service = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "istio-system", "labels": labels},
        "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "selector": labels},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.6.229.180"}, {"ip": name}, {"hostname": name}]}}});
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "istio-system", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": name}]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "istio-system", "labels": labels}, "spec": {"nodeName": name}});
    let objects: Vec<Value> = vec![topology, node, pool, advertisement, service, slice, pod];
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}

#[test]
fn no_name_leaves_its_element_and_none_changes_how_the_page_reads() {
    const TAGS: [&str; 45] = [
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "a",
        "header",
        "p",
        "svg",
        "path",
        "span",
        "main",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "section",
        "ul",
        "ol",
        "li",
        "b",
        "code",
        "pre",
        "figure",
        "figcaption",
        "g",
        "rect",
        "text",
        "details",
        "summary",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "footer",
        "nav",
        "strong",
        "time",
        "aside",
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.yaml");
    for name in HOSTILE {
        fs::write(&path, hostile_state(name)).unwrap();
        let file = path.to_str().unwrap();
        let mut runs = vec![vec!["-f", file], vec!["-f", file, "--metallb", "0.13.5"]];
        if !name.contains('\0') {
            runs.push(vec!["-f", file, "--fail-node", name]);
        }
        for arguments in runs {
            let page = page(&arguments);
            assert!(page.chars().all(|letter| letter == '\n' || !is_unsafe(letter)), "{name:?}");
            for tag in tags(&page) {
                assert!(TAGS.contains(&tag.name.as_str()), "{name:?}: {tag:?}");
                assert!(!tag.attributes.iter().any(|(name, _)| name.starts_with("on")), "{name:?}: {tag:?}");
            }
        }
    }
}

#[test]
fn a_page_about_ten_thousand_nodes_is_small_and_says_what_it_leaves_out() {
    let mut state =
        fs::read_to_string("tests/cases/state/the-pod-runs-on-a-node-that-nothing-selects.yaml").unwrap();
    for number in 0..10_000 {
        let labels = if number < 300 { "{loadbalancerIPs.metallb.io: arp}" } else { "{}" };
        writeln!(
            state,
            "---\n{{apiVersion: v1, kind: Node, metadata: {{name: w{number:05}, labels: {labels}}}}}"
        )
        .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.yaml");
    fs::write(&path, state).unwrap();
    let page = page(&["-f", path.to_str().unwrap()]);
    assert!(page.len() < 200_000, "{} bytes", page.len());
    assert!(page.contains("<b>9700 other nodes</b>") && page.contains("and 9650 more: "), "{page}");
    assert!(page.contains("10003 nodes in the state"), "{page}");
    // The one node with a gateway pod is there all the same.
    assert!(page.contains("<th scope=\"row\">n3</th>"), "{page}");
}
