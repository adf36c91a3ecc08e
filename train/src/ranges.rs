//! What the numbers of a run's settings have to be, wherever they are written: in flags, in experiments, or in `run.toml`.
//!
//! Those of estimators and optimizers are checked by their files, as [`config`](crate::step_settings::config) tries them.

use std::fmt::Display;
use std::time::Duration;

use fgc::Level;

/// `lr`, if it is a learning rate: positive, also in single precision, and finite.
///
/// # Errors
/// Says what it has to be.
pub fn learning_rate(lr: f64) -> Result<f64, String> {
    let single = lr as f32;
    match single > 0.0 && single.is_finite() {
        true => Ok(lr),
        false => Err(format!("a learning rate is positive and finite in single precision, not {lr}")),
    }
}

/// `n`, if it is at least 1; `what` it counts is for the message.
///
/// # Errors
/// Says what it has to be.
pub fn count<N: TryInto<u64> + Copy>(what: &str, n: N) -> Result<N, String> {
    match n.try_into() {
        Ok(0) => Err(format!("{what} is a whole number from 1, not 0")),
        _ => Ok(n),
    }
}

/// `part`, if it is between 0 and 1; `what` it is for the message.
///
/// # Errors
/// Says what it has to be.
pub fn part(what: &str, part: f64) -> Result<f64, String> {
    match part > 0.0 && part < 1.0 {
        true => Ok(part),
        false => Err(format!("{what} is between 0 and 1, not {part}")),
    }
}

/// `level`, if it is an optimisation level.
///
/// # Errors
/// Says what it has to be.
pub fn level(level: u64) -> Result<u8, String> {
    match u8::try_from(level) {
        Ok(level) if Level::try_from(level).is_ok() => Ok(level),
        _ => Err(format!("`opt` is 0, 1 or 2, not {level}")),
    }
}

/// The most passes over the data that a run has. Their steps have numbers of 64 bits for data sets of any size.
pub const MAX_EPOCHS: u64 = 1 << 30;

/// The longest that something is timed: a day, in seconds.
pub const MAX_SECONDS: f64 = 86_400.0;

/// `n`, if it is at most `most`; `what` it is for the message.
///
/// # Errors
/// Says what it has to be.
pub fn at_most<N: PartialOrd + Display>(what: impl Display, n: N, most: N) -> Result<N, String> {
    match n <= most {
        true => Ok(n),
        false => Err(format!("{what} is at most {most}, not {n}")),
    }
}

/// `epochs`, if it is a number of passes over the data.
///
/// # Errors
/// Says what it has to be.
pub fn epochs(epochs: u64) -> Result<u64, String> {
    let what = "the number of epochs";
    count(what, epochs).and_then(|n| at_most(what, n, MAX_EPOCHS))
}

/// `seconds` to time something for, if they are from 0 to a day.
///
/// # Errors
/// Says what they have to be.
pub fn seconds(seconds: f64) -> Result<Duration, String> {
    let duration =
        Some(seconds).filter(|s| *s <= MAX_SECONDS).and_then(|s| Duration::try_from_secs_f64(s).ok());
    duration.ok_or_else(|| format!("times are from 0 to {MAX_SECONDS} seconds, not {seconds}"))
}

/// `x`, if it is a finite number; `what` it is for the message.
///
/// # Errors
/// Says that it has to be.
pub fn finite(what: impl Display, x: f64) -> Result<f64, String> {
    match x.is_finite() {
        true => Ok(x),
        false => Err(format!("{what} is a finite number, not {x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        for lr in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e300, 1e-60] {
            assert!(learning_rate(lr).is_err_and(|e| e.ends_with(&format!("not {lr}"))), "{lr}");
        }
        for lr in [1e-40, 2e-3, 1e30] {
            assert_eq!(learning_rate(lr), Ok(lr));
        }
        assert!(count("a batch", 0usize).is_err_and(|e| e == "a batch is a whole number from 1, not 0"));
        assert_eq!(count("a batch", usize::MAX), Ok(usize::MAX));
        for wrong in [3, 9, 256, u64::MAX] {
            assert_eq!(level(wrong), Err(format!("`opt` is 0, 1 or 2, not {wrong}")));
        }
        assert_eq!([0, 1, 2].map(level), [Ok(0), Ok(1), Ok(2)]);
        for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e19, 86_400.1] {
            assert!(
                seconds(wrong).is_err_and(|e| e == format!("times are from 0 to 86400 seconds, not {wrong}"))
            );
        }
        for (right, ms) in [(0.0, 0), (0.25, 250), (86_400.0, 86_400_000)] {
            assert_eq!(seconds(right), Ok(Duration::from_millis(ms)));
        }
        assert_eq!(epochs(1 << 30), Ok(1 << 30));
        assert_eq!(
            epochs(u64::MAX),
            Err(format!("the number of epochs is at most 1073741824, not {}", u64::MAX))
        );
        assert!(epochs(0).is_err() && finite("x", f64::NAN).is_err() && finite("x", 1e300).is_ok());
    }
}
