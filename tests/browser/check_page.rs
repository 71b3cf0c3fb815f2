//! `lockstep check -o html`: one file, opened from the disk.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep_test_support::browser::{Browser, Screen};
use lockstep_test_support::root;
use serde_json::json;

use super::picture;

/// A page in a file of its own, with the title of its tab.
struct Page {
    name: &'static str,
    path: PathBuf,
    title: &'static str,
}

fn write(folder: &Path, name: &'static str, arguments: &[&str], title: &'static str) -> Page {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep"));
    let output = command.args(["check", "-o", "html"]).args(arguments).current_dir(root()).output().unwrap();
    let path = folder.join(format!("{name}.html"));
    fs::write(&path, output.stdout).unwrap();
    Page { name, path, title }
}

/// A gateway of another name, pods of a long name, an object that is no YAML, and a chart.
fn tree(folder: &Path) -> PathBuf {
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("chart")).unwrap();
    fs::write(tree.join("chart/Chart.yaml"), "apiVersion: v2\nname: edge\nversion: 1.0.0\n").unwrap();
    fs::write(tree.join("broken.yaml"), "kind: \"Service\"（\n").unwrap();
    let gateway = fs::read_to_string(root().join("examples/seed/gateway.yaml")).unwrap();
    fs::write(tree.join("gateway.yaml"), gateway.replace("istio-ingressgateway", &"n".repeat(63))).unwrap();
    let mut pods = String::new();
    for number in 0..300 {
        writeln!(
            pods,
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: a-{number}, namespace: istio-system, \
            labels: {{app: istio-ingressgateway, istio: ingressgateway}}}}, \
            spec: {{nodeName: {}, nodeSelector: {{loadbalancerIPs.metallb.io: ndp}}}}}}",
            "n".repeat(200)
        )
        .unwrap();
    }
    fs::write(tree.join("pods.yaml"), pods).unwrap();
    tree
}

fn pages(folder: &Path) -> Vec<Page> {
    let tree = tree(folder);
    vec![
        write(folder, "denied", &["examples/broken"], "3 of 4 objects are denied - Lockstep"),
        write(folder, "changed", &["examples/seed"], "2 of 4 objects would be changed - Lockstep"),
        write(
            folder,
            "tree",
            &[tree.to_str().unwrap()],
            "300 of 302 objects are denied, and 1 problem of the input must be mended - Lockstep",
        ),
    ]
}

#[tokio::test]
async fn the_page_of_check_fits_and_is_accessible_in_light_dark_print_and_at_320_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let mut browser = Browser::start().await;
    for page in pages(folder.path()) {
        let url = format!("file://{}", page.path.display());
        for screen in [Screen::LIGHT, Screen::DARK, Screen::PRINT, Screen::NARROW] {
            let what = format!("check-{}-{}", page.name, screen.name);
            assert_eq!(browser.open(&url, screen).await, page.title, "{what}");
            browser.assert_fits_and_is_accessible(&what).await;
            browser.screenshot(&picture(&format!("{what}.png"))).await;
            let noticed = browser.run("noticed", json!({})).await;
            let requests = noticed["requests"].as_array().unwrap();
            assert!(requests.iter().all(|asked| *asked == url.as_str()), "{what}: {noticed}");
            assert_eq!(noticed["messages"], json!([]), "{what}");
        }
        browser.open(&url, Screen::LIGHT).await;
        let tab = browser.run("tab", json!({})).await;
        assert_eq!((&tab["reached"], &tab["hidden"]), (&tab["expected"], &json!([])), "{}", page.name);
    }
}
