//! Highest stable rates, and comparisons of them.

use super::{Outcome, Results, standing};
use crate::analyse::text::{number, rate as text};
use crate::spec::{Bounds, Sides};

/// By how much the loss may be above that at the lowest rate where training is still stable.
const TOLERANCE: f64 = 1.05;

/// The highest rate of a sweep along the axis `rate` up to which training is stable: no run diverges, and the test loss
/// in the end isn't above that at the lowest rate, which hardly changes the model. `None` if not even that is.
pub fn highest_stable(results: &Results<'_>, rate: &str) -> Option<f64> {
    let mut swept = Vec::new();
    for value in &results.matrix.find(rate).expect("a sweep is along an axis").values {
        let runs = results.with(rate, &value.label).runs();
        let lr = runs.each().next().and_then(|run| run.first()).map(|row| row.lr);
        if let Some(lr) = lr {
            swept.push((lr, standing(&runs, "test_loss", None, f64::INFINITY)));
        }
    }
    swept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let base = swept.first()?.1?;
    let stable = |(_, loss): &&(f64, Option<f64>)| loss.is_some_and(|loss| loss <= base * TOLERANCE);
    swept.iter().take_while(stable).last().filter(|_| base.is_finite()).map(|(lr, _)| *lr)
}

/// Whether anything of `results` was measured.
fn measured(results: &Results<'_>) -> bool {
    results.runs().count() > 0
}

fn shown(rate: Option<f64>) -> String {
    rate.map_or("none".to_owned(), text)
}

/// The highest stable rates of both sides.
fn both(sides: &Sides, case: &Results<'_>, rate: &str) -> [Option<f64>; 2] {
    sides.each(case).map(|side| highest_stable(&side, rate))
}

/// The ratio of the highest stable rates of both sides, where no stable rate is below any.
pub fn compared(sides: &Sides, case: &Results<'_>, rate: &str, bounds: &Bounds) -> Outcome {
    if !sides.each(case).iter().all(measured) {
        return Outcome::nothing();
    }
    let [a, b] = both(sides, case, rate);
    let ratio = match (a, b) {
        (Some(a), Some(b)) => Some(a / b),
        (Some(_), None) => Some(f64::INFINITY),
        (None, Some(_)) => Some(0.0),
        (None, None) => None,
    };
    Outcome {
        measured: format!("{} against {}", shown(a), shown(b)),
        short: format!("{} vs {}", shown(a), shown(b)),
        holds: ratio.map(|ratio| bounds.about(ratio)),
    }
}

/// Whether the highest stable rate is within bounds; where there is none, it is below any.
pub fn within(case: &Results<'_>, rate: &str, bounds: &Bounds) -> Outcome {
    if !measured(case) {
        return Outcome::nothing();
    }
    let found = highest_stable(case, rate);
    Outcome { measured: shown(found), short: shown(found), holds: Some(bounds.about(found.unwrap_or(0.0))) }
}

/// Whether no value of the axis `among` has a higher stable rate than `is`.
pub fn highest(case: &Results<'_>, rate: &str, among: &str, is: &str) -> Outcome {
    let of = |label| {
        let results = case.with(among, label);
        measured(&results).then(|| (label, highest_stable(&results, rate)))
    };
    let all: Vec<(&str, Option<f64>)> = case.labels(among).filter_map(of).collect();
    let this = all.iter().find(|(label, _)| *label == is).map(|(_, rate)| rate.unwrap_or(0.0));
    let Some(this) = this.filter(|_| all.len() > 1) else { return Outcome::nothing() };
    let text = all.iter().map(|(label, rate)| format!("{label} {}", shown(*rate)));
    let text = text.collect::<Vec<_>>().join(", ");
    let holds = all.iter().all(|(_, rate)| rate.unwrap_or(0.0) <= this);
    Outcome { measured: text.clone(), short: text, holds: Some(holds) }
}

/// Whether the ratio of the highest stable rates of two sides grows along an axis: never falls, and is higher in the
/// end.
pub fn gap_grows(sides: &Sides, case: &Results<'_>, rate: &str, along: &str) -> Outcome {
    let ratio = |label| {
        let [a, b] = both(sides, &case.with(along, label), rate);
        Some((label, a? / b?))
    };
    let ratios: Vec<(&str, f64)> = case.labels(along).filter_map(ratio).collect();
    let (Some((_, first)), Some((_, last))) = (ratios.first(), ratios.last()) else {
        return Outcome::nothing();
    };
    let slack = 1.0 - 1e-9;
    let grows = ratios.windows(2).all(|w| w[1].1 >= w[0].1 * slack) && last * slack > *first;
    let text = ratios.iter().map(|(label, r)| format!("{label} {} times", number(*r))).collect::<Vec<_>>();
    let short = ratios.iter().map(|(_, r)| number(*r)).collect::<Vec<_>>();
    Outcome {
        measured: text.join(", "),
        short: format!("× {}", short.join(", ")),
        holds: (ratios.len() > 1).then_some(grows),
    }
}
