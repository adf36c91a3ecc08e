//! Comparisons of the results of training, which decide on claims.

mod course;
mod rates;
mod rule;

use fgc_train::Result;
use serde::Deserialize;

use crate::experiment::{Matrix, Wanted};
use crate::measure::Which;
use crate::plot;
use crate::read::{Item, Reader};
use crate::results::Row;
use crate::section::{Case, Evidence};
use crate::select::{Kind, Mean, Where, number};

pub use rates::highest_stable;

/// A comparison, and the cases that it is made for.
#[derive(Clone, PartialEq, Debug)]
pub struct Checked {
    matrix: Matrix,
    /// One comparison each.
    cases: Vec<Where>,
    check: Check,
    /// Whether it is enough if more than half of the cases are as claimed.
    most: bool,
    wanted: Vec<Wanted>,
}

/// The comparisons.
#[derive(Clone, PartialEq, Debug)]
enum Check {
    /// Figure `of` of the runs `first` is less, more or close to that of `second`.
    Compare { of: String, sides: Sides, order: Order, by: f64, times: f64, epoch: Option<u64> },
    /// Figure `of` of every run is within bounds.
    Reaches { of: String, bounds: Bounds },
    /// Every run diverges, or none.
    Diverges { expected: bool },
    /// From step to step, figure `of` of `first` varies at least `times` as much as that of `second`.
    Noisier { of: String, sides: Sides, times: f64 },
    /// By how much figure `of` differs between `first` and `second` grows along an axis.
    GapGrows { of: String, sides: Sides, along: String },
    /// Figure `of` gets better along an axis, by at least `by` from one value to the next; or it doesn't.
    Trend { of: String, along: String, better: bool, by: f64 },
    /// The highest stable rate of `first` over that of `second` is within bounds.
    HigherRate { sides: Sides, rate: String, bounds: Bounds },
    /// The highest stable rate is within bounds.
    StableRate { rate: String, bounds: Bounds },
    /// Of the values of the axis `among`, `is` has the highest stable rate.
    HighestRate { rate: String, among: String, is: String },
    /// The highest stable rate of `first` over that of `second` grows along an axis.
    RateGapGrows { sides: Sides, rate: String, along: String },
    /// Figure `of` of `first` gets to where that of `second` ends, in at most `times` of the time.
    Sooner { of: String, sides: Sides, times: f64 },
    /// The steps that `first` takes to a loss that both get to, over those of `second`, are within bounds; the time, if
    /// there is something that says what a step costs.
    Steps { of: String, sides: Sides, bounds: Bounds, cost: Option<Cost> },
}

/// What a comparison expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Less,
    More,
    Close,
    NotLess,
    NotMore,
}

impl Order {
    const ALL: [(&str, Order); 5] = [
        ("less", Order::Less),
        ("more", Order::More),
        ("close", Order::Close),
        ("not-less", Order::NotLess),
        ("not-more", Order::NotMore),
    ];
}

/// What a number may be.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Bounds {
    at_least: Option<f64>,
    at_most: Option<f64>,
}

/// Two kinds of runs.
#[derive(Clone, PartialEq, Debug)]
struct Sides {
    first: Where,
    second: Where,
    /// Which of their settings are chosen by what comes of them.
    best: Option<Best>,
}

/// A choice of settings by their results.
#[derive(Clone, PartialEq, Debug)]
struct Best {
    /// The axes whose values are chosen.
    over: Vec<String>,
    /// The figure that is to be the best in the end.
    by: String,
    /// Of which side; the other one has the same values. Each has its own best if there is none.
    of: Option<usize>,
}

/// What steps cost, from an experiment of kind `cost`: the time of program `of` over that of `to`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The experiment.
    pub experiment: String,
    /// Its curve.
    pub curve: String,
    /// The value along the curve; 0 where there is none.
    #[serde(default)]
    pub x: u32,
    /// The program of `first`.
    pub of: Which,
    /// The program of `second`.
    pub to: Which,
}

/// The ratio of times that a [`Cost`] asks for, if it was measured.
pub type Costs<'a> = dyn Fn(&Cost) -> Option<f64> + 'a;

/// What is seen of a case.
struct Seen {
    measured: String,
    short: String,
    holds: Option<bool>,
}

const CHECKS: [&str; 12] = [
    "compare",
    "reaches",
    "diverges",
    "noisier",
    "gap-grows",
    "trend",
    "higher-rate",
    "stable-rate",
    "highest-rate",
    "rate-gap-grows",
    "sooner",
    "steps",
];

