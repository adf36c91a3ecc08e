//! Tables: CSV and Parquet files, a column of numbers or of texts each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use fgc_ir::diag::{quoted, shortened};
use fgc_ir::{MAX_ELEMENTS, bounded};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use super::array::{Array, Values};
use super::set::{Column, Dataset, Form, Split};
use fgc::{Error, Result};

/// The most bytes of a file of separated values.
const MAX_BYTES: u64 = 1 << 32;
/// The endings of files that hold tables.
const ENDINGS: [&str; 3] = ["csv", "tsv", "parquet"];

/// Whether `path` is called like a file that holds a table.
pub fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e == *known))
}

/// The files of the splits of a set that `folder` has, `train.csv` and perhaps `test.csv` or the like.
pub fn files_in(folder: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    ENDINGS.iter().find_map(|ending| {
        let [train, test] = ["train", "test"].map(|split| folder.join(format!("{split}.{ending}")));
        train.is_file().then(|| (train, test.is_file().then_some(test)))
    })
}

/// Reads the table in the file `train`, and that of the test split, if there is one.
///
/// # Errors
/// If a file isn't a valid table, a cell is empty, or the columns of the splits differ.
pub fn read(name: &str, train: &Path, test: Option<&Path>) -> Result<Dataset> {
    let (of_train, of_test) = (read_file(train)?, test.map(read_file).transpose()?);
    let mut categories = BTreeMap::new();
    let (mut columns, mut test_columns) = (Vec::new(), Vec::new());
    let mut there: BTreeMap<String, Cells> = of_test.into_iter().flatten().collect();
    for (column, cells) in of_train {
        let of_test = there.remove(&column);
        let (cells, of_test, names) = unified(cells, of_test);
        let array = |path: &Path, values: Values| Array {
            place: format!("{}: {}", path.display(), quoted(&column)),
            shape: [values.len()].into(),
            values,
        };
        columns.push(Column { name: column.clone(), array: array(train, cells) });
        if let (Some(values), Some(path)) = (of_test, test) {
            test_columns.push(Column { name: column.clone(), array: array(path, values) });
        }
        if let Some(names) = names {
            categories.insert(column, names);
        }
    }
    if let (Some((column, _)), Some(path)) = (there.first_key_value(), test) {
        return Err(Error::file(path, format_args!("{} is in the test split alone", quoted(column))));
    }
    let test = test.map(|_| Split { columns: test_columns });
    let set = Dataset::new(name, Form::Table, Split { columns }, test)?;
    Ok(Dataset { categories, ..set })
}

/// The cells of a column, all of the most particular kind that holds each.
enum Cells {
    Bools(Vec<bool>),
    Integers(Vec<i64>),
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl Cells {
    fn numbers(self) -> std::result::Result<Values, Vec<String>> {
        match self {
            Cells::Bools(v) => Ok(Values::Bool(v)),
            Cells::Integers(v) => Ok(Values::Int(v)),
            Cells::Numbers(v) => Ok(Values::F64(v)),
            Cells::Texts(v) => Err(v),
        }
    }

    fn texts(self) -> Vec<String> {
        match self {
            Cells::Bools(v) => v.iter().map(bool::to_string).collect(),
            Cells::Integers(v) => v.iter().map(i64::to_string).collect(),
            Cells::Numbers(v) => v.iter().map(f64::to_string).collect(),
            Cells::Texts(v) => v,
        }
    }
}

/// The cells of a column of both splits as numbers of one type; of texts, the numbers of their categories, which are sorted.
fn unified(train: Cells, test: Option<Cells>) -> (Values, Option<Values>, Option<Vec<String>>) {
    let is_text = |cells: &Cells| matches!(cells, Cells::Texts(_));
    if is_text(&train) || test.as_ref().is_some_and(is_text) {
        let (train, test) = (train.texts(), test.map(Cells::texts));
        let all: BTreeSet<&str> = train.iter().chain(test.iter().flatten()).map(String::as_str).collect();
        let number: BTreeMap<&str, i64> = all.iter().copied().zip(0..).collect();
        let numbers =
            |texts: &Vec<String>| Values::Int(texts.iter().map(|text| number[text.as_str()]).collect());
        let names = all.iter().map(|text| (*text).to_owned()).collect();
        return (numbers(&train), test.as_ref().map(numbers), Some(names));
    }
    let number = |cells: Cells| cells.numbers().unwrap_or_else(|_| unreachable!("texts were taken apart"));
    let (train, test) = (number(train), test.map(number));
    match test {
        Some(test) if test.kind() != train.kind() => (doubles(train), Some(doubles(test)), None),
        test => (train, test, None),
    }
}

fn doubles(values: Values) -> Values {
    match values {
        Values::F64(v) => Values::F64(v),
        Values::Bool(v) => Values::F64(v.into_iter().map(|x| f64::from(u8::from(x))).collect()),
        Values::Int(v) => Values::F64(v.into_iter().map(|x| x as f64).collect()),
        Values::U8(_) | Values::F32(_) => unreachable!("tables have no such cells"),
    }
}

fn read_file(path: &Path) -> Result<Vec<(String, Cells)>> {
    let texts = match path.extension().and_then(|e| e.to_str()) {
        Some("parquet") => return read_parquet(path),
        Some("tsv") => read_separated(path, b'\t')?,
        _ => read_separated(path, b',')?,
    };
    Ok(texts.into_iter().map(|(name, cells)| (name, typed(cells))).collect())
}

/// The cells of a column as numbers, if all of them are.
fn typed(texts: Vec<String>) -> Cells {
    fn all<T: std::str::FromStr>(texts: &[String]) -> Option<Vec<T>> {
        texts.iter().map(|text| text.parse().ok()).collect()
    }
    let lower = |text: &String| match text.as_str() {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    };
    if let Some(v) = all::<i64>(&texts) {
        return Cells::Integers(v);
    }
    if let Some(v) = all::<f64>(&texts) {
        return Cells::Numbers(v);
    }
    match texts.iter().map(lower).collect() {
        Some(v) => Cells::Bools(v),
        None => Cells::Texts(texts),
    }
}

/// The columns of a file of separated values, whose first line has their names.
fn read_separated(path: &Path, separator: u8) -> Result<Vec<(String, Vec<String>)>> {
    let fail = |e: csv::Error| Error::file(path, shortened(e));
    let bytes = bounded::read(path, MAX_BYTES).map_err(|e| Error::file(path, e))?;
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).from_reader(bytes.as_slice());
    let names: Vec<String> = reader.headers().map_err(fail)?.iter().map(str::to_owned).collect();
    // A file that begins with numbers has no names, and its first sample would be lost.
    if !names.is_empty() && names.iter().all(|name| name.parse::<f64>().is_ok()) {
        let message = "its first line has numbers, not the names of the columns: add a line of names";
        return Err(Error::file(path, message));
    }
    distinct(path, &names)?;
    let mut columns = vec![Vec::new(); names.len()];
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(fail)? {
        let line = record.position().map_or(0, csv::Position::line);
        for ((column, cell), name) in columns.iter_mut().zip(&record).zip(&names) {
            if cell.is_empty() {
                let message =
                    format_args!("line {line}: {} is empty: a sample has all its values", quoted(name));
                return Err(Error::file(path, message));
            }
            column.push(cell.to_owned());
        }
        check_count(path, columns.len(), columns[0].len())?;
    }
    Ok(names.into_iter().zip(columns).collect())
}

