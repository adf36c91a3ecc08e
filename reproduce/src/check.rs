//! Claims about training, and the comparisons that decide on them.

use fgc_train::Result;

use crate::experiment::Matrix;
use crate::plot;
use crate::read::{Item, Reader};
use crate::results::{Moment, Row};
use crate::section::{Claim, Verdict};
use crate::select::{Kind, Mean, Where, number};

/// A claim, as TOML says it.
#[derive(Clone, PartialEq, Debug)]
pub struct Claimed {
    source: String,
    text: String,
    matrix: Matrix,
    /// The cases that it is about: one comparison each.
    cases: Vec<Where>,
    check: Check,
}

/// The comparisons.
#[derive(Clone, PartialEq, Debug)]
enum Check {
    /// Figure `of` of the runs `first` is at most, or at least, that of `second`.
    Compare { of: String, sides: [Where; 2], order: Order, by: f64, epoch: Option<u64> },
    /// Figure `of` of every run is at least a value, or at most one.
    Reaches { of: String, at_least: Option<f64>, at_most: Option<f64> },
    /// Every run diverges, or none.
    Diverges { expected: bool },
    /// From step to step, figure `of` of `first` varies more than that of `second`.
    Noisier { of: String, sides: [Where; 2] },
    /// By how much figure `of` differs between `first` and `second` grows along an axis.
    GapGrows { of: String, sides: [Where; 2], along: String },
    /// The highest stable rate of `first` is at least `times` that of `second`.
    HigherRate { sides: [Where; 2], rate: String, times: f64 },
    /// Figure `of` of `first` gets to where that of `second` ends, in at most `times` of the time.
    Sooner { of: String, sides: [Where; 2], times: f64 },
}

/// What a comparison expects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Order {
    Less,
    More,
    Close,
}

const CHECKS: [&str; 7] = ["compare", "reaches", "diverges", "noisier", "gap-grows", "higher-rate", "sooner"];

impl Claimed {
    /// The claim that `item` describes, about runs of `matrices`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(item: &Item<'_>, matrices: &[Matrix]) -> Result<Claimed> {
        let table = item.table()?;
        let checked = table.need("check")?;
        let check = checked.table()?;
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
        let claimed = Claimed {
            source: table.need("source")?.text()?.to_owned(),
            text: table.need("text")?.text()?.trim().to_owned(),
            check: Check::read(&check, matrix)?,
            matrix: matrix.clone(),
            cases,
        };
        check.finish()?;
        table.finish()?;
        Ok(claimed)
    }

    /// The claim with what `rows` say of it.
    pub fn decide(&self, rows: &[Row]) -> Claim {
        let mut seen = Vec::new();
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for case in &self.cases {
            let (measured, holds) = self.check.find(rows, &self.matrix, case);
            let name = case.title();
            let place = if name.is_empty() { String::new() } else { format!("{name}: ") };
            seen.push(format!("{place}{measured}"));
            let name = if name.is_empty() { "what was measured".to_owned() } else { name };
            match holds {
                Some(true) => right.push(name),
                Some(false) => wrong.push(name),
                None => {}
            }
        }
        let rule = self.check.rule();
        let (verdict, why) = match (right.is_empty(), wrong.is_empty()) {
            (true, true) => (Verdict::Open, format!("Nothing that was measured decides whether {rule}.")),
            (false, true) => (Verdict::Holds, format!("Wherever it was measured, {rule}.")),
            (true, false) => (Verdict::Fails, format!("Nowhere is it so that {rule}.")),
            (false, false) => {
                let text =
                    format!("It is so that {rule} at {}, not at {}.", right.join("; "), wrong.join("; "));
                (Verdict::Partly, text)
            }
        };
        let (source, text) = (self.source.clone(), self.text.clone());
        Claim { source, text, measured: seen.join(". "), verdict, why }
    }
}

