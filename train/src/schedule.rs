//! How the learning rate changes in the course of training.

use std::fmt;
use std::str::FromStr;

use fgc_ir::diag::nearest;

/// The learning rate as a function of the step: a decay, and a linear warm-up in front of it.
///
/// Written `constant`, `exp:K`, `step:EVERY:FACTOR` or `cosine`, with `warmup:N+` in front if it
/// begins with a warm-up (`warmup:N` alone is constant behind it).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Schedule {
    /// How many steps the rate takes to rise to its base; 0 for no warm-up.
    pub warmup: u64,
    /// What it does then; the decay counts its steps from the end of the warm-up.
    pub decay: Decay,
}

/// How a learning rate falls, by the step i, counted from 0.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Decay {
    /// η.
    Constant,
    /// η·exp(−k·i), as in Baydin et al. (2022), "Gradients without Backpropagation".
    Exponential {
        /// k, a step.
        rate: f64,
    },
    /// η·factorᵐ after m times `every` steps.
    Step {
        /// After how many steps it falls each time.
        every: u64,
        /// What it is multiplied by then.
        factor: f64,
    },
    /// Half a cosine from η to 0 at the end of training. Loshchilov, Hutter (2017), "SGDR:
    /// stochastic gradient descent with warm restarts", without the restarts.
    Cosine,
}

impl Schedule {
    /// A rate that doesn't change.
    pub const CONSTANT: Schedule = Schedule { warmup: 0, decay: Decay::Constant };

    /// Whether the rate of a step depends on how many steps there are in all.
    pub fn depends_on_total(&self) -> bool {
        match self.decay {
            Decay::Cosine => true,
            Decay::Constant | Decay::Exponential { .. } | Decay::Step { .. } => false,
        }
    }

    /// The rate of step `step`, counted from 0, of `total`; `base` is what it is without a
    /// schedule.
    pub fn rate(&self, base: f64, step: u64, total: u64) -> f64 {
        if step < self.warmup {
            // The first step is of some use already, and the last is the base.
            return base * ((step + 1) as f64 / self.warmup as f64);
        }
        self.decay.rate(base, step - self.warmup, total.saturating_sub(self.warmup))
    }
}

impl Decay {
    fn rate(self, base: f64, step: u64, total: u64) -> f64 {
        match self {
            Decay::Constant => base,
            Decay::Exponential { rate } => base * (-rate * step as f64).exp(),
            Decay::Step { every, factor } => base * factor.powf((step / every.max(1)) as f64),
            Decay::Cosine => {
                let done = step.min(total) as f64 / total.max(1) as f64;
                base * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
        }
    }
}

/// The forms of a schedule, for messages.
const FORMS: [&str; 5] = ["constant", "exp:K", "step:EVERY:FACTOR", "cosine", "warmup:N+…"];

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Schedule, String> {
        let Some(rest) = text.strip_prefix("warmup:") else {
            return Ok(Schedule { warmup: 0, decay: text.parse()? });
        };
        let (steps, decay) = rest.split_once('+').unwrap_or((rest, "constant"));
        Ok(Schedule { warmup: count(steps, "a warm-up")?, decay: decay.parse()? })
    }
}

impl FromStr for Decay {
    type Err = String;

    fn from_str(text: &str) -> Result<Decay, String> {
        match text {
            "constant" => return Ok(Decay::Constant),
            "cosine" => return Ok(Decay::Cosine),
            _ => {}
        }
        if let Some(rate) = text.strip_prefix("exp:") {
            let rate = number(rate, "the rate of an exponential decay", |k| k >= 0.0)?;
            return Ok(Decay::Exponential { rate });
        }
        if let Some((every, factor)) = text.strip_prefix("step:").and_then(|rest| rest.split_once(':')) {
            let every = count(every, "a decay by steps")?;
            let factor = number(factor, "the factor of a decay by steps", |f| f > 0.0)?;
            return Ok(Decay::Step { every, factor });
        }
        let name = |form: &'static str| form.split(':').next().unwrap_or(form);
        let given = text.split(':').next().unwrap_or(text);
        let near =
            FORMS.into_iter().find(|form| name(form) == given || nearest(given, [name(form)]).is_some());
        let hint = match near {
            Some(form) => format!("did you mean `{form}`?"),
            None => format!("there are {}", FORMS.map(|form| format!("`{form}`")).join(", ")),
        };
        Err(format!("`{}` isn't a schedule; {hint}", text.escape_debug()))
    }
}

