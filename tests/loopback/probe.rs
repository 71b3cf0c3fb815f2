//! `lockstep explain --probe` asks servers on loopback addresses that answer as kube-proxy does at `healthCheckNodePort`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Barrier};
use std::{fs, thread};

use serde_json::{Value, json};

/// The program at a node's address.
enum Answer {
    /// A server with this status and body.
    Http(&'static str, String),
    /// A server that accepts connections and never answers.
    Silence,
    /// No server.
    Nothing,
}

/// The answers at 127.0.0.1 for `n1`, 127.0.0.2 for `n2` and so on, and one port for all of them.
struct Nodes {
    port: u16,
    _silent: Vec<TcpListener>,
}

impl Nodes {
    /// Starts the servers. None answers before all were asked, so that no answer comes to a program that asks one by one.
    fn start(answers: Vec<Answer>) -> Self {
        let listeners = listeners(answers.len());
        let port = listeners[0].local_addr().unwrap().port();
        let servers = answers.iter().filter(|answer| matches!(answer, Answer::Http(..))).count();
        let all_asked = Arc::new(Barrier::new(servers));
        let mut silent = Vec::new();
        for (listener, answer) in listeners.into_iter().zip(answers) {
            match answer {
                Answer::Http(status, body) => {
                    let all_asked = Arc::clone(&all_asked);
                    thread::spawn(move || {
                        for stream in listener.incoming() {
                            answer_request(stream.unwrap(), &all_asked, status, &body);
                        }
                    });
                }
                Answer::Silence => silent.push(listener),
                Answer::Nothing => drop(listener),
            }
        }
        Self { port, _silent: silent }
    }
}

/// One listener for each address, all with the same port.
fn listeners(count: usize) -> Vec<TcpListener> {
    for _ in 0..50 {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let others = (2..=count).map(|node| TcpListener::bind(format!("127.0.0.{node}:{port}")));
        if let Ok(others) = others.collect::<Result<Vec<_>, _>>() {
            return std::iter::once(first).chain(others).collect();
        }
    }
    panic!("no port is free at {count} loopback addresses");
}

fn answer_request(mut stream: TcpStream, all_asked: &Barrier, status: &str, body: &str) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        request.push(byte[0]);
    }
    all_asked.wait();
    let request = String::from_utf8(request).unwrap();
    let (status, body) = if request.starts_with("GET /healthz HTTP/1.1\r\n") {
        (status, body)
    } else {
        ("404 Not Found", "404 page not found")
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    // A program that timed out is gone.
    let _ = stream.write_all(answer.as_bytes());
}

/// The body as kube-proxy writes it.
fn body(name: &str, local: u64, is_healthy: bool) -> String {
    format!(
        "{{\n\t\"service\": {{\n\t\t\"namespace\": \"istio-system\",\n\t\t\"name\": \"{name}\"\n\t}},\n\
         \t\"localEndpoints\": {local},\n\t\"serviceProxyHealthy\": {is_healthy}\n}}"
    )
}

const GATEWAY: &str = "istio-ingressgateway";
const UNAVAILABLE: &str = "503 Service Unavailable";

fn gateway(port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": GATEWAY, "namespace": "istio-system", "labels": {"istio": "ingressgateway"}},
        "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": port,
            "selector": {"app": GATEWAY, "istio": "ingressgateway"}},
        "status": {"loadBalancer": {"ingress": [{"ip": "10.6.229.180"}]}},
    })
}

/// Writes a state with gateway nodes `n1`, `n2` and so on at these addresses, each with a ready gateway pod, but the last one.
fn write_state(path: &Path, service: &Value, addresses: &[Option<&str>]) {
    let mut objects = vec![
        service.clone(),
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": {"name": "default-pool", "namespace": "metallb-system"},
            "spec": {"addresses": ["10.6.229.180-10.6.229.190"]}}),
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
            "metadata": {"name": "arp", "namespace": "metallb-system"},
            "spec": {"nodeSelectors": [{"matchLabels": {"loadbalancerIPs.metallb.io": "arp"}}]}}),
        json!({"apiVersion": "lockstep.dev/v1alpha1", "kind": "GatewayTopology", "metadata": {"name": "edge"},
            "spec": {}}),
    ];
    let mut endpoints = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        let node = format!("n{}", at + 1);
        let addresses = address.map(|address| json!([{"type": "InternalIP", "address": address}]));
        objects.push(json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node, "labels": {"loadbalancerIPs.metallb.io": "arp"}},
            "status": {"addresses": addresses}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("speaker-{node}"), "namespace": "metallb-system",
                "labels": {"app": "metallb", "component": "speaker"}},
            "spec": {"nodeName": node}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        endpoints.push(json!({"addresses": [format!("10.0.0.{at}")], "nodeName": node}));
    }
    endpoints.pop();
    objects.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "gateway", "namespace": "istio-system",
            "labels": {"kubernetes.io/service-name": GATEWAY}},
        "endpoints": endpoints}));
    fs::write(path, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap();
}

