//! Data of every form, from files as other programs write them, and the inputs of models that take them. The files in
//! `tests/files` are made by the script beside them.

use std::fs;
use std::path::{Path, PathBuf};

use fgc::Model;
use fgc_tests::files::{bound, fitted, folder, read};
use fgc_train::data::fit::Options;
use fgc_train::data::{Form, Split, Values, load, show};
use fgc_train::training;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("files").join(name)
}

fn options(normalise: &str) -> Options {
    Options { normalise: normalise.parse().unwrap(), ..Options::default() }
}

#[test]
fn tables_are_read_from_csv_and_parquet_alike() {
    let [csv, parquet] = ["iris.csv", "iris.parquet"].map(|name| read(&file(name)).unwrap());
    assert_eq!((csv.form, csv.train.len(), csv.test.as_ref()), (Form::Table, 150, None));
    assert_eq!(csv.categories, parquet.categories);
    assert_eq!(csv.categories["species"], ["setosa", "versicolor", "virginica"]);
    let values = |split: &Split| {
        split.columns.iter().map(|c| (c.name.clone(), c.array.values.clone())).collect::<Vec<_>>()
    };
    assert_eq!(values(&csv.train), values(&parquet.train));
    assert_eq!(csv.fingerprint(), parquet.fingerprint());

    let inputs = "x: f32[batch, 4], y: i32[batch]";
    let taken = fitted(&csv, inputs, &options("off")).unwrap();
    assert_eq!(bound::<f32>(&taken.train, "x")[..8], [5.1, 3.5, 1.4, 0.2, 4.9, 3.0, 1.4, 0.2]);
    assert_eq!(bound::<i32>(&taken.train, "y")[49..52], [0, 1, 1]);
    assert_eq!(taken.categories["y"][2], "virginica");
    assert!(taken.notes[0].ends_with("`y` is taken from `species`"), "{:?}", taken.notes);
    assert!(taken.notes[1].ends_with("`x` is taken from `sepal length (cm)`, `sepal width (cm)`, `petal length (cm)`, `petal width (cm)`"), "{:?}", taken.notes);
    // Each column has a mean and a deviation of its own.
    let normalised = fitted(&csv, inputs, &options("per-channel")).unwrap();
    let mean = normalised.statistics["x"].mean();
    assert!(
        mean.iter().zip([5.843333, 3.057333, 3.758, 1.199333]).all(|(a, b)| (a - b).abs() < 1e-5),
        "{mean:?}"
    );
}

#[test]
fn inputs_take_the_columns_that_are_named() {
    let set = read(&file("iris.csv")).unwrap();
    let columns = |of: &[(&str, &[&str])]| {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let columns = of.iter().map(|(input, names)| ((*input).to_owned(), list(names))).collect();
        Options { columns, ..options("off") }
    };
    let petals = columns(&[("x", &["petal width (cm)", "petal length (cm)"]), ("y", &["sepal width (cm)"])]);
    let taken = fitted(&set, "x: f32[batch, 2], y: f32[batch]", &petals).unwrap();
    assert_eq!(bound::<f32>(&taken.train, "x")[..2], [0.2, 1.4]);
    assert_eq!(bound::<f32>(&taken.train, "y")[..2], [3.5, 3.0]);
    let fails = |of: &[(&str, &[&str])], inputs: &str| fitted(&set, inputs, &columns(of)).unwrap_err();
    let error = fails(&[("x", &["petal widht (cm)"])], "x: f32[batch], y: f32[batch]");
    assert!(error.contains("no column `petal widht (cm)` for `x` (is it `petal width (cm)`?)"), "{error}");
    let error = fails(&[("z", &["species"])], "x: f32[batch, 4], y: i32[batch]");
    assert!(error.contains("`m` has no input `z`: its inputs are `x`, `y`"), "{error}");
    let error = fails(&[], "a: f32[batch], b: f32[batch]");
    assert!(
        error.contains("nothing for `a: f32[64]`") && error.contains("--columns INPUT=COLUMN"),
        "{error}"
    );
    let error = fails(&[], "x: f32[batch, 7], y: i32[batch]");
    assert!(error.contains("takes x: f32[64, 7], but a sample of") && error.contains("is f64[4]"), "{error}");
    let error = fails(&[], "x: i32[batch, 4], y: i32[batch]");
    assert!(
        error.contains("element [0, 0] is 5.1, but `m` takes x: i32[64, 4], whole numbers of i32"),
        "{error}"
    );
}

