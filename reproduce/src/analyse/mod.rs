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
mod text;

pub use claims::{Decided, PAPER, decide, wanted};
pub use section::{Case, Claim, Evidence, Found, Report, Section, Table};
pub use store::{Store, Stored};