fn explain(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    command.arg("explain").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The cells of the column `PROBE`, and the lines below the table.
fn shown(text: &str) -> (Vec<&str>, Vec<&str>) {
    let table = text.lines().skip_while(|line| !line.trim_start().starts_with("NODE ")).skip(1);
    let rows = table.take_while(|line| line.trim_start().starts_with('n'));
    let cells = rows.map(|row| row.rsplit(' ').next().unwrap()).collect();
    (cells, text.lines().filter_map(|line| line.strip_prefix("  probe: ")).collect())
}

#[test]
fn the_answer_of_kube_proxy_on_each_node_is_shown_beside_the_endpoint_slices() {
    let nodes = Nodes::start(vec![
        Answer::Http("200 OK", body(GATEWAY, 1, true)),
        Answer::Http(UNAVAILABLE, body(GATEWAY, 0, true)),
        Answer::Silence,
        Answer::Http("200 OK", "<html>".repeat(10_000)),
        Answer::Nothing,
        Answer::Nothing,
        Answer::Http("200 OK", body("another", 1, true)),
        Answer::Http(UNAVAILABLE, body(GATEWAY, 1, false)),
        Answer::Http(UNAVAILABLE, "service unavailable".to_owned()),
        Answer::Http(UNAVAILABLE, body(GATEWAY, 0, true)),
    ]);
    let port = nodes.port;
    let all: Vec<String> = (1..=10).map(|node| format!("127.0.0.{node}")).collect();
    let addresses: Vec<Option<&str>> =
        all.iter().map(|address| Some(address.as_str()).filter(|address| !address.ends_with(".6"))).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    write_state(&path, &gateway(port), &addresses);
    let path = path.to_str().unwrap();

    let output = explain(&["-f", path, "--probe"]);
    let human = text(&output.stdout);
    let (cells, lines) = shown(&human);
    // In the order of names: `n10` follows `n1`.
    assert_eq!(cells, ["1", "0", "0", "?", "?", "?", "?", "?", "1", "?"], "{human}");
    let next = "read the state again: it may be older than the answer, or the endpoints terminate; else look at the log \
        of kube-proxy there";
    let not_there = "kube-proxy may not run there, or not know the Service";
    let expected = [
        format!("n2: kube-proxy counts 0 ready endpoints on the node, and the EndpointSlices 1; {next}"),
        format!("n3: no answer from 127.0.0.3:{port} in 2 s: the node's firewall may block it from here"),
        format!(
            "n4: 127.0.0.4:{port} answered 200, but not as kube-proxy does: another program may listen there"
        ),
        format!("n5: no answer from 127.0.0.5:{port}: Connection refused: {not_there}"),
        "n6: no `InternalIP` of the Service's family is known in the node's `status.addresses`".to_owned(),
        format!(
            "n7: 127.0.0.7:{port} answered for Service `istio-system/another`: the Service's `healthCheckNodePort` may \
             have changed"
        ),
        format!("n8: kube-proxy at 127.0.0.8:{port} reports that it is not healthy, and answers 503"),
        format!(
            "n9: 127.0.0.9:{port} answered 503, but not as kube-proxy does: another program may listen there"
        ),
    ];
    assert_eq!(lines, expected, "{human}");

    // Without the answers, everything else is the same.
    let without = explain(&["-f", path]);
    assert_eq!(without.status.code(), output.status.code());
    let is_outcome = |line: &&str| !line.starts_with(' ');
    let without = text(&without.stdout);
    assert_eq!(
        human.lines().filter(is_outcome).collect::<Vec<_>>(),
        without.lines().filter(is_outcome).collect::<Vec<_>>()
    );
    assert!(!without.to_lowercase().contains("probe"), "{without}");

    let document: Value =
        serde_json::from_slice(&explain(&["-f", path, "--probe", "-o", "json"]).stdout).unwrap();
    let service = &document["topologies"][0]["services"][0];
    assert_eq!(service.get("notProbed"), None);
    let probes: Vec<&Value> =
        service["addresses"][0]["nodes"].as_array().unwrap().iter().map(|node| &node["probe"]).collect();
    assert_eq!(probes[0], &json!({"localEndpoints": 1, "error": null, "disagreement": null}));
    assert_eq!(probes[2]["localEndpoints"], 0);
    assert_eq!(probes[2]["disagreement"], expected[0].strip_prefix("n2: ").unwrap());
    let silent = expected[1].strip_prefix("n3: ");
    assert_eq!(probes[3], &json!({"localEndpoints": null, "error": silent, "disagreement": null}));
    assert_eq!(probes[1], &json!({"localEndpoints": 0, "error": null, "disagreement": null}));

    let page = text(&explain(&["-f", path, "--probe", "-o", "html"]).stdout);
    assert!(page.contains("<th scope=\"col\">Probe</th>"), "{page}");
    assert!(page.contains("<td>1 local endpoint</td>"), "{page}");
    let plain = page.replace("<code>", "`").replace("</code>", "`");
    for line in &expected {
        let (_, sentence) = line.split_once(": ").unwrap();
        assert!(plain.contains(sentence), "{sentence}: {page}");
    }
}

#[test]
fn a_node_is_asked_at_its_address_of_the_services_family() {
    let nodes = Nodes::start(vec![Answer::Http("200 OK", body(GATEWAY, 1, true))]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    write_state(&path, &gateway(nodes.port), &[Some("::1"), None]);
    let state = fs::read_to_string(&path).unwrap();
    let dual = r#"[{"address":"::1","type":"InternalIP"},{"address":"127.0.0.1","type":"InternalIP"}]"#;
    let changed = state.replace(r#"[{"address":"::1","type":"InternalIP"}]"#, dual);
    assert_ne!(changed, state);
    fs::write(&path, changed).unwrap();
    let output = explain(&["-f", path.to_str().unwrap(), "--probe", "-o", "wide"]);
    let human = text(&output.stdout);
    assert_eq!(shown(&human).0, ["1", "?"], "{human}");
}

#[test]
fn a_service_without_a_health_check_is_named_and_no_node_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let cases = [
        ("Local", json!(null), "the Service has no `healthCheckNodePort`"),
        ("Cluster", json!(31234), "kube-proxy has a health check only for `externalTrafficPolicy: Local`"),
    ];
    for (policy, port, expected) in cases {
        let mut service = gateway(0);
        service["spec"]["externalTrafficPolicy"] = json!(policy);
        service["spec"]["healthCheckNodePort"] = port;
        write_state(&path, &service, &[Some("127.0.0.1"), Some("127.0.0.2")]);
        let path = path.to_str().unwrap();
        let human = text(&explain(&["-f", path, "--probe"]).stdout);
        let line = format!("no node was asked about Service istio-system/{GATEWAY}: {expected}");
        assert_eq!(shown(&human).1, [line], "{human}");
        assert!(!human.contains("PROBE"), "{human}");
        let page = text(&explain(&["-f", path, "--probe", "-o", "html"]).stdout);
        let plain = page.replace("<code>", "`").replace("</code>", "`");
        assert!(plain.contains(&format!("No node was asked: {expected}.")), "{page}");
        assert!(!page.contains(">Probe<"), "{page}");
        let document: Value =
            serde_json::from_slice(&explain(&["-f", path, "--probe", "-o", "json"]).stdout).unwrap();
        let service = &document["topologies"][0]["services"][0];
        assert_eq!(service["notProbed"], expected);
        assert!(
            service["addresses"][0]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .all(|node| node.get("probe").is_none())
        );
    }
}

#[test]
fn no_node_is_asked_about_a_state_that_is_not_there() {
    for arguments in [
        &["--watch"][..],
        &["--with", "-"],
        &["--without", "Node/n1"],
        &["--label-node", "n1:a=b"],
        &["--fail-node", "n1"],
        &["-f", "-", "-o", "mermaid"],
    ] {
        let output = explain(&[&["--probe"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("--probe"), "{}", text(&output.stderr));
    }
}
