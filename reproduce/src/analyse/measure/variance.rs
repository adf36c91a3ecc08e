//! Figures, tables and verdicts of how much the forward gradient varies.

use std::collections::BTreeMap;

use fgc_plot::{Axis, Figure, Panel, Point, Series};

use super::{Judgement, Show, bounded};
use crate::analyse::section::{Case, Section, Table};
use crate::analyse::text::number;
use crate::run::measure::variance::VarianceRecord;
use crate::spec::Bounds;
use crate::spec::measure::{
    FigureText, Part, Sampled, Shown, Tangent, Variance, VarianceCheck, distribution,
};

/// How many standard errors the bands of figures are wide, either way.
const BAND: f64 = 2.0;

impl VarianceRecord {
    /// κ of the distribution.
    fn kurtosis(&self) -> f64 {
        self.tangent.direction().kurtosis()
    }

    /// The variance by the closed form for distributions with this κ.
    fn expected(&self, kurtosis: f64) -> f64 {
        match self.component {
            Some(_) => self.squared_norm + (kurtosis - 2.0) * self.derivative * self.derivative,
            None => (self.parameters as f64 + kurtosis - 2.0) * self.squared_norm,
        }
    }

    /// How many standard errors the variance is off the closed form. With Rademacher directions the estimate of a
    /// component, or of all, may not vary but for rounding; that is no difference.
    fn deviation(&self, kurtosis: f64) -> f64 {
        let expected = self.expected(kurtosis);
        let rounding = f64::from(f32::EPSILON) * self.squared_norm * self.parameters as f64;
        (self.variance - expected) / self.variance_error.hypot(rounding)
    }
}

/// The records of a case with directions of a distribution: of all components, or of single ones.
fn of<'a>(
    records: &'a [VarianceRecord],
    case: &str,
    tangent: Tangent,
    whole: bool,
) -> Vec<&'a VarianceRecord> {
    let fits = |r: &&VarianceRecord| r.case == case && r.tangent == tangent && r.component.is_none() == whole;
    records.iter().filter(fits).collect()
}

/// What was measured, and a line of the closed form, for each distribution. `point` gives where a record is, and how
/// high the closed form is there.
fn series<'a>(
    settings: &Variance,
    records: impl Fn(Tangent) -> Vec<&'a VarianceRecord>,
    point: impl Fn(&VarianceRecord) -> (Point, f64),
) -> Vec<Series> {
    let mut all = Vec::new();
    for (colour, &tangent) in settings.tangents.iter().enumerate() {
        let mut records = records(tangent);
        records.sort_by(|a, b| point(a).0.x.total_cmp(&point(b).0.x));
        let line = |name: String, dash, of: &dyn Fn(&VarianceRecord) -> Point| {
            Series::new(name, colour, dash, records.iter().map(|r| of(r)).collect())
        };
        let name = distribution(tangent);
        all.push(line(format!("{name}, measured"), 0, &|r| point(r).0));
        all.push(line(format!("{name}, closed form"), 1, &|r| Point::new(point(r).0.x, point(r).1)));
    }
    all
}

fn components(case: &Sampled, settings: &Variance, records: &[VarianceRecord]) -> Panel {
    let first = case.values.first().copied();
    let kept = |tangent| {
        let mut kept = of(records, &case.name, tangent, false);
        kept.retain(|r| Some(r.x) == first);
        kept
    };
    let point = |r: &VarianceRecord| {
        let scaled = |x: f64| x / r.squared_norm;
        let (y, error) = (scaled(r.variance), scaled(BAND * r.variance_error));
        let x = scaled(r.derivative * r.derivative);
        (Point { x, y, spread: Some((y - error, y + error)) }, scaled(r.expected(r.kurtosis())))
    };
    Panel {
        title: format!("{}, {} {}", case.title, case.along, first.unwrap_or(0)),
        x: Axis::log("(∂ₖf)² / ‖∇f‖²").apart(),
        y: Axis::linear("Var[gₖ] / ‖∇f‖²").apart(),
        series: series(settings, kept, point),
    }
}

