//! Highest stable rates, and comparisons of them.

use super::{Bounds, Seen, Sides, standing, values};
use crate::experiment::Matrix;
use crate::results::Row;
use crate::select::{Kind, Where, number};
use crate::show;

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

/// Whether anything of `chosen` was measured.
fn measured(rows: &[Row], matrix: &Matrix, chosen: &Where) -> bool {
    Kind::of(rows, &matrix.name, chosen).count() > 0
}

fn told(rate: Option<f64>) -> String {
    rate.map_or("none".to_owned(), show::rate)
}

/// The highest stable rates of both sides.
pub fn both(sides: &Sides, rows: &[Row], matrix: &Matrix, case: &Where, rate: &str) -> [Option<f64>; 2] {
    sides.each(case).map(|side| highest_stable(rows, matrix, &side, rate))
}

/// The ratio of the highest stable rates of both sides, where no stable rate is below any.
pub fn compared(
    sides: &Sides,
    rows: &[Row],
    matrix: &Matrix,
    case: &Where,
    rate: &str,
    bounds: &Bounds,
) -> Seen {
    if !sides.each(case).iter().all(|side| measured(rows, matrix, side)) {
        return Seen::nothing();
    }
    let [a, b] = both(sides, rows, matrix, case, rate);
    let ratio = match (a, b) {
        (Some(a), Some(b)) => Some(a / b),
        (Some(_), None) => Some(f64::INFINITY),
        (None, Some(_)) => Some(0.0),
        (None, None) => None,
    };
    Seen {
        measured: format!("{} against {}", told(a), told(b)),
        short: format!("{} vs {}", told(a), told(b)),
        holds: ratio.map(|ratio| bounds.hold(ratio)),
    }
}

/// Whether the highest stable rate is within bounds; where there is none, it is below any.
pub fn within(rows: &[Row], matrix: &Matrix, case: &Where, rate: &str, bounds: &Bounds) -> Seen {
    if !measured(rows, matrix, case) {
        return Seen::nothing();
    }
    let found = highest_stable(rows, matrix, case, rate);
    Seen { measured: told(found), short: told(found), holds: Some(bounds.hold(found.unwrap_or(0.0))) }
}

/// Whether no value of the axis `among` has a higher stable rate than `is`.
pub fn highest(rows: &[Row], matrix: &Matrix, case: &Where, rate: &str, among: &str, is: &str) -> Seen {
    let of = |label: &str| {
        let chosen = case.with(among, label);
        measured(rows, matrix, &chosen).then(|| highest_stable(rows, matrix, &chosen, rate))
    };
    let all: Vec<(&str, Option<f64>)> =
        values(matrix, case, among).into_iter().filter_map(|label| Some((label, of(label)?))).collect();
    let text = all.iter().map(|(label, rate)| format!("{label} {}", told(*rate))).collect::<Vec<_>>();
    let own = all.iter().find(|(label, _)| *label == is).map(|(_, rate)| rate.unwrap_or(0.0));
    let holds = own.filter(|_| all.len() > 1).map(|own| all.iter().all(|(_, r)| r.unwrap_or(0.0) <= own));
    match holds {
        None => Seen::nothing(),
        Some(_) => Seen { measured: text.join(", "), short: text.join(", "), holds },
    }
}

/// Whether the ratio of the highest stable rates of two sides grows along an axis: never falls, and is higher in the
/// end.
pub fn gap_grows(
    sides: &Sides,
    rows: &[Row],
    matrix: &Matrix,
    case: &Where,
    rate: &str,
    along: &str,
) -> Seen {
    let ratio = |label: &str| {
        let [a, b] = both(sides, rows, matrix, &case.with(along, label), rate);
        Some(a? / b?)
    };
    let labels = values(matrix, case, along).into_iter();
    let ratios: Vec<(&str, f64)> = labels.filter_map(|label| Some((label, ratio(label)?))).collect();
    let (Some((_, first)), Some((_, last))) = (ratios.first(), ratios.last()) else { return Seen::nothing() };
    let slack = 1.0 - 1e-9;
    let grows = ratios.windows(2).all(|w| w[1].1 >= w[0].1 * slack) && last * slack > *first;
    let text = ratios.iter().map(|(label, r)| format!("{label} {} times", number(*r))).collect::<Vec<_>>();
    let short = ratios.iter().map(|(_, r)| number(*r)).collect::<Vec<_>>();
    Seen {
        measured: text.join(", "),
        short: format!("× {}", short.join(", ")),
        holds: (ratios.len() > 1).then_some(grows),
    }
}
