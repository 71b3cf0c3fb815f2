//! The output formats of `lockstep explain`: colours, tables of large clusters, and flowcharts.

use std::fmt::Write as _;
use std::fs;

use lockstep_test_support::golden_file::assert_file_holds;

use super::{explain, states, text};

const SILENT: &str = "tests/cases/state/the-pod-runs-on-a-node-that-nothing-selects.yaml";

#[test]
fn outcomes_are_coloured_only_where_colours_are_wanted() {
    let colored = |arguments: &[&str]| {
        let mut all = vec!["-f", SILENT];
        all.extend(arguments);
        text(&explain(&all).stdout)
    };
    let plain = colored(&[]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
    assert_eq!(colored(&["--color", "never"]), plain);
    let painted = colored(&["--color", "always"]);
    let first = painted.lines().next().unwrap();
    assert!(first.starts_with("10.6.229.180 \u{1b}[1m\u{1b}[91mSILENT\u{1b}[0m: "), "{first:?}");
    let uncolored = painted.replace("\u{1b}[1m\u{1b}[91m", "").replace("\u{1b}[0m", "");
    assert_eq!(uncolored, plain);
    for format in ["json", "mermaid"] {
        assert!(!colored(&["--color", "always", "-o", format]).contains('\u{1b}'), "{format}");
    }
}

/// The state of a case with many more nodes, of which `labelled` are gateway nodes.
fn large(nodes: usize, labelled: usize) -> String {
    let mut state = fs::read_to_string(SILENT).unwrap();
    for number in 0..nodes {
        let labels = if number < labelled { "{loadbalancerIPs.metallb.io: arp}" } else { "{}" };
        writeln!(
            state,
            "---\n{{apiVersion: v1, kind: Node, metadata: {{name: w{number:05}, labels: {labels}}}}}"
        )
        .unwrap();
    }
    state
}

#[test]
fn a_table_of_many_nodes_has_those_that_matter_and_says_how_many_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.yaml");
    let file = path.to_str().unwrap();
    let rows = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["-f", file];
        all.extend(arguments);
        let printed = text(&explain(&all).stdout);
        let table = printed.lines().skip_while(|line| !line.starts_with("  NODE ")).skip(1);
        table.take_while(|line| line.starts_with("  ")).map(str::to_owned).collect()
    };
    fs::write(&path, large(2000, 0)).unwrap();
    let human = rows(&[]);
    assert_eq!(human.len(), 4, "{human:?}");
    assert_eq!(human[3], "  and 2000 more nodes: `-o wide` lists all");
    assert_eq!(rows(&["-o", "wide"]).len(), 2003);
    // Of more gateway nodes than a screen has rows, the node with the pod is still there.
    fs::write(&path, large(2000, 100)).unwrap();
    let human = rows(&[]);
    assert_eq!(human.len(), 31, "{human:?}");
    assert!(human.iter().any(|row| row.starts_with("  n3 ")), "{human:?}");
    assert_eq!(human[30], "  and 1973 more nodes: `-o wide` lists all");
}

#[test]
fn a_wide_table_has_more_columns() {
    let printed = text(
        &explain(&[
            "-f",
            "tests/cases/state/the-gateway-node-is-tainted-and-has-no-speaker.yaml",
            "-o",
            "wide",
        ])
        .stdout,
    );
    let mut lines = printed.lines().skip_while(|line| !line.starts_with("  NODE "));
    assert!(
        lines.next().unwrap().ends_with("ANNOUNCES  ENDPOINTS  NETWORK  TAKES OVER  TAINTS"),
        "{printed}"
    );
    assert!(lines.next().unwrap().ends_with("dedicated=ingress:NoSchedule"), "{printed}");
}

#[test]
fn flowcharts_are_as_they_were_reviewed() {
    let mut charts = 0;
    for state in states() {
        let name = state.file_stem().unwrap().to_str().unwrap();
        let output = explain(&["-f", state.to_str().unwrap(), "-o", "mermaid"]);
        let chart = text(&output.stdout);
        assert!(chart.starts_with("flowchart LR\n"), "{name}: {chart}");
        // Every id is defined before an edge or a class names it.
        let mut known = vec!["client".to_owned()];
        for line in chart.lines().skip(1).map(str::trim) {
            let id: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["classDef", ..] => {}
                ["class", id, _] => assert!(known.contains(&id.to_owned()), "{name}: {line}"),
                [from, arrow, .., to] if !from.contains('"') && arrow.contains('-') => {
                    assert!(
                        known.contains(&from.to_owned()) && known.contains(&to.to_owned()),
                        "{name}: {line}"
                    );
                }
                _ => known.push(id),
            }
        }
        if [
            "one-candidate-only",
            "the-policy-is-cluster",
            "the-last-advertisement-is-gone",
            "announced-by-bgp-alone",
        ]
        .contains(&name)
        {
            assert_file_holds(&state.with_extension("mmd"), &chart);
            charts += 1;
        }
    }
    assert_eq!(charts, 4);
}
