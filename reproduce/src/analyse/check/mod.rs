//! Comparisons of the results of training, which decide on claims.

mod course;
mod rates;
mod rule;

use super::section::{Case, Evidence};
use super::select::{Mean, Runs};
use super::text::number;
use crate::run::results::Row;
use crate::spec::{Best, BestOf, Bounds, Check, Comparison, Cost, Matrix, Order, Sides, Trend, Where};

pub use rates::highest_stable;

/// The ratio of times that a [`Cost`] names, if it was measured.
pub type StepCosts<'a> = dyn Fn(&Cost) -> Option<f64> + 'a;

/// The results of some runs of a matrix.
#[derive(Clone)]
pub struct Results<'r> {
    rows: &'r [Row],
    matrix: &'r Matrix,
    chosen: Where,
}

/// The outcome of a comparison in one case.
struct Outcome {
    measured: String,
    short: String,
    holds: Option<bool>,
}

impl Comparison {
    /// The evidence of `rows`, of the experiment of that name.
    pub fn evidence(&self, experiment: &str, rows: &[Row], costs: &StepCosts<'_>) -> Evidence {
        let case = |case: &Where| {
            let results = Results::new(rows, &self.matrix, case.clone());
            let Outcome { measured, short, holds } = self.outcome(&results, costs);
            Case { place: case.title(), measured, short, holds }
        };
        Evidence {
            experiment: experiment.to_owned(),
            rule: self.rule(),
            most: self.most,
            cases: self.cases.iter().map(case).collect(),
        }
    }

    /// The outcome in the case whose results are `case`.
    fn outcome(&self, case: &Results<'_>, costs: &StepCosts<'_>) -> Outcome {
        match &self.check {
            Check::Compare { of, is, by, times, epoch } => {
                let (runs, chosen) = self.sides().find(case);
                let epoch = epoch.map(|epoch| epoch.get());
                let of = of.get_ref();
                let [a, b] = runs.each_ref().map(|runs| standing(runs, of, epoch, worst(of)));
                let text = runs.each_ref().map(|runs| runs.text(of, epoch));
                Outcome {
                    measured: format!("{} against {}{chosen}", text[0], text[1]),
                    short: format!("{} vs {}", short(a), short(b)),
                    holds: a.zip(b).map(|(a, b)| is.holds(a, b, by.0, times.0)),
                }
            }
            Check::Reaches { of, at_least, at_most } => {
                let (runs, bounds, of) = (case.runs(), Bounds::new(*at_least, *at_most), of.get_ref());
                let reached = runs.at(of, None).into_iter().filter(|x| bounds.about(*x)).count();
                Outcome {
                    measured: runs.text(of, None),
                    short: short(standing(&runs, of, None, f64::INFINITY)),
                    holds: (runs.count() > 0).then(|| reached == runs.count()),
                }
            }
            Check::Diverges { expected } => {
                let runs = case.runs();
                let (diverged, all) = (runs.diverged().len(), runs.count());
                if all == 0 {
                    return Outcome::nothing();
                }
                Outcome {
                    measured: format!("{diverged} of {all} runs; test loss {}", runs.text("test_loss", None)),
                    short: format!("✕ {diverged} of {all}"),
                    holds: Some(diverged == if *expected { all } else { 0 }),
                }
            }
            Check::Noisier { of, times } => {
                let [a, b] = self.sides().find(case).0.map(|runs| course::variation(&runs, of.get_ref()));
                let (Some(a), Some(b)) = (a, b) else { return Outcome::nothing() };
                Outcome {
                    measured: format!("{} against {}", number(a), number(b)),
                    short: format!("{} vs {}", number(a), number(b)),
                    holds: Some(a > b && a >= times.0 * b),
                }
            }
            Check::GapGrows { of, along } => course::gap(of.get_ref(), self.sides(), case, along.get_ref()),
            Check::Trend { of, along, is, by } => {
                course::trend(of.get_ref(), case, along.get_ref(), *is == Trend::Better, by.0)
            }
            Check::Sooner { of, goal, times } => {
                let sides = self.sides().find(case).0;
                course::sooner(of.get_ref(), &sides, goal.map(|goal| goal.0), times.0)
            }
            Check::Steps { of, at_least, at_most, cost } => {
                let (runs, chosen) = self.sides().find(case);
                let ratio = cost.as_ref().map(costs);
                course::steps(of.get_ref(), &runs, &chosen, &Bounds::new(*at_least, *at_most), ratio)
            }
            Check::HigherRate { rate, .. } => {
                rates::compared(self.sides(), case, rate.get_ref(), &self.check.bounds())
            }
            Check::StableRate { rate, .. } => rates::within(case, rate.get_ref(), &self.check.bounds()),
            Check::HighestRate { rate, among, is } => {
                rates::highest(case, rate.get_ref(), among.get_ref(), is.get_ref())
            }
            Check::RateGapGrows { rate, along } => {
                rates::gap_grows(self.sides(), case, rate.get_ref(), along.get_ref())
            }
        }
    }
}

