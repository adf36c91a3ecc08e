//! The reference interpreter: the meaning of a graph, one operation at a time.

use std::fmt;

use crate::bind::{self, Arrays, BindError};
use crate::graph::Graph;
use crate::live;
use crate::ops::OpRules;
use crate::tensor::Tensor;

/// How much an interpretation may take. Checked before it begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of all values held at once.
    pub bytes: u64,
    /// Operations in all.
    pub flops: u64,
}

impl Default for Limits {
    /// 8 GiB and 10¹³ operations: some hours.
    fn default() -> Limits {
        Limits { bytes: 8 << 30, flops: 10_000_000_000_000 }
    }
}

/// Why a graph can't be interpreted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EvalError {
    /// The arrays given don't fit.
    Bind(BindError),
    /// It would take more than allowed.
    TooLarge {
        /// What it would take.
        needs: Limits,
        /// What is allowed.
        limits: Limits,
    },
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::Bind(e) => e.fmt(f),
            EvalError::TooLarge { needs, limits } => write!(
                f,
                "interpreting takes {} bytes and {} operations; the limit is {} bytes and {} operations",
                needs.bytes, needs.flops, limits.bytes, limits.flops
            ),
        }
    }
}

impl std::error::Error for EvalError {}

/// Runs `g` on `arrays`, which have exactly the names that it binds, within the default limits.
/// Gives its outputs by name.
pub fn interpret(g: &Graph, arrays: &Arrays) -> Result<Arrays, EvalError> {
    interpret_within(g, arrays, Limits::default())
}

/// [`interpret`] within `limits`.
pub fn interpret_within(g: &Graph, arrays: &Arrays, limits: Limits) -> Result<Arrays, EvalError> {
    bind::check(g, arrays).map_err(EvalError::Bind)?;
    let needs = Limits { bytes: live::peak_bytes(g), flops: live::flops(g) };
    if needs.bytes > limits.bytes || needs.flops > limits.flops {
        return Err(EvalError::TooLarge { needs, limits });
    }
    let mut values: Vec<Option<Tensor>> = vec![None; g.len()];
    let mut kept = vec![false; g.len()];
    g.outputs.iter().for_each(|o| kept[o.value.index()] = true);
    for (v, dying) in g.values().zip(live::dying(g)) {
        let value = match g.binding(v) {
            Some((name, _)) => arrays[name].clone(),
            None => {
                let args: Vec<&Tensor> =
                    g.node(v).args.iter().filter_map(|a| values[a.index()].as_ref()).collect();
                g.node(v).op.eval(&args)
            }
        };
        values[v.index()] = Some(value);
        for d in dying.into_iter().filter(|d| !kept[d.index()]) {
            values[d.index()] = None;
        }
    }
    let output = |o: &crate::graph::Output| Some((o.name.clone(), values[o.value.index()].clone()?));
    Ok(g.outputs.iter().filter_map(output).collect())
}
