//! The `.fg` text: reading, and printing.
//!
//! A file holds the language that models are written in, graphs in core form, or both.
//! [`parser::parse`] makes a syntax tree of either. [`core::build`] makes the [`Graph`] of a
//! core form, node by node, and [`print::print`] is its inverse: printing a graph gives text
//! that reads back as the same graph.
//!
//! [`Graph`]: crate::Graph

pub mod ast;
pub mod core;
pub mod dot;
pub(crate) mod lexer;
pub mod parser;
pub mod print;

/// Whether `name` is only digits, as a value without a label is referred to.
fn is_number(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_digit())
}
