//! A file that rotates by size: lines are appended to `FILE`, `FILE.1` is the previous file, and so on.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tracing::info;

use super::LineHash;
use super::chain::split;
use super::line::LINE_LIMIT;

/// The number of bytes at the end of a file that contain its last complete line. A killed process may have left a
/// partial line of the same length after it.
const TAIL: u64 = 2 * (LINE_LIMIT as u64 + 1);

/// The mode of the file. Only its owner may read which users requested what.
const MODE: u32 = 0o600;

/// The size at which a file is rotated, and the number of files that are kept.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// The maximum size of a file in bytes. Only a single longer line exceeds it.
    pub size: u64,
    /// The number of rotated files to keep.
    pub older: u32,
}

/// A file that rotates by size. Each write ends within one file, so that no line is split between files.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// Whether the last write ended with a line break.
    is_between_lines: bool,
}

impl RotatingFile {
    /// Opens a file to append to it, and creates it if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be opened, read or written.
    pub fn open(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let file = open(&path)?;
        let size = file.metadata()?.len();
        let mut opened = Self { path, rotation, file, size, is_between_lines: true };
        opened.is_between_lines = opened.tail()?.last().is_none_or(|byte| *byte == b'\n');
        if !opened.is_between_lines {
            // A killed process left a partial line. It stays as evidence, and the next line begins after it.
            opened.write_all(b"\n")?;
        }
        Ok(opened)
    }

    /// Returns the hash of the last complete line, from which the next chain continues. If the file is empty, the
    /// previous file is read.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn last_hash(&mut self) -> io::Result<LineHash> {
        let mut tail = self.tail()?;
        if tail.is_empty() {
            tail = match File::open(older(&self.path, 1)) {
                Ok(mut file) => tail_of(&mut file)?,
                Err(_) => tail,
            };
        }
        let lines = tail.split(|byte| *byte == b'\n').rev();
        Ok(lines.filter_map(split).map(|(_, hash)| hash).next().unwrap_or(LineHash::NONE))
    }

    fn tail(&mut self) -> io::Result<Vec<u8>> {
        tail_of(&mut self.file)
    }

    /// Returns how many bytes of `lines` fit into the file; 0 if it must be rotated first.
    fn fitting(&self, lines: &[u8]) -> usize {
        let end_of_first =
            || lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at.saturating_add(1));
        let room = usize::try_from(self.rotation.size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let Some(within) = lines.get(..room) else {
            return lines.len();
        };
        match within.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last.saturating_add(1),
            // A partial line is completed in its file, and a file contains at least one line.
            None if self.size == 0 || !self.is_between_lines => end_of_first(),
            None => 0,
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        // The file may have been renamed already, by another program, or by an earlier attempt that could not open the
        // next file.
        if self.path.try_exists()? {
            self.rename_all()?;
        }
        self.file = open(&self.path)?;
        self.size = 0;
        info!(file = %self.path.display(), "rotated the decision log");
        Ok(())
    }

    /// Renames `FILE` to `FILE.1`, `FILE.1` to `FILE.2` and so on; the oldest is overwritten.
    fn rename_all(&self) -> io::Result<()> {
        for age in (1..self.rotation.older).rev() {
            match std::fs::rename(older(&self.path, age), older(&self.path, age.saturating_add(1))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, older(&self.path, 1))
    }
}

impl Write for RotatingFile {
    /// Writes as much as fits into the file, or into the next one.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let mut fitting = self.fitting(lines);
        if fitting == 0 {
            self.rotate()?;
            fitting = self.fitting(lines);
        }
        let written = self.file.write(lines.get(..fitting).unwrap_or(lines))?;
        self.size = self.size.saturating_add(written as u64);
        if let Some(last) = written.checked_sub(1).and_then(|last| lines.get(last)) {
            self.is_between_lines = *last == b'\n';
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(MODE).open(path)
}

fn older(path: &Path, age: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{age}"));
    name.into()
}

/// Reads the end of a regular file; empty for a pipe or a device, which has no end.
fn tail_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    if file.metadata()?.is_file() {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
        file.take(TAIL).read_to_end(&mut tail)?;
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &Path) -> Vec<String> {
        let all = std::iter::once(path.to_owned()).chain((1..).map(|age| older(path, age)));
        all.map_while(|path| std::fs::read_to_string(path).ok()).collect()
    }

    #[test]
    fn rotation_splits_no_line_and_removes_the_oldest_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = RotatingFile::open(path.clone(), Rotation { size: 10, older: 2 }).unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(texts(&path), ["three\n", "one\ntwo\n"]);
        file.write_all(b"one that is longer than all\nfour\n").unwrap();
        assert_eq!(texts(&path), ["four\n", "one that is longer than all\n", "three\n"]);
        // A partial write may be completed later.
        file.write_all(b"fi").unwrap();
        file.write_all(b"ve and more\nsix\n").unwrap();
        assert_eq!(texts(&path), ["six\n", "four\nfive and more\n", "one that is longer than all\n"]);
    }

    #[test]
    fn a_partial_line_is_terminated_before_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "whole\nhalf").unwrap();
        let rotation = Rotation { size: 1000, older: 1 };
        RotatingFile::open(path.clone(), rotation).unwrap().write_all(b"next\n").unwrap();
        RotatingFile::open(path.clone(), rotation).unwrap().write_all(b"last\n").unwrap();
        assert_eq!(texts(&path), ["whole\nhalf\nnext\nlast\n"]);
    }

    #[test]
    fn a_file_that_was_renamed_already_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = RotatingFile::open(path.clone(), Rotation { size: 4, older: 2 }).unwrap();
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, older(&path, 1)).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(texts(&path), ["two\n", "one\n"]);
    }

    #[test]
    fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        RotatingFile::open(path.clone(), Rotation { size: 1, older: 1 }).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    }

    #[test]
    fn a_chain_continues_behind_the_longest_line_and_the_longest_partial_line() {
        use crate::audit::chain::Chain;
        use crate::audit::queue::RECORD_LIMIT;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut chain = Chain::new("chain", "replica", LineHash::NONE);
        let mut log = Vec::new();
        let user = format!("{{\"user\":\"{}\"}}", "x".repeat(RECORD_LIMIT));
        chain.seal("review", 1, k8s_openapi::jiff::Timestamp::UNIX_EPOCH, user.as_bytes(), &mut log);
        assert!((RECORD_LIMIT..LINE_LIMIT).contains(&log.len()));
        let partial = log.strip_suffix(b"}\n").unwrap().to_vec();
        log.extend_from_slice(&partial);
        std::fs::write(&path, &log).unwrap();
        let mut file = RotatingFile::open(path, Rotation { size: 1, older: 1 }).unwrap();
        assert_eq!(file.last_hash().unwrap(), chain.hash());
    }
}
