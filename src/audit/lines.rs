//! A log, line by line, whatever it is that somebody calls a log.

use std::io::{self, BufRead, Read};

/// Longer than any line that is written. What is longer is no line, and must not fill the memory.
const LIMIT: usize = 4 << 20;

/// The lines of a reader.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    number: u64,
}

/// One line.
#[derive(Debug, Clone, Copy)]
pub struct RawLine<'l> {
    /// From 1.
    pub number: u64,
    /// What it holds, without its end; cut where it is longer than any line that is written.
    pub bytes: &'l [u8],
    /// Whether it has an end; the last one of a file may have none.
    pub is_terminated: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `reader`.
    pub const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), number: 0 }
    }

    /// The next line.
    ///
    /// # Errors
    /// What the reader says.
    pub fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.buffer.clear();
        if self.read_piece()? == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let is_terminated = self.is_terminated() || self.skip()?;
        let bytes = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        Ok(Some(RawLine { number: self.number, bytes, is_terminated }))
    }

    fn read_piece(&mut self) -> io::Result<usize> {
        self.reader.by_ref().take(LIMIT as u64).read_until(b'\n', &mut self.buffer)
    }

    fn is_terminated(&self) -> bool {
        self.buffer.ends_with(b"\n")
    }

    /// Reads past the rest of a line that is too long; whether it has an end.
    fn skip(&mut self) -> io::Result<bool> {
        let kept = self.buffer.len();
        loop {
            let read = self.read_piece()?;
            let is_terminated = read > 0 && self.is_terminated();
            self.buffer.truncate(kept);
            if read == 0 || is_terminated {
                return Ok(is_terminated);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_counted_as_one() {
        let text = [&vec![b'x'; 2 * LIMIT + 7][..], b"\nshort\n\nlast"].concat();
        let mut lines = Lines::new(&text[..]);
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            seen.push((line.number, line.bytes.len(), line.is_terminated));
        }
        assert_eq!(seen, [(1, LIMIT, true), (2, 5, true), (3, 0, true), (4, 4, false)]);
    }
}
