//! docs/metrics.md lists every exported metric, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::page::{Family, Page};
use lockstep_test_support::golden_file::assert_part_holds;

const BEGIN: &str = "<!-- What the program exports: tests/control_plane/metrics/table.rs writes it with LOCKSTEP_BLESS=1. -->\n";
const END: &str = "<!-- end -->\n";

/// Returns the name of a metric in queries.
fn queried(family: &Family) -> String {
    let Family { name, kind, .. } = family;
    match kind.as_str() {
        "counter" => format!("`{name}_total`"),
        "info" => format!("`{name}_info`"),
        _ => format!("`{name}`"),
    }
}

fn table(page: &Page) -> String {
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for series in &page.series {
        let own =
            series.labels.keys().map(String::as_str).filter(|label| !["__name__", "le"].contains(label));
        labels.entry(&series.family).or_default().extend(own);
    }
    let rows: BTreeSet<String> = page
        .families
        .iter()
        .map(|family| {
            let labels: Vec<_> =
                labels[family.name.as_str()].iter().map(|label| format!("`{label}`")).collect();
            let help = family.help.trim_end_matches('.');
            format!("| {} | {} | {} | {help} |\n", queried(family), family.kind, labels.join(", "))
        })
        .collect();
    let rows: Vec<_> = rows.into_iter().collect();
    format!("| metric | type | labels | meaning |\n|---|---|---|---|\n{}", rows.concat())
}

/// Asserts that docs/metrics.md has the row of every metric on the page.
pub fn assert_lists(page: &Page) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    assert_part_holds(&path, BEGIN, END, &table(page));
}