fn total(case: &Sampled, settings: &Variance, records: &[VarianceRecord]) -> Panel {
    let point = |r: &VarianceRecord| {
        let y = r.variance / r.squared_norm;
        (Point::new(r.parameters as f64, y), r.expected(r.kurtosis()) / r.squared_norm)
    };
    Panel {
        title: case.title.clone(),
        x: Axis::log("parameters n"),
        y: Axis::log("Σₖ Var[gₖ] / ‖∇f‖²"),
        series: series(settings, |tangent| of(records, &case.name, tangent, true), point),
    }
}

fn agreement(case: &Sampled, settings: &Variance, records: &[VarianceRecord]) -> Panel {
    let point = |r: &VarianceRecord| {
        let expected = r.expected(r.kurtosis());
        let (y, error) = (r.variance / expected, BAND * r.variance_error / expected);
        (Point { x: r.parameters as f64, y, spread: Some((y - error, y + error)) }, 1.0)
    };
    Panel {
        title: case.title.clone(),
        x: Axis::log("parameters n").apart(),
        y: Axis::linear("Σₖ Var[gₖ], measured / closed form").apart(),
        series: series(settings, |tangent| of(records, &case.name, tangent, true), point),
    }
}

fn table(case: &Sampled, records: &[VarianceRecord]) -> Table {
    let headings = [
        &case.along,
        "parameters",
        "directions",
        "draws",
        "‖∇f‖",
        "Σ Var[gₖ] / ‖∇f‖²",
        "closed form",
        "difference in standard errors",
        "means within 2 standard errors",
    ];
    let row = |r: &VarianceRecord| {
        let scaled = |x: f64| number(x / r.squared_norm);
        vec![
            r.x.to_string(),
            r.parameters.to_string(),
            distribution(r.tangent).to_owned(),
            r.draws.to_string(),
            number(r.squared_norm.sqrt()),
            format!("{} ± {}", scaled(r.variance), scaled(r.variance_error)),
            scaled(r.expected(r.kurtosis())),
            format!("{:.1}", r.deviation(r.kurtosis())),
            r.covered.map_or_else(String::new, |part| format!("{:.1} %", 100.0 * part)),
        ]
    };
    let whole = records.iter().filter(|r| r.case == case.name && r.component.is_none());
    Table {
        title: format!("{}: all components together", case.title),
        columns: headings.map(str::to_owned).into(),
        rows: whole.map(row).collect(),
    }
}

/// The outcome of values that are so many standard errors off: all of them have to be near enough.
fn deviations(place: String, what: &str, values: &[f64], off: &[f64], sigmas: f64) -> Case {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let worst = off.iter().copied().fold(0.0, f64::max);
    let far = off.iter().filter(|off| **off > sigmas).count();
    Case {
        place,
        measured: format!(
            "{} to {} {what}, at most {worst:.1} standard errors off; {far} of {} too far",
            number(low),
            number(high),
            off.len()
        ),
        short: format!("{worst:.1} σ"),
        holds: Some(far == 0),
    }
}

/// The slope of the straight line nearest to `points`, by least squares; `None` for fewer than two values of x.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in points {
        xx += (x - mx) * (x - mx);
        xy += (x - mx) * (y - my);
    }
    (xx > 0.0).then(|| xy / xx)
}

