//! Comparisons of the results of training, which decide on claims, as experiments and claims describe them.

use std::num::NonZero;

use fgc_train::Result;
use serde::Deserialize;
use toml::Spanned;

use super::file::{File, Item};
use super::limits::Finite;
use super::matrix::{Matrix, Wanted, named};
use super::measure::Program;
use super::selection::{Labels, Where};

/// A comparison, and the cases that it is made for.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// The runs that there are.
    pub matrix: Matrix,
    /// The runs of each case.
    pub cases: Vec<Where>,
    /// Whether it is enough if more than half of the cases are as claimed.
    pub most: bool,
    /// The comparison.
    pub check: Check,
    /// The two kinds of runs that are compared, by the comparisons that compare two.
    sides: Option<Sides>,
    wanted: Vec<Wanted>,
}

/// The comparison.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Check {
    /// Metric `of` of the first side is less, more or close to that of the second.
    Compare {
        of: Spanned<String>,
        is: Order,
        #[serde(default = "zero")]
        by: Finite,
        #[serde(default = "one")]
        times: Finite,
        epoch: Option<NonZero<u64>>,
    },
    /// Metric `of` of every run is within bounds.
    Reaches { of: Spanned<String>, at_least: Option<Finite>, at_most: Option<Finite> },
    /// Every run diverges, or none.
    Diverges {
        #[serde(default = "always")]
        expected: bool,
    },
    /// From step to step, metric `of` of the first side varies at least `times` as much as that of the second.
    Noisier {
        of: Spanned<String>,
        #[serde(default = "one")]
        times: Finite,
    },
    /// By how much metric `of` differs between the sides grows along an axis.
    GapGrows { of: Spanned<String>, along: Spanned<String> },
    /// Metric `of` gets better along an axis, by at least `by` from one value to the next; or it doesn't.
    Trend {
        of: Spanned<String>,
        along: Spanned<String>,
        is: Trend,
        #[serde(default = "zero")]
        by: Finite,
    },
    /// The highest stable rate of the first side over that of the second is within bounds.
    HigherRate {
        rate: Spanned<String>,
        #[serde(default, alias = "times")]
        at_least: Option<Finite>,
        at_most: Option<Finite>,
    },
    /// The highest stable rate is within bounds.
    StableRate { rate: Spanned<String>, at_least: Option<Finite>, at_most: Option<Finite> },
    /// Of the values of the axis `among`, `is` has the highest stable rate.
    HighestRate { rate: Spanned<String>, among: Spanned<String>, is: Spanned<String> },
    /// The highest stable rate of the first side over that of the second grows along an axis.
    RateGapGrows { rate: Spanned<String>, along: Spanned<String> },
    /// Metric `of` of the first side gets to where that of the second ends, or both to `goal`, in at most `times` of the
    /// time.
    Sooner {
        of: Spanned<String>,
        goal: Option<Finite>,
        #[serde(default = "one")]
        times: Finite,
    },
    /// The steps that the first side takes to a loss that both get to, over those of the second, are within bounds; the
    /// time, if there is something that says what a step costs.
    Steps { of: Spanned<String>, at_least: Option<Finite>, at_most: Option<Finite>, cost: Option<Cost> },
}

fn zero() -> Finite {
    Finite(0.0)
}

fn one() -> Finite {
    Finite(1.0)
}

fn always() -> bool {
    true
}

/// The expected order of two metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    Less,
    More,
    Close,
    NotLess,
    NotMore,
}

/// The expected trend of a metric along an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trend {
    Better,
    NotBetter,
}

/// The range that a number may be in.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Its lower end, if it has one.
    pub at_least: Option<f64>,
    /// Its upper end, if it has one.
    pub at_most: Option<f64>,
}

impl Bounds {
    /// From `at_least` to `at_most`.
    pub fn new(at_least: Option<Finite>, at_most: Option<Finite>) -> Bounds {
        Bounds { at_least: at_least.map(|x| x.0), at_most: at_most.map(|x| x.0) }
    }

    /// Whether `x` is in the range.
    pub fn hold(&self, x: f64) -> bool {
        self.at_least.is_none_or(|low| x >= low) && self.at_most.is_none_or(|high| x <= high)
    }

    /// Whether `x` is in the range, but for the rounding of a ratio of decimals.
    pub fn about(&self, x: f64) -> bool {
        let slack = x.abs() * 1e-9;
        self.at_least.is_none_or(|low| x + slack >= low) && self.at_most.is_none_or(|high| x - slack <= high)
    }
}

/// Two kinds of runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Sides {
    /// The first kind.
    pub first: Where,
    /// The second kind.
    pub second: Where,
    /// Which of their settings are chosen by their results.
    pub best: Option<Best>,
}

/// A choice of settings by their results.
#[derive(Clone, PartialEq, Debug)]
pub struct Best {
    /// The axes whose values are chosen.
    pub over: Vec<String>,
    /// The metric that is to be the best in the end.
    pub by: String,
    /// Whose results choose.
    pub of: BestOf,
}

/// Whose results choose settings.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BestOf {
    /// Each side has its own best.
    #[default]
    Each,
    /// Both sides have the best of the first.
    First,
    /// Both sides have the best of the second.
    Second,
}

/// The cost of steps, from an experiment of kind `cost`: the time of program `of` over that of `to`.
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
    /// The program of the first side.
    pub of: Program,
    /// The program of the second side.
    pub to: Program,
}

/// The keys of every comparison.
#[derive(Deserialize)]
struct Cases {
    matrix: Option<Spanned<String>>,
    #[serde(default, rename = "where")]
    chosen: Labels,
    each: Option<Spanned<Vec<Spanned<String>>>>,
    cases: Option<Vec<Labels>>,
    #[serde(default)]
    most: bool,
}

