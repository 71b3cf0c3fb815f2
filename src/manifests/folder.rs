//! The manifests of a folder, and what in it is no manifest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use ignore::overrides::OverrideBuilder;

use super::kustomization::{Kustomizations, normal};
use super::load::unreadable;
use super::{ManifestError, Problem, Renderer};

/// Which files of folders are read.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Globs of files and folders to leave out, as `.gitignore` writes them, relative to the folder that is read.
    pub excluded: Vec<String>,
    /// Whether what `.gitignore` names is left out.
    pub has_gitignore: bool,
    /// Whether the sources of a tool that renders manifests are left out: a Helm chart, and what a kustomization changes.
    pub leaves_out_sources: bool,
    /// Folders whose files are not read, because they are clusters of their own.
    pub left_to_others: Vec<PathBuf>,
}

/// A part of the input that is not read, because it is no manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The file or folder.
    pub path: String,
    /// The reason.
    pub reason: LeftOutReason,
    /// The number of files that are left out.
    pub files: usize,
}

/// Why a part of the input is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// A FIFO, a socket or a device: reading it may never end.
    SpecialFile,
    /// A tool renders manifests from it.
    Source(Renderer),
}

/// The files of a folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// The manifests, sorted by path.
    pub(super) manifests: Vec<PathBuf>,
    /// What is left out, sorted by path.
    pub(super) left_out: Vec<LeftOut>,
    /// Files and folders that cannot be read.
    pub(super) problems: Vec<Problem>,
}

impl Selection {
    /// Checks the globs.
    ///
    /// # Errors
    /// A sentence that names the first invalid glob.
    pub fn check(&self) -> Result<(), String> {
        self.overrides(Path::new(".")).map(drop)
    }

    fn overrides(&self, root: &Path) -> Result<ignore::overrides::Override, String> {
        let mut builder = OverrideBuilder::new(root);
        for glob in &self.excluded {
            // An override without `!` is a list of the only files that are read.
            let _ = builder
                .add(&format!("!{glob}"))
                .map_err(|error| format!("`--exclude {glob}` is no glob: {error}"))?;
        }
        builder.build().map_err(|error| error.to_string())
    }

    fn walk(&self, root: &Path) -> WalkBuilder {
        let mut walk = WalkBuilder::new(root);
        walk.standard_filters(false)
            .hidden(true)
            .parents(self.has_gitignore)
            .git_ignore(self.has_gitignore)
            .git_exclude(self.has_gitignore)
            .git_global(self.has_gitignore)
            .require_git(false);
        // The globs were checked with the command line.
        if let Ok(overrides) = self.overrides(root) {
            walk.overrides(overrides);
        }
        walk
    }
}

impl Folder {
    /// Lists a folder at any depth. Hidden files and folders are left out. Links to folders are not followed, because they
    /// may lead back up. Links to files are followed, because the kubelet mounts a `ConfigMap` as such.
    pub(super) fn list(root: &Path, selection: &Selection) -> Self {
        let mut folder = Self::default();
        let mut sources = Sources::default();
        for entry in selection.walk(root).build() {
            match entry {
                Ok(entry) => folder.add(entry.path(), entry.file_type(), &mut sources),
                Err(error) => folder.problems.push(failed(root, &error)),
            }
        }
        folder.manifests.sort_unstable();
        let others: Vec<PathBuf> = selection.left_to_others.iter().map(|path| normal(path)).collect();
        if !others.is_empty() {
            folder.leave_out(|path| others.iter().any(|other| normal(path).starts_with(other)));
        }
        if selection.leaves_out_sources {
            sources.leave_out(&mut folder);
        }
        folder.left_out.sort_by(|one, other| (&one.path, one.reason).cmp(&(&other.path, other.reason)));
        folder
    }