impl Check {
    fn read(table: &Reader<'_>, matrix: &Matrix) -> Result<Check> {
        let sides = || {
            let side = |key| Where::read(&table.need(key)?, matrix);
            Ok([side("first")?, side("second")?])
        };
        let of = || Ok(table.need("of")?.text()?.to_owned());
        let axis = |key| {
            let item = table.need(key)?;
            Ok(matrix.axis(&item, item.text()?)?.name.clone())
        };
        let kind = table.need("kind")?;
        match kind.text()? {
            "compare" => {
                let order = table.need("is")?;
                let order = match order.text()? {
                    "less" => Order::Less,
                    "more" => Order::More,
                    "close" => Order::Close,
                    other => return Err(order.unknown(other, ["less", "more", "close"].into_iter())),
                };
                Ok(Check::Compare {
                    of: of()?,
                    sides: sides()?,
                    order,
                    by: table.get("by").map_or(Ok(0.0), |item| item.number())?,
                    epoch: table.get("epoch").map(|item| item.whole(1)).transpose()?,
                })
            }
            "reaches" => {
                let bound = |key| table.get(key).map(|item| item.number()).transpose();
                let (at_least, at_most) = (bound("at_least")?, bound("at_most")?);
                if at_least.is_none() && at_most.is_none() {
                    return Err(table.error("`at_least` or `at_most` is missing here"));
                }
                Ok(Check::Reaches { of: of()?, at_least, at_most })
            }
            "diverges" => {
                Ok(Check::Diverges { expected: table.get("expected").map_or(Ok(true), |item| item.flag())? })
            }
            "noisier" => Ok(Check::Noisier { of: of()?, sides: sides()? }),
            "gap-grows" => Ok(Check::GapGrows { of: of()?, sides: sides()?, along: axis("along")? }),
            "higher-rate" => Ok(Check::HigherRate {
                sides: sides()?,
                rate: axis("rate")?,
                times: table.get("times").map_or(Ok(1.0), |item| item.number())?,
            }),
            "sooner" => Ok(Check::Sooner {
                of: of()?,
                sides: sides()?,
                times: table.get("times").map_or(Ok(1.0), |item| item.number())?,
            }),
            other => Err(kind.unknown(other, CHECKS.into_iter())),
        }
    }

    /// What is expected, for people.
    fn rule(&self) -> String {
        let named = |sides: &[Where; 2]| [sides[0].title(), sides[1].title()];
        match self {
            Check::Compare { of, sides, order, by, epoch } => {
                let [a, b] = named(sides);
                let by = if *by == 0.0 { String::new() } else { format!(" by {}", number(*by)) };
                let order = match order {
                    Order::Less => format!("less{by} than"),
                    Order::More => format!("more{by} than"),
                    Order::Close => format!("within{} of", by.trim_start_matches(" by").trim_end()),
                };
                let when = epoch.map_or("in the end".to_owned(), |epoch| format!("after epoch {epoch}"));
                format!("{} of `{a}` is {order} that of `{b}` {when}", spoken(of))
            }
            Check::Reaches { of, at_least, at_most } => {
                let bound = |word: &str, x: &Option<f64>| x.map(|x| format!("at {word} {}", number(x)));
                let bounds = [bound("least", at_least), bound("most", at_most)];
                format!(
                    "{} is {}",
                    spoken(of),
                    bounds.into_iter().flatten().collect::<Vec<_>>().join(" and ")
                )
            }
            Check::Diverges { expected: true } => "every run diverges".to_owned(),
            Check::Diverges { expected: false } => "no run diverges".to_owned(),
            Check::Noisier { of, sides } => {
                let [a, b] = named(sides);
                format!("{} of `{a}` varies more from step to step than that of `{b}`", spoken(of))
            }
            Check::GapGrows { of, sides, along } => {
                let [a, b] = named(sides);
                format!("the difference in {} between `{a}` and `{b}` grows along `{along}`", spoken(of))
            }
            Check::HigherRate { sides, times, .. } => {
                let [a, b] = named(sides);
                format!("the highest stable rate of `{a}` is at least {} times that of `{b}`", number(*times))
            }
            Check::Sooner { of, sides, times } => {
                let ([a, b], of, times) = (named(sides), spoken(of), number(*times));
                format!("the {of} of `{a}` gets to the last one of `{b}` in at most {times} times its time")
            }
        }
    }

