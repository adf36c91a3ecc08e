//! How much is done to make programs cheaper.

use std::time::Instant;

use fgc_codegen::Fusion;
use fgc_ir::Graph;
use fgc_transforms::eqsat::{self, Limits, Report};

use crate::error::{Error, Result};

/// The highest level: equality saturation, and operations fused into common kernels.
pub const HIGHEST: u8 = 2;

/// How kernels are made at optimisation level `level`.
pub fn fusion(level: u8) -> Fusion {
    if level < HIGHEST { Fusion::None } else { Fusion::All }
}

/// `graph` at optimisation level `level`, with what saturation did, and how long it took in milliseconds.
///
/// # Errors
/// If what saturation gives isn't a valid graph.
pub fn apply(graph: Graph, level: u8) -> Result<(Graph, Option<(Report, f64)>)> {
    if level == 0 {
        return Ok((graph, None));
    }
    let start = Instant::now();
    let (result, report) =
        eqsat::optimise(&graph, &Limits::default()).map_err(|e| Error::new(e.to_string()))?;
    Ok((result, Some((report, start.elapsed().as_secs_f64() * 1e3))))
}
