//! Attributes of operations in their textual form, `[axes=[1], dims="b01f_01io->b01f"]`.
//!
//! Printing an operation asks it for its [`Attrs`]; reading one hands the parsed [`Attrs`] to
//! the family through an [`AttrReader`], which checks kinds and ranges and refuses leftovers.

use std::fmt;

use crate::types::MAX_ELEMENTS;

/// One attribute value.
#[derive(Clone, PartialEq, Debug)]
pub enum Attr {
    /// An integer.
    Int(i64),
    /// A number with a point or an exponent, or `inf`, `-inf`, `nan`.
    Float(f64),
    /// A bare word: `true`, `fc.0.w`.
    Word(String),
    /// A quoted string.
    Str(String),
    /// `[a, b, …]`.
    List(Vec<Attr>),
    /// `a:b` or `a:b:c`.
    Range(Vec<i64>),
    /// `f(a, b, …)`.
    Call(String, Vec<Attr>),
}

impl Attr {
    /// A list of sizes.
    pub fn sizes(v: &[usize]) -> Attr {
        Attr::List(v.iter().map(|&x| Attr::Int(x as i64)).collect())
    }

    /// A numeric attribute's value.
    pub fn number(&self) -> Option<f64> {
        match self {
            Attr::Int(i) => Some(*i as f64),
            Attr::Float(x) => Some(*x),
            Attr::Word(w) => match w.as_str() {
                "inf" => Some(f64::INFINITY),
                "nan" => Some(f64::NAN),
                "true" => Some(1.0),
                "false" => Some(0.0),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Int(i) => write!(f, "{i}"),
            Attr::Float(x) if x.is_nan() => f.write_str("nan"),
            Attr::Float(x) if x.is_infinite() => f.write_str(if *x > 0.0 { "inf" } else { "-inf" }),
            // Reads back to the same bits and can't be taken for an integer.
            Attr::Float(x) => write!(f, "{x:?}"),
            Attr::Word(w) => f.write_str(w),
            Attr::Str(s) => write!(f, "\"{s}\""),
            Attr::List(v) => write!(f, "[{}]", Joined(v)),
            Attr::Range(v) => {
                let parts: Vec<String> = v.iter().map(i64::to_string).collect();
                f.write_str(&parts.join(":"))
            }
            Attr::Call(name, args) => write!(f, "{name}({})", Joined(args)),
        }
    }
}

struct Joined<'a>(&'a [Attr]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (k, a) in self.0.iter().enumerate() {
            let comma = if k > 0 { ", " } else { "" };
            write!(f, "{comma}{a}")?;
        }
        Ok(())
    }
}

/// The attributes of one operation: positional ones first, then `key=value` ones.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Attrs(pub Vec<(Option<String>, Attr)>);

impl Attrs {
    /// No attributes.
    pub fn none() -> Attrs {
        Attrs::default()
    }

    /// Adds a positional attribute.
    pub fn item(mut self, value: Attr) -> Attrs {
        self.0.push((None, value));
        self
    }

    /// Adds `key=value`.
    pub fn key(mut self, key: &str, value: Attr) -> Attrs {
        self.0.push((Some(key.to_owned()), value));
        self
    }

    /// Adds `key=value` unless `default` holds: what is usual isn't printed.
    pub fn key_unless(self, default: bool, key: &str, value: Attr) -> Attrs {
        if default { self } else { self.key(key, value) }
    }
}

impl fmt::Display for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str("[")?;
        for (k, (key, value)) in self.0.iter().enumerate() {
            let comma = if k > 0 { ", " } else { "" };
            match key {
                Some(key) => write!(f, "{comma}{key}={value}")?,
                None => write!(f, "{comma}{value}")?,
            }
        }
        f.write_str("]")
    }
}

/// Why attributes don't describe an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttrError(pub String);

/// Takes attributes out one by one.
pub struct AttrReader {
    attrs: Vec<(Option<String>, Attr)>,
}

impl AttrReader {
    /// Reads from `attrs`.
    pub fn new(attrs: Attrs) -> AttrReader {
        AttrReader { attrs: attrs.0 }
    }

    /// The next positional attribute.
    pub fn item(&mut self, what: &str) -> Result<Attr, AttrError> {
        match self.attrs.iter().position(|(key, _)| key.is_none()) {
            Some(at) => Ok(self.attrs.remove(at).1),
            None => Err(AttrError(format!("expected {what}"))),
        }
    }

    /// The positional attributes that are left.
    pub fn items(&mut self) -> Vec<Attr> {
        let (items, keyed) = std::mem::take(&mut self.attrs).into_iter().partition(|(key, _)| key.is_none());
        self.attrs = keyed;
        items.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    }

