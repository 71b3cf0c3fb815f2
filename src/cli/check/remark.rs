//! Remarks: what `check` did not look at, and what looks as if it should be guarded and is not.

use std::sync::Arc;

use crate::cli::output::count;
use crate::manifests::{LeftOut, LeftOutReason, LineColumn, Renderer, Source, Span, UnusedField};
use crate::reach::{Miss, MissCode};

/// A remark on the input. It rejects nothing, unless a flag asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Remark {
    pub(in crate::cli) code: RemarkCode,
    pub(in crate::cli) level: RemarkLevel,
    /// One lowercase sentence without a full stop.
    pub(in crate::cli) message: String,
    /// What to do, in the same form; empty if there is nothing to do.
    pub(in crate::cli) help: String,
    /// The manifest of a topology that would apply; empty if none is proposed.
    pub(in crate::cli) proposal: String,
    /// The file or folder; `None` if the remark is about the whole input.
    pub(in crate::cli) file: Option<String>,
    /// The place in the file.
    pub(in crate::cli) at: Option<(Arc<Source>, Span)>,
}

/// How grave a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum RemarkLevel {
    /// Something was not looked at, and that may be right.
    Note,
    /// Something is most likely not as it is meant.
    Warning,
    /// A flag makes this a failure.
    Error,
}

impl RemarkLevel {
    /// The word for programs.
    pub(in crate::cli) const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The code of a remark, which programs can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum RemarkCode {
    /// The source of a tool that renders manifests: what it renders was not judged.
    NotRendered,
    /// A kind that no rule judges.
    NotJudged,
    /// A FIFO, a socket or a device.
    SpecialFile,
    /// A field that does nothing, or a character that nobody sees.
    UnusedField,
    /// A field that the `CustomResourceDefinition` of the input does not have.
    PrunedField,
    /// The same object twice, with the same content.
    Repeated,
    /// A list of the cluster that could not be read.
    Unread,
    /// A topology that applies to no object.
    NoMatch,
    /// An object that a topology most likely should apply to.
    Missed(MissCode),
}

impl RemarkCode {
    /// Every code.
    pub(in crate::cli) const ALL: [Self; 13] = [
        Self::NotRendered,
        Self::NotJudged,
        Self::SpecialFile,
        Self::UnusedField,
        Self::PrunedField,
        Self::Repeated,
        Self::Unread,
        Self::NoMatch,
        Self::Missed(MissCode::UnguardedGateway),
        Self::Missed(MissCode::NotClaimed),
        Self::Missed(MissCode::PoolNotFound),
        Self::Missed(MissCode::OtherNamespace),
        Self::Missed(MissCode::SharingEnds),
    ];

    /// The stable code.
    pub(in crate::cli) const fn code(self) -> &'static str {
        match self {
            Self::NotRendered => "NOT_RENDERED",
            Self::NotJudged => "NOT_JUDGED",
            Self::SpecialFile => "SPECIAL_FILE",
            Self::UnusedField => "UNUSED_FIELD",
            Self::PrunedField => "PRUNED_FIELD",
            Self::Repeated => "REPEATED",
            Self::Unread => "UNREAD",
            Self::NoMatch => "NO_MATCH",
            Self::Missed(code) => code.code(),
        }
    }
}

