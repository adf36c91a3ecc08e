//! CIFAR-10 from pictures: each row of a picture is an image, pixel after pixel.

use std::path::Path;

use fgc_ir::diag::shortened;
use fgc_ir::files;

use super::super::cifar::{PLANE, RECORD};
use super::open;
use fgc::{Error, Result};
use fgc_ir::bounded;

/// The images in one picture.
const IMAGES: usize = 10_000;
/// The labels of the training pictures, one picture after the other, and of the test picture.
/// Their spelling is the package's.
const LABELS: [&str; 2] = ["train_lables.json", "test_lables.json"];

/// Every file that [`convert`] reads.
pub const NAMES: [&str; 8] = [
    "data_batch_1.png",
    "data_batch_2.png",
    "data_batch_3.png",
    "data_batch_4.png",
    "data_batch_5.png",
    "test_batch.png",
    LABELS[0],
    LABELS[1],
];

/// Writes the pictures and labels in `source` to `target` as the official binary files.
pub fn convert(source: &Path, target: &Path) -> Result<()> {
    let train = labels(&source.join(LABELS[0]), 5 * IMAGES)?;
    let test = labels(&source.join(LABELS[1]), IMAGES)?;
    for (name, labels) in NAMES.iter().zip(train.chunks_exact(IMAGES).chain(test.chunks_exact(IMAGES))) {
        let picture = source.join(name);
        let pixels = pixels(&picture)?;
        let mut records = Vec::with_capacity(IMAGES * RECORD);
        for (image, &label) in pixels.chunks_exact(3 * PLANE).zip(labels) {
            records.push(label);
            for channel in 0..3 {
                records.extend(image.iter().skip(channel).step_by(3));
            }
        }
        let path = target.join(name).with_extension("bin");
        files::write_whole(&path, &records).map_err(|e| Error::file(&path, e))?;
    }
    Ok(())
}

fn labels(path: &Path, count: usize) -> Result<Vec<u8>> {
    let text = bounded::read(path, bounded::MAX_TEXT).map_err(|e| Error::file(path, e))?;
    let labels: Vec<u8> = serde_json::from_slice(&text).map_err(|e| Error::file(path, shortened(e)))?;
    if labels.len() == count {
        return Ok(labels);
    }
    Err(Error::file(path, format_args!("{} labels, not {count}", labels.len())))
}

fn pixels(path: &Path) -> Result<Vec<u8>> {
    let fail = |e: png::DecodingError| Error::file(path, e);
    let mut reader = png::Decoder::new(open(path)?).read_info().map_err(fail)?;
    let info = reader.info();
    let found = (info.width as usize, info.height as usize, info.color_type, info.bit_depth);
    let expected = (PLANE, IMAGES, png::ColorType::Rgb, png::BitDepth::Eight);
    if found != expected {
        return Err(Error::file(path, format_args!("a picture of {found:?}, not of {expected:?}")));
    }
    let mut pixels = vec![0; 3 * PLANE * IMAGES];
    reader.next_frame(&mut pixels).map_err(fail)?;
    Ok(pixels)
}
