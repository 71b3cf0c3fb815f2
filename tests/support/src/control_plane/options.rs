//! The options of a control plane.

use std::path::{Path, PathBuf};

use super::AuditLevel;

/// A release of Kubernetes that the tests run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kubernetes {
    /// 1.36.3, which every test runs on that names no other.
    #[default]
    V1_36_3,
    /// 1.37.2, the newest.
    V1_37_2,
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
