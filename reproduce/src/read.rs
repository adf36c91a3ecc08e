//! Reading TOML so that whatever is wrong is said with its place, and near misses of names are found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::Range;

use fgc_ir::Span;
use fgc_ir::diag::{Diagnostic, Sources, nearest};
use fgc_train::ranges::at_most;
use fgc_train::{Error, Result};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::limits;

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
    pub fn parse(&self) -> Result<DeTable<'_>> {
        let parsed = DeTable::parse(&self.text).map_err(|e| {
            let at = e.span().unwrap_or(0..0);
            self.error(at, e.message(), None)
        });
        Ok(parsed?.into_inner())
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
}

/// A table of a file. It notes which keys are asked for: those are all that it may have.
pub struct Reader<'a> {
    file: &'a File,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    asked: RefCell<Vec<&'static str>>,
}

/// A value of a file.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    file: &'a File,
    /// What the value is called.
    key: &'a str,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Reader<'a> {
    /// A reader of `table`, which is all of `file`.
    pub fn new(file: &'a File, table: &'a DeTable<'a>) -> Reader<'a> {
        Reader { file, table, span: 0..0, asked: RefCell::default() }
    }

    /// What `key` is, if it is there.
    pub fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        let (key, value) = self.table.iter().find(|(k, _)| k.get_ref().as_ref() == key)?;
        Some(Item { file: self.file, key: key.get_ref(), value })
    }

    /// What `key` is.
    ///
    /// # Errors
    /// If it isn't there.
    pub fn need(&self, key: &'static str) -> Result<Item<'a>> {
        self.get(key).ok_or_else(|| self.error(format_args!("`{key}` is missing here")))
    }

    /// An error about the table as a whole.
    pub fn error(&self, message: impl Display) -> Error {
        self.file.error(self.span.clone(), message, None)
    }

    /// Every key with its value, of a table whose keys are the user's.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, Item<'a>)> {
        let (file, table) = (self.file, self.table);
        table.iter().map(move |(key, value)| {
            let key: &str = key.get_ref();
            (key, Item { file, key, value })
        })
    }

    /// Fails if there is a key that wasn't asked for.
    ///
    /// # Errors
    /// With the place of the key, and what it may have been meant for.
    pub fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if !asked.contains(&name) {
                return Err(self.unknown(key.span(), name, asked.iter().copied()));
            }
        }
        Ok(())
    }

    fn unknown(
        &self,
        at: Range<usize>,
        name: &str,
        known: impl Iterator<Item = &'static str> + Clone,
    ) -> Error {
        let help = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("what can be here is {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.file.error(at, format_args!("there is no setting `{name}`"), Some(help))
    }
}

impl<'a> Item<'a> {
    /// An error about this value.
    pub fn error(&self, message: impl Display) -> Error {
        self.file.error(self.value.span(), message, None)
    }

