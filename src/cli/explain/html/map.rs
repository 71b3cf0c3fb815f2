//! The map of a Service: client, addresses, announcing nodes, gateway pods, Service. The same is said in words, for screen
//! readers, and for screens on which a drawing would be too small to read.

use maud::{Markup, html};

use super::super::service_name;
use super::nodes::role_in_short;
use super::verdict::{self, badge};
use crate::assessment::{AddressAssessment, NodeAssessment, Outcome, ServiceAssessment};
use crate::cli::output::count;
use crate::cli::page::Tone;

/// The most nodes of a map.
const MAX_NODES: usize = 6;
/// The most addresses of a map.
const MAX_ADDRESSES: usize = 6;

/// The left edge and the width of each column, in units of the drawing.
const CLIENT: (f32, f32) = (2.0, 76.0);
const ADDRESS: (f32, f32) = (122.0, 178.0);
const NODE: (f32, f32) = (348.0, 206.0);
const PODS: (f32, f32) = (602.0, 112.0);
const SERVICE: (f32, f32) = (762.0, 176.0);
const WIDTH: f32 = 940.0;
/// The width of a character of the names' font, which is 12 units high, rounded up.
const CHARACTER: f32 = 7.4;
const LINE: f32 = 16.0;
const PADDING: f32 = 9.0;
const GAP: f32 = 16.0;
/// The most lines of a name; the table below the map has it whole.
const MAX_NAME_LINES: usize = 3;

/// What a map shows of a Service.
struct Map<'s> {
    service: &'s ServiceAssessment,
    addresses: Vec<&'s AddressAssessment>,
    nodes: Vec<&'s NodeAssessment>,
    more_addresses: usize,
    more_nodes: usize,
}

/// The map with its legend, and the same in words.
pub(super) fn figure(service: &ServiceAssessment) -> Markup {
    let map = Map::of(service);
    html! {
        figure {
            (map.drawing())
            (map.words())
            (map.legend())
        }
    }
}

impl<'s> Map<'s> {
    fn of(service: &'s ServiceAssessment) -> Self {
        let mut nodes: Vec<&NodeAssessment> =
            service.nodes.iter().filter(|node| rank(service, node) < 4).collect();
        let known = nodes.len();
        nodes.sort_by_key(|node| rank(service, node));
        nodes.truncate(MAX_NODES);
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        let addresses: Vec<_> = service.addresses.iter().take(MAX_ADDRESSES).collect();
        Self {
            service,
            more_addresses: service.addresses.len().saturating_sub(addresses.len()),
            more_nodes: known.saturating_sub(nodes.len()),
            addresses,
            nodes,
        }
    }

    fn is_local(&self) -> bool {
        self.service.policy == "Local"
    }

    fn is_announcing(&self, node: &NodeAssessment) -> bool {
        self.addresses.iter().any(|address| announces(address, node).is_some())
    }

    /// The map in words, one step an item.
    fn words(&self) -> Markup {
        html! {
            ol class="path" aria-label="The way of the client's traffic" {
                li { "Client" }
                li {
                    ul {
                        @for address in &self.addresses {
                            li { (badge(&address.outcome)) " " span class="code" { (name_of(address)) }
                                @if matches!(address.outcome, Outcome::Silent(_)) { ": nothing answers the client" } }
                        }
                        @if self.more_addresses > 0 { li { "and " (self.more_addresses) " more" } }
                    }
                }
                @if !self.nodes.is_empty() {
                    li {
                        ul {
                            @for node in &self.nodes {
                                li { "Node " span class="code" { (node.name) } ": " (self.says(node)) ", " (pods(node)) }
                            }
                            @if self.more_nodes > 0 { li { "and " (count(self.more_nodes, "more node")) ", listed below" } }
                        }
                    }
                }
                @if !self.is_local() {
                    li { "kube-proxy sends the traffic to a pod on any node, and replaces the client's source IP" }
                }
                li { "Service " span class="code" { (service_name(self.service)) } }
            }
        }
    }

    /// What a node does: `announces by layer 2`, or the reason why not.
    fn says(&self, node: &NodeAssessment) -> String {
        let by = self.addresses.iter().find_map(|address| announces(address, node));
        match by {
            Some(by) => format!("announces by {by}"),
            None => role_in_short(self.service, node).0.to_owned(),
        }
    }

