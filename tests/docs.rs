//! What the documents say is so: links lead somewhere, commands are understood, what is shown is what is printed,
//! and what is named is there. It takes a second, and no server.

#![allow(unreachable_pub, reason = "every program uses its own part of what is shared")]

#[path = "support/held.rs"]
#[allow(dead_code, reason = "shared with other tests")]
mod held;

mod docs {
    mod commands;
    mod links;
    mod names;
    mod page;
    mod promises;
    mod reference;
    mod shown;
    mod words;
}
