//! The assessment as a Mermaid flowchart, for documents and issues: client, address, announcing nodes, pods, Service.

use std::fmt::Write as _;

use super::super::render::printable;
use super::{Explained, service_name};
use crate::assessment::{AddressAssessment, NodeAssessment, Outcome, ServiceAssessment};
use crate::cli::output::count;

/// The most addresses in one diagram; more are not readable, and Mermaid itself stops at 500 edges.
const MAX_ADDRESSES: usize = 20;
/// The most nodes of one Service.
const MAX_NODES: usize = 8;

/// The assessment as a flowchart.
pub(super) fn text(explained: &Explained) -> String {
    let mut chart = Chart { text: String::from("flowchart LR\n"), last_id: 0 };
    chart.line(r#"client(["client"])"#);
    let mut addresses = 0_usize;
    let mut left_out = 0_usize;
    for topology in &explained.assessment.topologies {
        for service in &topology.services {
            if addresses >= MAX_ADDRESSES {
                left_out = left_out.saturating_add(1);
                continue;
            }
            addresses = addresses.saturating_add(service.addresses.len());
            let before = |address: &AddressAssessment| {
                let before = explained.before.as_ref()?;
                before.address(&topology.name, &service.key, address.address.as_deref())
            };
            chart.service(service, before);
        }
    }
    if left_out > 0 {
        let words = format!("{left_out} more Services: name one to see it");
        chart.line(&format!("more[\"{}\"]", label(&words)));
    }
    for (class, style) in [
        ("good", "fill:#d7f0dc,stroke:#2e7d32,color:#111"),
        ("fragile", "fill:#fff3cd,stroke:#b8860b,color:#111"),
        ("bad", "fill:#f8d7da,stroke:#b02a37,color:#111"),
        ("unknown", "fill:#e2e3e5,stroke:#6c757d,color:#111"),
    ] {
        chart.line(&format!("classDef {class} {style}"));
    }
    chart.text
}

struct Chart {
    text: String,
    last_id: usize,
}

impl Chart {
    fn line(&mut self, words: &str) {
        // Writing into a String does not fail.
        let _ = writeln!(self.text, "  {words}");
    }

    /// A shape with an id of its own.
    fn shape(&mut self, open: &str, words: &str, close: &str) -> String {
        self.last_id = self.last_id.saturating_add(1);
        let id = format!("x{}", self.last_id);
        self.line(&format!("{id}{open}\"{}\"{close}", label(words)));
        id
    }

    fn service<'b>(
        &mut self,
        service: &ServiceAssessment,
        before: impl Fn(&AddressAssessment) -> Option<&'b AddressAssessment>,
    ) {
        let id = self.shape("[", &format!("Service {}", service_name(service)), "]");
        let shown = shown(service);
        let mut nodes: Vec<(&str, String)> = Vec::new();
        for node in &shown {
            nodes.push((&node.name, self.shape("[", &format!("node {}", node.name), "]")));
        }
        let missing =
            service.nodes.iter().filter(|node| matters(service, node)).count().saturating_sub(shown.len());
        if missing > 0 {
            self.shape("[", &format!("{missing} more nodes"), "]");
        }
        let mut pods = Vec::new();
        for (node, (_, node_id)) in shown.iter().zip(&nodes) {
            if node.ready_endpoints > 0 {
                let pod = self.shape("([", &count(node.ready_endpoints, "ready gateway pod"), "])");
                self.line(&format!("{pod} --- {id}"));
                pods.push((node_id, pod));
            }
        }
        let is_local = service.policy == "Local";
        if is_local {
            for (node, pod) in &pods {
                self.line(&format!("{node} --> {pod}"));
            }
        }
        for address in &service.addresses {
            let entry = self.address(address, before(address), &nodes);
            if !is_local {
                // kube-proxy may choose any pod, and rewrites the source in any case.
                for (node, (_, pod)) in entry.iter().flat_map(|node| pods.iter().map(move |pod| (node, pod)))
                {
                    self.line(&format!("{node} -.->|\"client's source IP lost\"| {pod}"));
                }
            }
        }
    }

    /// An address with its edges. Returns the nodes that announce it.
    fn address(
        &mut self,
        address: &AddressAssessment,
        before: Option<&AddressAssessment>,
        nodes: &[(&str, String)],
    ) -> Vec<String> {
        let shown = address.address.as_deref().unwrap_or("no address");
        let word = address.outcome.word().to_uppercase();
        let word = match before {
            Some(before) => format!("{} -> {word}", before.outcome.word().to_uppercase()),
            None => word,
        };
        let id = self.shape("{{", &format!("{shown} {word}"), "}}");
        let class = match address.outcome {
            Outcome::Preserved => "good",
            Outcome::Fragile(_) => "fragile",
            Outcome::Lost(_) | Outcome::Silent(_) => "bad",
            Outcome::Unknown(_) => "unknown",
        };
        self.line(&format!("class {id} {class}"));
        let arrow = if matches!(address.outcome, Outcome::Silent(_)) { "--x" } else { "-->" };
        self.line(&format!("client {arrow} {id}"));
        if let Some(cause) = address.outcome.cause() {
            let why = self.shape("[/", &cause.message, "/]");
            self.line(&format!("{id} -.- {why}"));
        }
        let id_of = |name: &str| nodes.iter().find(|(held, _)| *held == name).map(|(_, id)| id.clone());
        let mut announcing = Vec::new();
        if let Some(node) = address.announcer.as_deref().and_then(id_of) {
            self.line(&format!("{id} -->|\"layer 2\"| {node}"));
            announcing.push(node);
        }
        for node in address.bgp_announcers.iter().filter_map(|name| id_of(name)) {
            self.line(&format!("{id} -->|BGP| {node}"));
            announcing.push(node);
        }
        if let Some(node) = address.next.as_deref().and_then(id_of) {
            self.line(&format!("{id} -.->|next| {node}"));
        }
        announcing
    }
}

