//! Equality saturation.

mod instances;
mod purposes;
mod range;
mod snapshots;
mod sound;
mod whole;

use fgc_ir::diag::Sources;
use fgc_ir::lang::{self, Options};
use fgc_ir::{DType, Graph};
use fgc_tests::numeric::parse_graph;
use fgc_transforms::Derivatives;

/// The graph of a model with these inputs and this body, of which `y` is returned; in core form if the inputs are
/// `graph`.
pub fn program(inputs: &str, body: &str) -> Graph {
    program_of(DType::F32, inputs, body)
}

/// The same, with `float` for `f32`.
pub fn program_of(float: DType, inputs: &str, body: &str) -> Graph {
    if inputs == "graph" {
        return parse_graph(&format!("graph g {{\n {body}\n output y = %y\n}}\n"), float).unwrap();
    }
    let mut sources = Sources::new();
    let file = sources.add("m.fg", format!("model m({inputs}) {{\n {body}\n output y = y\n}}\n"));
    lang::load(&mut sources, file, &Options { float, ..Options::default() }, &Derivatives).unwrap_or_else(
        |errors| panic!("{}", errors.iter().map(|e| e.render(&sources, false)).collect::<String>()),
    )
}
