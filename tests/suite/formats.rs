//! Data sets in the types, orders and packages that others write them in: read, or refused with what to do.

use std::fs;
use std::path::Path;

use fgc_tests::files::{bound, fitted, floats, folder, gzipped, idx, npy, npy_files, npz, read, replaced};
use fgc_train::data::fit::{Fitted, Options};
use fgc_train::data::{Dataset, Split, load};
use tempfile::TempDir;

/// `set` as a model with those inputs takes it.
fn taken<'a>(set: &'a Dataset, inputs: &str) -> Fitted<'a> {
    fitted(set, inputs, &Options { normalise: "off".parse().unwrap(), ..Options::default() }).unwrap()
}

fn labels(set: &Dataset) -> Vec<i64> {
    set.train.column("y").unwrap().array.values.integers().unwrap().collect()
}

/// The number of samples of each split.
fn sizes(set: &Dataset) -> (usize, usize) {
    (set.train.len(), set.test.as_ref().map_or(0, Split::len))
}

/// The set of `npy_files` with another array in place of one of its own.
fn with(name: &str, bytes: Vec<u8>) -> Result<Dataset, String> {
    let folder = folder(&[("mine.npz", npz(&replaced(npy_files(), name, bytes)))]);
    read(&folder.path().join("mine.npz"))
}

fn with_samples(descr: &str, bytes: Vec<u8>, test: Vec<u8>) -> Result<Dataset, String> {
    let files = replaced(npy_files(), "x_train", npy(descr, "(3, 2)", &bytes));
    let files = replaced(files, "x_test", npy(descr, "(1, 2)", &test));
    let folder = folder(&[("mine.npz", npz(&files))]);
    read(&folder.path().join("mine.npz"))
}

