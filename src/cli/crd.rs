//! `lockstep crd`: the `CustomResourceDefinition` of `GatewayTopology`.

use std::io::{self, Write};

use clap::ValueEnum;
use kube::CustomResourceExt;

use super::Exit;
use super::output::{json_document, print};
use crate::topology::GatewayTopology;

/// Print the `CustomResourceDefinition` of `GatewayTopology`
///
/// Apply it before the first topology is created: `lockstep crd | kubectl apply -f -`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CrdArgs {
    /// Set the output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = CrdFormat::Yaml)]
    format: CrdFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum CrdFormat {
    /// YAML
    Yaml,
    /// JSON
    Json,
}

/// Prints the CRD.
pub(super) fn run(args: &CrdArgs, stdout: &mut dyn Write) -> io::Result<Exit> {
    let CrdArgs { format } = args;
    let definition = GatewayTopology::crd();
    let text = match format {
        CrdFormat::Yaml => serde_saphyr::to_string(&definition).map_err(io::Error::other)?,
        CrdFormat::Json => json_document(&definition)?,
    };
    print(stdout, text.as_bytes())?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::manifests::load;

    fn printed(format: CrdFormat) -> String {
        let mut text = Vec::new();
        run(&CrdArgs { format }, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn yaml_and_json_are_the_same_definition() {
        let json: Value = serde_json::from_str(&printed(CrdFormat::Json)).unwrap();
        let loaded = load(&["-".into()], &mut printed(CrdFormat::Yaml).as_bytes());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        assert_eq!(loaded.documents[0].value, json);
        assert_eq!(json["metadata"]["name"], "gatewaytopologies.lockstep.dev");
    }
}
