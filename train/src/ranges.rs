//! What the numbers of a run's settings have to be, wherever they are written: in flags, in experiments, or in `run.toml`.
//!
//! Those of estimators and optimisers are checked by [`StepConfig::check`](fgc_transforms::StepConfig::check).

use crate::opt;

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

/// `level`, if it is an optimisation level.
///
/// # Errors
/// Says what it has to be.
pub fn level(level: u64) -> Result<u8, String> {
    match u8::try_from(level) {
        Ok(level) if level <= opt::HIGHEST => Ok(level),
        _ => Err(format!("`opt` is 0, 1 or 2, not {level}")),
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
    }
}