    fn add(&mut self, path: &Path, kind: Option<fs::FileType>, sources: &mut Sources) {
        let Some(kind) = kind.filter(|kind| !kind.is_dir()) else { return };
        sources.note(path);
        if !is_manifest(path) {
            return;
        }
        let is_regular = if kind.is_symlink() {
            match fs::metadata(path) {
                Ok(target) if target.is_dir() => return,
                Ok(target) => target.is_file(),
                // Opening it reports why.
                Err(_) => true,
            }
        } else {
            kind.is_file()
        };
        if is_regular {
            self.manifests.push(path.to_owned());
        } else {
            let path = path.display().to_string();
            self.left_out.push(LeftOut { path, reason: LeftOutReason::SpecialFile, files: 1 });
        }
    }

    /// Leaves out the manifests that satisfy a predicate, and returns their number.
    fn leave_out(&mut self, is_such: impl Fn(&Path) -> bool) -> usize {
        let before = self.manifests.len();
        self.manifests.retain(|path| !is_such(path));
        before.saturating_sub(self.manifests.len())
    }

    fn add_source(&mut self, path: &Path, renderer: Renderer, files: usize) {
        let path = path.display().to_string();
        self.left_out.push(LeftOut { path, reason: LeftOutReason::Source(renderer), files });
    }
}

/// The files that mark a folder as the source of a tool.
#[derive(Debug, Default)]
struct Sources {
    charts: Vec<PathBuf>,
    kustomizations: Vec<PathBuf>,
    /// The number of files of other tools, by folder.
    others: BTreeMap<(PathBuf, Renderer), usize>,
}

impl Sources {
    fn note(&mut self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let folder = || path.parent().unwrap_or(path).to_owned();
        match name {
            "Chart.yaml" => self.charts.push(folder()),
            "kustomization.yaml" | "kustomization.yml" | "Kustomization" => {
                self.kustomizations.push(path.to_owned());
            }
            name => {
                if let Some(renderer) = Renderer::of_file(name) {
                    let count = self.others.entry((folder(), renderer)).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    fn leave_out(self, folder: &mut Folder) {
        let mut charts = self.charts;
        charts.sort_unstable();
        // A chart below a chart is a dependency, which is rendered with it.
        let is_within = |path: &Path, charts: &[PathBuf]| charts.iter().any(|chart| path.starts_with(chart));
        let mut roots: Vec<PathBuf> = Vec::new();
        for chart in charts {
            if !is_within(&chart, &roots) {
                roots.push(chart);
            }
        }
        for chart in &roots {
            let files = folder.leave_out(|path| path.starts_with(chart));
            let has_dependencies = fs::read_to_string(chart.join("Chart.yaml"))
                .is_ok_and(|text| text.lines().any(|line| line.starts_with("dependencies:")));
            folder.add_source(chart, Renderer::Helm { has_dependencies }, files);
        }
        let kustomizations =
            self.kustomizations.into_iter().filter(|path| !is_within(path, &roots)).collect();
        let kustomizations = Kustomizations::read(kustomizations);
        // The files themselves describe what is done, and are no objects.
        folder.manifests.retain(|path| !kustomizations.contains(path));
        for root in kustomizations.changing_roots() {
            let files = folder.manifests.iter().filter(|path| root.changes(path)).count();
            folder.add_source(&root.folder, Renderer::Kustomize, files);
        }
        folder.leave_out(|path| kustomizations.change(path));
        for ((path, renderer), files) in self.others {
            if !is_within(&path, &roots) {
                folder.add_source(&path, renderer, files);
            }
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The problem of a folder that cannot be listed.
fn failed(root: &Path, error: &ignore::Error) -> Problem {
    let (path, cause) = cause(error, root);
    match cause {
        Some(cause) => unreadable(&path, cause),
        None => Problem::of_file(path.display().to_string(), ManifestError::Unreadable(error.to_string())),
    }
}

fn cause<'e>(error: &'e ignore::Error, root: &Path) -> (PathBuf, Option<&'e io::Error>) {
    match error {
        ignore::Error::WithPath { path, err } => (path.clone(), cause(err, path).1),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => cause(err, root),
        ignore::Error::Io(error) => (root.to_owned(), Some(error)),
        _ => (root.to_owned(), None),
    }
}
