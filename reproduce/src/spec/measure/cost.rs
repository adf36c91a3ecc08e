//! The settings of experiments of kind `cost`: what programs take of time, operations and memory, against width, depth,
//! batch or the number of tangents.

use std::collections::BTreeSet;

use fgc_train::{Error, Result, ranges};
use serde::{Deserialize, Serialize};

use super::{Consts, Kind, Program, Tangent, all_known, check_names, check_values};

/// The settings of an experiment of kind `cost`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    /// The distribution of directions.
    #[serde(default = "normal")]
    pub tangent: Tangent,
    /// The seed of arrays and keys.
    #[serde(default)]
    pub seed: u64,
    /// The curves that are measured.
    pub curves: Vec<Curve>,
}

fn normal() -> Tangent {
    Tangent::Normal
}

fn one() -> usize {
    1
}

/// Programs of one model, along one of its sizes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// The name in results and claims.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// The model.
    pub model: String,
    /// Values for its consts.
    #[serde(default)]
    pub set: Consts,
    /// The batch size.
    #[serde(default = "super::batch")]
    pub batch: usize,
    /// How many tangents there are at once.
    #[serde(default = "one")]
    pub tangents: usize,
    /// What the values are of: `batch`, `tangents`, or a const of the model. Where there is none, the model is
    /// measured once.
    pub along: Option<String>,
    /// The values, in increasing order.
    #[serde(default)]
    pub values: Vec<u32>,
    /// The programs that the model is made into.
    pub programs: Vec<Program>,
    /// For how long calls are timed at each value, in seconds, all programs together. 0: programs aren't called.
    #[serde(default)]
    pub seconds: f64,
    /// The panels that show it.
    #[serde(default)]
    pub panels: Vec<Quantity>,
    /// Whether the panels' axes are logarithmic.
    #[serde(default)]
    pub log: bool,
}

/// A quantity of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// The time of a call.
    Time,
    /// The time of a call as a multiple of that of the function itself: R_f and R_b.
    Relative,
    /// Arithmetic operations.
    Operations,
    /// The memory of all arrays.
    Memory,
    /// The memory beyond what is bound and given back: parameters, tangents or gradients, and data.
    Workspace,
}

/// A comparison that decides on a claim.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum CostCheck {
    /// Whether a quantity of a program, divided by that of another, is within bounds: at every value of every curve
    /// named.
    Ratio {
        /// The curves.
        curves: Vec<String>,
        /// The program.
        of: Program,
        /// The other.
        to: Program,
        /// The quantity of both.
        quantity: Quantity,
        /// The lower bound.
        at_least: Option<f64>,
        /// The upper bound.
        at_most: Option<f64>,
    },
    /// Whether a quantity of a program at the last value of a curve, divided by that at `from` (the first, if not
    /// given), is within bounds.
    Growth {
        /// The curve.
        curve: String,
        /// The program.
        of: Program,
        /// The quantity.
        quantity: Quantity,
        /// The value that is compared with.
        from: Option<u32>,
        /// The lower bound.
        at_least: Option<f64>,
        /// The upper bound.
        at_most: Option<f64>,
    },
}

impl Kind for Costs {
    const KIND: &str = "cost";
    type Check = CostCheck;

    fn inputs(&self) -> (BTreeSet<&str>, BTreeSet<&str>) {
        (self.curves.iter().map(|of| of.model.as_str()).collect(), BTreeSet::new())
    }

    fn check(&self, checks: &[&CostCheck]) -> Result<()> {
        let named: Vec<&str> = self.curves.iter().map(|curve| curve.name.as_str()).collect();
        let count = self.curves.iter().map(|curve| curve.panels.len()).sum();
        check_names("curve", named.iter().copied(), count)?;
        for curve in &self.curves {
            check_values("curve", &curve.name, &curve.values)?;
            let counts = ranges::count("a batch", curve.batch)
                .and_then(|_| ranges::count("the number of tangents", curve.tangents))
                .and_then(|_| ranges::seconds(curve.seconds));
            counts.map_err(|e| Error::at(format_args!("curve `{}`", curve.name), e))?;
        }
        let panels = self.curves.iter().flat_map(|c| c.panels.iter().map(move |q| (&c.name, None, *q)));
        let checked = checks.iter().flat_map(|check| match check {
            CostCheck::Ratio { curves, of, to, quantity, .. } => {
                let each = curves.iter().flat_map(|c| [(c, Some(*of), *quantity), (c, Some(*to), *quantity)]);
                each.collect::<Vec<_>>()
            }
            CostCheck::Growth { curve, of, quantity, .. } => vec![(curve, Some(*of), *quantity)],
        });
        for (name, program, quantity) in panels.chain(checked) {
            all_known("curve", [name.as_str()], &named)?;
            let curve = self.curves.iter().find(|curve| curve.name == *name);
            let curve = curve.expect("a curve of a known name");
            if let Some(program) = program.filter(|program| !curve.programs.contains(program)) {
                return Err(Error::new(format!("`{name}` has no program `{}`", program.name())));
            }
            if matches!(quantity, Quantity::Time | Quantity::Relative) && curve.seconds <= 0.0 {
                return Err(Error::new(format!("`{name}` isn't timed: it has no `seconds`")));
            }
            if quantity == Quantity::Relative && !curve.programs.contains(&Program::Forward) {
                let message = format!("`{name}` has no `relative`: `forward` isn't among its programs");
                return Err(Error::new(message));
            }
        }
        Ok(())
    }
}