impl Show for Variance {
    fn section(&self, figure: &FigureText, records: &[VarianceRecord]) -> Section {
        let panels = self.cases.iter().flat_map(|case| {
            case.panels.iter().map(move |shown| match shown {
                Shown::Components => components(case, self, records),
                Shown::Total => total(case, self, records),
                Shown::Agreement => agreement(case, self, records),
            })
        });
        let figure = Figure {
            name: "variance".to_owned(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
            columns: figure.columns,
            panels: panels.collect(),
        };
        let described = [
            ("draws at once", self.at_once.to_string()),
            (
                "draws",
                self.cases
                    .iter()
                    .map(|c| format!("{} ({})", c.draws, c.title))
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            ("seed", self.seed.to_string()),
        ];
        Section {
            settings: described.map(|(name, value)| (name.to_owned(), value)).into(),
            figures: vec![figure],
            tables: self.cases.iter().map(|case| table(case, records)).collect(),
            ..Section::default()
        }
    }

    fn outcome(&self, check: &VarianceCheck, records: &[VarianceRecord]) -> Judgement {
        let each =
            |cases: &[String], tangents: &[Tangent], whole: bool| -> Vec<(String, Vec<&VarianceRecord>)> {
                let all = cases.iter().flat_map(|case| tangents.iter().map(move |tangent| (case, *tangent)));
                let named = all.map(|(case, tangent)| {
                    (format!("{case}, {}", distribution(tangent)), of(records, case, tangent, whole))
                });
                named.filter(|(_, records)| !records.is_empty()).collect()
            };
        match check {
            VarianceCheck::ClosedForm { cases, tangents, of, kurtosis, sigmas } => {
                let form = |r: &VarianceRecord| kurtosis.unwrap_or_else(|| r.kurtosis());
                let case = |(place, kept): (String, Vec<&VarianceRecord>)| {
                    let off: Vec<f64> = kept.iter().map(|r| r.deviation(form(r)).abs()).collect();
                    let ratios: Vec<f64> = kept.iter().map(|r| r.variance / r.expected(form(r))).collect();
                    deviations(place, "of the closed form", &ratios, &off, *sigmas)
                };
                let what =
                    if *of == Part::Components { "of a component" } else { "of all components together" };
                let with = kurtosis.map_or(String::new(), |kurtosis| format!(" for κ = {kurtosis}"));
                let rule = format!(
                    "the variance {what} is that of the closed form{with}, within {sigmas} standard errors"
                );
                let kept = each(cases, tangents, *of == Part::Total);
                Judgement { rule, cases: kept.into_iter().map(case).collect() }
            }
            VarianceCheck::Unbiased { cases, tangents, sigmas } => {
                let case = |(place, kept): (String, Vec<&VarianceRecord>)| {
                    let scaled: Vec<f64> = kept.iter().map(|r| r.bias / r.squared_norm.sqrt()).collect();
                    let off = |r: &&VarianceRecord| {
                        let rounding = f64::from(f32::EPSILON) * r.squared_norm.sqrt();
                        r.bias.abs() / r.bias_error.hypot(rounding)
                    };
                    let off: Vec<f64> = kept.iter().map(off).collect();
                    deviations(place, "of ‖∇f‖ off", &scaled, &off, *sigmas)
                };
                let rule =
                    format!("the mean of a component is its derivative, within {sigmas} standard errors");
                Judgement { rule, cases: each(cases, tangents, false).into_iter().map(case).collect() }
            }
            VarianceCheck::Growth { cases, tangents, of, at_least, at_most } => {
                let bounds = Bounds { at_least: Some(*at_least), at_most: Some(*at_most) };
                let whole = *of == Part::Total;
                let case = |(place, kept): (String, Vec<&VarianceRecord>)| {
                    let mut at = BTreeMap::<usize, Vec<f64>>::new();
                    for r in kept {
                        let y = if whole { r.variance / r.squared_norm } else { r.variance };
                        at.entry(r.parameters).or_default().push(y);
                    }
                    let mean = |ys: &[f64]| ys.iter().sum::<f64>() / ys.len() as f64;
                    let point = |(n, ys): (&usize, &Vec<f64>)| ((*n as f64).ln(), mean(ys).ln());
                    let power = slope(&at.iter().map(point).collect::<Vec<_>>())?;
                    Some(Case {
                        place,
                        measured: format!("as n to the power {power:.3}"),
                        short: format!("∝ n^{power:.2}"),
                        holds: Some(bounds.hold(power)),
                    })
                };
                let what = if whole { "Σ Var[gₖ] / ‖∇f‖²" } else { "the variance of a component" };
                let rule =
                    format!("{what} grows with the number n of parameters as a power {}", bounded(bounds));
                Judgement { rule, cases: each(cases, tangents, whole).into_iter().filter_map(case).collect() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_of_lines() {
        assert_eq!(slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]), Some(2.0));
        assert_eq!((slope(&[]), slope(&[(1.0, 1.0), (1.0, 2.0)])), (None, None));
    }
}
