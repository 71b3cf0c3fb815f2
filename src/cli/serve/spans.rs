//! The flags of tracing.

use std::path::PathBuf;

use prometheus_client::registry::Registry;

use super::Failure;
use crate::trace::{Collector, Endpoint, SpanExporter, resource};

/// The flags of tracing.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SpanArgs {
    /// Export reviews of sampled traces as spans to the OpenTelemetry collector at this URL, by OTLP over HTTP (protobuf): they are
    /// posted to `URL/v1/traces`. The API server's tracing decides which traces are sampled
    #[arg(long, value_name = "URL", env = "LOCKSTEP_OTLP_ENDPOINT")]
    otlp_endpoint: Option<Endpoint>,
    /// Verify the certificate of an `https` collector by the CAs in this PEM file instead of those of the system; it is read for
    /// each connection
    #[arg(long, value_name = "FILE", requires = "otlp_endpoint", env = "LOCKSTEP_OTLP_CA")]
    otlp_ca: Option<PathBuf>,
}

impl SpanArgs {
    /// Starts the exporter of the spans of this replica; `None` without `--otlp-endpoint`.
    pub(super) fn start(
        self,
        replica: &str,
        registry: &mut Registry,
    ) -> Result<Option<SpanExporter>, Failure> {
        let Self { otlp_endpoint, otlp_ca } = self;
        let Some(endpoint) = otlp_endpoint else { return Ok(None) };
        let exporter = SpanExporter::start(Collector::new(endpoint, otlp_ca)?, resource(replica))?;
        exporter.register(registry);
        Ok(Some(exporter))
    }
}