impl Remark {
    pub(super) fn new(
        code: RemarkCode,
        level: RemarkLevel,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            code,
            level,
            message: message.into(),
            help: help.into(),
            proposal: String::new(),
            file: None,
            at: None,
        }
    }

    /// The remark at a file or folder as a whole.
    pub(super) fn of(self, file: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..self }
    }

    /// The remark at a place in a file.
    pub(super) fn at(self, source: &Arc<Source>, span: Span) -> Self {
        Self { file: Some(source.name().to_owned()), at: Some((Arc::clone(source), span)), ..self }
    }

    /// The line and column; `None` if the remark is about a file as a whole.
    pub(in crate::cli) fn line_column(&self) -> Option<LineColumn> {
        self.at.as_ref().map(|(source, span)| source.line_column(span.start))
    }

    /// A part of the input that is no manifest.
    pub(super) fn left_out(left_out: &LeftOut) -> Self {
        let LeftOut { path, reason, files } = left_out;
        match reason {
            LeftOutReason::SpecialFile => Self::new(
                RemarkCode::SpecialFile,
                RemarkLevel::Note,
                format!("`{path}` is no regular file and was not read: reading it may never end"),
                "name it as an argument to read it all the same",
            ),
            LeftOutReason::Source(renderer) => not_rendered(*renderer, path, *files),
        }
        .of(path.clone())
    }

    /// Objects of a folder that configure a tool, such as Argo CD's `Application`.
    pub(super) fn of_tool(
        renderer: Renderer,
        folder: &str,
        objects: usize,
        (name, path): (&str, &str),
    ) -> Self {
        let count =
            if objects == 1 { String::new() } else { format!(" and {} more", objects.saturating_sub(1)) };
        let one_or_more = |one: &'static str, more: &'static str| if objects == 1 { one } else { more };
        let was = one_or_more("was", "were");
        let (what, help) = match renderer {
            Renderer::Variables => (
                format!(
                    "`{name}`{count} {} variables such as `${{NAME}}` or `{{{{ NAME }}}}`: {}",
                    one_or_more("has", "have"),
                    one_or_more(
                        "it was not judged, because it is not what is applied",
                        "they were not judged, because they are not what is applied"
                    )
                ),
                format!(
                    "replace them first: `envsubst < FILE | lockstep check -`, or `flux build kustomization NAME --path {folder}`"
                ),
            ),
            Renderer::Patch => (
                format!(
                    "`{name}`{count} {} of kustomize (`$patch`): {was} not judged, because {} another object",
                    one_or_more("is a patch", "are patches"),
                    one_or_more("it changes", "each changes")
                ),
                format!("render what it changes: `kubectl kustomize {folder} | lockstep check -`"),
            ),
            Renderer::Kustomization => (
                format!("a kustomization{count} {was} given as a file: what it builds was not judged"),
                format!("render it: `kubectl kustomize {folder} | lockstep check -`"),
            ),
            Renderer::FluxKustomization => (
                format!(
                    "Flux applies Kustomization `{name}`{count}: what {} after `postBuild` and `patches` was not judged",
                    one_or_more("its path holds", "their paths hold")
                ),
                format!("render it: `flux build kustomization {name} --path {path} | lockstep check -`"),
            ),
            Renderer::HelmRelease => (
                format!(
                    "the {} of `{name}`{count} {was} not rendered: {} values were not looked at",
                    one_or_more("chart", "charts"),
                    one_or_more("its", "their")
                ),
                "render it: `helm template NAME CHART --values VALUES | lockstep check -`".to_owned(),
            ),
            Renderer::ArgoApplication => (
                format!(
                    "Argo CD renders Application `{name}`{count}: what {} was not judged",
                    one_or_more("it deploys", "they deploy")
                ),
                format!("render it: `argocd app manifests {name} | lockstep check -`"),
            ),
            Renderer::ArgoApplicationSet => (
                format!(
                    "Argo CD renders the Applications of ApplicationSet `{name}`{count}: what these deploy was not judged"
                ),
                "render each of them: `argocd app manifests NAME | lockstep check -`".to_owned(),
            ),
            _ => (
                format!(
                    "IstioOperator `{name}`{count} {was} not rendered: {} values were not looked at",
                    one_or_more("its", "their")
                ),
                "render it: `istioctl manifest generate -f FILE | lockstep check -`".to_owned(),
            ),
        };
        Self::new(RemarkCode::NotRendered, RemarkLevel::Note, what, help)
    }

    /// A field that does nothing.
    pub(super) fn unused(field: UnusedField) -> Self {
        Self::new(RemarkCode::UnusedField, RemarkLevel::Warning, field.message, field.help)
    }

    /// An object that a topology most likely should apply to.
    pub(super) fn missed(miss: Miss) -> Self {
        let Miss { code, message, help, proposal, .. } = miss;
        Self { proposal, ..Self::new(RemarkCode::Missed(code), RemarkLevel::Warning, message, help) }
    }
}

