//! What the documents say is so: links lead somewhere, commands are understood, what is shown is what is printed,
//! and what is named is there.

mod commands;
mod links;
mod names;
mod promises;
mod reference;
mod shown;
mod words;
