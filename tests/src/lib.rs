//! What the test suite of fgc shares: numerical comparison, the laws of the passes as checks of
//! any graph, a generator of random graphs, fuzzing, and files of data sets.

pub mod files;
pub mod fuzz;
pub mod generate;
pub mod laws;
pub mod naive;
pub mod numeric;
pub mod range;
pub mod rounding;
pub mod single;
pub mod soup;
pub mod steps;
pub mod targets;
pub mod variants;
pub mod watch;