/// Prints the objects of a cluster that topologies cover.
const CREATED: &str = "kubectl get svc,deploy -A -o yaml | lockstep check -";

/// A folder whose files a tool renders.
fn not_rendered(renderer: Renderer, path: &str, files: usize) -> Remark {
    let were = if files == 1 { "was" } else { "were" };
    let (they_are, them) = if files == 1 { ("it is", "it") } else { ("they are", "them") };
    let (what, help) = match renderer {
        Renderer::Helm { has_dependencies } => {
            let name = path.rsplit('/').find(|part| !part.is_empty() && *part != ".").unwrap_or("release");
            let before =
                if has_dependencies { format!("helm dependency build {path} && ") } else { String::new() };
            (
                format!(
                    "`{path}` is a Helm chart: its {} {were} not judged, because charts are templates and values",
                    count(files, "file")
                ),
                format!("render it: `{before}helm template {name} {path} | lockstep check -`"),
            )
        }
        Renderer::Kustomize => (
            format!(
                "kustomize changes what `{path}` includes: {} of the input {were} not judged, because {they_are} not what is applied",
                count(files, "file")
            ),
            format!("render it: `kubectl kustomize {path} | lockstep check -`"),
        ),
        Renderer::Terraform => (
            format!(
                "{} in `{path}` {were} not read: objects that Terraform creates were not judged",
                count(files, "Terraform file")
            ),
            format!("pass what it created: `{CREATED}`"),
        ),
        Renderer::Pulumi => (
            format!("the Pulumi program in `{path}` was not run: objects that it creates were not judged"),
            format!("pass what it created: `{CREATED}`"),
        ),
        Renderer::Jsonnet => (
            format!("{} in `{path}` {were} not read", count(files, "Jsonnet file")),
            format!("render {them}: `jsonnet FILE | lockstep check -`"),
        ),
        Renderer::Cue => (
            format!("{} in `{path}` {were} not read", count(files, "CUE file")),
            format!("render {them}: `cue export --out yaml | lockstep check -`"),
        ),
        Renderer::Ytt => (
            format!("{} of ytt in `{path}` {were} not judged", count(files, "template")),
            format!("render {them}: `ytt -f {path} | lockstep check -`"),
        ),
        Renderer::Skaffold => (
            format!("the manifests of the Skaffold project in `{path}` were not rendered"),
            format!("render them: `skaffold render --filename {path}/skaffold.yaml | lockstep check -`"),
        ),
        Renderer::Cdk8s => (
            format!("the cdk8s app in `{path}` was not run: objects that it creates were not judged"),
            "render them: `cdk8s synth --stdout | lockstep check -`".to_owned(),
        ),
        Renderer::Fleet => (
            format!("the Fleet bundle in `{path}` was not rendered: what its chart deploys was not judged"),
            "render it: `helm template NAME CHART --values VALUES | lockstep check -`".to_owned(),
        ),
        Renderer::Helmfile => (
            format!("the releases of the Helmfile in `{path}` were not rendered"),
            "render them: `helmfile template | lockstep check -`".to_owned(),
        ),
        // These are objects, not files.
        Renderer::Variables
        | Renderer::Patch
        | Renderer::Kustomization
        | Renderer::FluxKustomization
        | Renderer::HelmRelease
        | Renderer::ArgoApplication
        | Renderer::ArgoApplicationSet
        | Renderer::IstioOperator => (format!("`{path}` was not rendered"), String::new()),
    };
    Remark::new(RemarkCode::NotRendered, RemarkLevel::Note, what, help)
}
