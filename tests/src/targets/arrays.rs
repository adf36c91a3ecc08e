//! Files of arrays, read as the program reads them: by themselves, and as one of the files of a data set.

use std::path::Path;

use fgc_ir::{Arrays, DType, Type, arrays, bind};
use fgc_train::data::fit::Options;
use fgc_train::data::{Batches, show};
use fgc_train::read_arrays;

use crate::files::{fitted, floats, folder, idx, npy, npy_files, npz, read, replaced};

/// Reads what follows the first byte, which says what file it is.
pub fn run(input: &[u8]) {
    let Some((&kind, bytes)) = input.split_first() else { return };
    let bytes = bytes.to_vec();
    match kind {
        b's' => file("file.safetensors", bytes),
        b'z' => file("file.npz", bytes),
        // An entry of an archive, without its checksum to guess.
        b'e' => file("file.npz", npz(&replaced(npy_files(), "x_train", bytes))),
        b'x' => set(npys(), "x_train.npy", bytes),
        b'y' => set(npys(), "y_train.npy", bytes),
        b'i' => set(idxs(), "train-images-idx3-ubyte", bytes),
        b'l' => set(idxs(), "train-labels-idx1-ubyte", bytes),
        b'c' => set(
            vec![("test_batch.bin", vec![0; 3073]), ("data_batch_1.bin", vec![])],
            "data_batch_1.bin",
            bytes,
        ),
        b'v' => file_of("file.csv", bytes),
        b't' => file_of("file.txt", bytes),
        b'q' => file_of("file.parquet", bytes),
        b'p' => set(pictures(), "a/1.png", bytes),
        b'j' => set(pictures(), "a/2.jpg", bytes),
        b'h' => set(vec![("test.bin", vec![0; 3074]), ("train.bin", vec![])], "train.bin", bytes),
        _ => {}
    }
}

/// A file that is a data set and nothing else.
fn file_of(name: &str, bytes: Vec<u8>) {
    let folder = folder(&[(name, bytes)]);
    used(&folder.path().join(name));
}

/// A folder of two pictures, which both are the same.
fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let (png, jpeg) = (
        include_bytes!("../../files/digits/train/0/0.png"),
        include_bytes!("../../files/digits/train/7/7.jpg"),
    );
    vec![("a/1.png", png.to_vec()), ("a/2.jpg", jpeg.to_vec())]
}

/// Arrays, and the same as a whole data set.
fn file(name: &str, bytes: Vec<u8>) {
    let folder = folder(&[(name, bytes)]);
    let path = folder.path().join(name);
    match read_arrays(&path) {
        Ok(arrays) => kept(folder.path(), arrays),
        Err(e) => assert!(e.to_string().contains(name), "{e}"),
    }
    used(&path);
}

/// What was read is what is written, and fits the types that hold it.
fn kept(folder: &Path, mut found: Arrays) {
    let bytes = arrays::to_bytes(&found, &Default::default()).expect("arrays have a form in files");
    let path = folder.join("again.safetensors");
    arrays::write(&path, &found, &Default::default()).expect("a folder to write in");
    let again = read_arrays(&path).expect("what was written is read");
    let again = arrays::to_bytes(&again, &Default::default()).expect("arrays have a form in files");
    assert!(bytes == again, "other arrays are read than were written");
    for dtype in DType::ALL {
        let types: Vec<(String, Type)> =
            found.iter().map(|(name, x)| (name.clone(), x.ty().cast(dtype))).collect();
        let fits = bind::adapt(types.iter().map(|(name, ty)| (name.as_str(), ty)), &mut found);
        if fits.is_ok() {
            assert!(found.values().all(|x| x.dtype() == dtype), "arrays aren't of {dtype}");
        }
    }
}

fn npys() -> Vec<(&'static str, Vec<u8>)> {
    let labels = || npy("|u1", "(2,)", &[0, 1]);
    vec![
        ("x_train.npy", npy("<f4", "(2, 2)", &floats(&[1.0, 2.0, 3.0, 4.0]))),
        ("y_train.npy", labels()),
        ("x_test.npy", npy("<f4", "(2, 2)", &floats(&[3.0, 4.0, 5.0, 6.0]))),
        ("y_test.npy", labels()),
    ]
}

fn idxs() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte", idx(&[2, 2, 2], &[9; 8])),
        ("train-labels-idx1-ubyte", idx(&[2], &[1, 0])),
        ("t10k-images-idx3-ubyte", idx(&[2, 2, 2], &[7; 8])),
        ("t10k-labels-idx1-ubyte", idx(&[2], &[0, 1])),
    ]
}

/// A data set of `files`, with other content in the one called `name`.
fn set(files: Vec<(&'static str, Vec<u8>)>, name: &str, bytes: Vec<u8>) {
    let folder = folder(&replaced(files, name, bytes));
    used(folder.path());
}

/// Reads a data set and draws batches from it.
fn used(path: &Path) {
    let set = match read(path) {
        Ok(set) => set,
        Err(said) => {
            assert!(!said.is_empty(), "refused without a word");
            return;
        }
    };
    let spec = path.to_str().expect("a name of letters");
    let shown = show::describe(spec, Path::new("nowhere")).expect("what is read can be shown");
    assert!(shown.contains(&set.fingerprint()), "{shown}");
    let labelled = set.train.column("y").is_some();
    for x in ["f32[batch, 2]", "f32[batch, 2, 2, 1]", "f32[batch, 32, 32, 3]"] {
        let inputs = if labelled { format!("x: {x}, y: i32[batch]") } else { format!("x: {x}") };
        let fitted = match fitted(&set, &inputs, &Options::default()) {
            Ok(fitted) => fitted,
            Err(said) => {
                assert!(!said.is_empty(), "refused without a word");
                continue;
            }
        };
        let (n, train) = (fitted.train.len(), &fitted.train);
        let size = n.min(3);
        let batches = Batches::training("set", train, size, 1, 0).expect("batches no larger than the set");
        let seen: usize = batches.map(|batch| batch.size).sum();
        assert_eq!(seen, n / size * size, "batches leave samples out");
    }
}
