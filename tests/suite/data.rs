//! Data sets: every format read, every corruption refused, batches, and fetching without a network.

use std::fs;
use std::path::{Path, PathBuf};

use fgc_ir::{Arrays, Tensor, arrays};
use fgc_tests::files::{bound, fitted, floats, folder, gzipped, idx, npy, npy_files, npz, read, replaced};
use fgc_train::data::fit::Options;
use fgc_train::data::{Batches, Dataset, Split, Values, load};

/// The numbers of classes and the pixels of a split.
fn content(split: &Split) -> (Vec<i64>, Values) {
    let column = |name: &str| &split.column(name).expect("a column of that name").array;
    (column("y").values.integers().expect("whole numbers").collect(), column("x").values.clone())
}

/// The number of samples of each split, and the shape of one.
fn sizes(set: &Dataset) -> (usize, usize, Vec<usize>) {
    let test = set.test.as_ref().map_or(0, Split::len);
    (set.train.len(), test, set.train.column("x").expect("samples").array.shape[1..].to_vec())
}

/// What is said of `set` by a model that takes samples of that type and labels.
fn refused(set: Result<Dataset, String>, x: &str) -> String {
    let said = |set: Dataset| {
        let inputs = format!("x: {x}, y: i32[batch]");
        fitted(&set, &inputs, &Options::default()).err().unwrap_or_default()
    };
    set.map_or_else(|e| e, said)
}

/// The four files of a small set: six and two images of 2×3.
fn idx_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte", idx(&[6, 2, 3], &(0..36).collect::<Vec<u8>>())),
        ("train-labels-idx1-ubyte", idx(&[6], &[0, 1, 2, 0, 1, 2])),
        ("t10k-images-idx3-ubyte", idx(&[2, 2, 3], &[7; 12])),
        ("t10k-labels-idx1-ubyte", idx(&[2], &[2, 1])),
    ]
}

#[test]
fn idx_files_are_read_plain_and_gzipped() {
    let plain = folder(&idx_files());
    let set = read(plain.path()).unwrap();
    assert_eq!(sizes(&set), (6, 2, vec![2, 3]));
    assert_eq!(content(&set.train), (vec![0, 1, 2, 0, 1, 2], Values::U8((0..36).collect())));
    assert_eq!(content(set.test.as_ref().unwrap()).0, [2, 1]);
    let zipped: Vec<_> = idx_files().into_iter().map(|(n, b)| (format!("{n}.gz"), gzipped(&b))).collect();
    let zipped = folder(&zipped);
    let again = read(zipped.path()).unwrap();
    assert_eq!(content(&again.train), content(&set.train));
    assert_eq!(again.fingerprint(), set.fingerprint());
    let dotted: Vec<_> = idx_files().into_iter().map(|(n, b)| (n.replace("-idx", ".idx"), b)).collect();
    assert_eq!(read(folder(&dotted).path()).unwrap().fingerprint(), set.fingerprint());
}

#[test]
fn broken_idx_files_are_refused() {
    let images = "train-images-idx3-ubyte";
    let good = idx(&[6, 2, 3], &[0; 36]);
    let mut flipped = gzipped(&good);
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    let mut other_magic = good.clone();
    other_magic[2] = 0x0d;
    let cases: [(&str, Vec<u8>, &str); 11] = [
        (images, good[..20].to_vec(), "cut short: 4 bytes of data where its header says 36"),
        (images, good[..9].to_vec(), "cut short: it ends within its header"),
        (images, Vec::new(), "cut short: it ends within its header"),
        (images, [good.clone(), vec![0]].concat(), "bytes left over"),
        (images, b"<html>".to_vec(), "not an idx file: it begins with 3c 68 74 6d"),
        (images, other_magic, "elements of type 0x0d"),
        (images, idx(&[u32::MAX, u32::MAX, 3], &[]), "too large"),
        (images, gzipped(&good)[..20].to_vec(), "cut short"),
        (images, flipped, "broken after 36 bytes"),
        (images, idx(&[5, 2, 3], &[0; 30]), "train-labels-idx1-ubyte: 6 samples, but there are 5 in"),
        ("t10k-images-idx3-ubyte", idx(&[2, 3, 3], &[0; 18]), "samples of u8[3, 3], but those of"),
    ];
    for (name, bytes, expected) in cases {
        let folder = folder(&replaced(idx_files(), name, bytes));
        let error = refused(read(folder.path()), "f32[batch, 2, 3, 1]");
        assert!(error.contains(expected) && error.contains("-ubyte"), "{expected}: {error}");
    }
    let without: Vec<_> = idx_files().into_iter().skip(1).collect();
    assert!(read(folder(&without).path()).unwrap_err().contains("`train-images-idx3-ubyte` is missing"));
    let empty = replaced(idx_files(), images, idx(&[0, 2, 3], &[]));
    assert!(read(folder(&empty).path()).unwrap_err().contains("there are no samples"));
}