    /// What `rows` say of `case`, and whether it is as expected; `None` if they say nothing.
    fn find(&self, rows: &[Row], matrix: &Matrix, case: &Where) -> (String, Option<bool>) {
        let kind = |of: &Where| Kind::of(rows, &matrix.name, &case.and(of));
        match self {
            Check::Compare { of, sides, order, by, epoch } => {
                let kinds = [kind(&sides[0]), kind(&sides[1])];
                let text = format!("{} against {}", kinds[0].text(of, *epoch), kinds[1].text(of, *epoch));
                let worst = if of.ends_with("loss") { f64::INFINITY } else { f64::NEG_INFINITY };
                let [Some(a), Some(b)] = kinds.map(|k| standing(&k, of, *epoch, worst)) else {
                    return (text, None);
                };
                let holds = match order {
                    Order::Less => a + by < b || (a < b && *by == 0.0),
                    Order::More => a > b + by || (a > b && *by == 0.0),
                    Order::Close => (a - b).abs() <= *by || a == b,
                };
                (text, Some(holds))
            }
            Check::Reaches { of, at_least, at_most } => {
                let kind = kind(&Where::default());
                let within =
                    |x: &f64| at_least.is_none_or(|low| *x >= low) && at_most.is_none_or(|high| *x <= high);
                let reached = kind.at(of, None).into_iter().filter(within).count();
                (kind.text(of, None), (kind.count() > 0).then(|| reached == kind.count()))
            }
            Check::Diverges { expected } => {
                let kind = kind(&Where::default());
                let diverged = kind.diverged().len();
                let wanted = if *expected { kind.count() } else { 0 };
                (kind.text("test_loss", None), (kind.count() > 0).then_some(diverged == wanted))
            }
            Check::Noisier { of, sides } => {
                let [a, b] = [kind(&sides[0]), kind(&sides[1])].map(|k| variation(&k, of));
                match (a, b) {
                    (Some(a), Some(b)) => (format!("{} against {}", number(a), number(b)), Some(a > b)),
                    _ => ("not measured".to_owned(), None),
                }
            }
            Check::Sooner { of, sides, times } => sooner(of, &kind(&sides[0]), &kind(&sides[1]), *times),
            Check::GapGrows { of, sides, along } => gap(of, sides, matrix, along, &kind),
            Check::HigherRate { sides, rate, times } => {
                let [a, b] =
                    [&sides[0], &sides[1]].map(|side| highest_stable(rows, matrix, &case.and(side), rate));
                let text = |rate: Option<f64>| rate.map_or("no stable rate".to_owned(), crate::show::rate);
                let holds = match (a, b) {
                    (Some(a), Some(b)) => Some(a >= times * b * (1.0 - 1e-9)),
                    (Some(_), None) => Some(true),
                    (None, Some(_)) => Some(false),
                    (None, None) => None,
                };
                (format!("{} against {}", text(a), text(b)), holds)
            }
        }
    }
}

/// `test_accuracy` as words.
fn spoken(of: &str) -> String {
    of.replace('_', " ")
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

/// The mean size of the difference between neighbouring rows of steps, over the second half of each run, in parts of
/// the figure's mean there.
fn variation(kind: &Kind<'_>, of: &str) -> Option<f64> {
    let run = |rows: &[&Row]| {
        let steps = rows.iter().filter(|r| r.moment == Moment::Step);
        let values: Vec<f64> = steps.filter_map(|r| r.figures.get(of).copied()).collect();
        let half = values.get(values.len() / 2..)?;
        let changes: Vec<f64> = half.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
        Some(Mean::of(&changes)?.mean / Mean::of(half)?.mean)
    };
    Mean::of(&kind.runs().filter_map(run).collect::<Vec<_>>()).map(|mean| mean.mean)
}

/// The differences in figure `of` between two sides along an axis.
fn gap<'a>(
    of: &str,
    sides: &[Where; 2],
    matrix: &Matrix,
    along: &str,
    kind: &dyn Fn(&Where) -> Kind<'a>,
) -> (String, Option<bool>) {
    let mut gaps = Vec::new();
    let mut texts = Vec::new();
    let axis = matrix.axes.iter().find(|axis| axis.name == along);
    for value in axis.into_iter().flat_map(|axis| &axis.values) {
        let at = |side: &Where| {
            let kind = kind(&side.with(along, &value.label));
            standing(&kind, of, None, f64::NAN)
        };
        let gap = match (at(&sides[0]), at(&sides[1])) {
            (Some(a), Some(b)) => Some((a - b).abs()),
            _ => None,
        };
        let text = match gap {
            Some(gap) if gap.is_finite() => number(gap),
            Some(_) => "diverges".to_owned(),
            None => "not measured".to_owned(),
        };
        texts.push(format!("{} {text}", value.label));
        gaps.extend(gap);
    }
    // Where runs diverge, the difference is without bound.
    let size = |gap: f64| if gap.is_nan() { f64::INFINITY } else { gap };
    let grows = gaps.windows(2).all(|w| size(w[1]) > size(w[0]) || size(w[1]) == f64::INFINITY);
    (texts.join(", "), (gaps.len() > 1).then_some(grows))
}

