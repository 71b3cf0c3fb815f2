//! The documents are correct: links resolve, commands parse, shown output is the real output, and names exist.

mod commands;
mod links;
mod names;
mod pages;
mod promises;
mod recipes;
mod reference;
mod shown;
mod words;