fn check_count(path: &Path, columns: usize, rows: usize) -> Result<()> {
    match columns.saturating_mul(rows) {
        n if n > MAX_ELEMENTS => {
            Err(Error::file(path, format_args!("too large: a table has at most {MAX_ELEMENTS} cells")))
        }
        _ => Ok(()),
    }
}

fn distinct(path: &Path, names: &[String]) -> Result<()> {
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(Error::file(path, format_args!("there are two columns {}", quoted(twice)))),
        None => Ok(()),
    }
}

fn read_parquet(path: &Path) -> Result<Vec<(String, Cells)>> {
    let fail = |e: parquet::errors::ParquetError| {
        Error::file(path, format_args!("not a valid Parquet file: {}", shortened(e)))
    };
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let reader = SerializedFileReader::new(file).map_err(fail)?;
    let metadata = reader.metadata().file_metadata();
    let fields = metadata.schema().get_fields();
    let names: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    distinct(path, &names)?;
    check_count(path, names.len(), usize::try_from(metadata.num_rows()).unwrap_or(usize::MAX))?;
    let mut columns: Vec<Option<Cells>> = names.iter().map(|_| None).collect();
    for (row, record) in reader.get_row_iter(None).map_err(fail)?.enumerate() {
        for ((name, field), column) in record.map_err(fail)?.into_columns().into_iter().zip(&mut columns) {
            let unread = || {
                let message = format!(
                    "row {row}: {} is {}: numbers, truth values and texts are read, and none may be missing",
                    quoted(&name),
                    shortened(&field)
                );
                Error::file(path, message)
            };
            add(column, &field).ok_or_else(unread)?;
        }
    }
    let empty = || Error::file(path, "there are no rows in it");
    names.into_iter().zip(columns).map(|(name, cells)| Ok((name, cells.ok_or_else(empty)?))).collect()
}

/// Adds `field` to a column of its kind; `None` if it is of another.
fn add(column: &mut Option<Cells>, field: &Field) -> Option<()> {
    fn push<T>(
        column: &mut Option<Cells>,
        new: fn(Vec<T>) -> Cells,
        get: fn(&mut Cells) -> Option<&mut Vec<T>>,
        x: T,
    ) -> Option<()> {
        get(column.get_or_insert_with(|| new(Vec::new())))?.push(x);
        Some(())
    }
    macro_rules! push {
        ($kind:ident, $x:expr) => {
            push(column, Cells::$kind, |cells| if let Cells::$kind(v) = cells { Some(v) } else { None }, $x)
        };
    }
    match field {
        Field::Bool(x) => push!(Bools, *x),
        Field::Byte(x) => push!(Integers, (*x).into()),
        Field::Short(x) => push!(Integers, (*x).into()),
        Field::Int(x) => push!(Integers, (*x).into()),
        Field::Long(x) => push!(Integers, *x),
        Field::UByte(x) => push!(Integers, (*x).into()),
        Field::UShort(x) => push!(Integers, (*x).into()),
        Field::UInt(x) => push!(Integers, (*x).into()),
        Field::ULong(x) => push!(Integers, i64::try_from(*x).ok()?),
        Field::Float16(x) => push!(Numbers, (*x).into()),
        Field::Float(x) => push!(Numbers, (*x).into()),
        Field::Double(x) => push!(Numbers, *x),
        Field::Str(x) => push!(Texts, x.clone()),
        _ => None,
    }
}