impl Checked {
    /// The comparison that `item` describes, of runs of `matrices`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(item: &Item<'_>, matrices: &[Matrix]) -> Result<Checked> {
        let check = item.table()?;
        // Read by those who know other experiments.
        check.get("experiment");
        let matrix = plot::matrix(&check, matrices)?;
        let chosen = check.get("where").map(|item| Where::read(&item, matrix)).transpose()?;
        let chosen = chosen.unwrap_or_default();
        let cases = match (check.get("each"), check.get("cases")) {
            (Some(each), Some(_)) => return Err(each.error("either `each` or `cases`, not both")),
            (Some(each), None) => {
                let axes = plot::axes(&each, matrix)?;
                let all = Where::each(matrix, &axes);
                all.iter().filter(|case| chosen.allows(case)).map(|case| chosen.and(case)).collect()
            }
            (None, Some(cases)) => {
                let case = |item: &Item<'_>| Ok(chosen.and(&Where::read(item, matrix)?));
                cases.list()?.iter().map(case).collect::<Result<_>>()?
            }
            (None, None) => vec![chosen],
        };
        let mut wanted = Vec::new();
        for key in ["of", "best_by"] {
            if let Some(item) = check.get(key) {
                wanted.push(Wanted {
                    matrix: matrix.name.clone(),
                    of: item.text()?.to_owned(),
                    at: item.span(),
                });
            }
        }
        let checked = Checked {
            check: Check::read(&check, matrix)?,
            most: check.get("most").map_or(Ok(false), |item| item.flag())?,
            matrix: matrix.clone(),
            cases,
            wanted,
        };
        check.finish()?;
        Ok(checked)
    }

    /// The quantities that it asks for.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// What `rows`, of the experiment of that name, say.
    pub fn evidence(&self, experiment: &str, rows: &[Row], costs: &Costs<'_>) -> Evidence {
        let case = |case: &Where| {
            let Seen { measured, short, holds } = self.check.find(rows, &self.matrix, case, costs);
            Case { place: case.title(), measured, short, holds }
        };
        Evidence {
            experiment: experiment.to_owned(),
            rule: self.check.rule(),
            most: self.most,
            cases: self.cases.iter().map(case).collect(),
        }
    }
}

impl Bounds {
    fn read(table: &Reader<'_>) -> Result<Bounds> {
        let bound = |key| table.get(key).map(|item| item.number()).transpose();
        let bounds = Bounds { at_least: bound("at_least")?, at_most: bound("at_most")? };
        match bounds {
            Bounds { at_least: None, at_most: None } => {
                Err(table.error("`at_least` or `at_most` is missing here"))
            }
            bounds => Ok(bounds),
        }
    }

    fn hold(&self, x: f64) -> bool {
        // Rates are ratios of numbers in decimals.
        let slack = x.abs() * 1e-9;
        self.at_least.is_none_or(|low| x + slack >= low) && self.at_most.is_none_or(|high| x - slack <= high)
    }
}

impl Sides {
    fn read(table: &Reader<'_>, matrix: &Matrix) -> Result<Sides> {
        let side = |key| Where::read(&table.need(key)?, matrix);
        let best = match table.get("over") {
            None => None,
            Some(over) => Some(Best {
                over: plot::axes(&over, matrix)?,
                by: table.need("best_by")?.text()?.to_owned(),
                of: match table.get("best_of") {
                    None => None,
                    Some(item) => match item.text()? {
                        "each" => None,
                        "first" => Some(0),
                        "second" => Some(1),
                        other => return Err(item.unknown(other, ["each", "first", "second"].into_iter())),
                    },
                },
            }),
        };
        Ok(Sides { first: side("first")?, second: side("second")?, best })
    }

    /// What both sides are in `case`.
    fn each(&self, case: &Where) -> [Where; 2] {
        [case.and(&self.first), case.and(&self.second)]
    }

    /// The runs of both sides in `case`, and what was chosen for them, for people.
    fn find<'r>(&self, rows: &'r [Row], matrix: &Matrix, case: &Where) -> ([Kind<'r>; 2], String) {
        let mut sides = self.each(case);
        let mut chosen = String::new();
        if let Some(best) = &self.best {
            let found = [0, 1].map(|k| best.find(rows, matrix, &sides[best.of.unwrap_or(k)]));
            for (side, labels) in sides.iter_mut().zip(&found) {
                *side = side.and(labels);
            }
            let text = match best.of {
                Some(_) => found[0].title(),
                None => format!("{} against {}", found[0].title(), found[1].title()),
            };
            chosen = format!(" (at {text})");
        }
        (sides.map(|side| Kind::of(rows, &matrix.name, &side)), chosen)
    }
}

