//! The options of a control plane.

use std::path::{Path, PathBuf};

use super::AuditLevel;
use super::cache::variable;

/// A release of Kubernetes that the tests run. The default is [`Self::USUAL`], or the one that `LOCKSTEP_KUBERNETES` names, such as
/// `1.33.13`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kubernetes {
    /// 1.33.13, the oldest supported.
    V1_33_13,
    /// 1.34.4.
    V1_34_4,
    /// 1.35.4.
    V1_35_4,
    /// 1.36.3.
    V1_36_3,
    /// 1.37.2, the newest.
    V1_37_2,
}

impl Kubernetes {
    /// All releases, the oldest first.
    pub const ALL: [Self; 5] = [Self::V1_33_13, Self::V1_34_4, Self::V1_35_4, Self::V1_36_3, Self::V1_37_2];

    /// The release that every test runs on that names no other.
    pub const USUAL: Self = Self::V1_36_3;

    /// The version, without `v`.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Self::V1_33_13 => "1.33.13",
            Self::V1_34_4 => "1.34.4",
            Self::V1_35_4 => "1.35.4",
            Self::V1_36_3 => "1.36.3",
            Self::V1_37_2 => "1.37.2",
        }
    }
}

impl Default for Kubernetes {
    /// # Panics
    /// If `LOCKSTEP_KUBERNETES` names a release that the tests do not have.
    fn default() -> Self {
        chosen("LOCKSTEP_KUBERNETES", &Self::ALL, Self::version).unwrap_or(Self::USUAL)
    }
}

/// The release that a variable names, if it is set.
pub(super) fn chosen<T: Copy>(name: &str, all: &[T], version: impl Fn(T) -> &'static str) -> Option<T> {
    let wanted = variable(name)?;
    let found = all.iter().find(|release| wanted.to_str() == Some(version(**release)));
    let versions: Vec<&str> = all.iter().map(|release| version(*release)).collect();
    assert!(found.is_some(), "{name} is `{}`; set it to one of {}", wanted.display(), versions.join(", "));
    found.copied()
}

/// The options of a control plane. The default has no audit log and no extra flags.
#[derive(Debug, Clone, Default)]
pub struct Options {
    audit: Option<(AuditLevel, Option<PathBuf>)>,
    api_server_args: Vec<String>,
    kubernetes: Kubernetes,
    is_alone: bool,
}

impl Options {
    /// Enables the API server's audit log, in the control plane's own directory, which is removed with it.
    #[must_use]
    pub fn audit(mut self, level: AuditLevel) -> Self {
        self.audit = Some((level, None));
        self
    }

    /// Enables the API server's audit log, in a file that is kept.
    #[must_use]
    pub fn audit_to(mut self, level: AuditLevel, log: impl Into<PathBuf>) -> Self {
        self.audit = Some((level, Some(log.into())));
        self
    }

    /// Adds a flag to kube-apiserver's usual ones. A list is appended to the usual list, any other value replaces the
    /// usual one.
    #[must_use]
    pub fn api_server_arg(mut self, arg: impl Into<String>) -> Self {
        self.api_server_args.push(arg.into());
        self
    }

    /// Runs this release of kube-apiserver.
    #[must_use]
    pub fn kubernetes(mut self, release: Kubernetes) -> Self {
        self.kubernetes = release;
        self
    }

    /// Runs no other control plane of this test program at the same time, for tests that measure time under load.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    pub(super) fn release(&self) -> Kubernetes {
        self.kubernetes
    }

    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// The level and the file of the audit log, if it is enabled.
    pub(super) fn audit_log(&self, directory: &Path) -> Option<(AuditLevel, PathBuf)> {
        let (level, log) = self.audit.as_ref()?;
        Some((*level, log.clone().unwrap_or_else(|| directory.join("audit.log"))))
    }

    pub(super) fn into_api_server_args(self) -> Vec<String> {
        self.api_server_args
    }
}
