//! Files of data sets, made for tests.

use std::fs;
use std::io::Write;
use std::path::Path;

use fgc::{Model, Options};
use fgc_ir::Element;
use fgc_train::data::fit::{self, Fitted};
use fgc_train::data::{Dataset, Samples, load};
use fgc_train::training;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// An idx file of bytes.
pub fn idx(shape: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|d| file.extend(d.to_be_bytes()));
    file.extend(bytes);
    file
}

/// `bytes`, gzipped.
///
/// # Panics
/// Never: it is written to memory.
pub fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An npy file with that header and data.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// Numbers as npy files have them.
pub fn floats(v: &[f32]) -> Vec<u8> {
    v.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// An npz file with those npy files in it.
///
/// # Panics
/// Never: it is written to memory.
pub fn npz(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A folder with those files.
///
/// # Panics
/// If it can't be written.
pub fn folder<N: AsRef<str>>(files: &[(N, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// The data set at `path`, or what is said of it.
///
/// # Errors
/// What [`load`] says.
pub fn read(path: &Path) -> Result<Dataset, String> {
    load(path.to_str().unwrap(), Path::new("nowhere")).map_err(|e| e.to_string())
}

/// `set` as a model with those inputs takes it, or what is said of it.
///
/// # Errors
/// What [`training::fitted`] says.
pub fn fitted<'a>(set: &'a Dataset, inputs: &str, options: &fit::Options) -> Result<Fitted<'a>, String> {
    let text = format!("const size = 2\nmodel m({inputs}) {{\n  param w: f32[] ~ ones\n  loss = w\n}}");
    let model = Model::parse(&text, &Options::default()).expect("a model of those inputs");
    training::fitted(&model, set, options).map_err(|e| e.to_string())
}

/// What `input` is bound to for all of `samples`, in order.
///
/// # Panics
/// If there is no such input, or it is of another type.
pub fn bound<T: Element>(samples: &Samples, input: &str) -> Vec<T> {
    let batch = samples.gather(&(0..samples.len() as u32).collect::<Vec<_>>());
    batch.get(input).expect("an input of that name").as_slice::<T>().to_vec()
}

/// The arrays of a small set as npy files: floats, and labels of 64 bits.
pub fn npy_files() -> Vec<(&'static str, Vec<u8>)> {
    let labels = |v: &[i64]| {
        npy("<i8", &format!("({},)", v.len()), &v.iter().flat_map(|y| y.to_le_bytes()).collect::<Vec<u8>>())
    };
    vec![
        ("x_train", npy("<f4", "(3, 2)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))),
        ("y_train", labels(&[0, 1, 1])),
        ("x_test", npy("<f4", "(1, 2)", &floats(&[3.0, 4.0]))),
        ("y_test", labels(&[0])),
    ]
}

/// `files` with other content in the one called `name`.
///
/// # Panics
/// If there is none.
pub fn replaced<'a>(
    mut files: Vec<(&'a str, Vec<u8>)>,
    name: &str,
    bytes: Vec<u8>,
) -> Vec<(&'a str, Vec<u8>)> {
    files.iter_mut().find(|(n, _)| *n == name).unwrap().1 = bytes;
    files
}
