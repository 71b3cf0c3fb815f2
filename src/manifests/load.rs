//! Files, directories and standard input, read into documents.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Folder;
use super::{
    Document, LeftOut, LeftOutReason, ManifestError, Problem, Renderer, STDIN, Selection, Source, yaml,
};

/// The largest input, in MiB: a dump of a very large cluster fits. Endless input must not fill the memory.
const LIMIT_MIB: usize = 128;

/// The documents of an input, and its problems.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every object, in the order of the input.
    pub documents: Vec<Document>,
    /// The parts that could not be read.
    pub problems: Vec<Problem>,
}

/// Reads files, directories and, for `-`, `stdin`.
///
/// In a directory, every file at any depth whose name ends in `.yaml`, `.yml` or `.json` is read, sorted by path; hidden
/// files and directories are skipped. Whatever cannot be read or parsed is a problem, and the rest is read.
pub fn load(paths: &[PathBuf], stdin: &mut dyn Read) -> Loaded {
    let mut documents = Vec::new();
    let problems = load_each(paths, stdin, &mut |document| documents.push(document));
    Loaded { documents, problems }
}

/// As [`load`], one document after the other, for inputs that are many times larger than what is kept of them.
pub fn load_each(paths: &[PathBuf], stdin: &mut dyn Read, each: &mut dyn FnMut(Document)) -> Vec<Problem> {
    load_selected(paths, &Selection::default(), stdin, each).0
}

/// As [`load_each`], of the files that a selection leaves. Returns what in folders is no manifest, too.
pub fn load_selected(
    paths: &[PathBuf],
    selection: &Selection,
    stdin: &mut dyn Read,
    each: &mut dyn FnMut(Document),
) -> (Vec<Problem>, Vec<LeftOut>) {
    let mut reader = Reader::new(each);
    for path in paths {
        if path.as_os_str() == "-" {
            reader.add(STDIN, stdin);
        } else if path.is_dir() {
            reader.add_directory(path, selection);
        } else {
            reader.add_file(path);
        }
    }
    let ytt = reader.ytt.into_iter().map(|(path, files)| LeftOut {
        path,
        reason: LeftOutReason::Source(Renderer::Ytt),
        files,
    });
    (reader.problems, reader.left_out.into_iter().chain(ytt).collect())
}

/// Reads one text, and hands out each object. `name` is its name in messages.
pub fn load_text(name: &str, text: &mut dyn Read, each: &mut dyn FnMut(Document)) -> Vec<Problem> {
    let mut reader = Reader::new(each);
    reader.add(name, text);
    reader.problems
}

struct Reader<'e> {
    each: &'e mut dyn FnMut(Document),
    problems: Vec<Problem>,
    left_out: Vec<LeftOut>,
    /// The number of ytt's templates, by folder: only their text shows what they are.
    ytt: BTreeMap<String, usize>,
}

impl<'e> Reader<'e> {
    fn new(each: &'e mut dyn FnMut(Document)) -> Self {
        Self { each, problems: Vec::new(), left_out: Vec::new(), ytt: BTreeMap::new() }
    }

    fn add_directory(&mut self, directory: &Path, selection: &Selection) {
        let Folder { manifests, left_out, problems } = Folder::list(directory, selection);
        if manifests.is_empty() && left_out.is_empty() && problems.is_empty() {
            self.problems.push(Problem::of_file(directory.display().to_string(), ManifestError::Empty));
        }
        self.problems.extend(problems);
        self.left_out.extend(left_out);
        for file in manifests {
            self.add_file(&file);
        }
    }

    fn add_file(&mut self, path: &Path) {
        match File::open(path) {
            Ok(mut file) => self.add(&path.display().to_string(), &mut file),
            Err(error) => self.problems.push(unreadable(path, &error)),
        }
    }

    fn add(&mut self, name: &str, input: &mut dyn Read) {
        match read_text(input).map(|text| Arc::new(Source::new(name, text))) {
            Ok(source) if Renderer::is_ytt(source.text()) => {
                let folder = name.rsplit_once('/').map_or(".", |(folder, _)| folder);
                let files = self.ytt.entry(folder.to_owned()).or_default();
                *files = files.saturating_add(1);
            }
            Ok(source) if source.text().contains("{{") => self.add_possible_template(&source),
            Ok(source) => self.problems.extend(yaml::parse(&source, self.each)),
            Err(error) => self.problems.push(Problem::of_file(name, error)),
        }
    }
}

impl Reader<'_> {
    /// A template may leave out or repeat any document, so none of them is used.
    fn add_possible_template(&mut self, source: &Arc<Source>) {
        let mut documents = Vec::new();
        let problems = yaml::parse(source, &mut |document| documents.push(document));
        if !problems.iter().any(Problem::is_template) {
            documents.into_iter().for_each(&mut *self.each);
        }
        self.problems.extend(problems);
    }
}

