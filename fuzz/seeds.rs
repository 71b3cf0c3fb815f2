//! Writes the inputs of the repository into `corpus`, a folder for each target, where libFuzzer starts from.

#[path = "bodies/mod.rs"]
mod bodies;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = folder.parent().unwrap_or(folder);
    for target in bodies::TARGETS {
        let corpus = folder.join("corpus").join(target.name);
        std::fs::create_dir_all(&corpus)?;
        for (index, input) in target.inputs(root).iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{index}")), input)?;
        }
    }
    Ok(())
}