#[test]
fn samples_of_every_type_are_taken_and_rounding_is_said() {
    // The numbers 1 to 6 as integers, and as binary16: 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600.
    let halves: [u16; 6] = [0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600];
    let cases: [(&str, Vec<u8>, Vec<u8>); 6] = [
        (
            "<f2",
            halves.map(u16::to_le_bytes).concat(),
            halves[2..4].iter().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        (
            "<f8",
            [1f64, 2., 3., 4., 5., 6.].map(f64::to_le_bytes).concat(),
            [3f64, 4.].map(f64::to_le_bytes).concat(),
        ),
        (
            "<i8",
            [1i64, 2, 3, 4, 5, 6].map(i64::to_le_bytes).concat(),
            [3i64, 4].map(i64::to_le_bytes).concat(),
        ),
        (
            ">i2",
            [1i16, 2, 3, 4, 5, 6].map(i16::to_be_bytes).concat(),
            [3i16, 4].map(i16::to_be_bytes).concat(),
        ),
        (
            "<u4",
            [1u32, 2, 3, 4, 5, 6].map(u32::to_le_bytes).concat(),
            [3u32, 4].map(u32::to_le_bytes).concat(),
        ),
        ("|i1", vec![1, 2, 3, 4, 5, 6], vec![3, 4]),
    ];
    for (descr, train, test) in cases {
        let set = with_samples(descr, train, test).unwrap_or_else(|e| panic!("{descr}: {e}"));
        let taken = taken(&set, "x: f32[batch, 2]");
        assert_eq!(bound::<f32>(&taken.train, "x"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "{descr}");
        assert_eq!((&set.notes, &taken.notes), (&vec![], &vec![]), "{descr}");
    }
    let bools = with_samples("|b1", vec![1, 0, 0, 1, 1, 1], vec![0, 1]).unwrap();
    assert_eq!(bound::<f32>(&taken(&bools, "x: f32[batch, 2]").train, "x"), [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    assert!(bound::<bool>(&taken(&bools, "x: bool[batch, 2]").train, "x")[0]);
    let tenths = [0.1f64, 0.5, 0.3, 0.25, 0.7, 1.0].map(f64::to_le_bytes).concat();
    let set = with_samples("<f8", tenths, [0.5f64, 0.5].map(f64::to_le_bytes).concat()).unwrap();
    let notes = taken(&set, "x: f32[batch, 2]").notes;
    assert!(notes.len() == 1, "{notes:?}");
    assert!(
        notes[0].ends_with("mine.npz: `x_train`: 3 of 6 numbers are rounded from f64 to f32"),
        "{notes:?}"
    );
    let exact = taken(&set, "x: f64[batch, 2]");
    assert_eq!((bound::<f64>(&exact.train, "x")[0], exact.notes.len()), (0.1, 0));
}

#[test]
fn labels_of_every_type_are_taken_if_they_are_whole() {
    for labels in [
        npy("<f4", "(3,)", &floats(&[0.0, 1.0, 1.0])),
        npy("|b1", "(3,)", &[0, 1, 1]),
        npy("<u8", "(3, 1)", &[0u64, 1, 1].map(u64::to_le_bytes).concat()),
    ] {
        let files = replaced(npy_files(), "y_train", labels);
        // A test split of its own would have to be of the same type.
        let folder = folder(&[("mine.npz", npz(&files[..2]))]);
        let set = read(&folder.path().join("mine.npz")).unwrap();
        assert_eq!(bound::<i32>(&taken(&set, "x: f32[batch, 2], y: i32[batch]").train, "y"), [0, 1, 1]);
    }
}

#[test]
fn arrays_stored_column_by_column_are_read() {
    let rows = npy("<f4", "(3, 2)", &floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let text = String::from_utf8_lossy(&npy("<f4", "(3, 2)", &[])).into_owned();
    assert!(text.contains("False"));
    let mut columns = npy("<f4", "(3, 2)", &floats(&[1.0, 3.0, 5.0, 2.0, 4.0, 6.0]));
    let at = columns.windows(5).position(|w| w == b"False").unwrap();
    columns[at..at + 5].copy_from_slice(b"True ");
    let (one, other) = (with("x_train", rows).unwrap(), with("x_train", columns).unwrap());
    assert_eq!(one.train.column("x").unwrap().array.values, other.train.column("x").unwrap().array.values);
    assert_eq!(one.fingerprint(), other.fingerprint());
}

/// A set of one image a split, of shape `shape`, whose elements are 0, 1, 2, …
fn images(shape: [usize; 3]) -> Result<Dataset, String> {
    let [a, b, c] = shape;
    let bytes: Vec<u8> = (0..a * b * c).map(|k| k as u8).collect();
    let shape = format!("(1, {a}, {b}, {c})");
    let files = [
        ("x_train.npy", npy("|u1", &shape, &bytes)),
        ("y_train.npy", npy("|u1", "(1,)", &[0])),
        ("x_test.npy", npy("|u1", &shape, &bytes)),
        ("y_test.npy", npy("|u1", "(1,)", &[0])),
    ];
    read(folder(&files).path())
}

#[test]
fn images_with_channels_first_are_read_with_channels_last() {
    let set = images([3, 6, 6]).unwrap();
    let last = fitted(&set, "x: f32[batch, 6, 6, 3], y: i32[batch]", &Options::default()).unwrap();
    assert_eq!(last.statistics["x"].mean().len(), 3);
    let off = taken(&set, "x: f32[batch, 6, 6, 3]");
    let pixels: Vec<f32> = bound::<f32>(&off.train, "x")[..6].iter().map(|x| (x * 255.0).round()).collect();
    assert_eq!(pixels, [0.0, 36.0, 72.0, 1.0, 37.0, 73.0]);
    let note = "[1, 3, 6, 6] has channels first; it is read as [1, 6, 6, 3]";
    assert!(off.notes.len() == 1 && off.notes[0].ends_with(note), "{:?}", off.notes);
    // As they are, where that is what the model takes.
    assert_eq!(taken(&set, "x: f32[batch, 3, 6, 6]").notes, [""; 0]);
    let square = images([3, 3, 3]).unwrap();
    assert_eq!(taken(&square, "x: f32[batch, 3, 3, 3]").notes, [""; 0]);
    // What is one behind the other is so in any shape.
    let flat = taken(&set, "x: f32[batch, 108]");
    assert_eq!(bound::<f32>(&flat.train, "x")[1], 1.0 / 255.0);
    assert!(flat.notes[0].ends_with("samples of [3, 6, 6] are read as [108] for `x`"), "{:?}", flat.notes);
    // Samples of another shape are refused, with the const that would do.
    let error = fitted(&set, "x: f32[batch, size, size, 3]", &Options::default()).unwrap_err();
    assert!(error.contains("`m` takes x: f32[64, 2, 2, 3], but a sample of"), "{error}");
    assert!(error.ends_with("`m` takes such samples with --set size=6"), "{error}");
    let error = fitted(&set, "x: f32[batch, 5, 5, 3]", &Options::default()).unwrap_err();
    assert!(error.ends_with("no const of `m` makes it take such samples"), "{error}");
}

/// The four files of a small set of idx files, with `prefix` in front of their names, as EMNIST has them.
fn prefixed(prefix: &str) -> Vec<(String, Vec<u8>)> {
    vec![
        (format!("{prefix}-train-images-idx3-ubyte"), idx(&[2, 2, 3], &[5; 12])),
        (format!("{prefix}-train-labels-idx1-ubyte"), idx(&[2], &[0, 1])),
        (format!("{prefix}-test-images-idx3-ubyte"), idx(&[1, 2, 3], &[7; 6])),
        (format!("{prefix}-test-labels-idx1-ubyte"), idx(&[1], &[1])),
    ]
}

#[test]
fn sets_with_names_like_those_of_emnist_are_read() {
    let digits = folder(&prefixed("emnist-digits"));
    let set = read(digits.path()).unwrap();
    assert_eq!(sizes(&set), (2, 1));
    assert!(set.notes[0].contains("rows and columns exchanged"), "{:?}", set.notes);
    let both = folder(&[prefixed("emnist-digits"), prefixed("emnist-letters")].concat());
    let error = read(both.path()).unwrap_err();
    assert!(error.contains("name one of") && error.contains("/emnist-letters`"), "{error}");
    let named = read(&both.path().join("emnist-letters")).unwrap();
    assert_eq!(labels(&named), [0, 1]);
    let part = folder(&prefixed("emnist-digits")[1..]);
    assert!(read(part.path()).unwrap_err().contains("`emnist-digits-train-images-idx3-ubyte` is missing"));
}

#[test]
fn binary_cifar_100_is_read_by_its_fine_labels() {
    let record = |coarse: u8, fine: u8| [vec![coarse, fine], vec![fine; 3072]].concat();
    let files = [("train.bin", [record(3, 99), record(4, 17)].concat()), ("test.bin", record(0, 5))];
    let set = read(folder(&files).path()).unwrap();
    assert_eq!((labels(&set), sizes(&set)), (vec![99, 17], (2, 1)));
    let broken = folder(&[("train.bin", record(0, 100)), ("test.bin", record(0, 5))]);
    assert!(read(broken.path()).unwrap_err().contains("label 100 isn't below 100"));
}

#[test]
fn a_set_within_a_folder_is_found() {
    let root = tempfile::tempdir().unwrap();
    let nest = |path: &str| {
        let inner = root.path().join(path);
        fs::create_dir_all(&inner).unwrap();
        for (name, bytes) in npy_files() {
            fs::write(inner.join(format!("{name}.npy")), bytes).unwrap();
        }
    };
    nest("MINE/raw");
    let set = read(root.path()).unwrap();
    assert_eq!(set.train.len(), 3);
    assert!(set.notes[0].contains("the data set is in") && set.notes[0].ends_with("raw"), "{:?}", set.notes);
    nest("other");
    let error = read(root.path()).unwrap_err();
    assert!(error.contains("several data sets in it: name one of") && error.contains("other`"), "{error}");
}

fn archive_of_tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    header.set_cksum();
    tar.append_data(&mut header, "batches/data_batch_1.bin", &b"x"[..]).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn packages_and_pickles_are_refused_with_what_to_do() {
    let zip = {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("a.bin", zip::write::SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let pickle = b"\x80\x02}q\x01(U\x0bbatch_label".to_vec();
    let cases = [
        ("cifar-10-binary.tar.gz", gzipped(&archive_of_tar()), "tar -xf cifar-10-binary.tar.gz"),
        ("set.tar", archive_of_tar(), "tar -xf set.tar"),
        ("set.zip", zip, "unzip set.zip"),
        ("data_batch_1", pickle, "a pickle of Python, which isn't read: save its arrays with numpy.savez"),
    ];
    for (name, bytes, advice) in cases {
        let folder: TempDir = folder(&[(name, bytes)]);
        let of_file = read(&folder.path().join(name)).unwrap_err();
        let of_folder = read(folder.path()).unwrap_err();
        for error in [of_file, of_folder] {
            assert!(error.contains(advice), "{name}: {error}");
        }
    }
    // One file of a set: the folder is what is meant.
    let files = folder(&prefixed("emnist-digits"));
    let error = read(&files.path().join("emnist-digits-test-labels-idx1-ubyte")).unwrap_err();
    assert!(error.contains("the folder that it is in has a data set"), "{error}");
    assert!(load("nothing/at/all", Path::new("nowhere")).is_err());
}