/// A positive number of steps.
fn count(text: &str, of: &str) -> Result<u64, String> {
    let steps = text.parse().ok().filter(|n| *n > 0);
    steps.ok_or_else(|| format!("{of} takes a positive number of steps, not `{}`", text.escape_debug()))
}

fn number(text: &str, what: &str, holds: impl Fn(f64) -> bool) -> Result<f64, String> {
    let number = text.parse().ok().filter(|x: &f64| x.is_finite() && holds(*x));
    number.ok_or_else(|| format!("{what} can't be `{}`", text.escape_debug()))
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.warmup {
            0 => write!(f, "{}", self.decay),
            steps => write!(f, "warmup:{steps}+{}", self.decay),
        }
    }
}

impl fmt::Display for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Decay::Constant => f.write_str("constant"),
            Decay::Exponential { rate } => write!(f, "exp:{rate}"),
            Decay::Step { every, factor } => write!(f, "step:{every}:{factor}"),
            Decay::Cosine => f.write_str("cosine"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates of the steps of a run of `total`, from 1.
    fn rates(text: &str, total: u64) -> Vec<f64> {
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!(schedule.to_string().parse(), Ok(schedule));
        (0..total).map(|step| schedule.rate(1.0, step, total)).collect()
    }

    #[test]
    fn rates_follow_their_formulas() {
        assert_eq!(rates("constant", 3), [1.0; 3]);
        assert_eq!(rates("exp:0.5", 3), [1.0, (-0.5f64).exp(), (-1f64).exp()]);
        assert_eq!(rates("step:2:0.5", 6), [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]);
        assert_eq!(rates("warmup:4", 6), [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
        assert_eq!(rates("warmup:2+exp:1", 4), [0.5, 1.0, 1.0, (-1f64).exp()]);
        let cosine = rates("cosine", 4);
        let expected = [1.0, 0.5 + 0.125f64.sqrt(), 0.5, 0.5 - 0.125f64.sqrt()];
        assert!(cosine.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{cosine:?}");
        let last = "warmup:2+cosine".parse::<Schedule>().unwrap().rate(1.0, 10, 10);
        assert_eq!(last, 0.0);
        assert!("cosine".parse::<Schedule>().unwrap().rate(2.0, 5, 0).is_finite());
    }

    #[test]
    fn what_is_no_schedule_is_an_error() {
        for (text, message) in [
            ("cosin", "did you mean `cosine`?"),
            ("exp", "did you mean `exp:K`?"),
            ("step:10", "did you mean `step:EVERY:FACTOR`?"),
            ("", "there are `constant`, `exp:K`, `step:EVERY:FACTOR`, `cosine`, `warmup:N+…`"),
            ("exp:-1", "the rate of an exponential decay can't be `-1`"),
            ("exp:nan", "can't be `nan`"),
            ("step:0:0.1", "takes a positive number of steps, not `0`"),
            ("step:5:0", "the factor of a decay by steps can't be `0`"),
            ("warmup:x+cosine", "a warm-up takes a positive number of steps, not `x`"),
            ("warmup:5+", "`` isn't a schedule"),
            ("warmup:5+warmup:5", "isn't a schedule"),
        ] {
            let said = text.parse::<Schedule>().unwrap_err();
            assert!(said.contains(message), "{text}: {said}");
        }
    }
}
