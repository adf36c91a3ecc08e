//! Where values are on an axis: its range, its ticks.

use crate::number;
use crate::{Axis, Scale};

/// How much wider than the middle 96 of 100 values a range may be on each side: a curve that diverges then
/// leaves the frame rather than flattening all others.
const REACH: f64 = 4.0;
/// How many times the middle half of the values a logarithmic axis may reach above it, and at least so many decades: what
/// diverges goes through all of them.
const FENCE: (f64, f64) = (3.0, 1.5);

/// The part of an axis that is shown.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span {
    /// How values are placed.
    pub scale: Scale,
    /// The least value shown.
    pub low: f64,
    /// The greatest value shown.
    pub high: f64,
}

/// A tick of an axis; one without text is a small one.
#[derive(Clone, PartialEq, Debug)]
pub struct Tick {
    /// Where it is.
    pub value: f64,
    /// The text at the tick.
    pub text: Option<String>,
}

/// Where `value` is on a scale, in the units in which the scale is even.
pub fn even(scale: Scale, value: f64) -> Option<f64> {
    let placed = match scale {
        Scale::Linear => value,
        Scale::Log if value > 0.0 => value.log10(),
        Scale::Log => return None,
    };
    placed.is_finite().then_some(placed)
}

/// The inverse of [`even`].
fn uneven(scale: Scale, placed: f64) -> f64 {
    match scale {
        Scale::Linear => placed,
        Scale::Log => 10f64.powf(placed),
    }
}

impl Span {
    /// The span of `axis` for `values`, of which those in `wide` (ends of spreads) may widen it. `margin` is
    /// the part of it that stays empty on both sides.
    pub fn of(axis: &Axis, values: &[f64], wide: &[f64], margin: f64) -> Span {
        let scale = axis.scale;
        if let Some((low, high)) = axis.range
            && let (Some(a), Some(b)) = (even(scale, low), even(scale, high))
            && a < b
            && (b - a).is_finite()
        {
            return Span { scale, low, high };
        }
        let mut placed: Vec<f64> = values.iter().filter_map(|v| even(scale, *v)).collect();
        placed.sort_by(f64::total_cmp);
        if placed.is_empty() {
            return match scale {
                Scale::Linear => Span { scale, low: 0.0, high: 1.0 },
                Scale::Log => Span { scale, low: 0.1, high: 10.0 },
            };
        }
        let at = |part: f64| placed[((placed.len() - 1) as f64 * part).round() as usize];
        let (least, most, early, late) = (at(0.0), at(1.0), at(0.02), at(0.98));
        // Halves, so that the widest of ranges doesn't overflow.
        let reach = match late / 2.0 - early / 2.0 {
            width if width > 0.0 => width * 2.0 * REACH,
            _ => f64::INFINITY,
        };
        let ends = wide.iter().filter_map(|v| even(scale, *v));
        let (least, most) = ends.fold((least, most), |(a, b), v| (a.min(v), b.max(v)));
        let fence = match scale {
            Scale::Log => at(0.75) + (FENCE.0 * (at(0.75) - at(0.25))).max(FENCE.1),
            Scale::Linear => f64::INFINITY,
        };
        let (low, high) = (least.max(early - reach), most.min(late + reach).min(fence.max(least)));
        Span::padded(scale, low, high, margin)
    }

    /// From `low` to `high`, both even, with a margin; it begins at zero if that is near.
    fn padded(scale: Scale, low: f64, high: f64, margin: f64) -> Span {
        let size = low.abs().max(high.abs());
        let narrow = high - low <= size * 1e-9;
        let pad = match (scale, narrow) {
            (_, false) => (high / 2.0 - low / 2.0) * 2.0 * margin,
            (Scale::Linear, true) if size > 0.0 => size * 0.1,
            (_, true) => 0.5,
        };
        let near_zero = scale == Scale::Linear && low >= 0.0 && low <= 0.25 * high && !narrow;
        let start = if near_zero { 0.0 } else { low - pad };
        // What numbers can be, with a width left at either end.
        let (bottom, top, width) = match scale {
            Scale::Linear => (-f64::MAX / 4.0, f64::MAX / 4.0, f64::MAX / 40.0),
            Scale::Log => (-323.0, 308.2, 0.4),
        };
        let (start, end) = (start.clamp(bottom, top - width), (high + pad).clamp(bottom + width, top));
        Span { scale, low: uneven(scale, start), high: uneven(scale, end) }
    }