impl Order {
    /// Whether `a` is so beside `times` times `b`, by at least `by`, or nearer than that.
    fn holds(self, a: f64, b: f64, by: f64, times: f64) -> bool {
        match self {
            Order::Less => a < b && a * times + by <= b,
            Order::More => a > b && a >= b * times + by,
            Order::Close => a == b || (a - b).abs() <= by,
            Order::NotLess => a * times + by >= b || a == b,
            Order::NotMore => a <= b * times + by || a == b,
        }
    }
}

impl<'r> Results<'r> {
    /// The results among `rows` of those runs of `matrix` that are `chosen`.
    pub fn new(rows: &'r [Row], matrix: &'r Matrix, chosen: Where) -> Results<'r> {
        Results { rows, matrix, chosen }
    }

    /// The results of those runs that are also `of`.
    fn and(&self, of: &Where) -> Results<'r> {
        Results { chosen: self.chosen.and(of), ..self.clone() }
    }

    /// The results of those runs with `label` on `axis`.
    fn with(&self, axis: &str, label: &str) -> Results<'r> {
        Results { chosen: self.chosen.with(axis, label), ..self.clone() }
    }

    /// The runs.
    fn runs(&self) -> Runs<'r> {
        Runs::of(self.rows, &self.matrix.name, &self.chosen)
    }

    /// The labels of axis `along` that the runs may have.
    fn labels(&self, along: &str) -> impl Iterator<Item = &'r str> {
        let values = self.matrix.find(along).into_iter().flat_map(|axis| &axis.values);
        let allowed = |label: &&str| self.chosen.allows(&Where::default().with(along, label));
        values.map(|value| value.label.as_str()).filter(allowed)
    }
}

impl Sides {
    /// The results of both sides in `case`.
    fn each<'r>(&self, case: &Results<'r>) -> [Results<'r>; 2] {
        [case.and(&self.first), case.and(&self.second)]
    }

    /// The runs of both sides in `case`, and the settings that were chosen for them, for people.
    fn find<'r>(&self, case: &Results<'r>) -> ([Runs<'r>; 2], String) {
        let sides = self.each(case);
        let Some(best) = &self.best else { return (sides.map(|side| side.runs()), String::new()) };
        let [first, second] = [0, 1].map(|k| {
            best.find(
                &sides[match best.of {
                    BestOf::Each => k,
                    BestOf::First => 0,
                    BestOf::Second => 1,
                }],
            )
        });
        let text = match best.of {
            BestOf::First | BestOf::Second => first.title(),
            BestOf::Each => format!("{} against {}", first.title(), second.title()),
        };
        ([sides[0].and(&first).runs(), sides[1].and(&second).runs()], format!(" (at {text})"))
    }
}

impl Best {
    /// The values of the axes with which the runs of `side` end best; those that diverge are worst.
    fn find(&self, side: &Results<'_>) -> Where {
        let tried = Where::each(side.matrix, &self.over).into_iter();
        let scored = tried.filter(|labels| side.chosen.allows(labels)).filter_map(|labels| {
            let standing = standing(&side.and(&labels).runs(), &self.by, None, worst(&self.by))?;
            Some((labels, standing * sign(&self.by)))
        });
        // Nothing is chosen where nothing was measured.
        scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(labels, _)| labels).unwrap_or_default()
    }
}

/// 1 for metrics that are better the lower they are, −1 for others.
fn sign(of: &str) -> f64 {
    let lower = ["loss", "grad_norm", "directional"].iter().any(|name| of.ends_with(name));
    if lower { 1.0 } else { -1.0 }
}

/// The value of metric `of` where runs diverge: worse than any number.
fn worst(of: &str) -> f64 {
    f64::INFINITY * sign(of)
}

impl Outcome {
    fn nothing() -> Outcome {
        Outcome { measured: "not measured".to_owned(), short: "–".to_owned(), holds: None }
    }
}

/// A number for a cell of a table: a cross where runs diverge, a dash where nothing was measured.
fn short(x: Option<f64>) -> String {
    match x {
        Some(x) if x.is_finite() => number(x),
        Some(_) => "✕".to_owned(),
        None => "–".to_owned(),
    }
}

/// The mean of metric `of` over runs; `worst` if one of them diverges, and nothing if there are none.
fn standing(runs: &Runs<'_>, of: &str, epoch: Option<u64>, worst: f64) -> Option<f64> {
    match Mean::of(&runs.at(of, epoch)) {
        Some(mean) if mean.count == runs.count() => Some(mean.mean),
        _ if runs.diverged().is_empty() => None,
        _ => Some(worst),
    }
}
