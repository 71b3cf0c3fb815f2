//! The frame of a page: one HTML document that takes nothing from elsewhere.
//!
//! maud escapes what HTML would read as markup. [`Page::document`] also escapes the characters that [`printable`] does
//! anywhere else, so that a name from a cluster can neither leave its element nor change how the text around it reads.

mod tone;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use ring::digest::{SHA256, digest};

use super::render::printable;
pub(super) use tone::Tone;

/// The look of every page.
const STYLE: &str = include_str!("page/style.css");

/// Starts of elements that begin a line of the document, so that a difference between two pages can be read.
const LINES: [&str; 24] = [
    "<a ", "<aside", "<caption", "<details", "<div", "<figure", "<footer", "<g ", "<h1", "<h2", "<h3", "<h4",
    "<header", "<li", "<main", "<ol", "<p", "<section", "<summary", "<svg", "<table", "<tbody", "<tr", "<ul",
];

/// A page.
#[derive(Debug)]
pub(super) struct Page<'p> {
    /// The title of the browser's tab.
    pub(super) title: &'p str,
    /// The origin of what the page shows, beside the name of the program.
    pub(super) origin: Markup,
    /// The elements between the header and `main`.
    pub(super) notice: Markup,
    /// The element `main`.
    pub(super) main: Markup,
    /// The elements of the footer.
    pub(super) footer: Markup,
    /// The script of a live page; a page in a file has none.
    pub(super) script: Option<&'static str>,
}

/// The policy that allows the browser to use nothing but the style of pages, and this script if there is one.
pub(super) fn security_policy(script: Option<&str>) -> String {
    let hash = |text: &str| format!("'sha256-{}'", STANDARD.encode(digest(&SHA256, text.as_bytes())));
    let script = script
        .map_or_else(String::new, |script| format!("; script-src {}; connect-src 'self'", hash(script)));
    let style = hash(STYLE);
    format!(
        "default-src 'none'; style-src {style}; img-src data:; base-uri 'none'; form-action 'none'{script}"
    )
}

impl Page<'_> {
    /// The whole document.
    pub(super) fn document(&self) -> String {
        let body = html! {
            a class="skip" href="#main" { "Skip to the verdict" }
            header {
                p class="brand" { (mark()) " Lockstep" }
                p class="origin" { (self.origin) }
            }
            (self.notice)
            (self.main)
            footer { (self.footer) }
        };
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(security_policy(self.script));
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (printable(self.title)) }
                    link rel="icon" href=(ICON);
                    style { (PreEscaped(STYLE)) }
                    @if let Some(script) = self.script {
                        script type="module" { (PreEscaped(script)) }
                    }
                }
                body { (PreEscaped(lines(&body))) }
            }
        };
        document.into_string() + "\n"
    }
}

/// The markup with unsafe characters escaped, and one line for each element that is a block. No text has `<`, so that
/// what is replaced is markup.
pub(super) fn lines(markup: &Markup) -> String {
    let text = printable(&markup.0);
    let mut broken = String::with_capacity(text.len().saturating_add(text.len() / 8));
    let (before, mut rest) = text.split_at(text.find('<').unwrap_or(text.len()));
    broken.push_str(before);
    while !rest.is_empty() {
        if LINES.iter().any(|start| rest.starts_with(start)) {
            broken.push('\n');
        }
        // The next element begins after this one's `<`.
        let end =
            rest.char_indices().skip(1).find(|(_, letter)| *letter == '<').map_or(rest.len(), |(at, _)| at);
        let (element, after) = rest.split_at(end);
        broken.push_str(element);
        rest = after;
    }
    broken
}

/// A sentence whose names are in backticks.
pub(super) fn sentence(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of backticks: one is part of a name, and which is not known.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (index, part) in parts.iter().enumerate() {
            @if index.is_multiple_of(2) { (part) } @else { code { (part) } }
        }
    }
}

/// A command or a text to copy. It is selected as a whole, and reached by the keyboard.
pub(super) fn to_copy(label: &str, text: &str) -> Markup {
    html! {
        pre class="copy" tabindex="0" role="group" aria-label=(label) { code { (text) } }
    }
}

/// A text of several lines to copy, such as a manifest.
pub(super) fn lines_to_copy(label: &str, text: &str) -> Markup {
    html! {
        pre class="copy lines" tabindex="0" role="group" aria-label=(label) {
            @for line in text.lines() { code { (line) } }
        }
    }
}

/// The mark of the program: two steps at the same height.
fn mark() -> Markup {
    html! {
        svg class="mark" viewBox="0 0 16 16" aria-hidden="true" {
            path d="M1 13V9h4V5h4V1h6" {}
            path d="M5 15v-2h4V9h4V5h2" {}
        }
    }
}

const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Crect width='16' height='16' rx='3' fill='%231f5fbf'/%3E%3Cpath d='M3 12V9h3V6h3V3h4' fill='none' \
    stroke='white' stroke-width='2'/%3E%3C/svg%3E";

#[cfg(test)]
mod tests {
    use maud::html;

    use super::{Page, STYLE, lines, security_policy, sentence, to_copy};

    #[test]
    fn names_in_backticks_are_code_and_cannot_be_markup() {
        let code = sentence("only `n1` can, not `<b>`").into_string();
        assert_eq!(code, "only <code>n1</code> can, not <code>&lt;b&gt;</code>");
        assert_eq!(sentence("a `b` ` c").into_string(), "a `b` ` c");
        let copy = to_copy("x\" onclick=\"y", "</code><script>").into_string();
        assert!(
            copy.contains("aria-label=\"x&quot; onclick=&quot;y\"") && !copy.contains("<script>"),
            "{copy}"
        );
    }

    #[test]
    fn characters_that_change_how_text_reads_are_shown_as_their_codes() {
        let text = lines(&html! { p { "a\u{202e}b\nc\u{0}d" } p { "<p>" } });
        assert_eq!(text, "\n<p>a\\u{202e}b\\nc\\u{0}d</p>\n<p>&lt;p&gt;</p>");
    }

    #[test]
    fn a_page_names_nothing_elsewhere_and_its_style_cannot_end_early() {
        let page = Page {
            title: "</title>\u{7}",
            origin: html! {},
            notice: html! {},
            main: html! {},
            footer: html! {},
            script: None,
        };
        let document = page.document();
        assert!(document.contains("<title>&lt;/title&gt;\\u{7}</title>"), "{document}");
        assert!(!document.contains("<script") && !STYLE.contains('<'), "{document}");
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
        let policy = security_policy(None);
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("script-src"), "{policy}");
    }
}
