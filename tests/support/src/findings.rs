//! The findings of every case with their texts: `findings.yaml` in the folder of the case, written by
//! `LOCKSTEP_BLESS=1`.
//!
//! `case.yaml` is written by hand and contains what programs rely on: verdict, reason codes, edits. `findings.yaml`
//! contains what people read, so a changed message shows up as a diff to review, and `LOCKSTEP_BLESS=1` never changes
//! a code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lockstep_core::labels::Witness;
use lockstep_core::verdict;
use serde::{Deserialize, Serialize};

use super::golden_file::assert_file_holds;

/// The maximum number of causes in a denial.
const CAUSES: usize = 16;
/// The maximum length of a denial message and of a cause, in bytes.
const MESSAGE_LIMIT: usize = 4096;
/// The maximum length of a warning, in bytes.
const WARNING_LIMIT: usize = 256;
/// The width of the lines of a file, in characters.
const WIDTH: usize = 110;
/// The namespaces of cases.
const NAMESPACES: [&str; 2] = ["istio-system", "metallb-system"];
/// The variant of a case that has no modes.
const ALWAYS: &str = "always";

/// A finding as a user can see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `deny`, `warn` or `audit`.
    pub severity: String,
    /// The id of the rule.
    pub rule: String,
    /// The reason code.
    pub reason: String,
    /// The name of the topology.
    pub topology: String,
    /// The path of the field.
    pub field: String,
    /// The mistake.
    pub message: String,
    /// The remedy, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// The labels that prove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Proof>,
    /// The nodes of the finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

/// The labels of a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The labels that the witness has.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The keys that the witness lacks.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub without: BTreeSet<String>,
}

impl From<&verdict::Finding> for Finding {
    fn from(finding: &verdict::Finding) -> Self {
        let proof = |Witness { labels, without }: &Witness| Proof {
            labels: labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            without: without.iter().map(ToString::to_string).collect(),
        };
        Self {
            severity: finding.severity.word().to_owned(),
            rule: finding.rule.id().to_owned(),
            reason: finding.reason.code().to_owned(),
            topology: finding.topology.to_string(),
            field: finding.field.to_string(),
            message: finding.message.clone(),
            help: finding.help.clone(),
            witness: finding.witness.as_ref().map(proof),
            nodes: finding.nodes.clone(),
        }
    }
}

impl Finding {
    /// The finding on one line with all of its fields, as the rules and `check` return it.
    pub fn whole(&self) -> String {
        format!("{}\n      help: {}", self.recorded(), self.help)
    }

    /// The finding as the decision log records it: everything but the help.
    pub fn recorded(&self) -> String {
        let Self { severity, rule, reason, topology, field, message, nodes, .. } = self;
        recorded([severity, rule, reason, field, topology, message, &self.witness_text()], nodes)
    }

    /// The witness as text.
    fn witness_text(&self) -> String {
        let Some(Proof { labels, without }) = &self.witness else { return String::new() };
        let witness = Witness {
            labels: labels.iter().map(|(key, value)| (key.into(), value.into())).collect(),
            without: without.iter().map(Into::into).collect(),
        };
        witness.to_string()
    }

    /// The audit annotations of this finding, if it is the first of the most severe ones.
    pub fn annotated(&self) -> String {
        let Self { rule, reason, topology, .. } = self;
        let witness = self.witness_text();
        let node = if witness.is_empty() { "" } else { "a node " };
        annotation([rule, reason, topology, &format!("{node}{witness}")])
    }

    /// The finding with other names of topologies and namespaces.
    pub fn renamed(&self, suffix: &str, topologies: &[&str]) -> Self {
        let rename = |text: &str| {
            let text = topologies.iter().fold(text.to_owned(), |text, name| {
                text.replace(&format!("`{name}`"), &format!("`{name}{suffix}`"))
            });
            NAMESPACES.iter().fold(text, |text, name| {
                text.replace(&format!("`{name}`"), &format!("`{name}{suffix}`"))
                    .replace(&format!("`{name}/"), &format!("`{name}{suffix}/"))
            })
        };
        Self {
            topology: format!("{}{suffix}", self.topology),
            message: rename(&self.message),
            help: rename(&self.help),
            ..self.clone()
        }
    }
}

/// A finding without its help.
pub fn recorded(
    [severity, rule, reason, field, topology, message, witness]: [&str; 7],
    nodes: &[impl std::fmt::Debug],
) -> String {
    format!(
        "{severity} {rule} {reason} at {field} for {topology}: {message}\n      witness: {witness}, nodes: {nodes:?}"
    )
}

/// The audit annotations of a response: rule, reason, topology and witness.
pub fn annotation([rule, reason, topology, witness]: [&str; 4]) -> String {
    format!("annotated: {rule} {reason} for {topology}, witness {witness}")
}

/// All findings with all of their fields.
pub fn whole(findings: &[Finding]) -> BTreeSet<String> {
    findings.iter().map(Finding::whole).collect()
}

