//! Figures, tables and verdicts of how good estimators of the gradient are, and what they cost.

use fgc::DType;
use fgc::estimate::{SIGMAS, rounding};
use fgc_plot::{Axis, Figure, Panel, Point, Role, Series};

use super::{Judgement, Show, bounded};
use crate::analyse::section::{Case, Section, Table};
use crate::analyse::text::number;
use crate::run::measure::estimators::EstimatorRecord;
use crate::spec::Bounds;
use crate::spec::measure::{EstimatorCheck, Estimators, FigureText, Place, Trait, View};

/// The least bias that has a place of its own on its axis, in standard deviations beyond chance.
const LEAST_BIAS: f64 = 0.1;

/// How much of an axis is empty on either side, and the least of it, in decades.
const MARGIN: (f64, f64) = (0.06, 0.1);

impl EstimatorRecord {
    /// The bias that is the furthest beyond chance, in standard deviations, and what it is of.
    fn furthest(&self) -> (f64, String) {
        let all = [
            (self.bias_z, "all components".to_owned()),
            (self.layer_z, format!("layer {}", self.layer)),
            (self.along_z, "along the gradient".to_owned()),
        ];
        let [first, rest @ ..] = all;
        rest.into_iter().fold(first, |a, b| if b.0 > a.0 { b } else { a })
    }

    /// The time of a call, in forward passes, if it was measured.
    fn cost(&self) -> Option<f64> {
        self.is_timed().then(|| self.ms / self.forward_ms)
    }

    fn quantity(&self, quantity: Trait) -> Option<f64> {
        match quantity {
            Trait::Variance => Some(self.variance),
            Trait::Cosine => Some(self.cosine),
            Trait::Cost => self.cost(),
            Trait::Operations => {
                self.is_timed().then(|| self.flops as f64 / self.forward_flops.max(1) as f64)
            }
            Trait::VarianceCost => self.cost().map(|cost| self.variance * cost),
        }
    }
}

impl Trait {
    /// The name within a sentence.
    fn short(self) -> &'static str {
        match self {
            Trait::Variance => "variance",
            Trait::Cosine => "cosine",
            Trait::Cost => "cost",
            Trait::Operations => "number of operations",
            Trait::VarianceCost => "variance × cost",
        }
    }
}

impl View {
    /// The label of the vertical axis.
    fn label(self) -> &'static str {
        match self {
            View::Variance => "variance over ‖∇f‖²",
            View::Bias => "bias, standard deviations beyond chance",
            View::Cosine => "cosine with the gradient",
        }
    }

    /// Where an estimator is vertically.
    fn of(self, r: &EstimatorRecord) -> f64 {
        match self {
            // Of rounding alone, in estimates of whatever precision.
            View::Variance if r.variance < rounding(DType::F32).powi(2) => 0.0,
            View::Variance => r.variance,
            View::Bias => r.furthest().0.max(LEAST_BIAS),
            View::Cosine => r.cosine,
        }
    }

    /// What a reader has to know of such panels.
    fn caption(self) -> String {
        match self {
            View::Variance => "Variances are of all components together, over ‖∇f‖²; thin lines are of equal \
                variance × cost, a power of ten apart. What doesn't vary but for rounding, such as the gradient itself, has \
                 no place on this scale, and what is short varies little for that alone."
                .to_owned(),
            View::Bias => format!(
                "A bias is that of all components together, of a layer, or along the gradient, whichever is the furthest \
                 beyond chance; above the thin line, at {SIGMAS}, it is no chance. What is below {LEAST_BIAS} is shown there."
            ),
            View::Cosine => "Cosines are means over estimates; those that aren't above 0 have no place.".to_owned(),
        }
    }
}

/// The range of a logarithmic axis on which `values` have a margin; `None` if none of them has a place there.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let placed = values.filter(|v| v.is_finite() && *v > 0.0).map(f64::log10);
    let (low, high) = placed.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let margin = (MARGIN.0 * (high - low)).max(MARGIN.1);
    (low <= high).then(|| (10f64.powf(low - margin), 10f64.powf(high + margin)))
}

/// Lines on which x times y is a power of ten, within a frame.
fn equal_products((left, right): (f64, f64), (bottom, top): (f64, f64)) -> Series {
    let (first, last) = ((left * bottom).log10().ceil() as i32, (right * top).log10().floor() as i32);
    let mut points = Vec::new();
    for product in (first..=last).map(|power| 10f64.powi(power)) {
        let (from, to) = (left.max(product / top), right.min(product / bottom));
        // A gap between two lines, and none behind the last, which would end with a cross.
        points.extend((!points.is_empty()).then(|| Point::new(f64::NAN, f64::NAN)));
        points.extend([from, to].map(|x| Point::new(x, product / x)));
    }
    Series { role: Role::Backdrop, ..Series::new("equal variance × cost", 0, 0, points) }
}