fn matters(service: &ServiceAssessment, node: &NodeAssessment) -> bool {
    node.ready_endpoints > 0 || rank(service, node) < 2
}

/// Announcing nodes first, then the next ones, then those with pods.
fn rank(service: &ServiceAssessment, node: &NodeAssessment) -> usize {
    let is = |name: &Option<String>| name.as_ref() == Some(&node.name);
    let announces =
        |address: &AddressAssessment| is(&address.announcer) || address.bgp_announcers.contains(&node.name);
    if service.addresses.iter().any(announces) {
        0
    } else if service.addresses.iter().any(|address| is(&address.next)) {
        1
    } else {
        2
    }
}

/// The nodes that a diagram shows, in order of their names.
fn shown(service: &ServiceAssessment) -> Vec<&NodeAssessment> {
    let mut nodes: Vec<&NodeAssessment> =
        service.nodes.iter().filter(|node| matters(service, node)).collect();
    nodes.sort_by_key(|node| rank(service, node));
    nodes.truncate(MAX_NODES);
    nodes.sort_by(|one, other| one.name.cmp(&other.name));
    nodes
}

/// Text in a quoted label. Whatever Mermaid could read as syntax, Markdown, HTML or a directive is an entity code.
fn label(text: &str) -> String {
    let mut label = String::new();
    for character in printable(text).chars() {
        if character.is_alphanumeric() || " .,:-_/()=+'".contains(character) {
            label.push(character);
        } else {
            let _ = write!(label, "#{};", u32::from(character));
        }
    }
    label
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_label_holds_nothing_that_mermaid_reads_as_syntax() {
        assert_eq!(label("10.6.229.180 SILENT"), "10.6.229.180 SILENT");
        assert_eq!(label(r#"a"] --> b"#), "a#34;#93; --#62; b");
        assert_eq!(label("%%{init: {}}%%"), "#37;#37;#123;init: #123;#125;#125;#37;#37;");
        assert_eq!(label("`n1` <b>#1;"), "#96;n1#96; #60;b#62;#35;1#59;");
        assert!(!label("a\nb").contains('\n'));
    }
}
