//! TOML files, read so that whatever is wrong is said with its place, and near misses of names are found.

use std::fmt::Display;
use std::ops::Range;

use fgc_ir::Span;
use fgc_ir::diag::{Diagnostic, Sources, nearest};
use fgc_train::{Error, Result};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, ValueDeserializer};

/// A text to read, with its name for messages.
#[derive(Clone, Debug)]
pub struct File {
    /// The name that messages have.
    pub name: String,
    /// The text.
    pub text: String,
}

impl File {
    /// The table that the text is.
    ///
    /// # Errors
    /// If it isn't TOML, with the place.
    pub fn root(&self) -> Result<Item<'_>> {
        let table = DeTable::parse(&self.text).map_err(|e| self.rejected(&e))?;
        // What is missing in the file as a whole is said at its begin.
        Ok(Item { file: self, value: Spanned::new(0..0, DeValue::Table(table.into_inner())) })
    }

    /// An error at a place of the text, with a suggestion.
    pub fn error(&self, at: Range<usize>, message: impl Display, help: Option<String>) -> Error {
        let mut sources = Sources::new();
        let file = sources.add(self.name.clone(), self.text.clone());
        let bound = |n: usize| n.min(self.text.len()) as u32;
        let span = Span { file, start: bound(at.start), end: bound(at.end) };
        let mut diagnostic = Diagnostic::new(span, message.to_string());
        diagnostic.help = help;
        Error::source(vec![diagnostic], sources)
    }

    /// An error about `name`, of which the `known` ones are those that there are.
    pub fn unknown<'n>(&self, name: &Spanned<String>, known: impl Iterator<Item = &'n str> + Clone) -> Error {
        let help = suggestion(name.get_ref(), known);
        self.error(name.span(), format_args!("there is no `{}`", name.get_ref()), Some(help))
    }

    /// The key whose value begins at `start`, if that is one of a table.
    fn key_before(&self, start: usize) -> Option<&str> {
        let before = self.text.get(..start)?.trim_end().strip_suffix('=')?.trim_end();
        let rest = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
        before.get(rest.len()..).filter(|key| !key.is_empty())
    }

    /// What the reader of TOML says is wrong, with the names that a misspelt one may have been meant for.
    fn rejected(&self, e: &toml::de::Error) -> Error {
        let at = e.span().unwrap_or(0..0);
        // Variants of enums name unknown fields in their own way.
        let keys = e.message().strip_prefix("unexpected keys in table: ");
        if let Some((found, known)) = keys.and_then(|keys| keys.split_once(", available keys: ")) {
            let found = found.split(", ").next().expect("a split text has a first part");
            let help = suggestion(found, known.split(", "));
            return self.error(at, format_args!("unknown field `{found}`"), Some(help));
        }
        // `unknown field `a`, expected one of `b`, `c``, and the same of variants.
        let mut names = e.message().split('`').skip(1).step_by(2);
        let found = names.next().filter(|_| e.message().starts_with("unknown "));
        let near = found.and_then(|found| nearest(found, names));
        let mut message = in_words(e.message());
        // What limits refuse, they call `it`.
        if let Some(key) = self.key_before(at.start) {
            message = message.replacen("it is", &format!("`{key}` is"), 1);
        }
        self.error(at, message, near.map(|near| format!("did you mean `{near}`?")))
    }
}