/// The records of a case in the order of its estimators.
fn of<'a>(settings: &Estimators, case: &Place, records: &'a [EstimatorRecord]) -> Vec<&'a EstimatorRecord> {
    let find = |spec: &str| records.iter().find(|r| r.case == case.name && r.estimator == spec);
    settings.of(case).filter_map(find).collect()
}

fn panel(settings: &Estimators, case: &Place, view: View, records: &[EstimatorRecord]) -> Panel {
    let records = of(settings, case, records);
    let timed: Vec<(f64, &EstimatorRecord)> =
        records.into_iter().filter_map(|r| r.cost().map(|cost| (cost, r))).collect();
    let limit = (view == View::Bias).then_some(SIGMAS);
    let x = range(timed.iter().map(|(cost, _)| *cost));
    let y = range(timed.iter().map(|(_, r)| view.of(r)).chain(limit.filter(|_| !timed.is_empty())));
    let mut series = Vec::new();
    if let (Some(x), Some(y)) = (x, y) {
        match view {
            View::Variance => series.push(equal_products(x, y)),
            View::Bias => {
                let line = [x.0, x.1].map(|x| Point::new(x, SIGMAS)).to_vec();
                let name = format!("{SIGMAS} standard deviations");
                series.push(Series { role: Role::Backdrop, ..Series::new(name, 0, 0, line) });
            }
            View::Cosine => {}
        }
    }
    let all = settings.all();
    series.extend(timed.iter().map(|(cost, r)| {
        let place = all.iter().position(|spec| *spec == r.estimator);
        let k = place.unwrap_or_else(|| unreachable!("records are of the estimators of the settings"));
        let point = Point::new(*cost, view.of(r));
        Series::scattered(&r.estimator, k, false, vec![point])
    }));
    let axis = |label: &str, range| Axis { range, ..Axis::log(label) };
    Panel {
        title: case.title().to_owned(),
        x: axis("time of a call, in forward passes", x),
        y: axis(view.label(), y),
        series,
    }
}

/// A case by variance times cost, the least first.
fn table(settings: &Estimators, case: &Place, records: &[EstimatorRecord]) -> Table {
    let mut kept = of(settings, case, records);
    let rank = |r: &EstimatorRecord| r.quantity(Trait::VarianceCost).unwrap_or(f64::INFINITY);
    kept.sort_by(|a, b| rank(a).total_cmp(&rank(b)));
    let headings = [
        "estimator",
        "says that it is unbiased",
        "estimates",
        "variance / ‖∇f‖²",
        "cosine",
        "mean error / ‖∇f‖",
        "part of the gradient",
        "bias beyond chance, in standard deviations",
        "time, in forward passes",
        "operations, in forward passes",
        "random words",
        "memory, MB",
        "variance × cost",
    ];
    let row = |r: &&EstimatorRecord| {
        let shown = |quantity: Trait| r.quantity(quantity).map_or("–".to_owned(), number);
        let known = |text: String| if r.is_timed() { text } else { "–".to_owned() };
        let (z, what) = r.furthest();
        vec![
            format!("`{}`", r.estimator),
            if r.unbiased { "yes" } else { "no" }.to_owned(),
            r.samples.to_string(),
            format!("{} ± {}", number(r.variance), number(r.variance_error)),
            format!("{} ± {}", number(r.cosine), number(r.cosine_sd)),
            number(r.bias),
            format!("{} ± {}", number(r.along), number(r.along_error)),
            format!("{z:.1} ({what})"),
            shown(Trait::Cost),
            shown(Trait::Operations),
            known(r.drawn.to_string()),
            known(number(r.bytes as f64 * 1e-6)),
            shown(Trait::VarianceCost),
        ]
    };
    let first = kept.first();
    let of_what = first.map_or_else(String::new, |r| {
        format!(": {} parameters, ‖∇f‖ = {}", r.parameters, number(r.gradient_norm))
    });
    Table {
        title: format!("{}{of_what}", case.title()),
        columns: headings.map(str::to_owned).into(),
        rows: kept.iter().map(row).collect(),
    }
}

/// The settings, for the report.
fn described(settings: &Estimators, records: &[EstimatorRecord]) -> Vec<(String, String)> {
    let threads = records.iter().find(|r| r.is_timed()).map_or_else(String::new, |r| r.threads.to_string());
    let mut all = vec![("threads".to_owned(), threads), ("seed".to_owned(), settings.seed.to_string())];
    for case in &settings.cases {
        let consts = case.set.iter().map(|(name, value)| format!(", {name} = {value}"));
        let data = case.data.as_deref().unwrap_or("random arrays");
        let mut text =
            format!("`{}`{}, a batch of {} of {data}", case.model, consts.collect::<String>(), case.batch);
        text += &match case.after {
            0 => ", at the initial parameters".to_owned(),
            steps => format!(", after {steps} steps along the gradient"),
        };
        if case.learn > 0 {
            text += &format!("; states after {} steps along the estimator's own estimates", case.learn);
        }
        all.push((case.title().to_owned(), text));
    }
    all
}

