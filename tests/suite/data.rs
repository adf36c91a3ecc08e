//! Data sets: every format read, every corruption refused, batches, and fetching without a network.

use std::fs;
use std::path::{Path, PathBuf};

use fgc_ir::{Arrays, Tensor, arrays};
use fgc_tests::files::{floats, folder, gzipped, idx, npy, npy_files, npz, read, replaced};
use fgc_train::data::{Batches, Pixels, load};

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
    assert_eq!((set.train.len(), set.test.len(), set.classes), (6, 2, 3));
    assert_eq!(&set.train.sample()[..], [2, 3, 1]);
    assert_eq!(*set.train.pixels(), Pixels::U8((0..36).collect()));
    assert_eq!(set.test.labels(), [2, 1]);
    let zipped: Vec<_> = idx_files().into_iter().map(|(n, b)| (format!("{n}.gz"), gzipped(&b))).collect();
    let zipped = folder(&zipped);
    let again = read(zipped.path()).unwrap();
    assert_eq!((again.train.pixels(), &again.test.labels()), (set.train.pixels(), &set.test.labels()));
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
    let cases: [(&str, Vec<u8>, &str); 12] = [
        (images, good[..20].to_vec(), "cut short: 4 bytes of data where its header says 36"),
        (images, good[..9].to_vec(), "cut short: it ends within its header"),
        (images, Vec::new(), "cut short: it ends within its header"),
        (images, [good.clone(), vec![0]].concat(), "bytes left over"),
        (images, b"<html>".to_vec(), "not an idx file: it begins with 3c 68 74 6d"),
        (images, other_magic, "elements of type 0x0d"),
        (images, idx(&[u32::MAX, u32::MAX, 3], &[]), "too large"),
        (images, gzipped(&good)[..20].to_vec(), "cut short"),
        (images, flipped, "broken after 36 bytes"),
        (images, idx(&[5, 2, 3], &[0; 30]), "train-labels-idx1-ubyte: 6 labels, but 5 samples in"),
        ("t10k-images-idx3-ubyte", idx(&[2, 3, 3], &[0; 18]), "samples of u8[3, 3, 1], but those of"),
        ("t10k-labels-idx1-ubyte", idx(&[2], &[1, 3]), "label 1 is 3, and there are 3 classes"),
    ];
    for (name, bytes, expected) in cases {
        let folder = folder(&replaced(idx_files(), name, bytes));
        let error = read(folder.path()).unwrap_err();
        assert!(error.contains(expected) && error.contains("-ubyte"), "{error}");
    }
    let without: Vec<_> = idx_files().into_iter().skip(1).collect();
    assert!(read(folder(&without).path()).unwrap_err().contains("`train-images-idx3-ubyte` is missing"));
    let empty =
        [("train-images-idx3-ubyte", idx(&[0, 2, 3], &[])), ("train-labels-idx1-ubyte", idx(&[0], &[]))];
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
    assert_eq!((set.train.len(), set.test.len(), set.classes), (3, 1, 10));
    assert_eq!(&set.train.sample()[..], [32, 32, 3]);
    let Pixels::U8(pixels) = set.train.pixels() else { panic!("bytes") };
    assert_eq!(pixels[3072..3078], [4, 5, 6, 4, 5, 6]);
    assert_eq!(set.train.labels(), [3, 9, 0]);
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
        assert_eq!((set.train.len(), set.test.len(), set.classes), (3, 1, 2));
        assert_eq!(&set.train.sample()[..], [2]);
        assert_eq!(set.normalisation.mean(), [3.0, 4.0]);
        let (x, y) = set.test.gather(&[0], &set.normalisation);
        assert_eq!((x.as_slice::<f32>(), y.as_slice::<i32>()), ([0.0, 0.0].as_slice(), [0].as_slice()));
    }
}

