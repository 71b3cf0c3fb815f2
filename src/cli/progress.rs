//! The line on a terminal that reports how far a long operation is.

use std::io::Write;
use std::time::{Duration, Instant};

use super::render::printable;

/// The time before the first line: what is done sooner needs none.
const DELAY: Duration = Duration::from_millis(500);

/// The time between two lines.
const INTERVAL: Duration = Duration::from_millis(100);

/// The number of calls between two looks at the clock, which costs more than reading a small object.
const CALLS: u32 = 256;

/// The longest text in characters. A line that wraps could not be cleared.
const MAX_LENGTH: usize = 70;

/// The progress line of a command. It writes nothing unless standard error is a terminal.
pub(super) struct Progress<'s> {
    stderr: &'s mut dyn Write,
    is_terminal: bool,
    calls: u32,
    next: Instant,
    is_shown: bool,
}

impl<'s> Progress<'s> {
    pub(super) fn new(stderr: &'s mut dyn Write, is_terminal: bool) -> Self {
        let now = Instant::now();
        Self { stderr, is_terminal, calls: 0, next: now.checked_add(DELAY).unwrap_or(now), is_shown: false }
    }

    /// Shows a text from time to time.
    pub(super) fn show(&mut self, text: impl FnOnce() -> String) {
        if !self.is_terminal {
            return;
        }
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(CALLS) && Instant::now() >= self.next {
            self.show_now(&text());
        }
    }

    /// Shows a text.
    pub(super) fn show_now(&mut self, text: &str) {
        if !self.is_terminal {
            return;
        }
        let text: String = printable(text).chars().take(MAX_LENGTH).collect();
        // Progress that cannot be shown is no reason to fail.
        let _ = write!(self.stderr, "\r{text} ...\x1b[K").and_then(|()| self.stderr.flush());
        self.is_shown = true;
        let now = Instant::now();
        self.next = now.checked_add(INTERVAL).unwrap_or(now);
    }

    /// Removes the line.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(self.stderr, "\r\x1b[K").and_then(|()| self.stderr.flush());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(is_terminal: bool, calls: u32) -> String {
        let mut stderr = Vec::new();
        let mut progress = Progress::new(&mut stderr, is_terminal);
        // As if the delay was over.
        progress.next = Instant::now();
        for call in 0..calls {
            progress.show(|| {
                format!("object {call} of \x1b[31ma file with a name that is much too long for a terminal")
            });
        }
        progress.clear();
        progress.clear();
        String::from_utf8(stderr).unwrap()
    }

    #[test]
    fn one_line_is_shown_and_cleared_on_a_terminal_only() {
        assert_eq!(written(false, CALLS), "");
        assert_eq!(written(true, CALLS - 1), "");
        let text = written(true, CALLS);
        assert!(text.starts_with("\robject 255 of ") && text.ends_with(" ...\x1b[K\r\x1b[K"), "{text:?}");
        assert_eq!((text.contains('\n'), text.contains("\x1b[31m")), (false, false), "{text:?}");
    }
}
