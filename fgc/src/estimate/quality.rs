//! What the moments of an estimate say of it: bias, variance and direction.

use fgc_ir::DType;

use super::gradient::Gradient;
use super::moments::{Moments, PartMoments};

/// By how many standard deviations a statistic of bias is beyond what chance gives before an estimator that is said to be
/// unbiased counts as biased.
pub const SIGMAS: f64 = 5.0;

/// The chance that the largest of the components' deviations is beyond [`Largest::threshold`] where there is no bias: that
/// of a normal number beyond [`SIGMAS`] on either side.
const CHANCE: f64 = 5.7e-7;

/// The largest error, relative to ‖∇f‖, that is taken for one of rounding in estimates of element type `dtype`: 2¹⁰
/// roundings, 2⁻¹⁴ in `f32`. A bias below it isn't seen, nor that of a layer with so small a part of the gradient.
pub fn rounding(dtype: DType) -> f64 {
    2f64.powi(if dtype == DType::F64 { -43 } else { -14 })
}

/// What is known of an estimator's estimates at a point.
#[derive(Clone, PartialEq, Debug)]
pub struct Quality {
    /// How many there were: 1 of an estimator that draws nothing.
    pub draws: u64,
    /// The bias of all components together.
    pub bias: Bias,
    /// That of each layer.
    pub layers: Vec<(String, Bias)>,
    /// The component that is furthest off.
    pub largest: Largest,
    /// The part of the gradient that estimates have.
    pub along: Along,
    /// The variances of all components, added up, over ‖∇f‖².
    pub variance: f64,
    /// Its standard error.
    pub variance_error: f64,
    /// The mean of the cosines of the angles between estimates and the gradient.
    pub cosine: f64,
    /// Their standard deviation.
    pub cosine_sd: f64,
}

/// The error of the mean of the estimates over a part of the components.
///
/// Let m be that mean over N draws less the gradient, C the covariance of an estimate and r the bound of [`rounding`] times
/// ‖∇f‖. Without bias ‖m‖² has the mean s² = tr C/N + r². By Satterthwaite (1946), "An approximate distribution of
/// estimates of variance components", ‖m‖²/s² is distributed about as F with ν = s⁴/(tr C²/N² + r⁴) and
/// μ = (N − 1)s⁴/(tr C²/N²) degrees of freedom, which allows for components that depend on each other: tr C² is measured
/// too, by products of independent draws, as by Chen and Qin (2010), "A two-sample test for high-dimensional data with
/// applications to gene-set testing". By Paulson (1942), "An approximate normalization of the analysis of variance
/// distribution", a number F of that distribution is
///
/// z = ((1 − 2/9μ)∛F − (1 − 2/9ν)) / √(∛F²·2/9μ + 2/9ν)
///
/// standard deviations beyond the mean of a normal one. Assumed is that draws are independent, and so many that the mean of N
/// is about normal. What doesn't vary is judged by r alone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bias {
    /// ‖m‖ over ‖∇f‖, of the whole gradient.
    pub relative: f64,
    /// ‖m‖/s: the error in standard errors of a component, root mean square. 1 is what chance gives.
    pub errors: f64,
    /// z.
    pub z: f64,
}

/// The component whose mean is off by the most standard errors.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Largest {
    /// Its number, through all parameters in the order of the model.
    pub component: usize,
    /// By how many, either way.
    pub errors: f64,
    /// What the largest of so many is beyond by a chance of 6·10⁻⁷, if each is normal: √(2 ln(n/chance)), by the bound of
    /// Bonferroni over n components and that of Chernoff for each.
    pub threshold: f64,
}

/// The part a = ⟨ĝ, ∇f⟩/‖∇f‖² of the gradient that estimates ĝ have: 1 on average, if they have no bias. Of a wrong scale it
/// tells more than all components together, whose errors are those of n directions.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Along {
    /// The mean of a.
    pub mean: f64,
    /// Its standard error, with that of rounding.
    pub error: f64,
    /// Of a − 1, as [`Bias::z`], with one degree of freedom.
    pub z: f64,
}

/// The mean of a number over its draws, and the variance of it, from sums.
fn spread([sum, squares]: [f64; 2], draws: u64) -> (f64, f64) {
    let n = draws as f64;
    let mean = sum / n;
    let variance = if draws > 1 { ((squares - n * mean * mean) / (n - 1.0)).max(0.0) } else { 0.0 };
    (mean, variance)
}

/// ‖m‖/s and z of [`Bias`], from ‖m‖², tr C, tr C² and r.
fn deviation(squared: f64, trace: f64, trace_of_square: f64, draws: u64, rounding: f64) -> (f64, f64) {
    let n = draws as f64;
    let variance = trace / n;
    let square = variance + rounding * rounding;
    if square == 0.0 {
        return (0.0, 0.0);
    }
    let all = trace_of_square / (n * n);
    let of = |freedom: f64| 2.0 / (9.0 * freedom);
    let above = of(square * square / (all + rounding.powi(4)));
    let below = if all > 0.0 { of((n - 1.0) * square * square / all) } else { 0.0 };
    let root = (squared / square).cbrt();
    let z = ((1.0 - below) * root - (1.0 - above)) / (below * root * root + above).sqrt();
    ((squared / square).sqrt(), z)
}