    /// An error about this value, which isn't one of `known`.
    pub fn unknown<'n>(&self, name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Error {
        let help = match nearest(name, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
        };
        self.file.error(self.value.span(), format_args!("`{}`: there is no `{name}`", self.key), Some(help))
    }

    fn expected<T>(&self, what: &str) -> Result<T> {
        let found = self.value.get_ref().type_str();
        Err(self.error(format_args!("`{}` is {what}, not of type {found}", self.key)))
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self) -> Result<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => self.expected("a text"),
        }
    }

    /// A text by which results call something.
    ///
    /// # Errors
    /// If it is something else, or can't be in results.
    pub fn name(&self) -> Result<&'a str> {
        limits::name(format_args!("`{}`", self.key), self.text()?).map_err(|e| self.error(e))
    }

    /// True or false.
    ///
    /// # Errors
    /// If it is something else.
    pub fn flag(&self) -> Result<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            _ => self.expected("true or false"),
        }
    }

    /// A whole number from `least`.
    ///
    /// # Errors
    /// If it is something else, or below.
    pub fn whole(&self, least: u64) -> Result<u64> {
        let DeValue::Integer(n) = self.value.get_ref() else { return self.expected("a whole number") };
        match u64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) if n >= least => Ok(n),
            _ => Err(self.error(format_args!("`{}` is a whole number from {least}", self.key))),
        }
    }

    /// A whole number from 1 to `most`.
    ///
    /// # Errors
    /// If it is something else, or out of range.
    pub fn count(&self, most: u64) -> Result<u64> {
        let n = self.whole(1)?;
        at_most(format_args!("`{}`", self.key), n, most).map_err(|e| self.error(e))
    }

    /// A finite number.
    ///
    /// # Errors
    /// If it is something else.
    pub fn number(&self) -> Result<f64> {
        let parsed = match self.value.get_ref() {
            DeValue::Integer(n) => i64::from_str_radix(n.as_str(), n.radix()).map(|n| n as f64).ok(),
            DeValue::Float(x) => x.as_str().parse::<f64>().ok(),
            _ => return self.expected("a number"),
        };
        match parsed {
            Some(x) if x.is_finite() => Ok(x),
            _ => Err(self.error(format_args!("`{}` is a finite number", self.key))),
        }
    }

    /// A scalar in the spelling that the command line has for it.
    ///
    /// # Errors
    /// If it is a list or a table.
    pub fn spelling(&self) -> Result<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(n) if n.radix() == 10 => Ok(n.as_str().to_owned()),
            DeValue::Float(x) => Ok(x.as_str().to_owned()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            _ => self.expected("a number or a text"),
        }
    }

    /// A value for a table of settings.
    ///
    /// # Errors
    /// If it is a list or a table.
    pub fn value(&self) -> Result<toml::Value> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text.to_string().into()),
            DeValue::Boolean(flag) => Ok((*flag).into()),
            DeValue::Integer(_) => Ok((self.whole(0)? as i64).into()),
            DeValue::Float(_) => Ok(self.number()?.into()),
            _ => self.expected("a number, a text, or true or false"),
        }
    }

    /// A table.
    ///
    /// # Errors
    /// If it is something else.
    pub fn table(&self) -> Result<Reader<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => {
                Ok(Reader { file: self.file, table, span: self.value.span(), asked: RefCell::default() })
            }
            _ => self.expected("a table"),
        }
    }

    /// Where it is in the file.
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// It as a value of a type that says itself how it is read, which knows nothing of the keys `except`.
    ///
    /// # Errors
    /// If it isn't one.
    pub fn decode<T: DeserializeOwned>(&self, except: &[&str]) -> Result<T> {
        let mut value = plain(self.value.get_ref()).map_err(|e| self.error(e))?;
        if let toml::Value::Table(table) = &mut value {
            table.retain(|key, _| !except.contains(&key));
        }
        value.try_into().map_err(|e: toml::de::Error| self.error(e.message()))
    }

    /// Its elements if it is a list; itself if it isn't.
    pub fn some(&self) -> Vec<Item<'a>> {
        if self.is_list() { self.list().unwrap_or_default() } else { vec![*self] }
    }

    /// Whether it is a list.
    pub fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// A list.
    ///
    /// # Errors
    /// If it is something else.
    pub fn list(&self) -> Result<Vec<Item<'a>>> {
        let list: &DeArray<'_> = match self.value.get_ref() {
            DeValue::Array(list) => list,
            _ => return self.expected("a list"),
        };
        Ok(list.iter().map(|value| Item { file: self.file, key: self.key, value }).collect())
    }

    /// A table of texts, such as consts of a model.
    ///
    /// # Errors
    /// If it is something else.
    pub fn spellings(&self) -> Result<BTreeMap<String, String>> {
        self.table()?.all().map(|(key, item)| Ok((key.to_owned(), item.spelling()?))).collect()
    }
}

/// `value` without places.
fn plain(value: &DeValue<'_>) -> std::result::Result<toml::Value, String> {
    let integer = |n: &toml::de::DeInteger<'_>| i64::from_str_radix(n.as_str(), n.radix());
    Ok(match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Integer(n) => integer(n).map_err(|e| e.to_string())?.into(),
        DeValue::Float(x) => x.as_str().parse::<f64>().map_err(|e| e.to_string())?.into(),
        DeValue::Datetime(date) => (*date).into(),
        DeValue::Array(list) => toml::Value::Array(
            list.iter().map(|v| plain(v.get_ref())).collect::<std::result::Result<_, _>>()?,
        ),
        DeValue::Table(table) => {
            let pairs = table.iter().map(|(key, v)| Ok((key.get_ref().to_string(), plain(v.get_ref())?)));
            toml::Value::Table(pairs.collect::<std::result::Result<_, String>>()?)
        }
    })
}
