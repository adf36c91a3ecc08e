//! Normalisation of samples by the statistics of the training split.

/// A mean and a standard deviation for each channel. Bytes are taken for 0 to 1; a number x
/// becomes (x − mean) / std.
#[derive(Clone, PartialEq, Debug)]
pub struct Normalisation {
    mean: Vec<f32>,
    std: Vec<f32>,
    /// What each byte becomes, for each channel; made when there are few channels.
    table: Vec<[f32; 256]>,
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
    pub fn of_bytes(samples: &[u8], channels: usize) -> Normalisation {
        let count = (samples.len() / channels) as f64;
        // Sums of bytes are exact.
        let mut sums = vec![(0u64, 0u64); channels];
        for sample in samples.chunks_exact(channels) {
            for (sum, &p) in sums.iter_mut().zip(sample) {
                *sum = (sum.0 + p as u64, sum.1 + p as u64 * p as u64);
            }
        }
        let statistics = |(sum, squares): &(u64, u64)| {
            let mean = *sum as f64 / count;
            let variance = (*squares as f64 / count - mean * mean).max(0.0);
            ((mean / 255.0) as f32, (variance.sqrt() / 255.0) as f32)
        };
        let (mean, std): (Vec<f32>, Vec<f32>) = sums.iter().map(statistics).unzip();
        Normalisation::new(&mean, &std)
    }

    /// [`of_bytes`](Normalisation::of_bytes) of samples of numbers.
    pub fn of_floats(samples: &[f32], channels: usize) -> Normalisation {
        let count = (samples.len() / channels) as f64;
        let mut means = vec![0.0f64; channels];
        each(samples, channels, |c, x| means[c] += x as f64 / count);
        let mut variances = vec![0.0f64; channels];
        each(samples, channels, |c, x| variances[c] += (x as f64 - means[c]).powi(2) / count);
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
}

/// Calls `f` with the channel and the value of each element of `v`.
fn each(v: &[f32], channels: usize, mut f: impl FnMut(usize, f32)) {
    for sample in v.chunks_exact(channels) {
        for (c, &x) in sample.iter().enumerate() {
            f(c, x);
        }
    }
}