/// A record of CIFAR-10 whose planes are filled with a number each.
fn record(label: u8, planes: [u8; 3]) -> Vec<u8> {
    let mut record = vec![label];
    planes.iter().for_each(|&p| record.extend([p; 1024]));
    record
}

#[test]
fn cifar_records_are_read_with_channels_last() {
    let train = [record(3, [1, 2, 3]), record(9, [4, 5, 6])].concat();
    let files = [
        ("data_batch_1.bin", train),
        ("data_batch_2.bin", record(0, [7, 8, 9])),
        ("test_batch.bin", record(5, [0; 3])),
    ];
    let set = read(folder(&files).path()).unwrap();
    assert_eq!(sizes(&set), (3, 1, vec![32, 32, 3]));
    let (labels, Values::U8(pixels)) = content(&set.train) else { panic!("bytes") };
    assert_eq!(pixels[3072..3078], [4, 5, 6, 4, 5, 6]);
    assert_eq!(labels, [3, 9, 0]);
    let broken =
        |name: &str, bytes: Vec<u8>| read(folder(&replaced(files.to_vec(), name, bytes)).path()).unwrap_err();
    assert!(
        broken("data_batch_2.bin", vec![0; 3000]).contains("3000 bytes aren't a number of whole records")
    );
    assert!(broken("test_batch.bin", Vec::new()).contains("test_batch.bin: 0 bytes"));
    let error = broken("data_batch_1.bin", [record(1, [0; 3]), record(10, [0; 3])].concat());
    assert!(error.contains("data_batch_1.bin: record 1 (byte 3073): label 10 isn't below 10"), "{error}");
    assert!(read(folder(&files[..2]).path()).unwrap_err().contains("test_batch.bin"));
    assert!(read(folder(&files[2..]).path()).unwrap_err().contains("`data_batch_1.bin` is missing"));
}

/// Writes `npy_files` in every way that a set of one's own may come in; gives their paths.
fn own_sets(root: &Path) -> Vec<PathBuf> {
    let whole = root.join("whole.npz");
    fs::write(&whole, npz(&npy_files())).unwrap();
    let single = root.join("single");
    fs::create_dir(&single).unwrap();
    for (name, bytes) in npy_files() {
        fs::write(single.join(format!("{name}.npy")), bytes).unwrap();
    }
    let pair = root.join("pair");
    fs::create_dir(&pair).unwrap();
    for (split, files) in [("train", &npy_files()[..2]), ("test", &npy_files()[2..])] {
        let entries = [("x", files[0].1.clone()), ("y", files[1].1.clone())];
        fs::write(pair.join(format!("{split}.npz")), npz(&entries)).unwrap();
    }
    let safe = root.join("safe.safetensors");
    let arrays = Arrays::from([
        ("x_train".to_owned(), Tensor::of([3, 2], vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0])),
        ("y_train".to_owned(), Tensor::of([3], vec![0i32, 1, 1])),
        ("x_test".to_owned(), Tensor::of([1, 2], vec![3.0f32, 4.0])),
        ("y_test".to_owned(), Tensor::of([1], vec![0i32])),
    ]);
    arrays::write(&safe, &arrays, &Default::default()).unwrap();
    vec![whole, single, pair, safe]
}

