//! Pictures in folders, a folder for each class: PNG and JPEG files.
//!
//! The folders are in the one that is named, or in folders `train` and `test` in it. All pictures have one size; where some have
//! colours, all are read in colours. Opacity is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use fgc_ir::diag::shortened;
use fgc_ir::{MAX_ELEMENTS, bounded};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::array::{Array, Values};
use super::set::{Dataset, Form, Split};
use fgc::{Error, Result};

const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// The most bytes of the file of a picture.
const MAX_FILE: u64 = 1 << 28;
/// The most pixels of a picture.
const MAX_PIXELS: usize = 1 << 26;

/// One picture, whose channels alternate: one, or red, green and blue.
struct Picture {
    size: [usize; 2],
    colours: bool,
    pixels: Vec<u8>,
}

/// The pictures of a split, by class.
type Classes = BTreeMap<String, Vec<PathBuf>>;

/// Whether `folder` has a set of pictures.
pub fn is_in(folder: &Path) -> bool {
    let train = folder.join("train");
    !classes(folder).is_empty() || !classes(&train).is_empty()
}

/// The folders in `folder` that have pictures, with their pictures in the order of their names.
fn classes(folder: &Path) -> Classes {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        paths
    };
    let is_picture = |path: &PathBuf| {
        let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        ending.is_some_and(|e| ENDINGS.contains(&e.as_str())) && path.is_file()
    };
    let class = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.to_owned();
        let pictures: Vec<PathBuf> = entries(&path).into_iter().filter(is_picture).collect();
        (!pictures.is_empty()).then_some((name, pictures))
    };
    entries(folder).into_iter().filter(|path| path.is_dir()).filter_map(class).collect()
}

/// Reads the set in `folder`.
///
/// # Errors
/// If a picture can't be read, or has another size than the first; if the test split has a class that isn't trained on.
pub fn read(name: &str, folder: &Path) -> Result<Dataset> {
    let (of_train, of_test) = match classes(&folder.join("train")) {
        divided if !divided.is_empty() => (divided, Some(classes(&folder.join("test")))),
        _ => (classes(folder), None),
    };
    let of_test = of_test.filter(|test| !test.is_empty());
    let names: Vec<String> = of_train.keys().cloned().collect();
    if let Some(class) = of_test.iter().flat_map(BTreeMap::keys).find(|class| !of_train.contains_key(*class))
    {
        let message = format_args!("class `{class}` is in the test split alone");
        return Err(Error::file(folder, message));
    }
    let train = decoded(&of_train)?;
    let test = of_test.as_ref().map(decoded).transpose()?;
    let all = || train.iter().chain(test.iter().flatten());
    let colours = all().any(|(_, picture)| picture.colours);
    let kinds: BTreeSet<bool> = all().map(|(_, picture)| picture.colours).collect();
    let (first, size) = match train.first() {
        Some((path, picture)) => ((*path).clone(), picture.size),
        None => return Err(Error::file(folder, "there are no pictures in it")),
    };
    if let Some((path, picture)) = all().find(|(_, picture)| picture.size != size) {
        let ([h, w], [height, width]) = (picture.size, size);
        let message = format_args!(
            "{w}×{h} pixels, but {} has {width}×{height}: all pictures of a set have one size",
            first.display()
        );
        return Err(Error::file(path, message));
    }
    let split = |classes: &Classes, pictures: Vec<(&PathBuf, Picture)>, place: &Path| {
        let n = pictures.len();
        let labels = names
            .iter()
            .enumerate()
            .flat_map(|(k, class)| std::iter::repeat_n(k as i64, classes.get(class).map_or(0, Vec::len)));
        let y = Values::Int(labels.collect());
        let mut pixels = Vec::with_capacity(n * size[0] * size[1] * if colours { 3 } else { 1 });
        for (_, picture) in pictures {
            match picture.colours == colours {
                true => pixels.extend(picture.pixels),
                false => pixels.extend(picture.pixels.iter().flat_map(|&p| [p; 3])),
            }
        }
        let place = place.display().to_string();
        let shape = [n, size[0], size[1], if colours { 3 } else { 1 }].into();
        let x = Array { place: place.clone(), shape, values: Values::U8(pixels) };
        Split::of_pair(x, Array { place, shape: [n].into(), values: y })
    };
    let test = of_test.as_ref().zip(test).map(|(classes, test)| split(classes, test, &folder.join("test")));
    let train = split(&of_train, train, folder);
    let mut set = Dataset::new(name, Form::Arrays, train, test)?;
    set.categories.insert("y".to_owned(), names);
    if kinds.len() > 1 {
        set.notes
            .push(format!("{}: pictures without colours are read as red, green and blue", folder.display()));
    }
    Ok(set)
}

/// The pictures of all classes, one class after the other.
fn decoded(classes: &Classes) -> Result<Vec<(&PathBuf, Picture)>> {
    let mut total = 0;
    let mut all = Vec::new();
    for path in classes.values().flatten() {
        let picture = decode(path).map_err(|e| Error::file(path, e))?;
        total += 3 * picture.size[0] * picture.size[1];
        if total > MAX_ELEMENTS {
            return Err(Error::file(path, "too large: a data set has less than 2 GiB of pixels"));
        }
        all.push((path, picture));
    }
    Ok(all)
}

fn decode(path: &Path) -> std::result::Result<Picture, String> {
    let bytes = bounded::read(path, MAX_FILE).map_err(|e| e.to_string())?;
    let too_large = |[h, w]: [usize; 2]| match h.checked_mul(w) {
        Some(n) if n > 0 && n <= MAX_PIXELS => Ok(()),
        _ => Err(format!("{w}×{h} pixels; a picture has 1 to {MAX_PIXELS}")),
    };
    if bytes.starts_with(b"\xff\xd8") {
        let invalid = |e| format!("not a valid JPEG file: {}", shortened(e));
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(Cursor::new(&bytes), options);
        decoder.decode_headers().map_err(invalid)?;
        let (w, h) = decoder.dimensions().ok_or("not a valid JPEG file: it has no size")?;
        too_large([h, w])?;
        let colours = decoder.input_colorspace() != Some(ColorSpace::Luma);
        let pixels = decoder.decode().map_err(invalid)?;
        let pixels = if colours { pixels } else { pixels.into_iter().step_by(3).collect() };
        return Ok(Picture { size: [h, w], colours, pixels });
    }
    let invalid = |e: png::DecodingError| format!("not a valid PNG or JPEG file: {}", shortened(e));
    let mut decoder = png::Decoder::new(Cursor::new(&bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(invalid)?;
    let info = reader.info();
    let size = [info.height as usize, info.width as usize];
    too_large(size)?;
    let mut pixels = vec![0; 4 * size[0] * size[1]];
    let frame = reader.next_frame(&mut pixels).map_err(invalid)?;
    pixels.truncate(frame.buffer_size());
    let (channels, colours) = match frame.color_type {
        png::ColorType::Grayscale => (1, false),
        png::ColorType::GrayscaleAlpha => (2, false),
        png::ColorType::Rgb => (3, true),
        png::ColorType::Rgba => (4, true),
        png::ColorType::Indexed => unreachable!("palettes were asked to be expanded"),
    };
    let kept = if colours { 3 } else { 1 };
    if channels != kept {
        pixels = pixels.chunks_exact(channels).flat_map(|pixel| pixel[..kept].to_vec()).collect();
    }
    Ok(Picture { size, colours, pixels })
}