impl Quality {
    /// What `moments` say of estimates of `gradient` of element type `dtype`. The gradient isn't 0.
    pub fn of(moments: &Moments, gradient: &Gradient, dtype: DType) -> Quality {
        let (n, squared_norm) = (moments.draws as f64, gradient.squared_norm());
        let bound = rounding(dtype);
        let squared_mean = |k: usize| (moments.sums[0][k] / n).powi(2);
        // From ‖m‖² of components, in units of ‖∇f‖² from here on.
        let part = |squared: f64, sums: PartMoments, components: usize| {
            let variances = (sums.squares - n * squared).max(0.0);
            let trace = if moments.draws > 1 { variances / (n - 1.0) } else { 0.0 };
            let (squared, trace) = (squared / squared_norm, trace / squared_norm);
            // Between what independent components of equal variance have and what a single direction has, which is also what
            // is taken where there were no pairs.
            let least = trace * trace / components.max(1) as f64;
            let products = match moments.pairs {
                0 => f64::INFINITY,
                pairs => sums.products / pairs as f64 / squared_norm / squared_norm,
            };
            let of_square = products.max(least).min(trace * trace);
            let (errors, z) = deviation(squared, trace, of_square, moments.draws, bound);
            (Bias { relative: squared.sqrt(), errors, z }, trace)
        };
        let all = 0..gradient.elements();
        let (bias, trace) = part(all.clone().map(squared_mean).sum(), moments.whole, all.len());
        let layers = moments.layers.iter().map(|layer| {
            let squared = layer.components.iter().cloned().flatten().map(squared_mean).sum();
            let count = layer.components.iter().map(|range| range.len()).sum();
            (layer.name.clone(), part(squared, layer.sums, count).0)
        });
        let errors = |k: usize| {
            let (mean, variance) = spread([moments.sums[0][k], moments.sums[1][k]], moments.draws);
            mean.abs() / (variance / n + squared_norm * bound * bound).sqrt()
        };
        let (component, largest) =
            all.clone().map(|k| (k, errors(k))).fold((0, 0.0), |a, b| if b.1 > a.1 { b } else { a });
        let threshold = (2.0 * (all.len().max(1) as f64 / CHANCE).ln()).sqrt();
        let (mean, variance) = spread(moments.along, moments.draws);
        let (_, z) = deviation((mean - 1.0).powi(2), variance, variance * variance, moments.draws, bound);
        let along = Along { mean, error: (variance / n + bound * bound).sqrt(), z };
        let (cosine, of_cosine) = spread(moments.cosines, moments.draws);
        let (_, of_squares) = spread([moments.whole.squares, moments.fourth], moments.draws);
        Quality {
            draws: moments.draws,
            bias,
            layers: layers.collect(),
            largest: Largest { component, errors: largest, threshold },
            along,
            variance: trace,
            variance_error: (of_squares / n).sqrt() / squared_norm,
            cosine,
            cosine_sd: of_cosine.sqrt(),
        }
    }

    /// Whether all of it is finite: estimates were.
    pub fn is_finite(&self) -> bool {
        [self.bias.errors, self.bias.z, self.variance, self.along.mean, self.cosine]
            .iter()
            .all(|x| x.is_finite())
    }

    /// What shows that the estimates are biased: each statistic that is beyond [`SIGMAS`], in words.
    pub fn bias_shown(&self) -> Vec<String> {
        let beyond = |what: &str, bias: &Bias| {
            (bias.z > SIGMAS).then(|| {
                format!(
                    "the mean error{what} is {:.2e} of ‖∇f‖, {:.1} standard errors (z = {:.1})",
                    bias.relative, bias.errors, bias.z
                )
            })
        };
        let layers =
            self.layers.iter().filter_map(|(name, bias)| beyond(&format!(" of layer `{name}`"), bias));
        let along = (self.along.z > SIGMAS).then(|| {
            format!(
                "along the gradient the mean is {:.5} of it, ± {:.1e} (z = {:.1})",
                self.along.mean, self.along.error, self.along.z
            )
        });
        beyond("", &self.bias).into_iter().chain(layers).chain(along).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against quantiles of F: 1 − Φ(z) is the part of the distribution that is beyond.
    #[test]
    fn deviations_are_those_of_a_normal_distribution() {
        // χ² with 10 degrees of freedom is beyond 29.588 with probability 0.001, which is 3.090 standard deviations.
        let (_, z) = deviation(2.9588, 1e6, 1e11, 1_000_000, 0.0);
        assert!((z - 3.0902).abs() < 0.02, "{z}");
        // F with 1 and 9 degrees of freedom is beyond 22.857 with probability 0.001.
        let (errors, z) = deviation(22.857, 10.0, 100.0, 10, 0.0);
        assert!((errors - 22.857f64.sqrt()).abs() < 1e-12);
        assert!((z - 3.0902).abs() < 0.15, "{z}");
        // χ² with 1000 degrees of freedom is beyond 1143.92 with probability 0.001.
        let (_, z) = deviation(1.14392, 1e6, 1e9, 1_000_000, 0.0);
        assert!((z - 3.0902).abs() < 0.02, "{z}");
    }

    #[test]
    fn what_does_not_vary_is_judged_by_rounding() {
        let (errors, z) = deviation(0.01 * 0.01, 0.0, 0.0, 1, 1e-4);
        assert!((errors - 100.0).abs() < 1e-9 && z > SIGMAS, "{errors} {z}");
        let (errors, z) = deviation(1e-7 * 1e-7, 0.0, 0.0, 1, 1e-4);
        assert!(errors < 0.01 && z < 0.0, "{errors} {z}");
    }
}
