//! A file that makes room for itself: `FILE` is written, `FILE.1` is the one before it, and so on.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tracing::info;

use super::Hash;
use super::chain::split;

/// Longer than any line that is written.
const LAST_LINE: u64 = 1 << 20;

/// Names of users and of what they tried are nobody else's business.
const MODE: u32 = 0o600;

/// When a file has had enough, and what becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// The size in bytes that a file does not exceed, unless a single line does.
    pub size: u64,
    /// How many older files are kept.
    pub older: u32,
}

/// The file that is written.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    /// Whether the next byte begins a line.
    is_between_lines: bool,
}

impl RotatingFile {
    /// Opens a file to add to it, and makes it if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: PathBuf, rotation: Rotation) -> io::Result<Self> {
        let file = open(&path)?;
        let size = file.metadata()?.len();
        let mut opened = Self { path, rotation, file, size, is_between_lines: true };
        if opened.tail()?.last().is_some_and(|byte| *byte != b'\n') {
            // A process that was killed left half a line. It stays as it is, and is not gone on with.
            opened.write_all(b"\n")?;
        }
        Ok(opened)
    }

    /// The hash of the last line, by which what comes next holds on to what is there. In an empty file, that of the
    /// file before it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn last_hash(&mut self) -> io::Result<Hash> {
        let mut tail = self.tail()?;
        if tail.is_empty() {
            tail = match File::open(older(&self.path, 1)) {
                Ok(mut file) => tail_of(&mut file)?,
                Err(_) => tail,
            };
        }
        let lines = tail.split(|byte| *byte == b'\n').rev();
        Ok(lines.filter_map(split).map(|(_, hash)| hash).next().unwrap_or(Hash::NONE))
    }

    fn tail(&mut self) -> io::Result<Vec<u8>> {
        tail_of(&mut self.file)
    }

    /// How many bytes of `lines` go into the file as it is; 0 if it has had enough.
    fn fitting(&self, lines: &[u8]) -> usize {
        let end_of_first =
            || lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at.saturating_add(1));
        let room = usize::try_from(self.rotation.size.saturating_sub(self.size)).unwrap_or(usize::MAX);
        let Some(within) = lines.get(..room) else {
            return lines.len();
        };
        match within.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last.saturating_add(1),
            // A line that was begun is ended, and a file holds at least one.
            None if self.size == 0 || !self.is_between_lines => end_of_first(),
            None => 0,
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        // It may have been put aside already, by an attempt that could not open the next one, or by somebody else.
        if self.path.try_exists()? {
            self.put_aside()?;
        }
        self.file = open(&self.path)?;
        self.size = 0;
        info!(file = %self.path.display(), "the decision log goes on in a new file");
        Ok(())
    }

    fn put_aside(&self) -> io::Result<()> {
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
    /// Writes as much as goes into the file, or into the next one.
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

/// The end of a file; nothing of what has no end, such as a pipe or `/dev/full`.
fn tail_of(file: &mut File) -> io::Result<Vec<u8>> {
    let mut tail = Vec::new();
    if file.metadata()?.is_file() {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LAST_LINE)))?;
        file.take(LAST_LINE).read_to_end(&mut tail)?;
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
    fn lines_stay_whole_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = RotatingFile::open(path.clone(), Rotation { size: 10, older: 2 }).unwrap();
        file.write_all(b"one\ntwo\nthree\n").unwrap();
        assert_eq!(texts(&path), ["three\n", "one\ntwo\n"]);
        file.write_all(b"one that is longer than all\nfour\n").unwrap();
        assert_eq!(texts(&path), ["four\n", "one that is longer than all\n", "three\n"]);
        // The first half of a line may be written long before the second.
        file.write_all(b"fi").unwrap();
        file.write_all(b"ve and more\nsix\n").unwrap();
        assert_eq!(texts(&path), ["six\n", "four\nfive and more\n", "one that is longer than all\n"]);
    }

    #[test]
    fn half_a_line_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "whole\nhalf").unwrap();
        let rotation = Rotation { size: 1000, older: 1 };
        RotatingFile::open(path.clone(), rotation).unwrap().write_all(b"next\n").unwrap();
        RotatingFile::open(path.clone(), rotation).unwrap().write_all(b"last\n").unwrap();
        assert_eq!(texts(&path), ["whole\nhalf\nnext\nlast\n"]);
    }

    #[test]
    fn a_file_that_was_put_aside_already_is_no_reason_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut file = RotatingFile::open(path.clone(), Rotation { size: 4, older: 2 }).unwrap();
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, older(&path, 1)).unwrap();
        file.write_all(b"two\n").unwrap();
        assert_eq!(texts(&path), ["two\n", "one\n"]);
    }

    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        RotatingFile::open(path.clone(), Rotation { size: 1, older: 1 }).unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    }
}