    fn legend(&self) -> Markup {
        let has_next = self.addresses.iter().any(|address| address.next.is_some());
        let is_silent = self.addresses.iter().any(|address| matches!(address.outcome, Outcome::Silent(_)));
        let is_announced = self.nodes.iter().any(|node| self.is_announcing(node));
        let line = |class: &str, words: &str| {
            html! {
                span { svg viewBox="0 0 34 10" aria-hidden="true" { path class={ "edge " (class) } d="M1 5h32" {} } (words) }
            }
        };
        html! {
            figcaption class="legend" {
                @if is_announced && self.is_local() { (line("flow", "the way of the client's traffic")) }
                @if is_announced && !self.is_local() {
                    (line("flow", "the way of the client's traffic"))
                    (line("lost", "the client's source IP is replaced"))
                }
                @if has_next { (line("next", "takes over when the announcing node goes")) }
                @if is_silent { (line("cut", "nothing answers the client")) }
            }
        }
    }

    fn drawing(&self) -> Markup {
        let name_lines = |name: &str, column: (f32, f32)| wrapped(name, column.1);
        let client = Shape { class: "", lines: vec![Line::name("client")] };
        let mut addresses: Vec<Shape> = self
            .addresses
            .iter()
            .map(|address| {
                let mut lines = name_lines(name_of(address), ADDRESS);
                lines.push(Line::say(address.outcome.word().to_uppercase()));
                Shape { class: tone_class(&address.outcome), lines }
            })
            .collect();
        if self.more_addresses > 0 {
            let words = format!("and {} more", self.more_addresses);
            addresses.push(Shape { class: "mute", lines: vec![Line::say(words)] });
        }
        let mut nodes: Vec<Shape> = self
            .nodes
            .iter()
            .map(|node| {
                let mut lines = name_lines(&node.name, NODE);
                lines.push(Line::say(self.says(node)));
                let can = role_in_short(self.service, node).1;
                Shape {
                    class: if self.is_announcing(node) {
                        "on"
                    } else if can {
                        ""
                    } else {
                        "mute"
                    },
                    lines,
                }
            })
            .collect();
        if nodes.is_empty() {
            nodes.push(Shape { class: "mute", lines: vec![Line::say("no node".to_owned())] });
        }
        if self.more_nodes > 0 {
            let words = format!("and {}", count(self.more_nodes, "more node"));
            nodes.push(Shape { class: "mute", lines: vec![Line::say(words)] });
        }
        let mut service = name_lines(&service_name(self.service), SERVICE);
        service.push(Line::say("Service".to_owned()));
        let service = Shape { class: "", lines: service };

        let height = column_height(&addresses).max(column_height(&nodes)).max(service.height()) + 4.0;
        let nodes = placed(nodes, NODE, height);
        let addresses = placed(addresses, ADDRESS, height);
        let client = placed(vec![client], CLIENT, height);
        let service = placed(vec![service], SERVICE, height);
        let pods: Vec<Option<Placed>> = self
            .nodes
            .iter()
            .zip(&nodes)
            .map(|(node, at)| {
                let shape = Shape {
                    class: if self.is_announcing(node) { "on" } else { "" },
                    lines: vec![Line::say(pods(node))],
                };
                (node.endpoints > 0).then(|| Placed {
                    left: PODS.0,
                    width: PODS.1,
                    top: at.middle() - shape.height() / 2.0,
                    shape,
                })
            })
            .collect();
        html! {
            svg class="map" viewBox={ "0 0 " (WIDTH) " " (number(height)) } aria-hidden="true" {
                (self.edges(&client, &addresses, &nodes, &pods, &service))
                @for placed in client.iter().chain(&addresses).chain(&nodes).chain(pods.iter().flatten()).chain(&service) {
                    (placed.drawing())
                }
            }
        }
    }

