//! Texts: one character after the other, numbered by their place among those that occur.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fgc_ir::bounded;

use super::array::{Array, Values};
use super::set::{Column, Dataset, Form, Split};
use fgc::{Error, Result};

/// The name of the column of characters.
pub const COLUMN: &str = "text";
/// The most bytes of a text.
const MAX_BYTES: u64 = 1 << 30;

/// Whether `path` is called like a text.
pub fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "txt")
}

/// The files of the splits of a set that `folder` has.
pub fn files_in(folder: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    let [train, test] = ["train.txt", "test.txt"].map(|name| folder.join(name));
    train.is_file().then(|| (train, test.is_file().then_some(test)))
}

/// Reads the text in the file `train`, and that of the test split, if there is one.
///
/// # Errors
/// If a file can't be read, or isn't UTF-8.
pub fn read(name: &str, train: &Path, test: Option<&Path>) -> Result<Dataset> {
    let text = |path: &Path| {
        let bytes = bounded::read(path, MAX_BYTES).map_err(|e| Error::file(path, e))?;
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::file(path, format_args!("not a text of UTF-8: {e}")))?;
        // Lines end in one character, wherever the text was written.
        Ok(if text.contains('\r') { text.replace("\r\n", "\n") } else { text })
    };
    let of_test = test.map(|path| Ok::<_, Error>((path.display().to_string(), text(path)?))).transpose()?;
    set(
        name,
        (&train.display().to_string(), &text(train)?),
        of_test.as_ref().map(|(place, text)| (&**place, &**text)),
    )
}

/// The set of those texts, each with where it is from.
///
/// # Errors
/// If one is empty.
pub fn set(name: &str, train: (&str, &str), test: Option<(&str, &str)>) -> Result<Dataset> {
    let texts = || std::iter::once(train).chain(test);
    let all: BTreeSet<char> = texts().flat_map(|(_, text)| text.chars()).collect();
    let characters: Vec<char> = all.into_iter().collect();
    let split = |(place, text): (&str, &str)| {
        // Every character is among those that occur.
        let numbers = text.chars().map(|c| characters.partition_point(|other| *other < c));
        let values = match characters.len() {
            0..=256 => Values::U8(numbers.map(|k| k as u8).collect()),
            _ => Values::Int(numbers.map(|k| k as i64).collect()),
        };
        let array = Array { place: place.to_owned(), shape: [values.len()].into(), values };
        Split { columns: vec![Column { name: COLUMN.to_owned(), array }] }
    };
    let mut set = Dataset::new(name, Form::Text, split(train), test.map(split))?;
    set.categories.insert(COLUMN.to_owned(), characters.iter().map(char::to_string).collect());
    Ok(set)
}