impl Show for Estimators {
    fn section(&self, figure: &FigureText, records: &[EstimatorRecord]) -> Section {
        let panels = self
            .cases
            .iter()
            .flat_map(|case| case.panels.iter().map(move |&view| panel(self, case, view, records)));
        let views = [View::Variance, View::Bias, View::Cosine];
        let shown = |view: &View| self.cases.iter().any(|case| case.panels.contains(view));
        let captions = views.into_iter().filter(shown).map(View::caption);
        let caption = [figure.caption.trim().to_owned(), "A point is an estimator.".to_owned()];
        let caption: Vec<String> =
            caption.into_iter().chain(captions).filter(|text| !text.is_empty()).collect();
        let figure = Figure {
            name: "estimators".to_owned(),
            title: figure.title.clone(),
            caption: caption.join(" "),
            columns: figure.columns,
            panels: panels.collect(),
        };
        Section {
            figures: if figure.panels.is_empty() { Vec::new() } else { vec![figure] },
            tables: self.cases.iter().map(|case| table(self, case, records)).collect(),
            settings: described(self, records),
            ..Section::default()
        }
    }

    fn outcome(&self, check: &EstimatorCheck, records: &[EstimatorRecord]) -> Judgement {
        let named = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
        let places = |names: &[String]| -> Vec<&Place> {
            self.cases.iter().filter(|case| named(names, &case.name)).collect()
        };
        match check {
            EstimatorCheck::Unbiased { cases, estimators, sigmas } => {
                let judged = |r: &&EstimatorRecord| match estimators.as_slice() {
                    [] => r.unbiased,
                    _ => estimators.contains(&r.estimator),
                };
                let case = |case: &Place| {
                    let kept: Vec<&EstimatorRecord> =
                        of(self, case, records).into_iter().filter(judged).collect();
                    let worst = kept.iter().max_by(|a, b| a.furthest().0.total_cmp(&b.furthest().0))?;
                    let far: Vec<&str> =
                        kept.iter().filter(|r| r.furthest().0 > *sigmas).map(|r| &*r.estimator).collect();
                    let (z, what) = worst.furthest();
                    let count = kept.len();
                    let others =
                        if far.is_empty() { String::new() } else { format!("; too far: {}", far.join(", ")) };
                    Some(Case {
                        place: case.name.clone(),
                        measured: format!(
                            "at most {z:.1} ({}, {what}) of {count} estimators{others}",
                            worst.estimator
                        ),
                        short: format!("{z:.1} σ"),
                        holds: Some(far.is_empty()),
                    })
                };
                let rule = format!("no bias is more than {sigmas} standard deviations beyond chance");
                Judgement { rule, cases: places(cases).into_iter().filter_map(case).collect() }
            }
            EstimatorCheck::Ratio { cases, of: one, to, quantity, at_least, at_most } => {
                let bounds = Bounds { at_least: *at_least, at_most: *at_most };
                let case = |case: &Place| {
                    let find = |spec: &String| {
                        let found = records.iter().find(|r| r.case == case.name && r.estimator == *spec)?;
                        found.quantity(*quantity)
                    };
                    let (a, b) = (find(one)?, find(to)?);
                    Some(Case {
                        place: case.name.clone(),
                        measured: format!("{} and {}, {} times as much", number(a), number(b), number(a / b)),
                        short: format!("× {}", number(a / b)),
                        holds: Some(bounds.hold(a / b)),
                    })
                };
                let what = quantity.short();
                let rule = format!("the {what} of `{one}` over that of `{to}` is {}", bounded(bounds));
                Judgement { rule, cases: places(cases).into_iter().filter_map(case).collect() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_equal_products_are_within_the_frame() {
        let lines = equal_products((1.0, 100.0), (0.5, 2000.0));
        let points: Vec<&Point> = lines.points.iter().filter(|p| p.x.is_finite()).collect();
        assert_eq!(points.len(), 2 * 6, "from 1 to 10⁵");
        assert!(lines.points.last().is_some_and(|p| p.x.is_finite()), "a line that doesn't end isn't on top");
        for p in points {
            let product = (p.x * p.y).log10();
            assert!((product - product.round()).abs() < 1e-9, "{p:?}");
            assert!((1.0..=100.0).contains(&p.x) && (0.499..=2000.1).contains(&p.y), "{p:?}");
        }
    }

    #[test]
    fn ranges_are_of_what_has_a_place() {
        let (low, high) = range([0.0, 10.0, f64::NAN, 1000.0].into_iter()).unwrap();
        assert!(low < 10.0 && low > 5.0 && high > 1000.0 && high < 2000.0, "{low} {high}");
        assert_eq!(range([0.0, -1.0].into_iter()), None);
    }
}