/// The texts in the API server's response to a user: the denial, its causes, and the warnings.
pub fn answered(findings: &[Finding]) -> BTreeSet<String> {
    let of = |severity: &'static str| findings.iter().filter(move |finding| finding.severity == severity);
    let sentence = |finding: &Finding| {
        let Finding { rule, reason, topology, message, help, .. } = finding;
        let separator = if help.is_empty() { "" } else { "; " };
        format!("{message}{separator}{help} ({rule} {reason}, topology {topology})")
    };
    let denials: Vec<String> = of("deny").map(sentence).collect();
    let denied = (!denials.is_empty()).then(|| denied(&cut(&denials.join("; also: "), MESSAGE_LIMIT)));
    let causes =
        of("deny").take(CAUSES).map(|Finding { reason, field, message, .. }| cause(reason, field, message));
    let warnings = of("warn").map(|Finding { rule, reason, message, help, .. }| {
        let separator = if help.is_empty() { "" } else { ": " };
        warned(&cut(&format!("{rule} {reason}: {message}{separator}{help}"), WARNING_LIMIT))
    });
    denied.into_iter().chain(causes).chain(warnings).collect()
}

/// The message of a denial.
pub fn denied(message: &str) -> String {
    format!("denied: {message}")
}

/// One cause of a denial.
pub fn cause(reason: &str, field: &str, message: &str) -> String {
    format!("cause: {reason} at {field}: {message}")
}

/// A warning.
pub fn warned(warning: &str) -> String {
    format!("warning: {warning}")
}

fn cut(text: &str, limit: usize) -> String {
    assert!(text.is_ascii(), "messages of cases are ASCII: {text}");
    if text.len() <= limit { text.to_owned() } else { format!("{}...", &text[..limit - 3]) }
}

/// The first of the most severe findings, which the audit annotations describe.
pub fn headline(findings: &[Finding]) -> Option<&Finding> {
    let first = |severity| findings.iter().find(|finding: &&Finding| finding.severity == severity);
    ["deny", "warn", "audit"].into_iter().find_map(first)
}

/// The audit annotations of a case's responses that a case compares: those of the most severe finding, and those that
/// match no finding. The two responses of a case may be annotated with different findings.
pub fn annotations(findings: &[Finding], seen: impl IntoIterator<Item = String>) -> Vec<String> {
    let expected = headline(findings).map(Finding::annotated);
    let of_an_edit = |text: &String| text.contains(" PLACED ");
    let explained =
        |text: &String| of_an_edit(text) || findings.iter().any(|finding| finding.annotated() == *text);
    seen.into_iter().filter(|text| expected.as_ref() == Some(text) || !explained(text)).collect()
}

/// The findings of the variants of one case.
#[derive(Debug, Default)]
pub struct File(BTreeMap<String, Vec<Finding>>);

impl File {
    /// Reads the file of a case. A case without findings has no file.
    pub fn read(folder: &Path) -> Self {
        let path = folder.join("findings.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else { return Self::default() };
        let held =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()));
        Self(held)
    }

    /// The findings in this `match` mode.
    pub fn of(&self, mode: Option<&str>, is_metallb_0_13_5: bool) -> Vec<Finding> {
        let find = |variant: &str| {
            self.0
                .iter()
                .find(|(variants, _)| variants.split(", ").any(|of| of == variant))
                .map(|(_, findings)| findings)
        };
        let variant = mode.unwrap_or(ALWAYS);
        let old = is_metallb_0_13_5.then(|| find(&on_metallb_0_13_5(variant))).flatten();
        old.or_else(|| find(variant)).cloned().unwrap_or_default()
    }
}

fn on_metallb_0_13_5(variant: &str) -> String {
    format!("{variant} on MetalLB 0.13.5")
}

/// The actual findings of a variant of a case.
#[derive(Debug)]
pub struct Seen<'c> {
    /// The folder of the case.
    pub folder: &'c Path,
    /// The `match` mode.
    pub mode: Option<&'c str>,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The findings where MetalLB's CRDs of 0.13.5 prune fields.
    pub on_metallb_0_13_5: Vec<Finding>,
}

/// Compares the files with the actual findings, or writes them with `LOCKSTEP_BLESS=1`.
pub fn assert_files_hold(seen: &[Seen<'_>]) {
    let mut folders: BTreeMap<&Path, Vec<(String, &[Finding])>> = BTreeMap::new();
    for Seen { folder, mode, findings, on_metallb_0_13_5: old } in seen {
        let variants = folders.entry(folder).or_default();
        let variant = mode.unwrap_or(ALWAYS);
        variants.push((variant.to_owned(), findings));
        if old != findings {
            variants.push((on_metallb_0_13_5(variant), old));
        }
    }
    for (folder, variants) in folders {
        let path = folder.join("findings.yaml");
        let text = text(&variants);
        if text.is_empty() && std::env::var_os("LOCKSTEP_BLESS").is_some() {
            let _ = std::fs::remove_file(&path);
        } else {
            assert_file_holds(&path, &text);
        }
    }
}

/// The text of the file: one list for all variants with the same findings; empty without findings.
fn text(variants: &[(String, &[Finding])]) -> String {
    let mut groups: Vec<(Vec<&str>, &[Finding])> = Vec::new();
    for (variant, findings) in variants {
        match groups.iter_mut().find(|(_, of)| of == findings) {
            Some((names, _)) => names.push(variant),
            None => groups.push((vec![variant], findings)),
        }
    }
    if groups.iter().all(|(_, findings)| findings.is_empty()) {
        return String::new();
    }
    let options = serde_saphyr::ser_options! { folded_wrap_chars: WIDTH };
    let list = |(names, findings): (Vec<&str>, &[Finding])| {
        let one = BTreeMap::from([(names.join(", "), findings)]);
        serde_saphyr::to_string_with_options(&one, options.clone()).unwrap()
    };
    groups.into_iter().map(list).collect()
}
