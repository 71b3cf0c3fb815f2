//! `lockstep crd`: the kind that topologies are written in.

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
pub(super) struct Args {
    /// How to write it
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = Format::Yaml)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// YAML, for people and for kubectl
    Yaml,
    /// JSON, for programs
    Json,
}

/// Prints the definition.
pub(super) fn run(args: &Args, stdout: &mut dyn Write) -> io::Result<Exit> {
    let definition = GatewayTopology::crd();
    let text = match args.format {
        Format::Yaml => serde_saphyr::to_string(&definition).map_err(io::Error::other)?,
        Format::Json => json_document(&definition)?,
    };
    print(stdout, text.as_bytes())?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::manifests::load;

    fn printed(format: Format) -> String {
        let mut text = Vec::new();
        run(&Args { format }, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let json: Value = serde_json::from_str(&printed(Format::Json)).unwrap();
        let loaded = load(&["-".into()], &mut printed(Format::Yaml).as_bytes());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        assert_eq!(loaded.documents[0].value, json);
        assert_eq!(json["metadata"]["name"], "gatewaytopologies.lockstep.dev");
    }
}