#[test]
fn broken_tables_are_refused() {
    let cases = [
        ("a,b\n1,2\n3\n", "found record with 1 fields, but the previous record has 2 fields"),
        ("a,b\n1,2\n3,\n", "line 3: `b` is empty: a sample has all its values"),
        ("a,a\n1,2\n", "there are two columns `a`"),
        ("1,2\n3,4\n", "its first line has numbers, not the names of the columns"),
        ("a,b\n", "there are no samples in it"),
        ("", "there are no arrays in it"),
        ("a,b\n1,nan\n", "element [0] is NaN"),
    ];
    for (text, expected) in cases {
        let folder = folder(&[("t.csv", text.as_bytes().to_vec())]);
        let set = read(&folder.path().join("t.csv"));
        let error = set.map_or_else(
            |e| e,
            |set| fitted(&set, "x: f32[batch], y: f32[batch]", &options("off")).unwrap_err(),
        );
        assert!(error.contains(expected) && error.contains("t.csv"), "{text:?}: {error}");
    }
    let good = fs::read(file("iris.parquet")).unwrap();
    let folder = folder(&[("t.parquet", good[..good.len() / 2].to_vec())]);
    let error = read(&folder.path().join("t.parquet")).unwrap_err();
    assert!(error.contains("t.parquet: not a valid Parquet file"), "{error}");
}

#[test]
fn the_splits_of_a_table_go_together() {
    let files = |train: &str, test: &str| {
        folder(&[("train.csv", train.as_bytes().to_vec()), ("test.csv", test.as_bytes().to_vec())])
    };
    let both = files("x,y\n1,cat\n2,dog\n", "y,x\nemu,0.5\n");
    let set = read(both.path()).unwrap();
    // What is a whole number in one split alone isn't of another type in the other; categories are of both.
    assert_eq!(set.categories["y"], ["cat", "dog", "emu"]);
    let taken = fitted(&set, "x: f32[batch], y: i32[batch]", &options("off")).unwrap();
    assert_eq!(bound::<i32>(taken.test.as_ref().unwrap(), "y"), [2]);
    assert_eq!(bound::<f32>(taken.test.as_ref().unwrap(), "x"), [0.5]);
    let error = read(files("x,y\n1,2\n", "x\n1\n").path()).unwrap_err();
    assert!(error.contains("the test split has no `y` to go with it"), "{error}");
    let error = read(files("x\n1\n", "x,y\n1,2\n").path()).unwrap_err();
    assert!(error.contains("`y` is in the test split alone"), "{error}");
}

#[test]
fn arrays_of_numpy_are_read_and_what_is_not_numbers_is_left_out() {
    let set = read(&file("diabetes.npz")).unwrap();
    assert!(set.notes[0].contains("`names`: elements of type '<U3' aren't read"), "{:?}", set.notes);
    let taken = fitted(&set, "x: f32[batch, 10], y: f32[batch]", &Options::default()).unwrap();
    assert_eq!((taken.train.len(), taken.test.is_none()), (442, true));
    assert_eq!(bound::<f32>(&taken.train, "y")[..3], [151.0, 75.0, 141.0]);
    // Targets are as they are, unless it is said otherwise.
    assert_eq!(taken.statistics.keys().collect::<Vec<_>>(), ["x"]);
    let y = fitted(&set, "x: f32[batch, 10], y: f32[batch]", &options("y=per-channel")).unwrap();
    let mean = bound::<f32>(&y.train, "y").iter().sum::<f32>() / 442.0;
    assert!(mean.abs() < 1e-5 && (y.statistics["y"].mean()[0] - 152.13348).abs() < 1e-4, "{mean}");
    let error = fitted(&set, "x: f32[batch, 10], y: f32[batch]", &options("z=off")).unwrap_err();
    assert!(error.contains("`m` has no input `z`"), "{error}");
}

