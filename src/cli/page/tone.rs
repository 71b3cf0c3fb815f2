//! The tone of a statement: a colour that is never alone, because a shape and a word are beside it.

use maud::{Markup, html};

/// The weight of a statement, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Tone {
    Good,
    Fragile,
    Unknown,
    Bad,
}

impl Tone {
    /// The class of an element in this tone.
    pub(in crate::cli) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fragile => "fragile",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
        }
    }

    /// A circle with a tick, a triangle, an octagon with a cross, or a diamond with a question mark.
    pub(in crate::cli) fn icon(self) -> Markup {
        let (frame, sign) = match self {
            Self::Good => ("M8 1a7 7 0 1 0 0 14A7 7 0 1 0 8 1", "M5 8.2l2.1 2.1L11 6"),
            Self::Fragile => ("M8 1.5L15 14H1z", "M8 6v4M8 12v.2"),
            Self::Bad => ("M5 1h6l4 4v6l-4 4H5l-4-4V5z", "M5.5 5.5l5 5M10.5 5.5l-5 5"),
            Self::Unknown => {
                ("M8 .8L15.2 8 8 15.2.8 8z", "M6.3 6.4a1.8 1.8 0 1 1 2.5 1.7q-.8.4-.8 1.2M8 11.4v.1")
            }
        };
        html! {
            svg class="icon" viewBox="0 0 16 16" aria-hidden="true" { path d=(frame) {} path d=(sign) {} }
        }
    }

    /// A word in this tone.
    pub(in crate::cli) fn badge(self, word: &str) -> Markup {
        html! { span class={ "badge " (self.class()) } { (self.icon()) " " (word.to_uppercase()) } }
    }
}
