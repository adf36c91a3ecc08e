//! Comparisons of courses of training: their noise, their trends, and how soon a loss is reached.

use std::collections::BTreeMap;

use super::{Outcome, Results, short, sign, standing, worst};
use crate::analyse::select::{Mean, Runs};
use crate::analyse::text::{number, spoken};
use crate::run::results::{Moment, Row};
use crate::spec::{Bounds, Sides};

/// The mean size of the difference between neighbouring rows of steps, over the second half of each run, in parts of
/// the metric's mean there.
pub fn variation(runs: &Runs<'_>, of: &str) -> Option<f64> {
    let run = |rows: &[&Row]| {
        let steps = rows.iter().filter(|r| r.moment == Moment::Step);
        let values: Vec<f64> = steps.filter_map(|r| r.metrics.get(of).copied()).collect();
        let half = values.get(values.len() / 2..)?;
        let changes: Vec<f64> = half.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
        Some(Mean::of(&changes)?.mean / Mean::of(half)?.mean)
    };
    Mean::of(&runs.each().filter_map(run).collect::<Vec<_>>()).map(|mean| mean.mean)
}

/// The differences in metric `of` between two sides along an axis.
pub fn gap(of: &str, sides: &Sides, case: &Results<'_>, along: &str) -> Outcome {
    let mut gaps = Vec::new();
    let mut texts = Vec::new();
    for label in case.labels(along) {
        let (runs, _) = sides.find(&case.with(along, label));
        let gap = match runs.map(|runs| standing(&runs, of, None, f64::NAN)) {
            [Some(a), Some(b)] => Some((a - b).abs()),
            _ => None,
        };
        texts.push(format!("{label} {}", short(gap)));
        gaps.extend(gap);
    }
    // Where runs diverge, the difference is without bound.
    let size = |gap: f64| if gap.is_nan() { f64::INFINITY } else { gap };
    let grows = gaps.windows(2).all(|w| size(w[1]) > size(w[0]) || size(w[1]) == f64::INFINITY);
    let text = texts.join(", ");
    Outcome { measured: text.clone(), short: text, holds: (gaps.len() > 1).then_some(grows) }
}

/// Whether metric `of` gets better along an axis: the slope of the line nearest to it, by least squares, from one value
/// to the next. Where runs diverge nothing is worse.
pub fn trend(of: &str, case: &Results<'_>, along: &str, better: bool, by: f64) -> Outcome {
    let at = |label| Some((label, standing(&case.with(along, label).runs(), of, None, worst(of))?));
    let found: Vec<(&str, f64)> = case.labels(along).filter_map(at).collect();
    if found.len() < 2 {
        return Outcome::nothing();
    }
    // Downwards is better for all metrics now.
    let heights: Vec<f64> = found.iter().map(|(_, x)| x * sign(of)).collect();
    let improves = match (heights.first(), heights.last()) {
        (Some(first), Some(last)) if heights.iter().any(|x| !x.is_finite()) => last < first,
        _ => {
            let middle = (heights.len() - 1) as f64 / 2.0;
            let (up, across) = heights.iter().enumerate().fold((0.0, 0.0), |(up, across), (k, y)| {
                let x = k as f64 - middle;
                (up + x * y, across + x * x)
            });
            -up / across > by
        }
    };
    let text = found.iter().map(|(label, x)| format!("{label} {}", short(Some(*x)))).collect::<Vec<_>>();
    let numbers = found.iter().map(|(_, x)| short(Some(*x))).collect::<Vec<_>>();
    Outcome { measured: text.join(", "), short: numbers.join(" → "), holds: Some(improves == better) }
}