impl Best {
    /// The values of the axes with which the runs of `side` end best; those that diverge are worst.
    fn find(&self, rows: &[Row], matrix: &Matrix, side: &Where) -> Where {
        let tried = Where::each(matrix, &self.over).into_iter().filter(|labels| side.allows(labels));
        let scored = tried.filter_map(|labels| {
            let kind = Kind::of(rows, &matrix.name, &side.and(&labels));
            let standing = standing(&kind, &self.by, None, f64::INFINITY * sign(&self.by))?;
            Some((labels, standing * sign(&self.by)))
        });
        scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(labels, _)| labels).unwrap_or_default()
    }
}

/// 1 for figures that are better the lower they are, −1 for others.
fn sign(of: &str) -> f64 {
    let lower = ["loss", "grad_norm", "directional"].iter().any(|name| of.ends_with(name));
    if lower { 1.0 } else { -1.0 }
}

impl Check {
    fn read(table: &Reader<'_>, matrix: &Matrix) -> Result<Check> {
        let sides = || Sides::read(table, matrix);
        let of = || Ok(table.need("of")?.text()?.to_owned());
        let axis = |key| {
            let item = table.need(key)?;
            Ok(matrix.axis(&item, item.text()?)?.name.clone())
        };
        let number = |key, default| table.get(key).map_or(Ok(default), |item| item.number());
        let kind = table.need("kind")?;
        Ok(match kind.text()? {
            "compare" => {
                let is = table.need("is")?;
                let found =
                    Order::ALL.into_iter().find(|(name, _)| is.text().is_ok_and(|text| text == *name));
                let Some((_, order)) = found else {
                    return Err(is.unknown(is.text()?, Order::ALL.iter().map(|(name, _)| *name)));
                };
                Check::Compare {
                    of: of()?,
                    sides: sides()?,
                    order,
                    by: number("by", 0.0)?,
                    times: number("times", 1.0)?,
                    epoch: table.get("epoch").map(|item| item.whole(1)).transpose()?,
                }
            }
            "reaches" => Check::Reaches { of: of()?, bounds: Bounds::read(table)? },
            "diverges" => {
                Check::Diverges { expected: table.get("expected").map_or(Ok(true), |item| item.flag())? }
            }
            "noisier" => Check::Noisier { of: of()?, sides: sides()?, times: number("times", 1.0)? },
            "gap-grows" => Check::GapGrows { of: of()?, sides: sides()?, along: axis("along")? },
            "trend" => {
                let is = table.need("is")?;
                let better = match is.text()? {
                    "better" => true,
                    "not-better" => false,
                    other => return Err(is.unknown(other, ["better", "not-better"].into_iter())),
                };
                Check::Trend { of: of()?, along: axis("along")?, better, by: number("by", 0.0)? }
            }
            "higher-rate" => {
                let bound = |key| table.get(key).map(|item| item.number()).transpose();
                let bounds = match (bound("at_least")?.or(bound("times")?), bound("at_most")?) {
                    (None, None) => Bounds { at_least: Some(1.0), at_most: None },
                    (at_least, at_most) => Bounds { at_least, at_most },
                };
                Check::HigherRate { sides: sides()?, rate: axis("rate")?, bounds }
            }
            "stable-rate" => Check::StableRate { rate: axis("rate")?, bounds: Bounds::read(table)? },
            "highest-rate" => {
                let (among, is) = (table.need("among")?, table.need("is")?);
                let axis_among = matrix.axis(&among, among.text()?)?;
                let label = is.text()?;
                if !axis_among.known.iter().any(|known| known == label) {
                    return Err(is.unknown(label, axis_among.known.iter().map(String::as_str)));
                }
                Check::HighestRate {
                    rate: axis("rate")?,
                    among: axis_among.name.clone(),
                    is: label.to_owned(),
                }
            }
            "rate-gap-grows" => {
                Check::RateGapGrows { sides: sides()?, rate: axis("rate")?, along: axis("along")? }
            }
            "sooner" => Check::Sooner { of: of()?, sides: sides()?, times: number("times", 1.0)? },
            "steps" => Check::Steps {
                of: of()?,
                sides: sides()?,
                bounds: Bounds::read(table)?,
                cost: table.get("cost").map(|item| item.decode(&[])).transpose()?,
            },
            other => return Err(kind.unknown(other, CHECKS.into_iter())),
        })
    }

