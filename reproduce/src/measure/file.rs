//! Experiments that measure, as TOML says them.

use fgc_train::{Error, Result};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// The file of an experiment whose settings are `S`, and whose claims are decided on by `C`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "S: Deserialize<'de>, C: DeserializeOwned"))]
pub struct File<S, C> {
    /// What is measured.
    pub kind: String,
    /// What it is about, in a few words.
    pub title: String,
    /// Paragraphs, with empty lines between; `code` may be within backticks.
    #[serde(default)]
    pub about: String,
    /// What is measured, and how.
    pub settings: S,
    /// The figure.
    pub figure: FigureSettings,
    /// What is claimed of it.
    #[serde(default = "Vec::new", rename = "claim")]
    pub claims: Vec<ClaimSettings<C>>,
    /// What of the settings is otherwise in a quick trial: laid over them table by table. Elements of a list go over
    /// those with the same `name`; other lists are replaced.
    #[serde(default)]
    pub quick: Table,
}

/// What is said of a figure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureSettings {
    /// What it shows, in a few words.
    pub title: String,
    /// What one has to know to read it.
    pub caption: String,
    /// How many panels are beside each other.
    pub columns: usize,
}

/// A claim, and the comparison `C` that decides on it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "C: DeserializeOwned"))]
pub struct ClaimSettings<C> {
    /// Who makes it.
    #[serde(default)]
    pub source: String,
    /// What is claimed.
    pub text: String,
    /// What has to be known beside.
    #[serde(default)]
    pub note: String,
    /// What decides on it: a table, or a list of tables.
    pub check: Checks<C>,
}

/// One comparison or several.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Checks<C>(pub Vec<C>);

impl<'de, C: DeserializeOwned> Deserialize<'de> for Checks<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let all = match Value::deserialize(deserializer)? {
            Value::Array(all) => all,
            one => vec![one],
        };
        let read =
            |value: Value| value.try_into().map_err(|e: toml::de::Error| D::Error::custom(e.message()));
        Ok(Checks(all.into_iter().map(read).collect::<std::result::Result<_, _>>()?))
    }
}

impl<S: DeserializeOwned, C: DeserializeOwned> File<S, C> {
    /// The experiment that `text`, of the file `name`, describes; with its quick settings if `quick`.
    ///
    /// # Errors
    /// If the text isn't such an experiment, with the place where that is known.
    pub fn read(name: &str, text: &str, quick: bool) -> Result<File<S, C>> {
        let fail = |e: toml::de::Error| Error::at(name, e);
        let file: File<S, C> = toml::from_str(text).map_err(fail)?;
        if !quick || file.quick.is_empty() {
            return Ok(file);
        }
        let mut table: Table = toml::from_str(text).map_err(fail)?;
        let settings = table.remove("settings").unwrap_or_else(|| Value::Table(Table::new()));
        table.insert("settings".to_owned(), over(Value::Table(file.quick), settings));
        table.try_into().map_err(|e| Error::at(format_args!("{name}, with `quick`"), e))
    }
}

/// `top` laid over `below`.
fn over(top: Value, below: Value) -> Value {
    match (top, below) {
        (Value::Table(top), Value::Table(mut below)) => {
            for (key, value) in top {
                let value = match below.remove(&key) {
                    Some(under) => over(value, under),
                    None => value,
                };
                below.insert(key, value);
            }
            Value::Table(below)
        }
        (Value::Array(top), Value::Array(mut below)) if top.iter().all(|v| name(v).is_some()) => {
            for value in top {
                match below.iter_mut().find(|under| name(under) == name(&value)) {
                    Some(under) => *under = over(value, under.clone()),
                    None => below.push(value),
                }
            }
            Value::Array(below)
        }
        (top, _) => top,
    }
}

/// The name of an element of a list.
fn name(value: &Value) -> Option<&str> {
    value.get("name").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_settings_are_laid_over() {
        let text = r#"
            kind = "k"
            title = "t"
            figure = { title = "f", caption = "c", columns = 1 }
            settings = { n = 5, m = 6, list = [{ name = "a", x = 1, y = 2 }, { name = "b", x = 3 }], of = [1, 2] }
            quick = { n = 1, list = [{ name = "a", x = 9 }], of = [7] }
        "#;
        let full: File<Table, Table> = File::read("f", text, false).unwrap();
        let quick: File<Table, Table> = File::read("f", text, true).unwrap();
        assert_eq!([full.settings["n"].as_integer(), quick.settings["n"].as_integer()], [Some(5), Some(1)]);
        let expected = r#"m = 6
            list = [{ name = "a", x = 9, y = 2 }, { name = "b", x = 3 }]
            of = [7]
            n = 1"#;
        assert_eq!(quick.settings, expected.parse::<Table>().unwrap());
        assert!(File::<Table, Table>::read("f", "kind = 1", false).is_err());
    }
}
