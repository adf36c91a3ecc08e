//! Which columns of a data set an input takes.

use std::collections::BTreeMap;

use fgc_ir::{Type, diag};

use super::normalise::is_target;
use super::set::{Column, Dataset, Form};
use fgc::{Error, Result};

/// The columns that an input takes.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    /// Their names.
    pub columns: Vec<String>,
    /// By how many characters the samples of a text are shifted.
    pub shift: usize,
}

/// What each of `inputs` of `program` takes of `data`: what it is called after, or what `named` says, or what is usual of data of
/// that form, of which a note is made.
///
/// # Errors
/// If there is nothing for an input, or no column that is named.
pub fn sources(
    data: &Dataset,
    program: &str,
    inputs: &[(String, Type)],
    named: &BTreeMap<String, Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Source>> {
    let mut sources = BTreeMap::new();
    let mut open = Vec::new();
    for (input, _) in inputs {
        let columns = match named.get(input) {
            Some(columns) => columns.clone(),
            None if data.train.column(input).is_some() => vec![input.clone()],
            None => {
                open.push(input.as_str());
                continue;
            }
        };
        if let Some(missing) = columns.iter().find(|name| data.train.column(name).is_none()) {
            let names = data.train.columns.iter().map(|column| column.name.as_str());
            let hint = match diag::nearest(missing, names) {
                Some(near) => format!(" (is it {}?)", diag::quoted(near)),
                None => format!("; there are {}", data.listed()),
            };
            let missing = diag::quoted(missing);
            return Err(Error::at(
                &data.name,
                format_args!("there is no column {missing} for `{input}`{hint}"),
            ));
        }
        sources.insert(input.clone(), Source { columns, shift: 0 });
    }
    match data.form {
        Form::Arrays => {}
        Form::Table => of_table(data, &mut open, &mut sources, notes),
        Form::Text => of_text(data, &mut open, &mut sources),
    }
    let Some(input) = open.first() else { return Ok(sources) };
    let ty = inputs.iter().find_map(|(name, ty)| (name == input).then_some(ty));
    let ty = ty.unwrap_or_else(|| unreachable!("what is open is an input"));
    let advice = match data.form {
        Form::Arrays => "the arrays of a set have the names of the inputs",
        Form::Table => "name the columns that it takes, by `--columns INPUT=COLUMN,…`",
        Form::Text => "of a text, an input `x` takes characters and `y` those behind them",
    };
    Err(Error::at(
        &data.name,
        format_args!(
            "there is nothing for `{input}: {ty}` of `{program}`; there are {}; {advice}",
            data.listed()
        ),
    ))
}

/// The names that the column of what is to be predicted often has.
const TARGETS: [&str; 4] = ["target", "label", "class", "y"];

/// Of a table, `y` is the column that is called after a target, or else the last one, and one other input all that is left.
fn of_table(
    data: &Dataset,
    open: &mut Vec<&str>,
    sources: &mut BTreeMap<String, Source>,
    notes: &mut Vec<String>,
) {
    let taken = |sources: &BTreeMap<String, Source>, name: &str| {
        sources.values().any(|source| source.columns.iter().any(|column| column == name))
    };
    let named = |name: &str| TARGETS.iter().any(|target| name.eq_ignore_ascii_case(target));
    let mut take = |input: &str, columns: Vec<String>, sources: &mut BTreeMap<String, Source>| {
        let shown: Vec<String> = columns.iter().map(|name| diag::quoted(name)).collect();
        let shown = match shown.len() {
            0..=12 => shown.join(", "),
            n => format!("{} … {} ({n} columns)", shown[0], shown[n - 1]),
        };
        notes.push(format!("{}: `{input}` is taken from {shown}", data.name));
        sources.insert(input.to_owned(), Source { columns, shift: 0 });
    };
    if let Some(at) = open.iter().position(|input| is_target(input)) {
        let free: Vec<&Column> =
            data.train.columns.iter().filter(|column| !taken(sources, &column.name)).collect();
        let column = free.iter().find(|column| named(&column.name)).or(free.last());
        if let Some(column) = column {
            take(open.remove(at), vec![column.name.clone()], sources);
        }
    }
    let names = data.train.columns.iter().map(|column| &column.name);
    let free: Vec<String> = names.filter(|name| !taken(sources, name)).cloned().collect();
    if let ([input], false) = (open.as_slice(), free.is_empty()) {
        take(input, free, sources);
        open.clear();
    }
}

/// Of a text, `x` is characters and `y` what follows each of them.
fn of_text(data: &Dataset, open: &mut Vec<&str>, sources: &mut BTreeMap<String, Source>) {
    let text = || data.train.columns.iter().map(|column| column.name.clone()).collect();
    open.retain(|input| {
        let shift = match *input {
            "x" => 0,
            "y" => 1,
            _ => return true,
        };
        sources.insert((*input).to_owned(), Source { columns: text(), shift });
        false
    });
}
