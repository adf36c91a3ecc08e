//! Normalisation of samples by the statistics of the training split.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A mean and a standard deviation for each channel. Bytes are taken for 0 to 1; a number x
/// becomes (x − mean) / std.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Statistics", into = "Statistics")]
pub struct Normalisation {
    mean: Vec<f32>,
    std: Vec<f32>,
    /// What each byte becomes, for each channel; made when there are few channels.
    table: Vec<[f32; 256]>,
}

/// A [`Normalisation`] as files have it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statistics {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl From<Normalisation> for Statistics {
    fn from(n: Normalisation) -> Statistics {
        Statistics { mean: n.mean, std: n.std }
    }
}

impl TryFrom<Statistics> for Normalisation {
    type Error = String;

    fn try_from(read: Statistics) -> Result<Normalisation, String> {
        let valid = |v: &[f32]| v.iter().all(|x| x.is_finite());
        match read.mean.len() == read.std.len() && valid(&read.mean) && valid(&read.std) {
            true => Ok(Normalisation::new(&read.mean, &read.std)),
            false => Err("statistics are as many finite means as deviations".to_owned()),
        }
    }
}

/// The most channels that tables are made for: a megabyte of them.
const MAX_TABLES: usize = 1024;

impl Normalisation {
    /// That mean and standard deviation for each channel. A deviation that isn't positive is
    /// taken for 1.
    pub fn new(mean: &[f32], std: &[f32]) -> Normalisation {
        let std: Vec<f32> = std.iter().map(|&s| if s > 0.0 { s } else { 1.0 }).collect();
        let channel = |(&mean, &std): (&f32, &f32)| std::array::from_fn(|p| (p as f32 / 255.0 - mean) / std);
        let table =
            if mean.len() <= MAX_TABLES { mean.iter().zip(&std).map(channel).collect() } else { vec![] };
        Normalisation { mean: mean.to_vec(), std, table }
    }

    /// The statistics of samples of bytes, whose channels alternate: for each channel, the mean and the deviation of the
    /// population. A channel that is constant has a deviation of 1.
    pub fn of_bytes<'s>(samples: impl Iterator<Item = &'s [u8]>, channels: usize) -> Normalisation {
        let mut count = 0u64;
        // Sums of bytes are exact.
        let mut sums = vec![(0u64, 0u64); channels];
        for pixels in samples.flat_map(|sample| sample.chunks_exact(channels)) {
            count += 1;
            for (sum, &p) in sums.iter_mut().zip(pixels) {
                *sum = (sum.0 + p as u64, sum.1 + p as u64 * p as u64);
            }
        }
        let count = count as f64;
        let statistics = |(sum, squares): &(u64, u64)| {
            let mean = *sum as f64 / count;
            let variance = (*squares as f64 / count - mean * mean).max(0.0);
            ((mean / 255.0) as f32, (variance.sqrt() / 255.0) as f32)
        };
        let (mean, std): (Vec<f32>, Vec<f32>) = sums.iter().map(statistics).unzip();
        Normalisation::new(&mean, &std)
    }

    /// [`of_bytes`](Normalisation::of_bytes) of numbers, which `all` gives twice, sample after sample.
    pub fn of_numbers<I: Iterator<Item = f64>>(all: impl Fn() -> I, channels: usize) -> Normalisation {
        let alternate = || (0..channels).cycle().zip(all());
        let count = (all().count() / channels) as f64;
        let mut means = vec![0.0f64; channels];
        alternate().for_each(|(c, x)| means[c] += x / count);
        let mut variances = vec![0.0f64; channels];
        alternate().for_each(|(c, x)| variances[c] += (x - means[c]).powi(2) / count);
        let std: Vec<f32> = variances.iter().map(|v| v.sqrt() as f32).collect();
        let mean: Vec<f32> = means.iter().map(|&m| m as f32).collect();
        Normalisation::new(&mean, &std)
    }

    /// The mean of each channel.
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation of each channel.
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// Adds the normalised `sample` to `out`.
    pub(super) fn bytes(&self, sample: &[u8], out: &mut Vec<f32>) {
        match self.table.as_slice() {
            [one] => out.extend(sample.iter().map(|&p| one[p as usize])),
            [] => {
                let channels = self.mean.iter().zip(&self.std).cycle();
                out.extend(sample.iter().zip(channels).map(|(&p, (m, s))| (p as f32 / 255.0 - m) / s));
            }
            many => out.extend(sample.iter().zip(many.iter().cycle()).map(|(&p, table)| table[p as usize])),
        }
    }

    /// Adds the normalised `sample` to `out`.
    pub(super) fn floats(&self, sample: &[f32], out: &mut Vec<f32>) {
        let channels = self.mean.iter().zip(&self.std).cycle();
        out.extend(sample.iter().zip(channels).map(|(x, (m, s))| (x - m) / s));
    }

    /// Normalises `samples`, one after the other.
    pub(super) fn doubles(&self, samples: &mut [f64]) {
        let channels = self.mean.iter().zip(&self.std).cycle();
        samples.iter_mut().zip(channels).for_each(|(x, (&m, &s))| *x = (*x - f64::from(m)) / f64::from(s));
    }
}

