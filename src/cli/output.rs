//! What commands print. Here alone it is judged what a write that failed means.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::Exit;

/// Writes all of a text. A reader that has seen enough, such as `head`, is no error.
pub(super) fn print(stream: &mut dyn Write, text: &[u8]) -> io::Result<()> {
    match stream.write_all(text).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// A JSON document, for programs that people watch.
pub(super) fn json_document(document: &impl Serialize) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    Ok(text)
}

/// How a command ends that could print what it had to say, or could not. One that was stopped halfway by a reader
/// that had seen enough has nothing to complain about.
pub(super) fn finish(done: io::Result<Exit>, stderr: &mut dyn Write) -> Exit {
    match done {
        Ok(exit) => exit,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Fine,
        Err(error) => {
            // Nothing can be done where this cannot be written either.
            let _ = writeln!(stderr, "lockstep: standard output cannot be written: {error}");
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
    fn only_a_reader_that_has_seen_enough_is_no_error() {
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
