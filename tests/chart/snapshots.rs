//! The rendered manifests are files in the repository, so that a review shows every change of them.

use std::path::Path;

use lockstep_test_support::golden_file::assert_file_holds;
use lockstep_test_support::helm::{Helm, VALUES, chart, text};

/// The beginnings of template functions whose result differs between runs or clusters.
const MOODS: [&str; 8] = ["lookup", "genCA", "genSelf", "genSigned", "genPrivate", "rand", "now", "uuidv4"];

#[test]
fn the_rendered_chart_equals_the_reviewed_files() {
    let helm = Helm::offline();
    for values in VALUES {
        let file = format!("tests/chart/snapshots/{values}.yaml");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        assert_file_holds(&file, &helm.template(values, &[]));
    }
}

#[test]
fn the_chart_renders_the_same_every_time() {
    let helm = Helm::offline();
    for values in VALUES {
        assert_eq!(helm.template(values, &[]), helm.template(values, &[]), "{values}");
    }
    for path in std::fs::read_dir(chart("templates")).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_file() {
            let template = std::fs::read_to_string(&path).unwrap();
            let actions = template.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap());
            for (action, word) in actions.flat_map(|action| MOODS.map(|word| (action, word))) {
                let mut words = action.split(|letter: char| !letter.is_ascii_alphanumeric());
                let has_word = words.any(|found| found.starts_with(word));
                assert!(!has_word, "`{}` has `{word}`", path.display());
            }
        }
    }
}

#[test]
fn the_chart_renders_no_ca_that_the_replicas_create() {
    let helm = Helm::offline();
    for values in ["default", "ha", "mtls"] {
        assert!(!helm.template(values, &[]).contains("caBundle:"), "{values}");
    }
    let pem = "certificates.files.caBundle=-----BEGIN CERTIFICATE-----\nabc\n";
    assert_eq!(helm.template("minimal", &["--set", pem]).matches("caBundle: ").count(), 4);
}

#[test]
fn the_chart_passes_helms_own_check() {
    let helm = Helm::offline();
    for values in VALUES {
        helm.run(&["lint", "--strict", &chart(""), "-f", &lockstep_test_support::helm::values_file(values)])
            .unwrap();
    }
    assert!(text("Chart.yaml").contains(&format!("appVersion: {}\n", env!("CARGO_PKG_VERSION"))));
    // Artifact Hub scans the image of this annotation.
    let image = format!("image: ghcr.io/lockstep-dev/lockstep:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(text("Chart.yaml").contains(&image), "{image}");
}