/// Whether each run of `first` has a figure `of`, such as a loss, as low as that which `second` ends with, and when.
fn sooner(of: &str, first: &Kind<'_>, second: &Kind<'_>, times: f64) -> (String, Option<bool>) {
    let epochs = |rows: &[&Row]| -> Vec<(f64, f64)> {
        let ends = rows.iter().filter(|r| r.moment == Moment::Epoch);
        ends.filter_map(|r| Some((r.seconds?, *r.figures.get(of)?))).collect()
    };
    let spent: Vec<f64> = second.runs().filter_map(|rows| Some(epochs(rows).last()?.0)).collect();
    let (Some(goal), Some(spent)) = (Mean::of(&second.at(of, None)), Mean::of(&spent)) else {
        return ("not measured".to_owned(), None);
    };
    let runs: Vec<Vec<(f64, f64)>> = first.runs().map(epochs).filter(|run| !run.is_empty()).collect();
    let reached =
        |run: &Vec<(f64, f64)>| run.iter().find(|(_, x)| *x <= goal.mean).map(|(seconds, _)| *seconds);
    let there: Vec<f64> = runs.iter().filter_map(reached).collect();
    let begin = format!("{} is {} after {} s", spoken(of), number(goal.mean), number(spent.mean));
    let ends = runs.iter().filter_map(|run| run.last()).map(|end| end.0);
    let Some(last) = ends.reduce(f64::max) else { return (begin, None) };
    match Mean::of(&there) {
        Some(mean) if there.len() == runs.len() => {
            (format!("{begin}, against {} s", mean.text()), Some(mean.mean <= times * spent.mean))
        }
        _ => {
            let (got, all) = (there.len(), runs.len());
            let text = format!("{begin}; {got} of {all} runs get there within {} s", number(last));
            // Runs that end before the time is over decide nothing.
            (text, (last >= times * spent.mean).then_some(false))
        }
    }
}

/// By how much the loss may be above that at the lowest rate where training is still stable.
const TOLERANCE: f64 = 1.05;

/// The highest rate of a sweep up to which training is stable: no run diverges, and the test loss in the end isn't
/// above that at the lowest rate, which hardly changes the model. `None` if not even that is.
pub fn highest_stable(rows: &[Row], matrix: &Matrix, chosen: &Where, rate: &str) -> Option<f64> {
    let axis = matrix.axes.iter().find(|axis| axis.name == rate)?;
    let mut swept = Vec::new();
    for value in &axis.values {
        let kind = Kind::of(rows, &matrix.name, &chosen.with(rate, &value.label));
        let lr = kind.runs().next().and_then(|run| run.first()).map(|row| row.lr);
        if let Some(lr) = lr {
            swept.push((lr, standing(&kind, "test_loss", None, f64::INFINITY)));
        }
    }
    swept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let base = swept.first()?.1?;
    let stable = |(_, loss): &&(f64, Option<f64>)| loss.is_some_and(|loss| loss <= base * TOLERANCE);
    swept.iter().take_while(stable).last().filter(|_| base.is_finite()).map(|(lr, _)| *lr)
}