#[test]
fn broken_sets_of_ones_own_are_refused() {
    let good = npy_files();
    let x = good[0].1.clone();
    let labels =
        |v: [i32; 3]| npy("<i4", "(3,)", &v.iter().flat_map(|y| y.to_le_bytes()).collect::<Vec<u8>>());
    let cases: [(&str, Vec<u8>, &str); 16] = [
        (
            "x_train",
            npy("<f4", "(3, 2)", &floats(&[1.0, 2.0, 3.0, f32::NAN, 5.0, 6.0])),
            "element [1, 1] is NaN",
        ),
        (
            "x_train",
            npy("<f8", "(3, 1)", &[1e300, 0.0, 0.0].map(f64::to_le_bytes).concat()),
            "element [0, 0] is 1e300, which f32 can't hold",
        ),
        ("x_train", x[..x.len() - 2].to_vec(), "cut short: 22 bytes of data where its header says 24"),
        ("x_train", [x.clone(), vec![1]].concat(), "bytes left over"),
        ("x_train", x[..20].to_vec(), "cut short: it ends within its header"),
        ("x_train", b"not numpy at all".to_vec(), "not an npy array"),
        ("x_train", npy("<c8", "(3, 1)", &[0; 24]), "elements of type '<c8' aren't read"),
        ("x_train", npy("<f4", "(3, -2)", &[0; 24]), "no valid `shape`"),
        ("x_train", npy("<f4", "(99999999999, 99)", &[]), "too large"),
        ("x_train", npy("<u8", "(3, 1)", &[255; 24]), "number 0 is 18446744073709551615"),
        ("x_train", npy("<f4", "()", &[0; 4]), "a single number"),
        ("y_train", labels([0, -1, 1]), "label 1 is -1"),
        ("y_train", labels([0, 1, i32::MAX]), "label 2 is 2147483647"),
        ("y_train", npy("<f4", "(3,)", &floats(&[0.0, 1.0, 0.5])), "label 2 is 0.5: labels are integers"),
        ("y_train", npy("<f8", "(3,)", &[f64::NAN; 3].map(f64::to_le_bytes).concat()), "label 0 is NaN"),
        ("y_test", npy("|u1", "(1,)", &[2]), "label 0 is 2, and there are 2 classes"),
    ];
    for (name, bytes, expected) in cases {
        let folder = folder(&[("mine.npz", npz(&replaced(good.clone(), name, bytes)))]);
        let error = read(&folder.path().join("mine.npz")).unwrap_err();
        assert!(error.contains(expected) && error.contains(&format!("mine.npz: `{name}`")), "{error}");
    }
    let whole = npz(&good);
    let swapped = npz(&[("x_trian", x.clone()), ("y_train", x)]);
    let mut damaged = npz(&good);
    let middle = damaged.len() / 8;
    damaged[middle] ^= 0x55;
    let cases = [
        (whole[..whole.len() / 2].to_vec(), "not a valid npz file"),
        (swapped, "no array `x_train` (is it `x_trian`?)"),
        (damaged, "mine.npz"),
    ];
    for (bytes, expected) in cases {
        let folder = folder(&[("mine.npz", bytes)]);
        let error = read(&folder.path().join("mine.npz")).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let folder = folder(&[("mine.safetensors", b"\x08\0\0\0\0\0\0\0{}".to_vec()), ("mine.txt", Vec::new())]);
    assert!(
        read(&folder.path().join("mine.safetensors")).unwrap_err().contains("not a valid safetensors file")
    );
    assert!(read(&folder.path().join("mine.txt")).unwrap_err().contains("end in `.npz` or `.safetensors`"));
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
    assert_eq!(set.train.counts(10), [500; 10]);
    assert_eq!(set.test.counts(10), [100; 10]);
    assert_eq!(&set.train.sample()[..], [28, 28, 1]);
    assert_eq!(set.fingerprint(), "1f478febbe9c7504c63a53357a7e180a3c5186d1cc8295fb9fe842faeafb292b");
    let (x, _) = set.train.gather(&(0..5000).collect::<Vec<_>>(), &set.normalisation);
    let x = x.as_slice::<f32>();
    let mean = x.iter().map(|&x| x as f64).sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / x.len() as f64;
    assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
}

#[test]
fn synthetic_sets_are_as_asked_and_always_the_same() {
    let make = |spec: &str| load(spec, Path::new("nowhere")).map_err(|e| e.to_string());
    let set = make("synthetic:30x4x5x3").unwrap();
    assert_eq!((set.train.len(), set.test.len(), set.classes), (30, 6, 10));
    assert_eq!(&set.train.sample()[..], [4, 5, 3]);
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
    assert_eq!(set.normalisation.mean(), [0.5, 10.0 / 255.0]);
    // The second channel is constant: it is shifted only.
    assert_eq!(set.normalisation.std(), [0.5, 1.0]);
    let (x, _) = set.test.gather(&[0], &set.normalisation);
    let x = x.as_slice::<f32>();
    assert_eq!(x[..3], [1.0, 0.0, -1.0]);
    assert!((x[3] - 10.0 / 255.0).abs() < 1e-7);
}

#[test]
fn training_batches_cover_the_data_in_an_order_of_their_own() {
    let set = load("synthetic:103x2x2x1", Path::new("nowhere")).unwrap();
    let epoch = |seed, epoch| Batches::training(&set, 10, seed, epoch).unwrap();
    let all: Vec<_> = epoch(1, 0).collect();
    assert_eq!((epoch(1, 0).len(), all.len()), (10, 10));
    assert!(all.iter().all(|b| b.x.shape()[..] == [10, 2, 2, 1] && b.y.shape()[..] == [10]));
    assert_eq!(all, epoch(1, 0).collect::<Vec<_>>());
    assert_ne!(all, epoch(1, 1).collect::<Vec<_>>());
    assert_ne!(all, epoch(2, 0).collect::<Vec<_>>());
    for first in [0, 3, 9, 10, 11] {
        assert_eq!(epoch(1, 0).starting_at(first).collect::<Vec<_>>(), all[first.min(10)..]);
    }
    // Every sample comes at most once, and is one of the set's.
    let image = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    let mut seen: Vec<_> = all.iter().flat_map(|b| b.x.as_slice::<f32>().chunks(4).map(image)).collect();
    seen.sort_unstable();
    let (x, _) = set.train.gather(&(0..103).collect::<Vec<_>>(), &set.normalisation);
    let mut there: Vec<_> = x.as_slice::<f32>().chunks(4).map(image).collect();
    there.sort_unstable();
    let count = |all: &[Vec<u32>], x: &Vec<u32>| all.iter().filter(|y| *y == x).count();
    assert!(seen.iter().all(|x| count(&seen, x) <= count(&there, x)));
    for batch in [0, 104, usize::MAX] {
        let error = Batches::training(&set, batch, 1, 0).unwrap_err().to_string();
        assert!(error.contains("the 103 training samples of `synthetic:103x2x2x1`"), "{error}");
    }
    assert!(Batches::training(&set, 103, 1, 0).is_ok());
}

#[test]
fn testing_batches_have_every_sample_once_in_order() {
    let set = load("synthetic:103x2x2x1", Path::new("nowhere")).unwrap();
    let sizes = |batch| Batches::testing(&set, batch).unwrap().map(|b| b.y.len()).collect::<Vec<_>>();
    assert_eq!(sizes(10), [10, 10, 1]);
    assert_eq!(sizes(21), [21]);
    assert_eq!(sizes(100), [21]);
    let labels = Batches::testing(&set, 4).unwrap().flat_map(|b| b.y.as_slice::<i32>().to_vec());
    assert_eq!(labels.collect::<Vec<_>>(), set.test.labels());
    assert!(Batches::testing(&set, 0).is_err());
}