    fn edges(
        &self,
        client: &[Placed],
        addresses: &[Placed],
        nodes: &[Placed],
        pods: &[Option<Placed>],
        service: &[Placed],
    ) -> Markup {
        let mut edges: Vec<(u8, Markup)> = Vec::new();
        for (address, at) in self.addresses.iter().zip(addresses) {
            let is_silent = matches!(address.outcome, Outcome::Silent(_));
            let is_known = !matches!(address.outcome, Outcome::Unknown(_));
            for client in client {
                if is_silent {
                    edges.push((2, cut(client, at)));
                } else {
                    edges.push((2, edge(if is_known { "flow" } else { "plain" }, client, at)));
                }
            }
            for (node, node_at) in self.nodes.iter().zip(nodes) {
                if announces(address, node).is_some() {
                    edges.push((2, edge("flow", at, node_at)));
                } else if address.next.as_ref() == Some(&node.name) {
                    edges.push((1, edge("next", at, node_at)));
                }
            }
        }
        for ((node, node_at), pod) in self.nodes.iter().zip(nodes).zip(pods) {
            let Some(pod) = pod else { continue };
            let is_flow = self.is_local() && self.is_announcing(node) && node.ready_endpoints > 0;
            if self.is_local() {
                edges.push((u8::from(is_flow), edge(if is_flow { "flow" } else { "idle" }, node_at, pod)));
            }
            let has_traffic =
                is_flow || !self.is_local() && self.nodes.iter().any(|node| self.is_announcing(node));
            for service in service {
                let class = match (has_traffic && node.ready_endpoints > 0, self.is_local()) {
                    (true, true) => "flow",
                    (true, false) => "lost",
                    (false, _) => "idle",
                };
                edges.push((u8::from(has_traffic), edge(class, pod, service)));
            }
        }
        if !self.is_local() {
            // kube-proxy may choose any pod, and rewrites the source in any case.
            let announcing = self.nodes.iter().zip(nodes).filter(|(node, _)| self.is_announcing(node));
            for (_, from) in announcing {
                for (node, pod) in self.nodes.iter().zip(pods) {
                    if let Some(pod) = pod.as_ref().filter(|_| node.ready_endpoints > 0) {
                        edges.push((2, edge("lost", from, pod)));
                    }
                }
            }
        }
        // What matters most is drawn last, on top.
        edges.sort_by_key(|(layer, _)| *layer);
        html! { @for (_, edge) in &edges { (edge) } }
    }
}

/// The protocol by which a node announces an address; `None` if it does not.
fn announces(address: &AddressAssessment, node: &NodeAssessment) -> Option<&'static str> {
    if address.announcer.as_ref() == Some(&node.name) {
        Some("layer 2")
    } else {
        address.bgp_announcers.contains(&node.name).then_some("BGP")
    }
}

/// Announcing nodes first, then the next ones, then those with pods, then gateway nodes.
fn rank(service: &ServiceAssessment, node: &NodeAssessment) -> usize {
    let is = |name: &Option<String>| name.as_ref() == Some(&node.name);
    let mut addresses = service.addresses.iter();
    if addresses.any(|held| is(&held.announcer) || held.bgp_announcers.contains(&node.name)) {
        0
    } else if service.addresses.iter().any(|held| is(&held.next)) {
        1
    } else if node.endpoints > 0 {
        2
    } else if node.is_labelled {
        3
    } else {
        4
    }
}

fn name_of(address: &AddressAssessment) -> &str {
    address.address.as_deref().unwrap_or("no address")
}

fn pods(node: &NodeAssessment) -> String {
    if node.endpoints > 0 && node.ready_endpoints == 0 {
        "no ready pod".to_owned()
    } else if node.endpoints == 0 {
        "no gateway pod".to_owned()
    } else {
        count(node.ready_endpoints, "ready pod")
    }
}

const fn tone_class(outcome: &Outcome) -> &'static str {
    match verdict::tone(outcome) {
        Tone::Good => "tone good",
        Tone::Fragile => "tone fragile",
        Tone::Bad => "tone bad",
        Tone::Unknown => "tone unknown",
    }
}

/// A line of text in a shape: a name, or what is said about it.
struct Line {
    text: String,
    is_name: bool,
}

impl Line {
    fn name(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_name: true }
    }

    const fn say(text: String) -> Self {
        Self { text, is_name: false }
    }
}

/// A name in lines that fit into a column. It is broken after a character that separates words, if there is one.
fn wrapped(name: &str, width: f32) -> Vec<Line> {
    let name = lockstep_core::escape::escape(name);
    let fits = |length: u16| f32::from(length) * CHARACTER <= width - 2.0 * PADDING;
    let mut lines: Vec<String> = Vec::new();
    let (mut line, mut length, mut break_at) = (String::new(), 0_u16, None);
    for character in name.chars() {
        if !fits(length.saturating_add(1)) {
            let rest =
                break_at.filter(|at| *at < line.len()).map(|at| line.split_off(at)).unwrap_or_default();
            lines.push(std::mem::replace(&mut line, rest));
            length = u16::try_from(line.chars().count()).unwrap_or(u16::MAX);
            break_at = None;
        }
        line.push(character);
        length = length.saturating_add(1);
        if "-./:".contains(character) {
            break_at = Some(line.len());
        }
    }
    lines.push(line);
    if lines.len() > MAX_NAME_LINES {
        lines.truncate(MAX_NAME_LINES);
        if let Some(last) = lines.last_mut() {
            last.pop();
            last.push('\u{2026}');
        }
    }
    lines.into_iter().map(Line::name).collect()
}