    /// Where `value` is: 0 at the least value shown, 1 at the greatest. `None` of what has no place on the
    /// scale.
    pub fn place(&self, value: f64) -> Option<f64> {
        let (low, high) = (even(self.scale, self.low)?, even(self.scale, self.high)?);
        Some((even(self.scale, value)? - low) / (high - low))
    }

    /// Whether `value` is shown.
    fn shows(&self, value: f64) -> bool {
        self.place(value).is_some_and(|p| (-1e-9..=1.0 + 1e-9).contains(&p))
    }

    /// Ticks, of which about `wanted` have text.
    pub fn ticks(&self, wanted: usize) -> Vec<Tick> {
        let wanted = wanted.max(2);
        match self.scale {
            Scale::Linear => self.linear(wanted),
            Scale::Log => self.logarithmic(wanted),
        }
    }

    /// Ticks at `values`, which are few: what was measured is at them.
    pub fn ticks_at(&self, values: &[f64]) -> Vec<Tick> {
        let shown = values.iter().filter(|v| self.shows(**v));
        shown.map(|v| Tick { value: *v, text: Some(number::short(*v)) }).collect()
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    fn linear(&self, wanted: usize) -> Vec<Tick> {
        let rough = (self.high - self.low) / wanted as f64;
        if !(rough.is_finite() && rough > 0.0) {
            return Vec::new();
        }
        let power = 10f64.powi(number::exponent(rough));
        let step = [1.0, 2.0, 5.0].map(|m| m * power).into_iter().find(|s| *s >= rough * 0.999);
        let step = step.unwrap_or(10.0 * power);
        let first = (self.low / step - 1e-9).ceil();
        let values = (0..=wanted + 1).map(|k| (first + k as f64) * step);
        let values: Vec<f64> = values.filter(|v| self.shows(*v)).collect();
        let texts = number::evenly(&values, step);
        values.into_iter().zip(texts).map(|(value, text)| Tick { value, text: Some(text) }).collect()
    }

    /// Powers of ten; between them 2 and 5 where there are few, small ticks where there is room.
    fn logarithmic(&self, wanted: usize) -> Vec<Tick> {
        let (Some(low), Some(high)) = (even(self.scale, self.low), even(self.scale, self.high)) else {
            return Vec::new();
        };
        let decades = (high - low).max(0.0);
        if decades < 0.7 {
            return self.linear(wanted);
        }
        let stride = ((decades / wanted as f64).ceil() as i32).max(1);
        let labelled: &[i32] = match decades {
            d if d < 1.3 && wanted > 3 => &[1, 2, 3, 5],
            d if d < 2.3 && wanted > 3 => &[1, 2, 5],
            _ => &[1],
        };
        let mut ticks = Vec::new();
        for exponent in (low.floor() as i32)..=(high.ceil() as i32) {
            for digit in 1..10 {
                let value = f64::from(digit) * 10f64.powi(exponent);
                if !self.shows(value) {
                    continue;
                }
                let text = exponent.rem_euclid(stride) == 0 && labelled.contains(&digit);
                let small = (digit == 1 && decades < 30.0) || (stride == 1 && decades < 6.0);
                if text || small {
                    ticks.push(Tick { value, text: text.then(|| in_decades(digit, exponent)) });
                }
            }
        }
        ticks
    }
}

/// A number of one digit on a logarithmic axis.
fn in_decades(digit: i32, exponent: i32) -> String {
    match (digit, exponent) {
        (_, -2..=3) => number::short(f64::from(digit) * 10f64.powi(exponent)),
        (1, _) => number::power_of_ten(exponent),
        _ => format!("{digit}×{}", number::power_of_ten(exponent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(span: Span, wanted: usize) -> Vec<String> {
        span.ticks(wanted).into_iter().filter_map(|t| t.text).collect()
    }

    fn linear(low: f64, high: f64) -> Span {
        Span { scale: Scale::Linear, low, high }
    }

    fn log(low: f64, high: f64) -> Span {
        Span { scale: Scale::Log, low, high }
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(texts(linear(0.0, 1.0), 5), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(texts(linear(-3.0, 3.0), 4), ["−2", "0", "2"]);
        assert_eq!(texts(linear(0.0, 9380.0), 5), ["0", "2000", "4000", "6000", "8000"]);
        assert_eq!(texts(linear(0.92, 0.985), 4), ["0.92", "0.94", "0.96", "0.98"]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten_and_what_is_between() {
        assert_eq!(texts(log(1e-6, 1e2), 4), ["10⁻⁶", "10⁻⁴", "0.01", "1", "100"]);
        assert_eq!(texts(log(0.09, 3.0), 5), ["0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(texts(log(2.0, 3.0), 5), ["2.0", "2.2", "2.4", "2.6", "2.8", "3.0"]);
        let ticks = log(0.5, 200.0).ticks(4);
        assert!(ticks.iter().filter(|t| t.text.is_none()).count() > 10);
    }

    #[test]
    fn ticks_are_within_the_span() {
        let spans = [
            linear(0.0, 1e-300),
            linear(1e15, 1e15 + 8.0),
            linear(-1e300, 1e300),
            log(1e-300, 1e300),
            log(3.0, 3.1),
        ];
        for span in spans {
            let ticks = span.ticks(5);
            assert!(ticks.len() < 80, "{span:?} has {} ticks", ticks.len());
            assert!(ticks.iter().all(|t| span.shows(t.value)), "{span:?}: {ticks:?}");
        }
    }

    #[test]
    fn spans_hold_what_is_typical() {
        let axis = Axis::linear("y");
        let span = Span::of(&axis, &[0.1, 0.5, 1.0], &[], 0.05);
        assert_eq!(span.low, 0.0, "zero is near");
        assert!((span.high - 1.045).abs() < 1e-12, "{span:?}");
        let mut values: Vec<f64> = (0..100).map(|k| 2.0 + f64::from(k) / 100.0).collect();
        values.push(1e30);
        let span = Span::of(&axis, &values, &[], 0.05);
        assert!(span.high < 10.0, "one that diverges doesn't flatten the others: {span:?}");
        // One in ten.
        let losses = [2.3, 2.3, 2.2, 1.9, 1.1, 0.6, 0.4, 0.3, 38.0, 1e13];
        let span = Span::of(&Axis::log("loss"), &losses, &[], 0.05);
        assert!(span.high > 40.0 && span.high < 1e4, "{span:?}");
        // A quantity that goes through many decades is shown as a whole.
        let decades: Vec<f64> = (0..30).map(|k| 10f64.powi(k - 15)).collect();
        let span = Span::of(&Axis::log("f"), &decades, &[], 0.05);
        assert!(span.low < 1e-15 && span.high > 1e14, "{span:?}");
    }

    #[test]
    fn spans_of_odd_values_have_a_width() {
        let odd: [&[f64]; 7] = [
            &[],
            &[f64::NAN],
            &[0.0],
            &[5.0],
            &[-1.0, -1.0],
            &[f64::MAX, f64::MIN],
            &[f64::MIN_POSITIVE, f64::INFINITY],
        ];
        for axis in [Axis::linear("y"), Axis::log("y")] {
            for values in odd {
                let span = Span::of(&axis, values, values, 0.05);
                let placed = (span.place(span.low), span.place(span.high));
                assert_eq!(placed, (Some(0.0), Some(1.0)), "{axis:?} of {values:?}: {span:?}");
            }
        }
        let upside_down = Axis { range: Some((3.0, 1.0)), ..Axis::linear("y") };
        assert!(Span::of(&upside_down, &[1.0, 2.0], &[], 0.0).high < 2.5, "a range that is none is left out");
    }
}
