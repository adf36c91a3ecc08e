//! Numbers as text, for people and for coordinates.

/// `10⁻⁵` of −5: ten with a raised exponent.
pub fn power_of_ten(exponent: i32) -> String {
    let digits = exponent.to_string();
    let raised = digits.chars().map(|c| match c {
        '-' => '⁻',
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => {
            let value = digit.to_digit(10).expect("a whole number is of digits");
            char::from_u32('⁰' as u32 + value).expect("raised digits follow each other")
        }
    });
    "10".chars().chain(raised).collect()
}

/// `value` in few characters: up to four significant digits, plain between 0.001 and 100 000, else by a power
/// of ten.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return if value.is_nan() { "not a number" } else { "infinite" }.to_owned();
    }
    // Rounding to four digits may carry into the next power: 9.9999 is 10.
    let rounded = format!("{:.3e}", value.abs());
    let (mantissa, exponent) = rounded.split_once('e').expect("written with an exponent");
    let exponent: i32 = exponent.parse().expect("a whole number");
    let sign = if value < 0.0 { "−" } else { "" };
    if (-3..5).contains(&exponent) {
        // Whole numbers keep all of their digits: 16384 is a width.
        let decimals = (3 - exponent).max(0) as usize;
        return format!("{sign}{}", trimmed(format!("{:.decimals$}", value.abs())));
    }
    match trimmed(mantissa.to_owned()).as_str() {
        "1" => format!("{sign}{}", power_of_ten(exponent)),
        other => format!("{sign}{other}×{}", power_of_ten(exponent)),
    }
}

/// The values of ticks that are `step` apart, all with the same decimals and the same unit of thousands.
pub fn evenly(values: &[f64], step: f64) -> Vec<String> {
    let greatest = values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"), (1e-2, "")];
    let unit = units.iter().find(|(from, _)| greatest >= *from * (1.0 - 1e-12));
    let Some((from, suffix)) = unit.filter(|_| greatest < 1e15) else {
        return values.iter().map(|v| short(*v)).collect();
    };
    let unit = match *suffix {
        "" => 1.0,
        "k" => 1e3,
        _ => *from,
    };
    let decimals = (-exponent(step / unit * (1.0 + 1e-9))).clamp(0, 12) as usize;
    let text = |v: &f64| {
        if v.abs() < step * 1e-6 {
            return "0".to_owned();
        }
        let sign = if *v < 0.0 { "−" } else { "" };
        format!("{sign}{:.decimals$}{suffix}", v.abs() / unit)
    };
    values.iter().map(text).collect()
}

/// The exponent of the power of ten at or below `value`; 0 of what has none.
pub fn exponent(value: f64) -> i32 {
    let exponent = value.abs().log10().floor();
    if exponent.is_finite() { exponent as i32 } else { 0 }
}

/// A coordinate to a tenth of a unit, kept within what any program that draws can take.
pub fn coordinate(value: f64) -> String {
    let value = if value.is_nan() { 0.0 } else { value.clamp(-1e4, 1e4) };
    let text = trimmed(format!("{value:.1}"));
    if text == "-0" { "0".to_owned() } else { text }
}

/// Without the zeros at the end of its decimals.
fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-0.5, "−0.5"),
            (0.97345, "0.9735"),
            (9.99999, "10"),
            (4096.0, "4096"),
            (16384.0, "16384"),
            (0.001, "0.001"),
            (2e-5, "2×10⁻⁵"),
            (1e6, "10⁶"),
            (-1.25e-12, "−1.25×10⁻¹²"),
            (f64::NAN, "not a number"),
            (f64::INFINITY, "infinite"),
            (f64::MIN_POSITIVE, "2.225×10⁻³⁰⁸"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text, "{value}");
        }
    }

    #[test]
    fn ticks_share_decimals_and_units() {
        assert_eq!(evenly(&[0.0, 0.5, 1.0], 0.5), ["0", "0.5", "1.0"]);
        assert_eq!(evenly(&[-0.2, 0.0, 0.2], 0.2), ["−0.2", "0", "0.2"]);
        assert_eq!(evenly(&[0.0, 5000.0], 5000.0), ["0", "5000"]);
        assert_eq!(evenly(&[0.0, 5000.0, 10000.0], 5000.0), ["0", "5k", "10k"]);
        assert_eq!(evenly(&[0.0, 5e5, 1e6], 5e5), ["0", "0.5M", "1.0M"]);
        assert_eq!(evenly(&[0.0, 2e-5, 4e-5], 2e-5), ["0", "2×10⁻⁵", "4×10⁻⁵"]);
    }

    #[test]
    fn coordinates_are_plain() {
        assert_eq!(coordinate(1.0), "1");
        assert_eq!(coordinate(1.25), "1.2");
        assert_eq!(coordinate(-0.01), "0");
        assert_eq!(coordinate(f64::NAN), "0");
        assert_eq!(coordinate(f64::INFINITY), "10000");
    }
}
