//! A real Chromium without a window, driven by `tests/support/node/browser/browse.mjs`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::control_plane;

/// The longest time that a command may take: seconds, on an idle machine.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a page is shown on.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// A name for files.
    pub name: &'static str,
    /// `light` or `dark`.
    pub scheme: &'static str,
    /// `screen` or `print`.
    pub media: &'static str,
    /// The width in pixels.
    pub width: u32,
    /// Whether the page's scripts run.
    pub has_script: bool,
}

impl Screen {
    /// A window of a desktop.
    pub const LIGHT: Self =
        Self { name: "light", scheme: "light", media: "screen", width: 1280, has_script: true };
    /// The same with the dark look.
    pub const DARK: Self = Self { name: "dark", scheme: "dark", ..Self::LIGHT };
    /// A sheet of A4.
    pub const PRINT: Self = Self { name: "print", media: "print", width: 794, ..Self::LIGHT };
    /// The narrowest screen that a page has to fit on.
    pub const NARROW: Self = Self { name: "320px", width: 320, ..Self::LIGHT };
    /// A window of a desktop without scripts.
    pub const WITHOUT_SCRIPT: Self = Self { name: "without-script", has_script: false, ..Self::LIGHT };
}

/// A running browser with one page. The end of its commands ends it, and it removes its files.
#[derive(Debug)]
pub struct Browser {
    _child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

impl Browser {
    /// Starts `chromium` from the path.
    ///
    /// # Panics
    /// If the packages that drive it cannot be installed, or Node.js does not start.
    pub async fn start() -> Self {
        let driver = control_plane::browser_driver().unwrap();
        let chromium = on_path("chromium").expect("install Chromium: no `chromium` is in the path");
        let mut child = Command::new("node")
            .arg(driver.join("browse.mjs"))
            .arg(chromium)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { _child: child, commands, answers }
    }

    /// Sends a command, and returns its answer.
    ///
    /// # Panics
    /// If the command fails.
    pub async fn run(&mut self, command: &str, mut arguments: Value) -> Value {
        arguments["command"] = json!(command);
        self.commands.write_all(format!("{arguments}\n").as_bytes()).await.unwrap();
        let line = timeout(DEADLINE, self.answers.next_line()).await.expect("an answer in time").unwrap();
        let answer: Value = serde_json::from_str(&line.expect("the browser runs")).unwrap();
        assert!(answer["error"].is_null(), "{command}: {}", answer["error"]);
        answer["ok"].clone()
    }

    /// Opens a URL. Returns the page's title.
    pub async fn open(&mut self, url: &str, screen: Screen) -> String {
        let Screen { name: _, scheme, media, width, has_script } = screen;
        let arguments =
            json!({"url": url, "scheme": scheme, "media": media, "width": width, "script": has_script});
        self.run("open", arguments).await.as_str().unwrap().to_owned()
    }

    /// Asserts that nothing is wider than the screen, and that axe-core finds no violation.
    ///
    /// # Panics
    /// If something is.
    pub async fn assert_fits_and_is_accessible(&mut self, what: &str) {
        let overflow = self.run("overflow", json!({})).await;
        let (scroll, client) =
            (overflow["scrollWidth"].as_u64().unwrap(), overflow["clientWidth"].as_u64().unwrap());
        assert!(scroll <= client && overflow["wide"] == json!([]), "{what}: {overflow}");
        let found = self.run("violations", json!({})).await;
        assert_eq!(found["violations"], json!([]), "{what}");
        assert!(found["passes"].as_u64().unwrap() > 20, "{what}: {found}");
    }

    /// The text of the first element that a selector finds.
    pub async fn text(&mut self, selector: &str) -> String {
        self.run("text", json!({"selector": selector})).await.as_str().unwrap().to_owned()
    }

    /// Waits until an element that is visible has this text.
    pub async fn until(&mut self, selector: &str, text: &str) {
        self.run("until", json!({"selector": selector, "text": text})).await;
    }

    /// Writes a picture of the whole page.
    pub async fn screenshot(&mut self, path: &Path) {
        self.run("screenshot", json!({"path": path, "whole": true})).await;
    }
}
