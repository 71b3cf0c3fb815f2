//! The repository that the input belongs to, whose root the paths of code scanners begin at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use ignore::WalkBuilder;

/// The depth below the root to which charts are searched for.
const CHART_DEPTH: usize = 6;

/// The repository around a directory.
#[derive(Debug, Default)]
pub(super) struct Repository {
    directory: PathBuf,
    root: Option<PathBuf>,
    /// The folders of charts by name, as far as they were searched for.
    charts: RefCell<HashMap<String, Option<PathBuf>>>,
}

impl Repository {
    /// The repository of the current directory.
    pub(super) fn current() -> Self {
        std::env::current_dir().map_or_else(|_| Self::default(), |directory| Self::around(&directory))
    }

    /// The repository of a directory: the nearest folder at or above it that has `.git`.
    fn around(directory: &Path) -> Self {
        let root = directory.ancestors().find(|folder| folder.join(".git").exists());
        Self { directory: directory.to_owned(), root: root.map(Path::to_owned), ..Self::default() }
    }

    /// The path of a file from the root of the repository; the absolute path of a file outside. Without a repository, relative paths
    /// stay as they are.
    pub(super) fn path(&self, path: &str) -> String {
        let absolute = normal(&self.directory.join(path));
        let within = self.root.as_ref().and_then(|root| absolute.strip_prefix(root).ok());
        match within {
            Some(within) => within.display().to_string(),
            None if Path::new(path).is_absolute() || path.split('/').any(|part| part == "..") => {
                absolute.display().to_string()
            }
            None => path.strip_prefix("./").unwrap_or(path).to_owned(),
        }
    }

    /// The path of a chart's template, which `helm template` names by the chart: `CHART/templates/FILE`. `None` if the repository has no
    /// such file.
    pub(super) fn template(&self, named: &str) -> Option<String> {
        let (chart, rest) = named.split_once('/')?;
        let folder =
            self.charts.borrow_mut().entry(chart.to_owned()).or_insert_with(|| self.chart(chart)).clone()?;
        let file = folder.join(rest);
        file.is_file().then(|| self.path(&file.display().to_string()))
    }

    /// The folder of a chart, by the name in its `Chart.yaml`.
    fn chart(&self, name: &str) -> Option<PathBuf> {
        let root = self.root.as_ref()?;
        let files = WalkBuilder::new(root).max_depth(Some(CHART_DEPTH)).sort_by_file_path(Ord::cmp).build();
        files.filter_map(Result::ok).find_map(|entry| {
            let is_chart = entry.file_name() == "Chart.yaml"
                && std::fs::read_to_string(entry.path()).is_ok_and(|text| {
                    text.lines().any(|line| line.strip_prefix("name:").is_some_and(|own| own.trim() == name))
                });
            is_chart.then(|| entry.path().parent().map(Path::to_owned)).flatten()
        })
    }
}

/// The path without `.` and `..`. The files need not exist.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            _ => normal.push(part),
        }
        normal
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_begin_at_the_root_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        let below = root.join("clusters/east");
        fs::create_dir_all(&below).unwrap();
        let without = Repository::around(&below);
        assert_eq!(without.path("./a.yaml"), "a.yaml");
        assert_eq!(without.path("../a.yaml"), root.join("clusters/a.yaml").display().to_string());
        fs::create_dir(root.join(".git")).unwrap();
        let repository = Repository::around(&below);
        assert_eq!(repository.path("a.yaml"), "clusters/east/a.yaml");
        assert_eq!(repository.path("../west/./a.yaml"), "clusters/west/a.yaml");
        assert_eq!(repository.path(root.join("b.yaml").to_str().unwrap()), "b.yaml");
        assert_eq!(repository.path("/other/b.yaml"), "/other/b.yaml");
    }

    #[test]
    fn a_template_is_found_by_the_name_of_its_chart() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repository");
        let templates = root.join("deploy/charts/edge-1/templates");
        fs::create_dir_all(&templates).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        fs::write(root.join("deploy/charts/edge-1/Chart.yaml"), "apiVersion: v2\nname: edge\n").unwrap();
        fs::write(templates.join("service.yaml"), "kind: Service\n").unwrap();
        let repository = Repository::around(&root.join("deploy"));
        let expected = "deploy/charts/edge-1/templates/service.yaml";
        assert_eq!(repository.template("edge/templates/service.yaml").as_deref(), Some(expected));
        assert_eq!(repository.template("edge/templates/other.yaml"), None);
        assert_eq!(repository.template("other/templates/service.yaml"), None);
    }
}
