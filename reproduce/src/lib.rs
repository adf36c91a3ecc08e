//! Experiments as data: their runs, what is measured of them, and the figures, claims and report made of that.

pub mod draw;
pub mod figure;
pub mod report;
#[cfg(test)]
mod sample;
mod section;

pub use figure::{Axis, Figure, Panel, Point, Scale, Series};
pub use section::{Claim, Report, Section, Table, Verdict};
