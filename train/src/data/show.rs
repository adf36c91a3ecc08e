//! A data set described for people.

use std::fmt::Write;
use std::path::Path;

use fgc_ir::diag;

use super::array::Values;
use super::set::{Column, Dataset, Form, Split};
use super::{Fitted, Normalisation, fetch, registry};
use fgc::Result;

/// From dark to bright.
const SHADES: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// The widest that previews may be together, in characters.
const WIDTH: usize = 100;
/// The most images of a preview.
const PREVIEWS: usize = 5;
/// The most classes that are listed.
const LISTED: usize = 20;
/// The most characters of a text that are shown.
const TEXT: usize = 200;

/// What there is in the set `spec`: columns, classes and statistics, whether the files of a public set are what they must
/// be, and the first training samples where they are images or characters.
///
/// # Errors
/// If the set can't be read, or files of a public set have been changed.
pub fn describe(spec: &str, folder: &Path) -> Result<String> {
    let set = super::load(spec, folder)?;
    let mut out = String::new();
    let what = if set.form == Form::Text { "characters" } else { "samples" };
    let test = set.test.as_ref().map_or(String::new(), |test| format!(" + {}", test.len()));
    let none = if set.test.is_none() { "; no test split" } else { "" };
    let _ = writeln!(out, "{}: {}{test} {what}{none}", set.name, set.train.len());
    table(&set, &mut out);
    let _ = writeln!(out, "sha256 of the content: {}", set.fingerprint());
    for note in &set.notes {
        let _ = writeln!(out, "note: {note}");
    }
    if let Some(known) = registry::find(spec) {
        fetch::verify(known, &folder.join(known.name))?;
        let _ = writeln!(out, "files: {} with the published MD5", known.files.len());
    }
    for column in &set.train.columns {
        classes(&set, column, &mut out);
    }
    out.push_str(&match set.form {
        Form::Text => beginning(&set),
        Form::Arrays | Form::Table => preview(&set.train),
    });
    Ok(out)
}

