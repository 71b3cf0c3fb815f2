//! The first scenario as a picture, over IPv4: who announced, who answered, which address was seen.

use super::machines::{AUDIT, CLIENT, GATEWAY, NODES, name_of};
use super::report::Row;

const STYLE: &str = "text{font:13px sans-serif}.s{font-size:11px;fill:#555}.b{fill:#fff;stroke:#444}\
                     .g{fill:#e8f4e8;stroke:#2a7}.a{stroke:#06c;stroke-width:2;fill:none}.p{stroke:#999;fill:none}\
                     .bad{fill:#b00;font-weight:bold}.good{fill:#070;font-weight:bold}";

/// The height of one half.
const HEIGHT: usize = 250;

/// Both halves of the first scenario, over IPv4.
pub fn picture(rows: &[Row]) -> String {
    let halves: Vec<&Row> = [false, true]
        .iter()
        .filter_map(|guarded| rows.iter().find(|row| row.guarded == *guarded && row.target == GATEWAY[0]))
        .collect();
    let height = HEIGHT * halves.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" viewBox=\"0 0 860 {height}\">\n\
         <style>{STYLE}</style>\n<rect width=\"860\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    for (index, row) in halves.into_iter().enumerate() {
        svg.push_str(&format!("<g transform=\"translate(0 {})\">\n{}</g>\n", index * HEIGHT, half(row)));
    }
    svg.push_str("</svg>\n");
    svg
}

fn half(row: &Row) -> String {
    let title = if row.guarded { "With Lockstep" } else { "Without Lockstep" };
    let mut svg = format!("<text x=\"20\" y=\"24\" font-weight=\"bold\">{title}: {}</text>\n", row.scenario);
    svg.push_str(&machine(20, 110, "b", "client", &CLIENT.v4().to_string()));
    svg.push_str(&machine(680, 110, "b", "audit log", &AUDIT.v4().to_string()));
    for (index, node) in NODES.into_iter().enumerate() {
        let y = 40 + 66 * index;
        let answered = row.tally.by.get(node.name).copied().unwrap_or_default();
        let role = if answered > 0 {
            format!("gateway pod answered {answered}")
        } else {
            "no gateway pod answered".to_owned()
        };
        let class = if answered > 0 { "g" } else { "b" };
        svg.push_str(&machine(340, y, class, node.name, &role));
        let middle = y + 24;
        if row.announced == Some(node.name) {
            svg.push_str(&format!("<path class=\"a\" d=\"M180 134L340 {middle}\"/>\n"));
            svg.push_str(&format!(
                "<text class=\"s\" x=\"196\" y=\"{}\">{} is here</text>\n",
                (134 + middle) / 2 - 22,
                row.target
            ));
        }
        if answered > 0 {
            svg.push_str(&format!("<path class=\"p\" d=\"M540 {middle}L680 134\"/>\n"));
        }
    }
    let (class, seen) = seen(row);
    svg.push_str(&format!("<text class=\"{class}\" x=\"560\" y=\"208\">source IP in the log:</text>\n"));
    for (index, address) in seen.iter().enumerate() {
        svg.push_str(&format!(
            "<text class=\"{class}\" x=\"560\" y=\"{}\">{address}</text>\n",
            226 + 16 * index
        ));
    }
    svg
}

/// The addresses in the log, and whether they are the client's.
fn seen(row: &Row) -> (&'static str, Vec<String>) {
    let class = if row.tally.with(row.own) == row.tally.answered { "good" } else { "bad" };
    let line = |(address, count): (&std::net::IpAddr, &usize)| {
        let name = name_of(*address).replace("the pod network's bridge on ", "").replace("demo-dev-", "");
        format!("{name}: {count} times")
    };
    (class, row.tally.seen.iter().map(line).collect())
}

fn machine(x: usize, y: usize, class: &str, name: &str, below: &str) -> String {
    let width = if x == 340 { 200 } else { 160 };
    format!(
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"48\" rx=\"6\"/>\n\
         <text x=\"{0}\" y=\"{1}\">{name}</text>\n<text class=\"s\" x=\"{0}\" y=\"{2}\">{below}</text>\n",
        x + 10,
        y + 20,
        y + 38
    )
}