/// A message of serde's, with types as those know them who write TOML.
fn in_words(message: &str) -> String {
    let Some((found, expected)) = message.split_once(", expected ") else { return message.to_owned() };
    let expected = match expected {
        "f64" => "a number",
        "a nonzero u64" | "a nonzero usize" => "a whole number from 1",
        "u32" | "u64" | "usize" => "a whole number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        "a map" => "a table",
        record if record.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// Which of `known` may have been meant by `name`; all of them if none is near.
pub fn suggestion<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// A value of a file, with its place and those of all that is in it.
#[derive(Clone)]
pub struct Item<'a> {
    /// The file.
    pub file: &'a File,
    value: Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    /// An error about this value.
    pub fn error(&self, message: impl Display) -> Error {
        self.file.error(self.value.span(), message, None)
    }

    /// The value as one of type `T`.
    ///
    /// # Errors
    /// If it isn't one, with the place.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T> {
        T::deserialize(ValueDeserializer::from(self.value)).map_err(|e| self.file.rejected(&e))
    }

    fn table(&mut self) -> Result<&mut DeTable<'a>> {
        let (file, at) = (self.file, self.value.span());
        let kind = self.value.get_ref().type_str();
        match self.value.get_mut() {
            DeValue::Table(table) => Ok(table),
            _ => Err(file.error(at, format_args!("this is a table, not of type {kind}"), None)),
        }
    }

    /// Takes the entry of `key` out of a table, if it is there.
    ///
    /// # Errors
    /// If it isn't a table.
    pub fn take(&mut self, key: &str) -> Result<Option<Item<'a>>> {
        let file = self.file;
        Ok(self.table()?.remove(key).map(|value| Item { file, value }))
    }

    /// Takes the entry of `key` out of a table.
    ///
    /// # Errors
    /// If it isn't there, or this isn't a table.
    pub fn need(&mut self, key: &str) -> Result<Item<'a>> {
        self.take(key)?.ok_or_else(|| self.error(format_args!("missing field `{key}`")))
    }

    /// Fails if a table has a key that isn't among `keys`.
    ///
    /// # Errors
    /// With the place of the key, and which one may have been meant; or if it isn't a table.
    pub fn has_only(&mut self, keys: &[&str]) -> Result<()> {
        let file = self.file;
        match self.table()?.keys().find(|key| !keys.contains(&key.get_ref().as_ref())) {
            Some(key) => {
                let help = suggestion(key.get_ref(), keys.iter().copied());
                Err(file.error(key.span(), format_args!("unknown field `{}`", key.get_ref()), Some(help)))
            }
            None => Ok(()),
        }
    }

    /// Takes the entries of `keys` out of a table, as a table of their own.
    ///
    /// # Errors
    /// If it isn't a table.
    pub fn split(&mut self, keys: &[&str]) -> Result<Item<'a>> {
        let table = self.table()?;
        let taken = keys.iter().filter_map(|key| table.remove_entry(*key)).collect();
        Ok(Item { file: self.file, value: Spanned::new(self.value.span(), DeValue::Table(taken)) })
    }

    /// The elements of a list.
    ///
    /// # Errors
    /// If it is something else.
    pub fn list(self) -> Result<Vec<Item<'a>>> {
        let kind = self.value.get_ref().type_str();
        match self.value.get_ref() {
            DeValue::Array(_) => Ok(self.elements()),
            _ => Err(self.error(format_args!("this is a list, not of type {kind}"))),
        }
    }

    /// The elements of a list; itself, if it is none.
    pub fn elements(self) -> Vec<Item<'a>> {
        let file = self.file;
        match self.value.get_ref() {
            DeValue::Array(list) => list.iter().map(|v| Item { file, value: v.clone() }).collect(),
            _ => vec![self],
        }
    }

    /// Makes texts of the numbers and truth values in the table `key` of a table, as they are spelt: the constants of
    /// models are texts.
    ///
    /// # Errors
    /// If it isn't a table.
    pub fn spell(&mut self, key: &str) -> Result<()> {
        if let Some(value) = self.table()?.get_mut(key) {
            spell(value.get_mut());
        }
        Ok(())
    }

    /// Makes lists of texts of the entries in the tables `keys` of a table, each of which may be a label or a list of
    /// labels.
    ///
    /// # Errors
    /// If it isn't a table.
    pub fn spell_labels(&mut self, keys: &[&str]) -> Result<()> {
        let table = self.table()?;
        for key in keys {
            if let Some(value) = table.get_mut(*key) {
                spell(value.get_mut());
                listed(value.get_mut());
            }
        }
        Ok(())
    }

    /// A table with a `kind`, as a variant of an enum: `{ kind = "x", … }` as `{ x = { … } }`.
    ///
    /// # Errors
    /// If it isn't a table, or has no kind.
    pub fn variant<T: DeserializeOwned>(mut self) -> Result<T> {
        let kind = self.need("kind")?;
        let at = kind.value.span();
        let name: String = kind.decode()?;
        let mut variant = DeTable::new();
        let value =
            Spanned::new(self.value.span(), std::mem::replace(self.value.get_mut(), DeValue::Boolean(false)));
        variant.insert(Spanned::new(at, name.into()), value);
        *self.value.get_mut() = DeValue::Table(variant);
        self.decode()
    }

    /// It, a table, over `below`: entries of tables go over those of the same key, elements of a list over those of the
    /// same `name`, and all else over what is below.
    pub fn over(self, below: Item<'a>) -> Item<'a> {
        Item { file: self.file, value: over(self.value, below.value) }
    }
}

fn spell(value: &mut DeValue<'_>) {
    let text = match value {
        DeValue::Integer(n) if n.radix() == 10 => n.as_str().to_owned(),
        DeValue::Float(x) => x.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Table(table) => return table.iter_mut().for_each(|(_, value)| spell(value.get_mut())),
        DeValue::Array(list) => return list.iter_mut().for_each(|value| spell(value.get_mut())),
        DeValue::Integer(_) | DeValue::String(_) | DeValue::Datetime(_) => return,
    };
    *value = DeValue::String(text.into());
}

