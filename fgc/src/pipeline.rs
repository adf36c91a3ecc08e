//! From a model to machine code: how much is done to make programs cheaper, and compiling them.

use std::fmt;
use std::time::Instant;

use fgc_codegen::{Fusion, Lowered};
use fgc_ir::Graph;
use fgc_transforms::eqsat::{self, Limits, Report};

use crate::error::{Error, Result};
use crate::program::{CompileOptions, Program};
use crate::timing::ms;

/// How much is done to make a program cheaper.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Level {
    /// Nothing: each operation is computed as it is written.
    AsWritten,
    /// What equality saturation finds.
    Saturated,
    /// That, and operations fused into common kernels.
    #[default]
    Fused,
}

impl Level {
    /// All of them, the lowest first.
    pub const ALL: [Level; 3] = [Level::AsWritten, Level::Saturated, Level::Fused];

    /// Its number, from 0.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// How kernels are made at it.
    pub fn fusion(self) -> Fusion {
        if self == Level::Fused { Fusion::All } else { Fusion::None }
    }
}

impl TryFrom<u8> for Level {
    type Error = Error;

    /// The level of that number.
    fn try_from(number: u8) -> Result<Level> {
        let level = Level::ALL.into_iter().find(|level| level.number() == number);
        level.ok_or_else(|| Error::new(format!("there is no optimisation level {number}: they are 0 to 2")))
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// What equality saturation did to a graph.
#[derive(Debug)]
pub struct Saturation {
    /// Its counts.
    pub report: Report,
    /// How long it took, in milliseconds.
    pub ms: f64,
}

/// A graph that has been made cheaper, and can be compiled.
#[derive(Debug)]
pub struct Optimized {
    graph: Graph,
    fusion: Fusion,
    saturation: Option<Saturation>,
}

impl Optimized {
    /// `graph` at `level`.
    ///
    /// # Errors
    /// If the saturated graph isn't valid.
    pub fn new(graph: Graph, level: Level) -> Result<Optimized> {
        if level == Level::AsWritten {
            return Ok(Optimized { graph, fusion: level.fusion(), saturation: None });
        }
        let start = Instant::now();
        let (graph, report) = eqsat::optimise(&graph, &Limits::default()).map_err(Error::of)?;
        let saturation = Some(Saturation { report, ms: ms(start) });
        Ok(Optimized { graph, fusion: level.fusion(), saturation })
    }

    /// `graph` with operations fused into common kernels but nothing rewritten: what shows, beside
    /// [`Level::Fused`], what equality saturation contributes to that.
    pub fn fused_as_written(graph: Graph) -> Optimized {
        Optimized { graph, fusion: Fusion::All, saturation: None }
    }

    /// Its graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What saturation did, if it was to do anything.
    pub fn saturation(&self) -> Option<&Saturation> {
        self.saturation.as_ref()
    }

    /// Its kernels and the layout of its memory, which say what a call of it costs.
    pub fn lower(&self) -> Lowered {
        Lowered::with(&self.graph, self.fusion)
    }

    /// Machine code for it.
    ///
    /// # Errors
    /// If it can't be compiled, or there isn't memory for it.
    pub fn compile(&self, options: &CompileOptions) -> Result<Program> {
        Program::new(&self.graph, self.fusion, options)
    }
}
