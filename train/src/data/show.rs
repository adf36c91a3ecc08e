//! A data set described for people.

use std::fmt::Write;
use std::path::Path;

use super::set::{Pixels, Split};
use super::{EMBEDDED, Normalisation, fetch, registry};
use fgc::Result;

/// From dark to bright.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// The widest that previews may be together, in characters.
const WIDTH: usize = 100;
/// The most images of a preview.
const PREVIEWS: usize = 5;
/// The most classes that are listed.
const LISTED: usize = 20;

/// What there is in the set `spec`: counts, shapes, classes and statistics, whether the files of
/// a public set are what they must be, and the first training images in characters.
///
/// # Errors
/// If the set can't be read, or files of a public set have been changed.
pub fn describe(spec: &str, folder: &Path) -> Result<String> {
    let set = super::load(spec, folder)?;
    let public = registry::find(spec);
    let names = public.or((spec == EMBEDDED).then_some(&registry::FASHION_MNIST)).map(|known| known.classes);
    let mut out = String::new();
    let kind = match set.train.pixels() {
        Pixels::U8(_) => "u8",
        Pixels::F32(_) => "f32",
    };
    let sizes: Vec<String> = set.train.sample().iter().map(usize::to_string).collect();
    let (train, test, classes) = (set.train.len(), set.test.len(), set.classes);
    let _ = writeln!(
        out,
        "{}: {train} + {test} samples of {kind} {}, {classes} classes",
        set.name,
        sizes.join("×")
    );
    let shown =
        |n: &Normalisation| format!("mean {} and standard deviation {}", numbers(n.mean()), numbers(n.std()));
    let (used, measured) = (shown(&set.normalisation), shown(&set.train.statistics()));
    let _ = writeln!(out, "normalised by {used}");
    if measured != used {
        let _ = writeln!(out, "measured are  {measured}");
    }
    let _ = writeln!(out, "sha256 of the content: {}", set.fingerprint());
    for note in &set.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if let Some(known) = public {
        fetch::verify(known, &folder.join(known.name))?;
        let _ = writeln!(out, "files: {} with the published MD5", known.files.len());
    }
    let _ = writeln!(out, "\nclass  training  test");
    let counts = set.train.counts(classes).into_iter().zip(set.test.counts(classes));
    for (class, (train, test)) in counts.enumerate().take(LISTED) {
        let name = names.and_then(|names| names.get(class).copied()).unwrap_or_default();
        let line = format!("{class:>5}  {train:>8}  {test:>4}  {name}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if classes > LISTED {
        let _ = writeln!(out, "    … and {} more", classes - LISTED);
    }
    out.push_str(&preview(&set.train));
    Ok(out)
}

fn numbers(v: &[f32]) -> String {
    let shown: Vec<String> = v.iter().take(4).map(|x| format!("{x:.4}")).collect();
    let more = if v.len() > 4 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// The first images side by side, two rows of pixels to a line of text; nothing if the samples
/// aren't images that fit.
fn preview(split: &Split) -> String {
    let [height, width, channels] = split.sample()[..] else { return String::new() };
    let shown = (WIDTH / width.max(1)).min(PREVIEWS).min(split.len());
    if shown == 0 || height > WIDTH {
        return String::new();
    }
    let size = height * width * channels;
    let value = |i: usize| match split.pixels() {
        Pixels::U8(v) => v[i] as f32,
        Pixels::F32(v) => v[i],
    };
    let range = (0..shown * size)
        .map(value)
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    let span = (range.1 - range.0).max(f32::MIN_POSITIVE);
    let mut out = String::new();
    for y in (0..height).step_by(2) {
        let mut line = String::from("\n");
        for image in 0..shown {
            for x in 0..width {
                let pixel = image * size + (y * width + x) * channels;
                let mean = (0..channels).map(|c| value(pixel + c)).sum::<f32>() / channels as f32;
                let shade = (mean - range.0) / span * (SHADES.len() - 1) as f32;
                line.push(SHADES[(shade.round() as usize).min(SHADES.len() - 1)]);
            }
        }
        out.push_str(line.trim_end_matches(' '));
    }
    out.push('\n');
    let labels: String = split.labels().iter().take(shown).map(|y| format!("{y:<width$}")).collect();
    let _ = writeln!(out, "{}", labels.trim_end());
    out
}