fn read_text(input: &mut dyn Read) -> Result<String, ManifestError> {
    let limit = LIMIT_MIB.saturating_mul(1 << 20);
    let mut bytes = Vec::new();
    let up_to = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    input.take(up_to).read_to_end(&mut bytes).map_err(|error| ManifestError::Unreadable(reason(&error)))?;
    if bytes.len() > limit {
        return Err(ManifestError::TooLarge(LIMIT_MIB));
    }
    decode_text(bytes).ok_or(ManifestError::NotText)
}

/// Decodes UTF-8, and UTF-16 after a byte order mark, as kubectl does: PowerShell's `>` writes UTF-16.
fn decode_text(bytes: Vec<u8>) -> Option<String> {
    let utf16 = |text: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = text.as_chunks::<2>();
        let text: Result<String, _> = char::decode_utf16(pairs.iter().copied().map(unit)).collect();
        text.ok().filter(|_| rest.is_empty())
    };
    match bytes.as_slice() {
        [0xff, 0xfe, text @ ..] => utf16(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => utf16(text, u16::from_be_bytes),
        _ => String::from_utf8(bytes).ok(),
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::of_file(path.display().to_string(), ManifestError::Unreadable(reason(error)))
}

/// The system's message in lower case and without its number: `No such file or directory (os error 2)`.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let (words, _) = text.split_once(" (os error").unwrap_or((&text, ""));
    let mut letters = words.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn loaded(paths: &[&Path], stdin: &str) -> (Vec<String>, Vec<String>) {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
        let loaded = load(&paths, &mut stdin.as_bytes());
        let names = loaded.documents.iter().map(|document| document.value["name"].to_string()).collect();
        (names, loaded.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_directory_is_read_sorted_by_path_without_hidden_files() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("sub/.hidden")).unwrap();
        for (file, name) in [
            ("b.yaml", 2),
            ("a.YML", 1),
            ("sub/c.json", 3),
            ("z.yaml", 4),
            (".d.yaml", 9),
            ("sub/.hidden/e.yaml", 9),
            ("notes.txt", 9),
        ] {
            fs::write(root.join(file), format!("{{\"name\": {name}}}")).unwrap();
        }
        let (names, problems) = loaded(&[root], "");
        assert_eq!(names, ["1", "2", "3", "4"]);
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_mounted_config_map_is_read_once() {
        use std::os::unix::fs::symlink;
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir(root.join("..2026")).unwrap();
        fs::write(root.join("..2026/a.yaml"), "name: 1").unwrap();
        symlink("..2026", root.join("..data")).unwrap();
        symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
        symlink(".", root.join("loop.yaml")).unwrap();
        assert_eq!(loaded(&[root], ""), (vec!["1".to_owned()], Vec::new()));
    }

    #[test]
    fn a_file_that_cannot_be_read_does_not_stop_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let empty = root.join("empty");
        fs::create_dir(&empty).unwrap();
        let (missing, binary, broken) = (root.join("missing"), root.join("binary"), root.join("broken"));
        fs::write(&binary, [0x80, 0x81]).unwrap();
        fs::write(&broken, "a: [").unwrap();
        let (names, problems) = loaded(&[&missing, &empty, &binary, &broken, Path::new("-")], "name: 1");
        assert_eq!(names, ["1"]);
        let expected = [
            (&missing, "cannot read the file: no such file or directory"),
            (&empty, "no manifests in this directory"),
            (&binary, "the text is neither UTF-8 nor UTF-16"),
            (&broken, "this is not valid YAML"),
        ];
        assert_eq!(problems.len(), expected.len());
        for (problem, (path, text)) in problems.iter().zip(expected) {
            assert!(problem.starts_with(&path.display().to_string()) && problem.contains(text), "{problem}");
        }
    }

    #[test]
    fn utf_16_is_read_after_a_byte_order_mark() {
        let text = "a: é😀\n";
        let with = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            mark.into_iter().chain(text.encode_utf16().flat_map(bytes)).collect::<Vec<u8>>()
        };
        assert_eq!(decode_text(with([0xff, 0xfe], u16::to_le_bytes)).unwrap(), text);
        assert_eq!(decode_text(with([0xfe, 0xff], u16::to_be_bytes)).unwrap(), text);
        for broken in [&[0xff, 0xfe, 0x61][..], &[0xff, 0xfe, 0x00, 0xd8], &[0x61, 0x80]] {
            assert_eq!(decode_text(broken.to_vec()), None);
        }
    }

    #[test]
    fn endless_input_is_rejected() {
        let loaded = load(&["-".into()], &mut io::repeat(b' '));
        assert!(matches!(loaded.problems[0].error, ManifestError::TooLarge(_)), "{:?}", loaded.problems);
    }
}
