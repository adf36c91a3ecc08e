//! How much the forward gradient varies: its components, and the whole of it, beside the closed form.
//!
//! Along a direction v of independent components with mean 0, variance 1 and fourth moment κ, the forward gradient
//! g = (∇f·v)v has Var[gₖ] = ‖∇f‖² + (κ − 2)(∂ₖf)², and over all of its n components (n + κ − 2)‖∇f‖².

use fgc::estimate::{Draws, Gradient, Moments, measure};
use fgc::{CompileOptions, Model, random};
use fgc_ir::Arrays;
use fgc_train::Result;
use fgc_train::data::{self, fit::Options};
use fgc_train::estimate::inputs;
use fgc_train::training::fitted;
use serde::{Deserialize, Serialize};

use super::log::Log;
use super::programs::{forward, load};
use super::{Context, Measure};
use crate::spec::measure::{Sampled, Tangent, Variance, distribution};

/// The measurement of a component, or of all together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VarianceRecord {
    /// The case it is of.
    pub case: String,
    /// The value of its const.
    pub x: u32,
    /// The number of components.
    pub parameters: usize,
    /// The distribution of directions.
    pub tangent: Tangent,
    /// The number of directions.
    pub draws: u64,
    /// The component, numbered through all parameters in the order of the model; all of them if there is none.
    pub component: Option<usize>,
    /// ‖∇f‖².
    pub squared_norm: f64,
    /// ∂ₖf; of all, ‖∇f‖.
    pub derivative: f64,
    /// The mean of gₖ − ∂ₖf; of all, the norm of those means.
    pub bias: f64,
    /// The standard error of that mean.
    pub bias_error: f64,
    /// The variance of gₖ; of all, the sum.
    pub variance: f64,
    /// The standard error of the variance.
    pub variance_error: f64,
    /// Of all: the part of the components whose mean is within two standard errors of the derivative; 95 % of them
    /// are to be expected.
    pub covered: Option<f64>,
}

impl Measure for Variance {
    type Record = VarianceRecord;

    fn run(&self, log: &mut Log<VarianceRecord>, ctx: &Context) -> Result<()> {
        let points = self.cases.iter().flat_map(|c| c.values.iter().map(move |&x| (c, x)));
        let points = points.flat_map(|(c, x)| self.tangents.iter().map(move |&t| (c, x, t)));
        let points: Vec<(&Sampled, u32, Tangent)> = points.collect();
        for (k, &(case, x, tangent)) in points.iter().enumerate() {
            let done = |r: &VarianceRecord| r.case == case.name && r.x == x && r.tangent == tangent;
            if log.records().iter().any(done) {
                continue;
            }
            if ctx.stopped() {
                break;
            }
            let what = format!("{}, {} {x}, {}", case.title, case.along, distribution(tangent));
            (ctx.progress)(&what, k, points.len());
            // Nothing is measured where it was stopped on the way.
            log.extend(self.point(case, x, tangent, ctx)?)?;
        }
        Ok(())
    }
}

impl Variance {
    /// Measures one function at one size.
    fn point(&self, case: &Sampled, x: u32, tangent: Tangent, ctx: &Context) -> Result<Vec<VarianceRecord>> {
        let mut set = case.set.clone();
        set.insert(case.along.clone(), toml::Value::Integer(x.into()));
        let model = load(ctx, &case.model, &set, case.batch)?;
        let at = self.arrays(case, &model, ctx)?;
        let options = CompileOptions { threads: ctx.threads.clone(), ..CompileOptions::default() };
        let gradient = Gradient::of(&model, &at, &options)?;
        let estimate = model.estimate(&forward(1, tangent.direction())?)?;
        let at_once = self.at_once.max(1);
        // Whole calls: what is drawn is kept.
        let count = case.draws.next_multiple_of(at_once as u64);
        let draws = Draws { count, at_once, seed: self.seed, stopped: &|| ctx.stopped() };
        let moments = measure(&model, &estimate, &at, &gradient, draws, &options)?;
        Ok(moments.map_or_else(Vec::new, |moments| self.records(case, x, tangent, &gradient, &moments)))
    }

    /// Where the function is looked at: its parameters and data.
    fn arrays(&self, case: &Sampled, model: &Model, ctx: &Context) -> Result<Arrays> {
        let set = case.data.as_deref().map(|name| data::load(name, ctx.data)).transpose()?;
        let fitted = set.as_ref().map(|set| fitted(model, set, &Options::default())).transpose()?;
        let mut arrays = inputs(model, fitted.as_ref(), self.seed)?;
        arrays.extend(random::initial(model.graph(), self.seed)?);
        Ok(arrays)
    }

    fn records(
        &self,
        case: &Sampled,
        x: u32,
        tangent: Tangent,
        gradient: &Gradient,
        m: &Moments,
    ) -> Vec<VarianceRecord> {
        let derivatives: Vec<f64> = gradient.components().collect();
        let squared_norm = gradient.squared_norm();
        let n = m.draws as f64;
        let record =
            |component, derivative, bias, bias_error, variance, variance_error, covered| VarianceRecord {
                case: case.name.clone(),
                x,
                parameters: derivatives.len(),
                tangent,
                draws: m.draws,
                component,
                squared_norm,
                derivative,
                bias,
                bias_error,
                variance,
                variance_error,
                covered,
            };
        // Of component k: the mean of the difference from the derivative and its error, its mean square (which is the
        // variance, since the mean is known), and the error of that, from the mean fourth power.
        let of = |k: usize| -> [f64; 4] {
            let [first, second, fourth] = m.sums.each_ref().map(|sum| sum[k] / n);
            [first, (second / n).sqrt(), second, ((fourth - second * second).max(0.0) / n).sqrt()]
        };
        let all: Vec<[f64; 4]> = (0..derivatives.len()).map(of).collect();
        let covered = all.iter().filter(|[bias, error, ..]| bias.abs() <= 2.0 * error).count();
        let bias = all.iter().map(|[bias, ..]| bias * bias).sum::<f64>().sqrt();
        let bias_error = all.iter().map(|[_, error, ..]| error * error).sum::<f64>().sqrt();
        let total = m.whole.squares / n;
        let total_error = ((m.fourth / n - total * total).max(0.0) / n).sqrt();
        let part = covered as f64 / all.len().max(1) as f64;
        let whole = record(None, squared_norm.sqrt(), bias, bias_error, total, total_error, Some(part));
        let mut order: Vec<usize> = (0..derivatives.len()).collect();
        order.sort_by(|&a, &b| derivatives[b].abs().total_cmp(&derivatives[a].abs()));
        let kept = case.components.min(order.len());
        let components = (0..kept).map(|j| {
            let k = order[j * (order.len() - 1) / (kept - 1).max(1)];
            let [bias, bias_error, variance, variance_error] = all[k];
            record(Some(k), derivatives[k], bias, bias_error, variance, variance_error, None)
        });
        std::iter::once(whole).chain(components).collect()
    }
}