#[test]
fn sets_of_ones_own_are_read_in_every_form() {
    let root = tempfile::tempdir().unwrap();
    for path in own_sets(root.path()) {
        let set = read(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(sizes(&set), (3, 1, vec![2]));
        let fitted = fitted(&set, "x: f32[batch, size], y: i32[batch]", &Options::default()).unwrap();
        assert_eq!(fitted.statistics["x"].mean(), [3.0, 4.0]);
        let test = fitted.test.unwrap();
        assert_eq!((bound::<f32>(&test, "x"), bound::<i32>(&test, "y")), (vec![0.0, 0.0], vec![0]));
    }
}

#[test]
fn broken_sets_of_ones_own_are_refused() {
    let good = npy_files();
    let x = good[0].1.clone();
    let labels = |v: [i64; 3]| npy("<i8", "(3,)", &v.map(i64::to_le_bytes).concat());
    let cases: [(&str, Vec<u8>, &str); 17] = [
        (
            "x_train",
            npy("<f4", "(3, 2)", &floats(&[1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0])),
            "element [1, 1] is NaN",
        ),
        (
            "x_train",
            npy("<f8", "(3, 2)", &[1e300, 0., 0., 0., 0., 0.].map(f64::to_le_bytes).concat()),
            "element [0, 0] is 1e300, which f32 can't hold",
        ),
        ("x_train", x[..x.len() - 2].to_vec(), "cut short: 22 bytes of data where its header says 24"),
        ("x_train", [x.clone(), vec![1]].concat(), "bytes left over"),
        ("x_train", x[..20].to_vec(), "cut short: it ends within its header"),
        ("x_train", b"not numpy at all".to_vec(), "not an npy array"),
        ("x_train", npy("<c8", "(3, 1)", &[0; 24]), "`x` is in the test split alone"),
        ("x_train", npy("<f4", "(3, -2)", &[0; 24]), "no valid `shape`"),
        ("x_train", npy("<f4", "(99999999999, 99)", &[]), "too large"),
        ("x_train", npy("<u8", "(3, 2)", &[255; 48]), "number 0 is 18446744073709551615"),
        ("x_train", npy("<f4", "()", &[0; 4]), "a single number"),
        ("y_train", labels([0, -1, 1]), "sample 1 is -1, but `m` has 2 positions for `y`: 0 to 1"),
        ("y_train", npy("<i8", "(2,)", &[0; 16]), "2 samples, but there are 3 in"),
        ("y_train", labels([0, 1, i32::MAX.into()]), "sample 2 is 2147483647, but `m` has 2 positions"),
        (
            "y_train",
            npy("<f4", "(3,)", &floats(&[0.0, 1.0, 0.5])),
            "element [2] is 0.5, but `m` takes y: i32[64], whole",
        ),
        ("y_train", npy("<f8", "(3,)", &[f64::NAN; 3].map(f64::to_le_bytes).concat()), "element [0] is NaN"),
        ("y_test", npy("<i8", "(1,)", &2i64.to_le_bytes()), "sample 0 is 2, but `m` has 2 positions"),
    ];
    for (name, bytes, expected) in cases {
        let folder = folder(&[("mine.npz", npz(&replaced(good.clone(), name, bytes)))]);
        let error = read(&folder.path().join("mine.npz")).map_or_else(
            |e| e,
            |set| {
                let classifier = "model m(x: f32[batch, 2], y: i32[batch]) {\n  logits = dense(x, 2)\n  \
                                  loss = mean(softmax_cross_entropy(logits, y))\n}";
                let model = fgc::Model::parse(classifier, &fgc::Options::default()).unwrap();
                let fitted = fgc_train::training::fitted(&model, &set, &Options::default());
                fitted.err().map_or(String::new(), |e| e.to_string())
            },
        );
        assert!(error.contains(expected) && error.contains("mine.npz: `"), "{name}: {expected}: {error}");
    }
    let whole = npz(&good);
    let swapped = npz(&[("x_trian", x.clone()), ("y_train", x)]);
    let mut damaged = npz(&good);
    let middle = damaged.len() / 8;
    damaged[middle] ^= 0x55;
    let cases = [
        (whole[..whole.len() / 2].to_vec(), "not a valid npz file"),
        (swapped, "there is nothing for `x: f32[64, 2]` of `m`; there are `y`: f32[3, 2]"),
        (damaged, "mine.npz"),
    ];
    for (bytes, expected) in cases {
        let folder = folder(&[("mine.npz", bytes)]);
        let error = refused(read(&folder.path().join("mine.npz")), "f32[batch, 2]");
        assert!(error.contains(expected), "{error}");
    }
    let folder = folder(&[
        ("mine.safetensors", b"\x08\0\0\0\0\0\0\0{}".to_vec()),
        ("mine.bin", Vec::new()),
        ("mine.txt", Vec::new()),
    ]);
    assert!(
        read(&folder.path().join("mine.safetensors")).unwrap_err().contains("not a valid safetensors file")
    );
    assert!(read(&folder.path().join("mine.bin")).unwrap_err().contains("data files end in .npz, .npy,"));
    assert!(read(&folder.path().join("mine.txt")).unwrap_err().contains("there are no samples in it"));
    assert!(read(folder.path()).unwrap_err().contains("no data set in this folder"));
    assert!(read(&folder.path().join("none")).unwrap_err().contains("neither a known data set nor a file"));
    let error = load("mnits", folder.path()).unwrap_err().to_string();
    assert!(error.contains("did you mean `mnist`?"), "{error}");
    let error = load("mnist", folder.path()).unwrap_err().to_string();
    assert!(error.contains("`fgc data get mnist`"), "{error}");
}

/// No file of any format, cut off or changed anywhere, makes reading panic.
#[test]
fn damage_anywhere_never_panics() {
    let root = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = own_sets(root.path()).into_iter().filter(|p| p.is_file()).collect();
    let folder = folder(&idx_files());
    files.push(folder.path().join("train-images-idx3-ubyte"));
    for path in files {
        let good = fs::read(&path).unwrap();
        let set = if path.extension().is_some() { path.clone() } else { folder.path().to_owned() };
        for at in (0..good.len()).step_by(3) {
            fs::write(&path, &good[..at]).unwrap();
            assert!(read(&set).is_err(), "{} cut at {at}", path.display());
            let mut changed = good.clone();
            changed[at] ^= 0xff;
            fs::write(&path, &changed).unwrap();
            let _ = read(&set);
        }
        fs::write(&path, &good).unwrap();
        assert!(read(&set).is_ok());
    }
}

#[test]
fn the_embedded_set_is_balanced() {
    let set = load("embedded", Path::new("nowhere")).unwrap();
    let counts =
        |split: &Split| split.column("y").unwrap().counts(10).unwrap().into_values().collect::<Vec<_>>();
    assert_eq!(counts(&set.train), [500; 10]);
    assert_eq!(counts(set.test.as_ref().unwrap()), [100; 10]);
    assert_eq!(sizes(&set), (5000, 1000, vec![28, 28]));
    assert_eq!(set.fingerprint(), "8cf57cee2eb688bd329da852fb5d0f6d57ed4fe3ce1fd8ee5f3bfa5627fd2271");
    let fitted = fitted(&set, "x: f32[batch, 28, 28, 1], y: i32[batch]", &Options::default()).unwrap();
    assert_eq!(fitted.categories["y"][9], "ankle boot");
    let x = bound::<f32>(&fitted.train, "x");
    let mean = x.iter().map(|&x| x as f64).sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / x.len() as f64;
    assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
}

#[test]
fn synthetic_sets_are_as_asked_and_always_the_same() {
    let make = |spec: &str| load(spec, Path::new("nowhere")).map_err(|e| e.to_string());
    let set = make("synthetic:30x4x5x3").unwrap();
    assert_eq!(sizes(&set), (30, 6, vec![4, 5, 3]));
    assert_eq!(set, make("synthetic:30x4x5x3").unwrap());
    assert_eq!(make("synthetic").unwrap().train.len(), 4096);
    for bad in ["synthetic:", "synthetic:3x4", "synthetic:0x4x5x3", "synthetic:ax4x5x3", "synthetic:-1x4x5x3"]
    {
        assert!(bad == "synthetic:" || make(bad).unwrap_err().contains("NxHxWxC"), "{bad}");
    }
    assert!(make("synthetic:99999999x999x999x9").unwrap_err().contains("at most 16777216 images"));
}

#[test]
fn statistics_are_those_of_each_channel() {
    let pixels: Vec<u8> = vec![0, 10, 255, 10, 0, 10, 255, 10];
    let files = [
        ("x_train.npy", npy("|u1", "(2, 1, 2, 2)", &pixels)),
        ("y_train.npy", npy("|u1", "(2,)", &[0, 1])),
        ("x_test.npy", npy("|u1", "(1, 1, 2, 2)", &[255, 10, 0, 20])),
        ("y_test.npy", npy("|u1", "(1,)", &[1])),
    ];
    let set = read(folder(&files).path()).unwrap();
    let taken = |normalise: &str| {
        let options = Options { normalise: normalise.parse().unwrap(), ..Options::default() };
        fitted(&set, "x: f32[batch, 1, 2, 2], y: i32[batch]", &options).unwrap()
    };
    let per_channel = taken("per-channel");
    assert_eq!(per_channel.statistics["x"].mean(), [0.5, 10.0 / 255.0]);
    // The second channel is constant: it is shifted only.
    assert_eq!(per_channel.statistics["x"].std(), [0.5, 1.0]);
    let per_feature = taken("per-feature").statistics["x"].clone();
    assert_eq!(
        (per_feature.mean(), per_feature.std()[0]),
        (&[0.0, 10.0 / 255.0, 1.0, 10.0 / 255.0][..], 1.0)
    );
    // Bytes stand for 0 to 1.
    assert_eq!(bound::<f32>(&taken("off").train, "x")[..3], [0.0, 10.0 / 255.0, 1.0]);
    // Statistics that are given go before measured ones, as when other data are evaluated on.
    let statistics = [("x".to_owned(), fgc_train::data::Normalisation::new(&[1.0], &[2.0]))].into();
    let given = Options { statistics, ..Options::default() };
    let given = fitted(&set, "x: f32[batch, 1, 2, 2], y: i32[batch]", &given).unwrap();
    assert_eq!(bound::<f32>(&given.train, "x")[..1], [-0.5]);
    let x = bound::<f32>(per_channel.test.as_ref().unwrap(), "x");
    assert_eq!(x[..3], [1.0, 0.0, -1.0]);
    assert!((x[3] - 10.0 / 255.0).abs() < 1e-7);
}

#[test]
fn training_batches_cover_the_data_in_an_order_of_their_own() {
    let set = load("synthetic:103x2x2x1", Path::new("nowhere")).unwrap();
    let fitted = fitted(&set, "x: f32[batch, 2, 2, 1], y: i32[batch]", &Options::default()).unwrap();
    let epoch = |seed, epoch| Batches::training(&set.name, &fitted.train, 10, seed, epoch).unwrap();
    let all: Vec<_> = epoch(1, 0).collect();
    assert_eq!((epoch(1, 0).len(), all.len()), (10, 10));
    let shapes = |name: &str| all.iter().map(|b| b.get(name).unwrap().shape().to_vec()).collect::<Vec<_>>();
    assert_eq!((shapes("x"), shapes("y")), (vec![vec![10, 2, 2, 1]; 10], vec![vec![10]; 10]));
    assert_eq!(all, epoch(1, 0).collect::<Vec<_>>());
    assert_ne!(all, epoch(1, 1).collect::<Vec<_>>());
    assert_ne!(all, epoch(2, 0).collect::<Vec<_>>());
    for first in [0, 3, 9, 10, 11] {
        assert_eq!(epoch(1, 0).starting_at(first).collect::<Vec<_>>(), all[first.min(10)..]);
    }
    // Every sample comes at most once, and is one of the set's.
    let images = |x: &[f32]| {
        let mut images: Vec<Vec<u32>> =
            x.chunks(4).map(|x| x.iter().map(|v| v.to_bits()).collect()).collect();
        images.sort_unstable();
        images
    };
    let seen =
        images(&all.iter().flat_map(|b| b.get("x").unwrap().as_slice::<f32>().to_vec()).collect::<Vec<_>>());
    let there = images(&bound::<f32>(&fitted.train, "x"));
    let count = |all: &[Vec<u32>], x: &Vec<u32>| all.iter().filter(|y| *y == x).count();
    assert!(seen.iter().all(|x| count(&seen, x) <= count(&there, x)));
    for batch in [0, 104, usize::MAX] {
        let error = Batches::training(&set.name, &fitted.train, batch, 1, 0).unwrap_err().to_string();
        assert!(error.contains("the 103 training samples of `synthetic:103x2x2x1`"), "{error}");
    }
    assert!(Batches::training(&set.name, &fitted.train, 103, 1, 0).is_ok());
}

#[test]
fn testing_batches_have_every_sample_once_in_order() {
    let set = load("synthetic:103x2x2x1", Path::new("nowhere")).unwrap();
    let fitted = fitted(&set, "x: f32[batch, 2, 2, 1], y: i32[batch]", &Options::default()).unwrap();
    let test = fitted.test.unwrap();
    let sizes = |batch| Batches::testing(&test, batch).unwrap().map(|b| b.size).collect::<Vec<_>>();
    assert_eq!(sizes(10), [10, 10, 1]);
    assert_eq!(sizes(21), [21]);
    assert_eq!(sizes(100), [21]);
    let labels =
        Batches::testing(&test, 4).unwrap().flat_map(|b| b.get("y").unwrap().as_slice::<i32>().to_vec());
    assert_eq!(labels.collect::<Vec<_>>(), bound::<i32>(&test, "y"));
    assert!(Batches::testing(&test, 0).is_err());
}
