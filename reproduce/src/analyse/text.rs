//! Numbers and the names of metrics as text.

/// A number with about three digits that matter.
pub fn number(x: f64) -> String {
    match x.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{x:.1e}"),
        size if size >= 100.0 => format!("{x:.0}"),
        size if size >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.3}"),
    }
}

/// A learning rate, for people.
pub fn rate(rate: f64) -> String {
    if (0.01..100.0).contains(&rate) { rate.to_string() } else { format!("{rate:e}") }
}

/// `test_accuracy` as words.
pub fn spoken(of: &str) -> String {
    of.replace('_', " ")
}
