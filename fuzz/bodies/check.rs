//! Manifests through every output format of `check`: a documented exit code, and outputs that their readers can read.

use lockstep::cli::{CheckedText, TextOptions, check_in_every_format};
use lockstep_core::escape::is_unsafe;
use serde::de::IgnoredAny;

pub(super) fn body(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_last() else { return };
    let options = TextOptions {
        is_strict: choice & 1 != 0,
        is_quiet: choice & 6 == 6,
        has_color: choice & 24 == 24,
        width: (choice & 32 != 0).then(|| 20 + usize::from(*choice)),
    };
    if let Err(failure) = checked(text, options) {
        panic!("{failure}");
    }
}

/// Checks a text. The error says what is wrong with the answer.
pub fn checked(text: &[u8], options: TextOptions) -> Result<CheckedText, String> {
    let checked = check_in_every_format(text, options);
    if checked.exit > 2 {
        return Err(format!("exit code {}", checked.exit));
    }
    for (format, output) in &checked.outputs {
        let is_read = match format.as_str() {
            "json" | "sarif" => serde_json::from_str::<IgnoredAny>(output).is_ok(),
            "human" => options.has_color || !output.contains(|c| is_unsafe(c) && c != '\n'),
            // Runners of CI end a command at a line break of any kind.
            "github" => output.lines().all(|line| line.starts_with("::") && !line.contains(is_unsafe)),
            "html" => {
                let (_, body) = output.split_once("</style>").unwrap_or_default();
                body.ends_with("</html>\n") && !body.contains(|c| is_unsafe(c) && c != '\n')
            }
            "junit" => output.ends_with("</testsuites>\n") && !output.contains(|c| is_unsafe(c) && c != '\n'),
            _ => !output.is_empty(),
        };
        if !is_read {
            return Err(format!("an output as {format} that cannot be read"));
        }
    }
    Ok(checked)
}