#[test]
fn pictures_are_read_by_class() {
    let set = read(&file("digits")).unwrap();
    let test = set.test.as_ref().unwrap();
    assert_eq!((set.train.len(), test.len()), (40, 20));
    assert_eq!(set.categories["y"], ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let x = set.train.column("x").unwrap();
    assert_eq!(x.array.shape[..], [40, 8, 8, 1]);
    let Values::U8(pixels) = &x.array.values else { panic!("bytes") };
    // The first row of the first zero: 0, 0, 5, 13, 9, 1, 0, 0 in sixteenths.
    assert_eq!(pixels[..8], [0, 0, 79, 206, 143, 15, 0, 0]);
    let shown = show::describe(file("digits").to_str().unwrap(), Path::new("nowhere")).unwrap();
    assert!(
        shown.contains("digits: 40 + 20 samples") && shown.contains("10 categories: \"0\" \"1\""),
        "{shown}"
    );

    let picture = |name: &str| fs::read(file("digits").join(name)).unwrap();
    let (png, jpeg) = (picture("train/0/0.png"), picture("train/7/7.jpg"));
    // Pictures without splits, and one in colours among those without.
    let mut coloured = Vec::new();
    let mut encoder = png::Encoder::new(&mut coloured, 8, 8);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&[[9, 8, 7, 255]; 64].concat()).unwrap();
    let mixed = folder(&[("a/1.png", png.clone()), ("b/2.JPG", jpeg.clone()), ("b/3.png", coloured)]);
    let set = read(mixed.path()).unwrap();
    let x = &set.train.column("x").unwrap().array;
    let Values::U8(pixels) = &x.values else { panic!("bytes") };
    assert_eq!(
        (&x.shape[..], &pixels[6..9], &pixels[384..387]),
        (&[3, 8, 8, 3][..], &[79; 3][..], &[9, 8, 7][..])
    );
    assert!(
        set.notes[0].contains("pictures without colours are read as red, green and blue"),
        "{:?}",
        set.notes
    );
    let mut small = Vec::new();
    png::Encoder::new(&mut small, 1, 1).write_header().unwrap().write_image_data(&[0]).unwrap();
    let broken = [
        (folder(&[("a/1.png", png.clone()), ("a/2.png", small)]), "a/2.png: 1×1 pixels, but"),
        (folder(&[("a/1.png", png[..60].to_vec())]), "a/1.png: not a valid PNG or JPEG file"),
        (folder(&[("a/1.jpg", jpeg[..60].to_vec())]), "a/1.jpg: not a valid JPEG file"),
        (
            folder(&[("train/a/1.png", png.clone()), ("test/b/1.png", png)]),
            "class `b` is in the test split alone",
        ),
    ];
    for (folder, expected) in broken {
        let error = read(folder.path()).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn texts_are_cut_into_samples_of_the_length_that_is_taken() {
    let text = "abracadabra\r\nhocus pocus\r\n";
    let folder = folder(&[("t.txt", text.as_bytes().to_vec()), ("no.txt", vec![0xff, 0xfe])]);
    let set = read(&folder.path().join("t.txt")).unwrap();
    let characters = set.categories["text"].concat();
    assert_eq!(characters, "\n abcdhoprsu");
    let taken = fitted(&set, "x: i32[batch, 5], y: i32[batch, 5]", &Options::default()).unwrap();
    let shown = |input: &str| {
        let numbers = bound::<i32>(&taken.train, input);
        numbers.iter().map(|&k| characters.chars().nth(k as usize).unwrap()).collect::<String>()
    };
    // 24 characters are 4 samples of 5 with one behind each.
    assert_eq!(
        (shown("x"), shown("y")),
        ("abracadabra\nhocus po".to_owned(), "bracadabra\nhocus poc".to_owned())
    );
    // A model that shifts for itself.
    let alone = fitted(&set, "x: i32[batch, 6]", &Options::default()).unwrap();
    assert_eq!(alone.train.len(), 4);
    let error = fitted(&set, "x: i32[batch, 25], y: i32[batch, 25]", &Options::default()).unwrap_err();
    assert!(error.contains("24 characters are too few for samples of 25 of `m`"), "{error}");
    let error = fitted(&set, "z: i32[batch, 2]", &Options::default()).unwrap_err();
    assert!(error.contains("an input `x` takes characters and `y` those behind them"), "{error}");
    let error = read(&folder.path().join("no.txt")).unwrap_err();
    assert!(error.contains("not a text of UTF-8"), "{error}");
    // A symbol that a model has no row for.
    let small = "model m(x: i32[batch, 5]) {\n  loss = sum(embedding(x, 11, 2) as e)\n}";
    let small = Model::parse(small, &fgc::Options::default()).unwrap();
    let error = training::fitted(&small, &set, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("`m` has 11 positions for `x`: 0 to 10\nthere are 12 characters in"), "{error}");
    let carried = load("alice", Path::new("nowhere")).unwrap();
    assert_eq!((carried.train.len(), carried.test.as_ref().map(Split::len)), (133_614, Some(14_846)));
    assert_eq!(carried.categories["text"].len(), 72);
}

#[test]
fn samples_to_validate_on_are_kept_from_training() {
    let set = load("synthetic:50x2x2x1", Path::new("nowhere")).unwrap();
    let inputs = "x: f32[batch, 2, 2, 1], y: i32[batch]";
    let part = |validate: f64| Options { validate: Some(validate), ..options("off") };
    let taken = fitted(&set, inputs, &part(0.3)).unwrap();
    let test = taken.test.unwrap();
    assert_eq!((taken.train.len(), test.len()), (35, 15));
    let images = |samples| bound::<f32>(samples, "x").chunks(4).map(|x| format!("{x:?}")).collect::<Vec<_>>();
    let whole = fitted(&set, inputs, &options("off")).unwrap();
    let mut both = [images(&taken.train), images(&test)].concat();
    let mut all = images(&whole.train);
    assert_ne!(both, all, "they are chosen at random");
    both.sort();
    all.sort();
    assert_eq!(both, all);
    // Statistics are of what is trained on.
    let of = |options: &Options| fitted(&set, inputs, options).unwrap().statistics["x"].clone();
    assert_ne!(of(&Options { validate: Some(0.3), ..Options::default() }), of(&Options::default()));
    for bad in [0.0, 1.0, -0.5, f64::NAN, 0.999] {
        let error = fitted(&set, inputs, &part(bad)).unwrap_err();
        assert!(error.contains("of 50 samples can't be validated on"), "{bad}: {error}");
    }
    // The end of a text, so that what is tested on wasn't read in training.
    let text = load("alice", Path::new("nowhere")).unwrap();
    let taken = fitted(&text, "x: i32[batch, 9]", &part(0.1)).unwrap();
    let whole = fitted(&text, "x: i32[batch, 9]", &Options::default()).unwrap();
    let (test, all) = (bound::<i32>(&taken.test.unwrap(), "x"), bound::<i32>(&whole.train, "x"));
    assert_eq!(test, all[all.len() - test.len()..]);
}

#[test]
fn parts_of_a_set_are_joined() {
    let columns = folder(&[
        ("a.csv", b"a\n1\n2\n".to_vec()),
        ("b.csv", b"y\n3\n4\n".to_vec()),
        ("c.csv", b"a\n5\n".to_vec()),
    ]);
    let path = |names: [&str; 2]| names.map(|name| columns.path().join(name).display().to_string()).join(",");
    let set = load(&path(["a.csv", "b.csv"]), Path::new("nowhere")).unwrap();
    let taken = fitted(&set, "x: f32[batch], y: i32[batch]", &options("off")).unwrap();
    assert_eq!(
        (bound::<f32>(&taken.train, "x"), bound::<i32>(&taken.train, "y")),
        (vec![1.0, 2.0], vec![3, 4])
    );
    let error = load(&path(["a.csv", "c.csv"]), Path::new("nowhere")).unwrap_err().to_string();
    assert!(error.contains("there is another `a`"), "{error}");
    let uneven = load(&path(["c.csv", "b.csv"]), Path::new("nowhere")).unwrap();
    let error = fitted(&uneven, "x: f32[batch], y: i32[batch]", &options("off")).unwrap_err();
    assert!(error.contains("2 samples, but there are 1 in"), "{error}");
}

#[test]
fn categories_keep_the_numbers_that_are_given() {
    let other = folder(&[("t.csv", b"x,y\n1,emu\n2,cat\n".to_vec())]);
    let set = read(&other.path().join("t.csv")).unwrap();
    let given = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Options { categories: [("y".to_owned(), names)].into(), ..options("off") }
    };
    let inputs = "x: f32[batch], y: i32[batch]";
    assert_eq!(bound::<i32>(&fitted(&set, inputs, &options("off")).unwrap().train, "y"), [1, 0]);
    let trained = given(&["cat", "dog", "emu"]);
    let taken = fitted(&set, inputs, &trained).unwrap();
    assert_eq!((bound::<i32>(&taken.train, "y"), taken.categories["y"].len()), (vec![2, 0], 3));
    let error = fitted(&set, inputs, &given(&["cat", "dog"])).unwrap_err();
    assert!(error.contains("`y` has no number for \"emu\""), "{error}");
}

/// Inputs of every type take what they can hold.
#[test]
fn inputs_are_of_any_type_and_rank() {
    let folder = folder(&[("t.csv", b"a,b\n1,0\n0,1\n".to_vec())]);
    let set = read(&folder.path().join("t.csv")).unwrap();
    let taken = |inputs: &str| fitted(&set, inputs, &options("off"));
    assert_eq!(bound::<bool>(&taken("a: bool[batch], b: u32[batch, 1]").unwrap().train, "a"), [true, false]);
    assert_eq!(bound::<u32>(&taken("b: u32[batch, 1]").unwrap().train, "b"), [0, 1]);
    assert_eq!(bound::<f64>(&taken("b: f64[batch, 1, 1]").unwrap().train, "b"), [0.0, 1.0]);
    let three = fgc_tests::files::folder(&[("t.csv", b"a\n-1\n3\n".to_vec())]);
    let set = read(&three.path().join("t.csv")).unwrap();
    let error = fitted(&set, "a: bool[batch]", &options("off")).unwrap_err();
    assert!(error.contains("element [0] is -1, but `m` takes a: bool[64], truth values: 0 or 1"), "{error}");
    let error = fitted(&set, "a: u32[batch]", &options("off")).unwrap_err();
    assert!(error.contains("element [0] is -1, but `m` takes a: u32[64], whole numbers of u32"), "{error}");
}