/// A rounded box with lines of text.
struct Shape {
    class: &'static str,
    lines: Vec<Line>,
}

impl Shape {
    fn height(&self) -> f32 {
        let lines = u16::try_from(self.lines.len()).unwrap_or(u16::MAX);
        LINE * f32::from(lines) + 2.0 * PADDING
    }
}

/// A shape at its place.
struct Placed {
    left: f32,
    width: f32,
    top: f32,
    shape: Shape,
}

fn column_height(shapes: &[Shape]) -> f32 {
    shapes.iter().map(|shape| shape.height() + GAP).sum::<f32>() - GAP
}

/// The shapes below each other, in the middle of a height.
fn placed(shapes: Vec<Shape>, (left, width): (f32, f32), height: f32) -> Vec<Placed> {
    let mut top = (height - column_height(&shapes)) / 2.0;
    let place = |shape: Shape| {
        let placed = Placed { left, width, top, shape };
        top += placed.shape.height() + GAP;
        placed
    };
    shapes.into_iter().map(place).collect()
}

/// A coordinate, to a tenth.
fn number(coordinate: f32) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

impl Placed {
    fn middle(&self) -> f32 {
        self.top + self.shape.height() / 2.0
    }

    fn right(&self) -> f32 {
        self.left + self.width
    }

    fn drawing(&self) -> Markup {
        let center = number(self.left + self.width / 2.0);
        let mut baseline = self.top + PADDING + LINE - 4.5;
        let lines = self.shape.lines.iter().map(|line| {
            let at = number(baseline);
            baseline += LINE;
            (line, at)
        });
        let lines: Vec<_> = lines.collect();
        html! {
            g class=(self.shape.class) {
                rect x=(number(self.left)) y=(number(self.top)) width=(number(self.width)) height=(number(self.shape.height())) rx="7" {}
                @for (line, at) in &lines {
                    text class=[(!line.is_name).then_some("say")] x=(center) y=(at) text-anchor="middle" { (line.text) }
                }
            }
        }
    }
}

/// A curve from the right of one shape to the left of another, with a tip.
fn edge(class: &str, from: &Placed, to: &Placed) -> Markup {
    let (x1, y1, x2, y2) = (from.right(), from.middle(), to.left - 7.0, to.middle());
    let half = (x1 + x2) / 2.0;
    let curve = format!(
        "M{} {}C{} {} {} {} {} {}",
        number(x1),
        number(y1),
        number(half),
        number(y1),
        number(half),
        number(y2),
        number(x2),
        number(y2)
    );
    let tip = format!("M{} {}l-8 -4v8z", number(x2 + 7.0), number(y2));
    html! {
        path class={ "edge " (class) } d=(curve) {}
        path class={ "tip " (class) } d=(tip) {}
    }
}

/// A line that ends at a cross, before it reaches the other shape.
fn cut(from: &Placed, to: &Placed) -> Markup {
    let (x1, y1, x2, y2) = (from.right(), from.middle(), to.left, to.middle());
    let (x, y) = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
    let line = format!("M{} {}L{} {}", number(x1), number(y1), number(x), number(y));
    let cross = format!("M{} {}l10 10m0 -10l-10 10", number(x - 5.0), number(y - 5.0));
    html! {
        path class="edge cut" d=(line) {}
        path class="edge cut" d=(cross) {}
    }
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    fn lines(name: &str, width: f32) -> Vec<String> {
        wrapped(name, width).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_name_is_broken_between_its_words_and_never_wider_than_its_column() {
        assert_eq!(lines("n1", 100.0), ["n1"]);
        assert_eq!(lines("worker-03.example.org", 120.0), ["worker-03.", "example.org"]);
        assert_eq!(lines("abcdefghijklmnopqrst", 100.0), ["abcdefghijk", "lmnopqrst"]);
        let long = lines(&"a-".repeat(126), 100.0);
        assert_eq!(long.len(), 3);
        assert!(
            long[2].ends_with('\u{2026}') && long.iter().all(|line| line.chars().count() <= 11),
            "{long:?}"
        );
    }
}