    /// The attribute `key`, if given.
    pub fn get(&mut self, key: &str) -> Option<Attr> {
        let at = self.attrs.iter().position(|(k, _)| k.as_deref() == Some(key))?;
        Some(self.attrs.remove(at).1)
    }

    /// The attribute `key`, which must be given.
    pub fn need(&mut self, key: &str) -> Result<Attr, AttrError> {
        self.get(key).ok_or_else(|| AttrError(format!("attribute `{key}` is missing")))
    }

    /// A list of sizes, `default` if not given.
    pub fn sizes_or(&mut self, key: &str, default: &[usize]) -> Result<Vec<usize>, AttrError> {
        self.get(key).map_or_else(|| Ok(default.to_vec()), |a| sizes(key, &a))
    }

    /// A list of sizes.
    pub fn sizes(&mut self, key: &str) -> Result<Vec<usize>, AttrError> {
        sizes(key, &self.need(key)?)
    }

    /// A list of `lo:hi` pairs, `default` if not given.
    pub fn pairs_or(&mut self, key: &str, default: Vec<(i64, i64)>) -> Result<Vec<(i64, i64)>, AttrError> {
        let Some(attr) = self.get(key) else { return Ok(default) };
        list(key, &attr)?.iter().map(|a| pair(key, a)).collect()
    }

    /// One size.
    pub fn size(&mut self, key: &str) -> Result<usize, AttrError> {
        size(key, &self.need(key)?)
    }

    /// One size, `default` if not given.
    pub fn size_or(&mut self, key: &str, default: usize) -> Result<usize, AttrError> {
        self.get(key).map_or(Ok(default), |a| size(key, &a))
    }

    /// A truth value, false if not given.
    pub fn flag(&mut self, key: &str) -> Result<bool, AttrError> {
        match self.get(key) {
            None => Ok(false),
            Some(Attr::Word(w)) if w == "true" => Ok(true),
            Some(Attr::Word(w)) if w == "false" => Ok(false),
            Some(a) => Err(AttrError(format!("`{key}` is `true` or `false`, not `{a}`"))),
        }
    }

    /// Fails if an attribute hasn't been taken.
    pub fn finish(self) -> Result<(), AttrError> {
        match self.attrs.first() {
            None => Ok(()),
            Some((Some(key), _)) => Err(AttrError(format!("unknown attribute `{key}`"))),
            Some((None, value)) => Err(AttrError(format!("unexpected attribute `{value}`"))),
        }
    }
}

/// `attr` as a size: an integer from 0 to [`MAX_ELEMENTS`].
pub fn size(key: &str, attr: &Attr) -> Result<usize, AttrError> {
    match attr {
        Attr::Int(i) if (0..=MAX_ELEMENTS as i64).contains(i) => Ok(*i as usize),
        a => Err(AttrError(format!("`{key}` takes integers from 0 to {MAX_ELEMENTS}, not `{a}`"))),
    }
}

/// `attr` as an integer of at most 31 bits and a sign.
pub fn int(key: &str, attr: &Attr) -> Result<i64, AttrError> {
    match attr {
        Attr::Int(i) if i.unsigned_abs() <= MAX_ELEMENTS as u64 => Ok(*i),
        a => Err(AttrError(format!("`{key}` takes integers up to ±{MAX_ELEMENTS}, not `{a}`"))),
    }
}

/// `attr` as a list.
pub fn list<'a>(key: &str, attr: &'a Attr) -> Result<&'a [Attr], AttrError> {
    match attr {
        Attr::List(v) => Ok(v),
        a => Err(AttrError(format!("`{key}` is a list, not `{a}`"))),
    }
}

/// `attr` as a list of sizes.
pub fn sizes(key: &str, attr: &Attr) -> Result<Vec<usize>, AttrError> {
    list(key, attr)?.iter().map(|a| size(key, a)).collect()
}

/// `attr` as a `lo:hi` pair.
pub fn pair(key: &str, attr: &Attr) -> Result<(i64, i64), AttrError> {
    match attr {
        Attr::Range(v) if v.len() == 2 => Ok((int(key, &Attr::Int(v[0]))?, int(key, &Attr::Int(v[1]))?)),
        a => Err(AttrError(format!("`{key}` takes pairs `lo:hi`, not `{a}`"))),
    }
}

/// Pairs as an attribute.
pub fn pairs_attr(v: &[(i64, i64)]) -> Attr {
    Attr::List(v.iter().map(|&(a, b)| Attr::Range(vec![a, b])).collect())
}
