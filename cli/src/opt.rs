//! `--opt`: how much is done to make programs cheaper.

use std::time::Instant;

use fgc_codegen::Fusion;
use fgc_ir::Graph;
use fgc_transforms::eqsat::{self, Limits, Report};

use crate::failure::{Done, input};
use crate::modes::Timing;

/// How kernels are made at optimisation level `level`.
pub fn fusion(level: u8) -> Fusion {
    if level < 2 { Fusion::None } else { Fusion::All }
}

/// `graph` at optimisation level `level`, with what saturation did, and how long it took.
pub fn apply(graph: Graph, level: u8) -> Done<(Graph, Option<(Report, Timing)>)> {
    if level == 0 {
        return Ok((graph, None));
    }
    let start = Instant::now();
    let (result, report) = eqsat::optimise(&graph, &Limits::default()).map_err(input)?;
    Ok((result, Some((report, ("saturation", start.elapsed().as_secs_f64() * 1e3)))))
}
