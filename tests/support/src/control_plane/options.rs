//! What a test may ask of a control plane.

use std::path::{Path, PathBuf};

use super::AuditLevel;

/// What a control plane does beyond the usual.
#[derive(Debug, Clone, Default)]
pub struct Options {
    audit: Option<(AuditLevel, Option<PathBuf>)>,
    api_server_args: Vec<String>,
    is_alone: bool,
}

impl Options {
    /// Turns the API server's audit log on, in the control plane's own directory, which goes with it.
    #[must_use]
    pub fn audit(mut self, level: AuditLevel) -> Self {
        self.audit = Some((level, None));
        self
    }

    /// Turns the API server's audit log on, in a file that stays.
    #[must_use]
    pub fn audit_to(mut self, level: AuditLevel, log: impl Into<PathBuf>) -> Self {
        self.audit = Some((level, Some(log.into())));
        self
    }

    /// Adds a flag to kube-apiserver's usual ones. A flag that takes a list adds to theirs, any other replaces.
    #[must_use]
    pub fn api_server_arg(mut self, arg: impl Into<String>) -> Self {
        self.api_server_args.push(arg.into());
        self
    }

    /// No other control plane of this test program runs at the same time: for tests that measure time under load.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.is_alone = true;
        self
    }

    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// The level and the file of the audit log, if there is to be one.
    pub(super) fn audit_log(&self, directory: &Path) -> Option<(AuditLevel, PathBuf)> {
        let (level, log) = self.audit.as_ref()?;
        Some((*level, log.clone().unwrap_or_else(|| directory.join("audit.log"))))
    }

    pub(super) fn into_api_server_args(self) -> Vec<String> {
        self.api_server_args
    }
}