/// The keys of comparisons of two sides.
#[derive(Deserialize)]
struct Compared {
    first: Labels,
    second: Labels,
    over: Option<Vec<Spanned<String>>>,
    best_by: Option<Spanned<String>>,
    best_of: Option<BestOf>,
}

const CASES: [&str; 5] = ["matrix", "where", "each", "cases", "most"];
const SIDES: [&str; 5] = ["first", "second", "over", "best_by", "best_of"];
/// The kinds that compare two sides.
const COMPARING: [&str; 7] =
    ["compare", "noisier", "gap-grows", "higher-rate", "rate-gap-grows", "sooner", "steps"];

impl Comparison {
    /// The comparison that `item` describes, of runs of `matrices`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(mut item: Item<'_>, matrices: &[Matrix]) -> Result<Comparison> {
        let (file, table) = (item.file, item.clone());
        item.spell_labels(&["where", "cases", "first", "second"])?;
        let cases: Cases = item.split(&CASES)?.decode()?;
        let matrix = named(matrices, cases.matrix.as_ref(), file)?;
        let kind: String = item.clone().need("kind")?.decode()?;
        let compared: Option<Compared> = match COMPARING.contains(&kind.as_str()) {
            true => Some(item.split(&SIDES)?.decode()?),
            false => None,
        };
        let check: Check = item.variant()?;
        let named = check.of().into_iter().chain(compared.as_ref().and_then(|sides| sides.best_by.as_ref()));
        let wanted = named.map(|name| Wanted::new(matrix, name)).collect();
        check.check(matrix, file, &table)?;
        let sides = compared.map(|sides| sides.resolved(matrix, file, &table)).transpose()?;
        Ok(Comparison {
            cases: cases.resolved(matrix, file)?,
            most: cases.most,
            matrix: matrix.clone(),
            check,
            sides,
            wanted,
        })
    }

    /// The metrics that it needs.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The two kinds of runs, of a comparison of two.
    pub fn sides(&self) -> &Sides {
        self.sides.as_ref().expect("what compares two sides is read with them")
    }
}

impl Cases {
    fn resolved(&self, matrix: &Matrix, file: &File) -> Result<Vec<Where>> {
        let chosen = self.chosen.of(matrix, file)?;
        match (&self.each, &self.cases) {
            (Some(each), Some(_)) => Err(file.error(each.span(), "either `each` or `cases`, not both", None)),
            (Some(each), None) => {
                let all = Where::each(matrix, &matrix.axes(each.get_ref(), file)?);
                Ok(all.iter().filter(|case| chosen.allows(case)).map(|case| chosen.and(case)).collect())
            }
            (None, Some(cases)) => cases.iter().map(|case| Ok(chosen.and(&case.of(matrix, file)?))).collect(),
            (None, None) => Ok(vec![chosen]),
        }
    }
}

impl Compared {
    fn resolved(self, matrix: &Matrix, file: &File, table: &Item<'_>) -> Result<Sides> {
        let best = match (self.over, self.best_by) {
            (Some(over), Some(by)) => Some(Best {
                over: matrix.axes(&over, file)?,
                by: by.into_inner(),
                of: self.best_of.unwrap_or_default(),
            }),
            (None, None) if self.best_of.is_none() => None,
            _ => return Err(table.error("`over` and `best_by` go together, `best_of` with both")),
        };
        Ok(Sides { first: self.first.of(matrix, file)?, second: self.second.of(matrix, file)?, best })
    }
}

impl Check {
    /// The metric that is compared, if there is one.
    fn of(&self) -> Option<&Spanned<String>> {
        match self {
            Check::Compare { of, .. }
            | Check::Reaches { of, .. }
            | Check::Noisier { of, .. }
            | Check::GapGrows { of, .. }
            | Check::Trend { of, .. }
            | Check::Sooner { of, .. }
            | Check::Steps { of, .. } => Some(of),
            Check::Diverges { .. }
            | Check::HigherRate { .. }
            | Check::StableRate { .. }
            | Check::HighestRate { .. }
            | Check::RateGapGrows { .. } => None,
        }
    }

    /// Fails if it names what `matrix` doesn't have, or has no bounds where it needs one; `table` is where it stands.
    fn check(&self, matrix: &Matrix, file: &File, table: &Item<'_>) -> Result<()> {
        match self {
            Check::GapGrows { along: axis, .. }
            | Check::Trend { along: axis, .. }
            | Check::HigherRate { rate: axis, .. } => matrix.axis(axis, file).map(|_| ()),
            Check::RateGapGrows { rate, along } => {
                [rate, along].into_iter().try_for_each(|axis| matrix.axis(axis, file).map(|_| ()))
            }
            Check::HighestRate { rate, among, is } => {
                matrix.axis(rate, file)?;
                let axis = matrix.axis(among, file)?;
                match axis.labels.contains(is.get_ref()) {
                    true => Ok(()),
                    false => Err(file.unknown(is, axis.labels.iter().map(String::as_str))),
                }
            }
            Check::StableRate { at_least: None, at_most: None, .. }
            | Check::Reaches { at_least: None, at_most: None, .. }
            | Check::Steps { at_least: None, at_most: None, .. } => {
                Err(table.error("`at_least` or `at_most` is missing here"))
            }
            Check::StableRate { rate, .. } => matrix.axis(rate, file).map(|_| ()),
            Check::Compare { .. }
            | Check::Reaches { .. }
            | Check::Diverges { .. }
            | Check::Noisier { .. }
            | Check::Sooner { .. }
            | Check::Steps { .. } => Ok(()),
        }
    }
}
