//! What results show: figures, tables, and the verdicts of claims.
//!
//! Nothing here is run or measured again, and nothing is written.

mod check;
mod claims;
mod figure;
mod measure;
mod section;
mod select;
mod store;
mod table;

pub use claims::{Decided, PAPER, decide, wanted};
pub use section::{Case, Claim, Evidence, Found, Report, Section, Table};
pub use store::{Store, Stored};

/// A number with about three digits that matter.
fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{x:.1e}"),
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.3}"),
    }
}

/// A learning rate, for people.
fn rate(rate: f64) -> String {
    if (0.01..100.0).contains(&rate) { rate.to_string() } else { format!("{rate:e}") }
}

/// `test_accuracy` as words.
fn spoken(of: &str) -> String {
    of.replace('_', " ")
}