/// Whether `input` is called like what a model is to predict, which is taken as it is: `y`, or `y_…`, `target…`, `label…`.
pub fn is_target(input: &str) -> bool {
    input == "y" || ["y_", "target", "label"].iter().any(|start| input.starts_with(start))
}

/// What statistics are of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// There are none. Bytes stand for 0 to 1, and other numbers for themselves.
    Off,
    /// Of each channel, over samples and positions: of each column of a table.
    PerChannel,
    /// Of each element of a sample.
    PerFeature,
}

const MODES: [(&str, Mode); 3] =
    [("off", Mode::Off), ("per-channel", Mode::PerChannel), ("per-feature", Mode::PerFeature)];

/// How inputs are normalised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Normalise {
    /// All but those of `of`, and [targets](is_target), which are as they are.
    all: Mode,
    of: BTreeMap<String, Mode>,
}

impl Default for Normalise {
    fn default() -> Normalise {
        Normalise { all: Mode::PerChannel, of: BTreeMap::new() }
    }
}

impl Normalise {
    /// How `input` is.
    pub fn mode(&self, input: &str) -> Mode {
        let usual = if is_target(input) { Mode::Off } else { self.all };
        self.of.get(input).copied().unwrap_or(usual)
    }

    /// The inputs that are named.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.of.keys().map(String::as_str)
    }
}

impl FromStr for Normalise {
    type Err = String;

    /// Reads a mode, and `INPUT=MODE` for inputs by themselves, with commas between them.
    fn from_str(text: &str) -> Result<Normalise, String> {
        let mut normalise = Normalise::default();
        for part in text.split(',') {
            let (input, mode) = match part.split_once('=') {
                Some((input, mode)) => (Some(input.trim()), mode.trim()),
                None => (None, part.trim()),
            };
            let Some((_, mode)) = MODES.iter().find(|(name, _)| *name == mode) else {
                let known = MODES.map(|(name, _)| name);
                return Err(format!("`{mode}` is none of {}: a mode, or INPUT=MODE", known.join(", ")));
            };
            match input {
                Some(input) => drop(normalise.of.insert(input.to_owned(), *mode)),
                None => normalise.all = *mode,
            }
        }
        Ok(normalise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_of_all_inputs_or_of_some() {
        let normalise: Normalise = "off,y=per-feature,z = per-channel".parse().unwrap();
        let modes = ["x", "y", "z", "y_other", "label"].map(|input| normalise.mode(input));
        assert_eq!(modes, [Mode::Off, Mode::PerFeature, Mode::PerChannel, Mode::Off, Mode::Off]);
        let usual = Normalise::default();
        assert_eq!((usual.mode("x"), usual.mode("y")), (Mode::PerChannel, Mode::Off));
        for bad in ["on", "x=", "", "per-channel,", "x=off=off"] {
            let error = bad.parse::<Normalise>().unwrap_err();
            assert!(error.contains("is none of off, per-channel, per-feature"), "{bad}: {error}");
        }
    }

    #[test]
    fn statistics_of_numbers_and_of_bytes_agree() {
        let bytes: [u8; 8] = [0, 10, 255, 10, 0, 10, 255, 10];
        let of_bytes = Normalisation::of_bytes(bytes.chunks(4), 2);
        assert_eq!(
            (of_bytes.mean(), of_bytes.std()),
            ([0.5, 10.0 / 255.0].as_slice(), [0.5, 1.0].as_slice())
        );
        let of_numbers = Normalisation::of_numbers(|| bytes.iter().map(|&x| f64::from(x) / 255.0), 2);
        assert!((of_numbers.mean()[1] - of_bytes.mean()[1]).abs() < 1e-7);
        assert_eq!(of_numbers.std()[0], 0.5);
        let mut x = [0.0, 10.0 / 255.0];
        of_bytes.doubles(&mut x);
        assert!(x[0] == -1.0 && x[1].abs() < 1e-8, "{x:?}");
    }
}