/// Whether each run of the first side has a metric `of` as good as that which the second ends with, or as `goal`, and
/// when; by the clock, at the ends of epochs.
pub fn sooner(of: &str, [first, second]: &[Runs<'_>; 2], goal: Option<f64>, times: f64) -> Outcome {
    // Downwards is better for all metrics so.
    let epochs = |rows: &[&Row]| -> Vec<(f64, f64)> {
        let ends = rows.iter().filter(|r| r.moment == Moment::Epoch);
        ends.filter_map(|r| Some((r.seconds?, *r.metrics.get(of)? * sign(of)))).collect()
    };
    let Some(height) = goal.or_else(|| Mean::of(&second.at(of, None)).map(|mean| mean.mean)) else {
        return Outcome::nothing();
    };
    // How many runs of a side get there, of how many, after how many seconds, and when the last of all ends.
    let there = |runs: &Runs<'_>| {
        let runs: Vec<Vec<(f64, f64)>> = runs.each().map(epochs).filter(|run| !run.is_empty()).collect();
        let reached = |run: &Vec<(f64, f64)>| {
            let end = run.iter().find(|(_, x)| *x <= height * sign(of));
            end.map(|(seconds, _)| *seconds)
        };
        let seconds: Vec<f64> = runs.iter().filter_map(reached).collect();
        let last = runs.iter().filter_map(|run| run.last()).map(|end| end.0).reduce(f64::max);
        (seconds.len(), runs.len(), Mean::of(&seconds), last)
    };
    let spent = match goal {
        Some(_) => there(second),
        // On the mean it is there at its end, though not each run is.
        None => {
            let ends: Vec<f64> = second.each().filter_map(|rows| Some(epochs(rows).last()?.0)).collect();
            (ends.len(), ends.len(), Mean::of(&ends), None)
        }
    };
    let begin = format!("{} is {} after", spoken(of), number(height));
    let spent = match spent {
        (got, all, Some(mean), _) if got == all => mean.mean,
        (_, _, _, None) => return Outcome::nothing(),
        (got, all, _, Some(last)) => {
            let measured = format!(
                "{got} of {all} runs of the second get to {} within {} s",
                number(height),
                number(last)
            );
            return Outcome { measured, short: "never".to_owned(), holds: None };
        }
    };
    let begin = format!("{begin} {} s", number(spent));
    match there(first) {
        (got, all, Some(mean), _) if got == all => Outcome {
            measured: format!("{begin}, against {} s", mean.text()),
            short: format!("{} s vs {} s", number(mean.mean), number(spent)),
            holds: Some(mean.mean <= times * spent),
        },
        (_, _, _, None) => Outcome::nothing(),
        (got, all, _, Some(last)) => {
            let measured = format!("{begin}; {got} of {all} runs get there within {} s", number(last));
            // Runs that end before the time is over decide nothing.
            let holds = (last >= times * spent).then_some(false);
            Outcome { measured, short: format!("never vs {} s", number(spent)), holds }
        }
    }
}

/// The means of metric `of` over runs at the ends of epochs, as long as all of them are there: steps done, and the mean.
fn ends(runs: &Runs<'_>, of: &str) -> Vec<(f64, f64)> {
    let mut epochs = BTreeMap::<u64, Vec<f64>>::new();
    let end = runs.diverged().into_iter().min().unwrap_or(u64::MAX);
    for row in runs.each().flatten().filter(|r| r.moment == Moment::Epoch && r.step < end) {
        epochs.entry(row.step).or_default().extend(row.metrics.get(of));
    }
    let full = epochs.into_iter().filter(|(_, all)| all.len() == runs.count());
    full.filter_map(|(step, all)| Some((step as f64, Mean::of(&all)?.mean))).collect()
}

/// The steps at which `course` first is as low as `goal`: between the ends of epochs along a straight line; the end of
/// the first epoch, if it is there already.
fn reached(course: &[(f64, f64)], goal: f64) -> Option<f64> {
    let k = course.iter().position(|(_, x)| *x <= goal)?;
    let (step, x) = *course.get(k)?;
    let Some((before, above)) = k.checked_sub(1).and_then(|k| course.get(k)).copied() else {
        return Some(step);
    };
    Some(before + (step - before) * (above - goal) / (above - x))
}

/// The steps that both sides take to a loss that both get to, the lowest that the worse of them has; and the time, with
/// `cost`: what a step of the first takes over one of the second, if that was measured.
pub fn steps(
    of: &str,
    runs: &[Runs<'_>; 2],
    chosen: &str,
    bounds: &Bounds,
    cost: Option<Option<f64>>,
) -> Outcome {
    let courses = runs.each_ref().map(|runs| ends(runs, of));
    let lowest = |course: &[(f64, f64)]| course.iter().map(|p| p.1).reduce(f64::min);
    let [Some(a), Some(b)] = courses.each_ref().map(|course| lowest(course)) else {
        return Outcome::nothing();
    };
    let goal = a.max(b);
    let [Some(a), Some(b)] = courses.each_ref().map(|course| reached(course, goal)) else {
        return Outcome::nothing();
    };
    let text = format!(
        "{} of {} after {a:.0} steps against {b:.0}, {} times as many{chosen}",
        spoken(of),
        number(goal),
        number(a / b)
    );
    let Some(cost) = cost else {
        return Outcome {
            measured: text,
            short: format!("{a:.0} vs {b:.0} steps"),
            holds: Some(bounds.about(a / b)),
        };
    };
    let Some(step) = cost else {
        return Outcome {
            measured: format!("{text}; what a step costs wasn't measured"),
            ..Outcome::nothing()
        };
    };
    let time = step * a / b;
    Outcome {
        measured: format!(
            "{text}; a step takes {} times as long, so that it takes {} of the time",
            number(step),
            number(time)
        ),
        short: format!("{} of the time", number(time)),
        holds: Some(bounds.about(time)),
    }
}
