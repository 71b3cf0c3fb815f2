//! The repository's documents, parsed, and the tests that they name.

use std::path::PathBuf;
use std::process::Command;

use crate::root;

/// The text of a file of the repository.
///
/// # Panics
/// If the file cannot be read.
#[must_use]
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("`{path}`: {error}"))
}

/// A document.
#[derive(Debug)]
pub struct Document {
    /// Its path in the repository.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// The word after the opening fence.
    pub language: String,
    /// The lines between the fences.
    pub text: String,
}

/// Every document of the repository.
pub fn documents() -> Vec<Document> {
    let mut documents = Vec::new();
    let mut open = vec![root().to_owned()];
    while let Some(path) = open.pop() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_ours = path == root() || !(name == "target" || name.starts_with('.'));
        if path.is_dir() && is_ours {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(document(path.strip_prefix(root()).unwrap().to_str().unwrap()));
        }
    }
    assert!(documents.len() > 7, "{} documents", documents.len());
    documents
}

/// The document at this path.
pub fn document(path: &str) -> Document {
    Document { path: path.into(), text: text(path) }
}

impl Document {
    /// The fenced blocks, and the paragraphs outside them. Each row of a table is a paragraph.
    fn parts(&self) -> (Vec<Block>, Vec<String>) {
        let (mut blocks, mut paragraphs): (Vec<Block>, Vec<String>) = (Vec::new(), vec![String::new()]);
        let mut is_inside = false;
        for line in self.text.lines() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                if !is_inside {
                    blocks.push(Block { language: language.to_owned(), text: String::new() });
                    paragraphs.push(String::new());
                }
                is_inside = !is_inside;
            } else if is_inside {
                blocks.last_mut().unwrap().text += &format!("{line}\n");
            } else if line.is_empty() || line.starts_with('|') || line.starts_with('#') {
                paragraphs.push(line.to_owned());
            } else {
                let paragraph = paragraphs.last_mut().unwrap();
                *paragraph = format!("{paragraph} {}", line.trim());
            }
        }
        assert!(!is_inside, "`{}` ends inside a fence", self.path.display());
        (blocks, paragraphs)
    }

    /// The blocks in one of these languages.
    pub fn blocks(&self, languages: &[&str]) -> Vec<Block> {
        let all = self.parts().0.into_iter();
        all.filter(|block| languages.contains(&block.language.as_str())).collect()
    }

    /// The paragraphs outside of blocks.
    pub fn paragraphs(&self) -> Vec<String> {
        self.parts().1
    }

    /// The text between each pair of backticks, in order.
    pub fn spans(&self) -> Vec<String> {
        let of = |paragraph: &String| -> Vec<String> {
            let pieces: Vec<&str> = paragraph.split('`').collect();
            assert!(pieces.len() % 2 == 1, "`{}`: a backtick is missing: {paragraph}", self.path.display());
            pieces.into_iter().skip(1).step_by(2).map(ToOwned::to_owned).collect()
        };
        self.paragraphs().iter().flat_map(of).collect()
    }

    /// The paragraphs without the text between backticks.
    pub fn prose(&self) -> Vec<String> {
        let of = |paragraph: &String| paragraph.split('`').step_by(2).collect::<Vec<_>>().join("`");
        self.paragraphs().iter().map(of).collect()
    }

    /// The cells of the tables, row by row, without the separator rows.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let rows = self.paragraphs().into_iter().filter(|line| line.starts_with('|'));
        let cells = |row: String| -> Vec<String> {
            let row = row.replace("\\|", "\u{0}");
            let cells = row.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('\u{0}', "|")).collect()
        };
        rows.map(cells).filter(|cells| !cells[0].starts_with("---")).collect()
    }

    /// The cells of the table with this header, row by row.
    pub fn table(&self, head: &[&str]) -> Vec<Vec<String>> {
        let lines = self.text.lines().skip_while(|line| *line != format!("| {} |", head.join(" | ")));
        let table: Vec<&str> = lines.take_while(|line| line.starts_with('|')).collect();
        assert!(table.len() > 2, "`{}` has no table with the head {head:?}", self.path.display());
        Self { path: self.path.clone(), text: table[2..].join("\n") }.rows()
    }
}

/// Asserts that every test that a document names as `program::module::test` exists in the calling program. A name may
/// end in `*`, or be that of a module.
///
/// # Panics
/// If a test does not exist, or no document names one.
pub fn assert_named_tests_exist(program: &str) {
    let tests = tests();
    let mut named = 0;
    for document in documents() {
        for span in document.spans() {
            let Some(name) = span.strip_prefix(program).and_then(|rest| rest.strip_prefix("::")) else {
                continue;
            };
            let exists = match name.strip_suffix('*') {
                Some(start) => tests.iter().any(|test| test.starts_with(start)),
                None => tests.iter().any(|test| test == name || test.starts_with(&format!("{name}::"))),
            };
            assert!(exists, "`{}` names the test `{span}`, which does not exist", document.path.display());
            named += 1;
        }
    }
    assert!(named > 0, "no document names a test of `{program}`");
}

/// The tests of the calling program, as its own harness lists them.
fn tests() -> Vec<String> {
    let mut program = Command::new(std::env::current_exe().unwrap());
    let output = program.args(["--list", "--format", "terse"]).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(ToOwned::to_owned).collect()
}