/// How the inputs of a program take `fitted`.
pub fn describe_fit(fitted: &Fitted) -> String {
    let mut out = String::new();
    let test = fitted.test.as_ref().map_or("nothing".to_owned(), |test| format!("{} samples", test.len()));
    let _ = writeln!(out, "\ntrained on are {} samples, tested on {test}", fitted.train.len());
    for feature in fitted.train.features() {
        let by = match fitted.statistics.get(&feature.input) {
            Some(by) => format!(", normalised by {}", statistics(by)),
            None => String::new(),
        };
        let _ = writeln!(
            out,
            "  {}: {}{}{by}",
            feature.input,
            feature.dtype,
            feature.row.prepend(fitted.train.len())
        );
    }
    for note in &fitted.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// The columns: what they are called, their type, and their range.
fn table(set: &Dataset, out: &mut String) {
    let shown = set.train.columns.iter().take(LISTED);
    let rows: Vec<[String; 3]> = shown
        .map(|column| {
            let name = diag::quoted(&column.name).trim_matches('`').to_owned();
            let about = match (set.categories.get(&column.name), &set.published.get(&column.name)) {
                (Some(names), _) => categories(names),
                (None, Some(published)) => format!("published: {}", statistics(published)),
                (None, None) => range(&column.array.values),
            };
            [name, format!("{}", column.sample()), about]
        })
        .collect();
    let width = |k: usize| rows.iter().map(|row| row[k].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1)];
    for [name, kind, about] in &rows {
        let line = format!("  {name:<a$}  {kind:<b$}  {about}", a = widths[0], b = widths[1]);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if set.train.columns.len() > LISTED {
        let _ = writeln!(out, "  … and {} more", set.train.columns.len() - LISTED);
    }
}

fn categories(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
    let more = if names.len() > LISTED { " …" } else { "" };
    format!("{} categories: {}{more}", names.len(), shown.join(" "))
}

fn range(values: &Values) -> String {
    fn span<T: PartialOrd + Copy + std::fmt::Display>(v: impl Iterator<Item = T>) -> String {
        let range = v.fold(None, |range: Option<(T, T)>, x| match range {
            Some((a, b)) => Some((if x < a { x } else { a }, if x > b { x } else { b })),
            None => Some((x, x)),
        });
        range.map_or(String::new(), |(a, b)| format!("from {a} to {b}"))
    }
    match values {
        Values::Bool(_) => String::new(),
        Values::U8(v) => span(v.iter().copied()),
        Values::Int(v) => span(v.iter().copied()),
        Values::F32(v) => span(v.iter().copied()),
        Values::F64(v) => span(v.iter().copied()),
    }
}

/// How many samples of each class `column` has, if it is of classes.
fn classes(set: &Dataset, column: &Column, out: &mut String) {
    if column.array.shape.elements() != column.len() || set.form == Form::Text {
        return;
    }
    let named = set.categories.get(&column.name);
    let most = if named.is_some() || column.name == "y" { usize::MAX } else { return };
    let Some(train) = column.counts(most) else { return };
    let test = set.test.as_ref().and_then(|test| test.column(&column.name)?.counts(most)).unwrap_or_default();
    let _ = writeln!(out, "\n{:>5}  training  test", if column.name == "y" { "class" } else { &column.name });
    for (class, train) in train.iter().take(LISTED) {
        let name =
            named.and_then(|names| names.get(usize::try_from(*class).ok()?)).map_or("", String::as_str);
        let line = format!("{class:>5}  {train:>8}  {:>4}  {name}", test.get(class).copied().unwrap_or(0));
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if train.len() > LISTED {
        let _ = writeln!(out, "    … and {} more", train.len() - LISTED);
    }
}

fn statistics(n: &Normalisation) -> String {
    format!("mean {} and standard deviation {}", numbers(n.mean()), numbers(n.std()))
}

fn numbers(v: &[f32]) -> String {
    let shown: Vec<String> = v.iter().take(4).map(|x| format!("{x:.4}")).collect();
    let more = if v.len() > 4 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

/// The first characters of a text.
fn beginning(set: &Dataset) -> String {
    let characters = set.train.columns.first().and_then(|column| {
        let names = set.categories.get(&column.name)?;
        let numbers = column.array.values.integers()?.take(TEXT);
        Some(
            numbers
                .filter_map(|k| names.get(usize::try_from(k).ok()?))
                .map(String::as_str)
                .collect::<String>(),
        )
    });
    let text = characters.unwrap_or_default();
    format!("\n{}\n", text.replace(|c: char| c.is_control() && c != '\n', "·").trim_end())
}

/// The first images side by side, two rows of pixels to a line of text; nothing if the samples
/// aren't images that fit.
fn preview(split: &Split) -> String {
    let images =
        split.columns.iter().find_map(|column| match (&column.array.shape[..], &column.array.values) {
            ([_, h, w], Values::U8(v)) => Some((v, [*h, *w, 1])),
            ([_, h, w, c], Values::U8(v)) => Some((v, [*h, *w, *c])),
            _ => None,
        });
    let Some((pixels, [height, width, channels])) = images else { return String::new() };
    let shown = (WIDTH / width.max(1)).min(PREVIEWS).min(split.len());
    if shown == 0 || height > WIDTH {
        return String::new();
    }
    let size = height * width * channels;
    let shown_pixels = &pixels[..shown * size];
    let (low, high) = shown_pixels.iter().fold((u8::MAX, u8::MIN), |(a, b), &x| (a.min(x), b.max(x)));
    let span = f32::from((high.saturating_sub(low)).max(1));
    let mut out = String::new();
    for y in (0..height).step_by(2) {
        let mut line = String::from("\n");
        for image in 0..shown {
            for x in 0..width {
                let pixel = image * size + (y * width + x) * channels;
                let mean = (0..channels).map(|c| f32::from(pixels[pixel + c])).sum::<f32>() / channels as f32;
                let shade = (mean - f32::from(low)) / span * (SHADES.len() - 1) as f32;
                line.push(SHADES[(shade.round() as usize).min(SHADES.len() - 1)]);
            }
        }
        out.push_str(line.trim_end_matches(' '));
    }
    out.push('\n');
    let labels =
        split.column("y").and_then(|y| Some(y.array.values.integers()?.take(shown).collect::<Vec<_>>()));
    let labels: String = labels.unwrap_or_default().iter().map(|y| format!("{y:<width$}")).collect();
    let _ = writeln!(out, "{}", labels.trim_end());
    out
}