/// Makes lists of the entries of a table, or of each table of a list, that are none.
fn listed(value: &mut DeValue<'_>) {
    match value {
        DeValue::Table(table) => {
            for (_, entry) in table.iter_mut().filter(|(_, entry)| !entry.get_ref().is_array()) {
                let one =
                    Spanned::new(entry.span(), std::mem::replace(entry.get_mut(), DeValue::Boolean(false)));
                *entry.get_mut() = DeValue::Array(DeArray::from_iter([one]));
            }
        }
        DeValue::Array(list) => list.iter_mut().for_each(|value| listed(value.get_mut())),
        // Refused as what isn't a table when it is decoded.
        _ => {}
    }
}

fn over<'a>(top: Spanned<DeValue<'a>>, below: Spanned<DeValue<'a>>) -> Spanned<DeValue<'a>> {
    let at = top.span();
    let value = match (top.into_inner(), below.into_inner()) {
        (DeValue::Table(top), DeValue::Table(mut below)) => {
            for (key, value) in top {
                let value = match below.remove(&**key.get_ref()) {
                    Some(under) => over(value, under),
                    None => value,
                };
                below.insert(key, value);
            }
            DeValue::Table(below)
        }
        (DeValue::Array(top), DeValue::Array(mut below)) if top.iter().all(|v| name(v).is_some()) => {
            for value in top {
                match below.iter_mut().find(|under| name(under) == name(&value)) {
                    Some(under) => *under = over(value, under.clone()),
                    None => below.push(value),
                }
            }
            DeValue::Array(below)
        }
        (top, _) => top,
    };
    Spanned::new(at, value)
}

/// The name of an element of a list.
fn name<'v>(value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
    value.get_ref().get("name")?.get_ref().as_str()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use toml::Table;

    use super::*;

    fn file(text: &str) -> File {
        File { name: "f.toml".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn tables_are_laid_over_others() {
        let file = file(
            "top = { n = 1, list = [{ name = 'a', x = 9 }], of = [7] }
            below = { n = 5, m = 6, list = [{ name = 'a', x = 1, y = 2 }, { name = 'b', x = 3 }], of = [1, 2] }",
        );
        let mut root = file.root().unwrap();
        let (top, below) = (root.need("top").unwrap(), root.need("below").unwrap());
        let expected = "n = 1\nm = 6\nlist = [{ name = 'a', x = 9, y = 2 }, { name = 'b', x = 3 }]\nof = [7]";
        assert_eq!(top.over(below).decode::<Table>(), Ok(expected.parse().unwrap()));
        assert!(root.need("top").is_err_and(|e| e.to_string().contains("missing field `top`")));
    }

    #[test]
    fn numbers_are_texts_as_they_are_spelt() {
        let file = file("set = { a = 1e-3, b = true, c = 'x' }\nwhere = { rate = 2e-5, width = [1, 2] }");
        let mut root = file.root().unwrap();
        root.spell("set").unwrap();
        root.spell_labels(&["where"]).unwrap();
        let set: BTreeMap<String, String> = root.need("set").unwrap().decode().unwrap();
        assert_eq!(set.into_values().collect::<Vec<_>>(), ["1e-3", "true", "x"]);
        let labels: BTreeMap<String, Vec<String>> = root.need("where").unwrap().decode().unwrap();
        assert_eq!(labels.into_values().collect::<Vec<_>>(), [vec!["2e-5"], vec!["1", "2"]]);
    }

    #[derive(PartialEq, Debug, Deserialize)]
    #[serde(rename_all = "lowercase", deny_unknown_fields)]
    enum Shape {
        Circle { radius: f64 },
        Square { side: f64 },
    }

    #[test]
    fn mistakes_have_a_place_and_a_suggestion() {
        let read = |text: &str| file(text).root()?.need("shape")?.variant::<Shape>();
        assert_eq!(read("shape = { kind = 'circle', radius = 2 }"), Ok(Shape::Circle { radius: 2.0 }));
        let cases = [
            ("\nshape = { kind = 'circel', radius = 2 }", "f.toml:2:18", "did you mean `circle`?"),
            ("shape = { kind = 'square',\n sied = 2 }", "f.toml:2:2", "did you mean `side`?"),
            (
                "shape = { kind = 'square', side = 'x' }",
                "f.toml:1:35",
                "invalid type: string \"x\", expected a number",
            ),
            ("shape = { side = 1 }", "f.toml:1:9", "missing field `kind`"),
            ("shape = 3", "f.toml:1:9", "this is a table, not of type integer"),
            ("shape = {", "f.toml:1", ""),
        ];
        for (text, place, message) in cases {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(place) && error.contains(message), "{text}:\n{error}");
        }
    }
}
