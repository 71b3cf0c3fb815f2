//! An oracle as a process: it reads one question a line and answers each with one line.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

/// A running oracle. It ends when it is dropped.
#[derive(Debug)]
pub struct Oracle {
    child: Child,
    questions: Option<BufWriter<ChildStdin>>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    pub fn start(program: &Path) -> Self {
        let mut command = Command::new(program);
        // Hardly anything outlives a question, so that most collections would be for nothing: a third of the time.
        command.env("GOGC", "2000");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
        let questions = child.stdin.take().map(BufWriter::new);
        let answers = BufReader::new(child.stdout.take().expect("the output is piped"));
        Self { child, questions, answers }
    }

    /// The answers to all of these questions, in their order. They are written by another thread, because both pipes may be full.
    pub fn ask<A: DeserializeOwned>(&mut self, questions: &[String]) -> Vec<A> {
        let Self { questions: into, answers, .. } = self;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let into = into.as_mut().expect("the oracle runs");
                for question in questions {
                    writeln!(into, "{question}").expect("the oracle reads");
                }
                into.flush().expect("the oracle reads");
            });
            let mut line = String::new();
            let mut next = |question: &String| {
                line.clear();
                let read = answers.read_line(&mut line).expect("the oracle writes text");
                assert!(
                    read > 0,
                    "the oracle ended, which writes the cause to standard error, at: {question}"
                );
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
            };
            questions.iter().map(&mut next).collect()
        })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Without questions it ends by itself, unless it is stuck.
        drop(self.questions.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
