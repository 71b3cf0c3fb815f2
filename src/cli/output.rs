//! The streams of commands, and the meaning of a failed write.

use std::io::{self, BufRead, ErrorKind, Write};

use serde::Serialize;

use super::Exit;
use crate::error::without_number;

/// The streams that a command reads and writes.
pub(super) struct Streams<'s> {
    pub(super) stdin: &'s mut dyn BufRead,
    /// The command's result.
    pub(super) stdout: &'s mut dyn Write,
    /// Errors, for people.
    pub(super) stderr: &'s mut dyn Write,
}

/// Writes a text. A reader that closes the pipe early, such as `head`, is not an error.
pub(super) fn print(stream: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    match stream.write_all(text).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// `1 node`, `2 nodes`.
pub(super) fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// Lays out rows in columns, with two spaces between them: one line for each row.
pub(super) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Formats a JSON document, indented and with a line break at the end.
pub(super) fn json_document(document: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}

/// Returns the exit code of a command, and reports a failed write. A reader that closes the pipe early is not an
/// error.
pub(super) fn finish(done: io::Result<Exit>, stderr: &mut dyn Write) -> Exit {
    match done {
        Ok(exit) => exit,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Fine,
        Err(error) => {
            // If standard error cannot be written either, there is no way to report it.
            let _ = writeln!(
                stderr,
                "lockstep: standard output cannot be written: {}",
                without_number(&error.to_string())
            );
            Exit::Unusable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_closed_pipe_is_not_an_error_and_a_full_disk_is() {
        for (kind, is_error) in [(ErrorKind::BrokenPipe, false), (ErrorKind::StorageFull, true)] {
            let mut stderr = Vec::new();
            let done = print(&mut Broken(kind), b"text").map(|()| Exit::Denied);
            assert_eq!(done.is_err(), is_error);
            let exit = finish(done, &mut stderr);
            assert_eq!(exit, if is_error { Exit::Unusable } else { Exit::Denied });
            assert_eq!(!stderr.is_empty(), is_error);
            let halfway = finish(Err(kind.into()), &mut stderr);
            assert_eq!(halfway, if is_error { Exit::Unusable } else { Exit::Fine });
        }
    }
}
