//! `lockstep reason`: what a code means, why it matters, and how to mend it.

use std::ffi::OsStr;
use std::io;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser, ValueParserFactory};
use clap::{Arg, ValueEnum};
use serde::Serialize;

use super::Exit;
use super::output::{Streams, json_document, print};
use super::render::docs_url;
use crate::reasons::{REASONS, ReasonText, reason_text};

/// Explain a code of a finding, a cause or a remark
///
/// Without a code, every code is listed with its meaning. A code may be given as it is printed, as in
/// `announcement-placement/WIDER`, and in small letters.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ReasonArgs {
    /// Explain this code
    #[arg(value_name = "CODE", hide_possible_values = true)]
    code: Option<Code>,
    /// Set the output format
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value_t = ReasonFormat::Human)]
    format: ReasonFormat,
}

/// The output format of `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReasonFormat {
    /// Text for people
    Human,
    /// One JSON document
    Json,
}

/// A code that exists.
#[derive(Debug, Clone, Copy)]
struct Code(&'static ReasonText);

/// Parses a code in any letters, with or without its rule. Shells complete the codes.
#[derive(Debug, Clone, Copy)]
struct CodeParser;

impl ValueParserFactory for Code {
    type Parser = CodeParser;

    fn value_parser() -> CodeParser {
        CodeParser
    }
}

impl TypedValueParser for CodeParser {
    type Value = Code;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Code, clap::Error> {
        let text = value.to_str().unwrap_or_default();
        let code = text.rsplit('/').next().unwrap_or_default();
        if let Some(reason) = REASONS.iter().find(|reason| reason.code.eq_ignore_ascii_case(code)) {
            return Ok(Code(reason));
        }
        // The error proposes the nearest codes.
        let codes = PossibleValuesParser::new(REASONS.iter().map(|reason| reason.code));
        let code = codes.parse_ref(command, argument, value)?;
        reason_text(&code).map(Code).ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidValue))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(REASONS.iter().map(|reason| PossibleValue::new(reason.code).help(reason.meaning))))
    }
}

/// What `reason` prints as JSON. While `version` stays the same, fields keep their meaning, and new ones may be added.
#[derive(Serialize)]
struct ReasonDocument {
    version: u32,
    reasons: Vec<ReasonEntry>,
}

#[derive(Serialize)]
struct ReasonEntry {
    code: &'static str,
    meaning: &'static str,
    why: &'static str,
    mend: &'static str,
    url: String,
}

/// Prints the text on a code, or every code.
///
/// # Errors
/// If standard output cannot be written.
pub(super) fn run(args: &ReasonArgs, streams: &mut Streams<'_>) -> io::Result<Exit> {
    let ReasonArgs { code, format } = args;
    let text = match (format, code) {
        (ReasonFormat::Json, code) => {
            let reasons = code.map_or(REASONS, |Code(reason)| std::slice::from_ref(reason));
            let entry = |reason: &ReasonText| {
                let ReasonText { code, meaning, why, mend } = *reason;
                ReasonEntry { code, meaning, why, mend, url: docs_url(code) }
            };
            json_document(&ReasonDocument { version: 1, reasons: reasons.iter().map(entry).collect() })?
        }
        (ReasonFormat::Human, Some(Code(reason))) => {
            let ReasonText { code, meaning, why, mend } = reason;
            format!(
                "{code}\n\n{meaning}\n\nWhy it matters: {why}\n\nWhat to do: {mend}\n\n{}\n",
                docs_url(code)
            )
        }
        (ReasonFormat::Human, None) => {
            let width = REASONS.iter().map(|reason| reason.code.len()).max().unwrap_or_default();
            REASONS.iter().map(|reason| format!("{:width$}  {}\n", reason.code, reason.meaning)).collect()
        }
    };
    print(streams.stdout, text.as_bytes())?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::check::remark::RemarkCode;
    use crate::cli::{Cli, Command};

    fn printed(arguments: &[&str]) -> Result<String, clap::Error> {
        let cli = Cli::try_parse_from(["lockstep", "reason"].iter().chain(arguments))?;
        let Command::Reason(args) = cli.command else { panic!("another command") };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        run(&args, &mut Streams { stdin: &mut io::empty(), stdout: &mut stdout, stderr: &mut stderr })
            .unwrap();
        Ok(String::from_utf8(stdout).unwrap())
    }

    #[test]
    fn a_code_is_explained_however_it_is_written() {
        for code in ["WIDER", "wider", "announcement-placement/WIDER"] {
            let text = printed(&[code]).unwrap();
            assert!(text.starts_with("WIDER\n\nNodes announce"), "{text}");
            assert!(text.contains("docs/reasons.md#WIDER"), "{text}");
        }
        let error = printed(&["WIDR"]).unwrap_err().to_string();
        assert!(error.contains("a similar value exists: 'WIDER'"), "{error}");
    }

    #[test]
    fn every_code_is_listed_and_every_remark_has_a_text() {
        let all = printed(&[]).unwrap();
        assert_eq!(all.lines().count(), REASONS.len());
        let json: serde_json::Value = serde_json::from_str(&printed(&["-o", "json"]).unwrap()).unwrap();
        assert_eq!(json["reasons"].as_array().unwrap().len(), REASONS.len());
        for code in RemarkCode::ALL {
            assert!(reason_text(code.code()).is_some(), "{code:?}");
        }
    }
}
