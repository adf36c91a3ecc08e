//! Synthetic images for benchmarks and trials.

use fgc_ir::Shape;

use super::array::{Array, Values};
use super::set::{Dataset, Form, Split};
use fgc::keys;
use fgc::{Error, Result};

/// What `synthetic` alone stands for.
const DEFAULT: [usize; 4] = [4096, 28, 28, 1];
/// The number of classes.
const CLASSES: usize = 10;
/// The most pixels that a set has in training.
const MAX_PIXELS: usize = 1 << 28;
/// The most images that it has.
const MAX_IMAGES: usize = 1 << 24;
/// What the images are drawn from.
const SEED: u64 = 0x5EED;

/// The set that `sizes` describes: training images `NxHxWxC`, `4096x28x28x1` if empty, and a
/// fifth as many test images.
///
/// Each image is the average of noise and of the pattern of its class, so that models learn it;
/// the classes take turns. The same sizes always give the same images.
///
/// # Errors
/// If `sizes` isn't of that form, has a 0, or is too large.
pub fn make(sizes: &str) -> Result<Dataset> {
    let name = if sizes.is_empty() { "synthetic".to_owned() } else { format!("synthetic:{sizes}") };
    let parsed = match sizes {
        "" => Some(DEFAULT),
        _ => sizes
            .split('x')
            .map(|n| n.parse().ok().filter(|&n| n > 0))
            .collect::<Option<Vec<_>>>()
            .and_then(|n| n.try_into().ok()),
    };
    let [n, h, w, c] = parsed.ok_or_else(|| {
        Error::new(format!(
            "`{name}`: expected `synthetic:NxHxWxC` with four sizes from 1, as in synthetic:4096x28x28x1"
        ))
    })?;
    let product = Shape::from([n, h, w, c]).elements();
    if product > MAX_PIXELS || n > MAX_IMAGES {
        let found = if n > MAX_IMAGES { format!("{n} images") } else { format!("{product} pixels") };
        let message =
            format_args!("{found}; a synthetic set has at most {MAX_IMAGES} images and {MAX_PIXELS} pixels");
        return Err(Error::at(format_args!("`{name}`"), message));
    }
    let pattern = |class: usize| keys::bytes(h * w * c, SEED, class as u64);
    let patterns: Vec<Vec<u8>> = (0..CLASSES.min(n)).map(pattern).collect();
    let split = |n: usize, index: usize| {
        let shape: Shape = [n, h, w, c].into();
        let mut pixels = keys::bytes(shape.elements(), SEED, (CLASSES + index) as u64);
        for (image, pattern) in pixels.chunks_exact_mut(h * w * c).zip(patterns.iter().cycle()) {
            for (p, &q) in image.iter_mut().zip(pattern) {
                *p = p.midpoint(q);
            }
        }
        let labels = (0..n).map(|k| (k % CLASSES) as u8).collect();
        Split::of_pair(
            Array { place: name.clone(), shape, values: Values::U8(pixels) },
            Array { place: name.clone(), shape: [n].into(), values: Values::U8(labels) },
        )
    };
    Dataset::new(&name, Form::Arrays, split(n, 0), Some(split(n.div_ceil(5), 1)))
}