    /// What `rows` say of `case`.
    fn find(&self, rows: &[Row], matrix: &Matrix, case: &Where, costs: &Costs<'_>) -> Seen {
        let kind = |of: &Where| Kind::of(rows, &matrix.name, &case.and(of));
        match self {
            Check::Compare { of, sides, order, by, times, epoch } => {
                let (kinds, chosen) = sides.find(rows, matrix, case);
                let [a, b] =
                    kinds.each_ref().map(|kind| standing(kind, of, *epoch, f64::INFINITY * sign(of)));
                let holds = a.zip(b).map(|(a, b)| match order {
                    Order::Less => a < b && a * times + by <= b,
                    Order::More => a > b && a >= b * times + by,
                    Order::Close => a == b || (a - b).abs() <= *by,
                    Order::NotLess => a * times + by >= b || a == b,
                    Order::NotMore => a <= b * times + by || a == b,
                });
                let text = kinds.each_ref().map(|kind| kind.text(of, *epoch));
                let short = [a, b].map(short);
                Seen {
                    measured: format!("{} against {}{chosen}", text[0], text[1]),
                    short: format!("{} vs {}", short[0], short[1]),
                    holds,
                }
            }
            Check::Reaches { of, bounds } => {
                let kind = kind(&Where::default());
                let reached = kind.at(of, None).into_iter().filter(|x| bounds.hold(*x)).count();
                Seen {
                    measured: kind.text(of, None),
                    short: short(standing(&kind, of, None, f64::INFINITY)),
                    holds: (kind.count() > 0).then(|| reached == kind.count()),
                }
            }
            Check::Diverges { expected } => {
                let kind = kind(&Where::default());
                let diverged = kind.diverged().len();
                let wanted = if *expected { kind.count() } else { 0 };
                if kind.count() == 0 {
                    return Seen::nothing();
                }
                Seen {
                    measured: format!(
                        "{diverged} of {} runs; test loss {}",
                        kind.count(),
                        kind.text("test_loss", None)
                    ),
                    short: format!("✕ {diverged} of {}", kind.count()),
                    holds: Some(diverged == wanted),
                }
            }
            Check::Noisier { of, sides, times } => {
                let [a, b] = sides.find(rows, matrix, case).0.map(|kind| course::variation(&kind, of));
                match (a, b) {
                    (Some(a), Some(b)) => Seen {
                        measured: format!("{} against {}", number(a), number(b)),
                        short: format!("{} vs {}", number(a), number(b)),
                        holds: Some(a > b && a >= times * b),
                    },
                    _ => Seen::nothing(),
                }
            }
            Check::GapGrows { of, sides, along } => course::gap(of, sides, rows, matrix, case, along),
            Check::Trend { of, along, better, by } => {
                course::trend(of, rows, matrix, case, along, *better, *by)
            }
            Check::Sooner { of, sides, times } => {
                let [first, second] = sides.find(rows, matrix, case).0;
                course::sooner(of, &first, &second, *times)
            }
            Check::Steps { of, sides, bounds, cost } => {
                let (kinds, chosen) = sides.find(rows, matrix, case);
                course::steps(of, &kinds, &chosen, bounds, cost.as_ref(), costs)
            }
            Check::HigherRate { sides, rate, bounds } => {
                rates::compared(sides, rows, matrix, case, rate, bounds)
            }
            Check::StableRate { rate, bounds } => rates::within(rows, matrix, case, rate, bounds),
            Check::HighestRate { rate, among, is } => rates::highest(rows, matrix, case, rate, among, is),
            Check::RateGapGrows { sides, rate, along } => {
                rates::gap_grows(sides, rows, matrix, case, rate, along)
            }
        }
    }
}

impl Seen {
    fn nothing() -> Seen {
        Seen { measured: "not measured".to_owned(), short: "–".to_owned(), holds: None }
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

/// The mean of figure `of` over runs; `worst` if one of them diverges, and nothing if there are none.
fn standing(kind: &Kind<'_>, of: &str, epoch: Option<u64>, worst: f64) -> Option<f64> {
    let values = kind.at(of, epoch);
    match Mean::of(&values) {
        Some(mean) if mean.count == kind.count() => Some(mean.mean),
        _ if kind.diverged().is_empty() => None,
        _ => Some(worst),
    }
}

/// The values of `matrix`'s axis `along` that `case` allows.
fn values<'m>(matrix: &'m Matrix, case: &Where, along: &str) -> Vec<&'m str> {
    let axis = matrix.axes.iter().find(|axis| axis.name == along);
    let labels = axis.into_iter().flat_map(|axis| axis.values.iter().map(|value| value.label.as_str()));
    labels.filter(|label| case.allows(&Where::default().with(along, label))).collect()
}
