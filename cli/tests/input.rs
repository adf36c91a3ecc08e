//! What the command takes, what it refuses, and what it says of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fgc::ir::{Arrays, Tensor, arrays};
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Exit code, standard output and standard error.
fn fgc(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(args).current_dir(root()).stdin(Stdio::null()).env("NO_COLOR", "1");
    let Output { status, stdout, stderr } = command.output().expect("fgc can be run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// What a command that succeeds prints, and what it says.
fn succeeds(args: &[&str]) -> (String, String) {
    let (code, out, errors) = fgc(args);
    assert_eq!(code, Some(0), "{args:?}: {errors}");
    (out, errors)
}

/// What a command says that fails with exit code 1.
fn fails(args: &[&str]) -> String {
    let (code, _, errors) = fgc(args);
    assert_eq!(code, Some(1), "{args:?}: {errors}");
    errors
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// A file in `folder` with that text.
fn written(folder: &TempDir, name: &str, text: &str) -> String {
    std::fs::write(folder.path().join(name), text).unwrap();
    path(folder, name)
}

/// A safetensors file of arrays of any type: name, type, shape, bytes.
fn stored(folder: &TempDir, name: &str, entries: &[(&str, &str, &[usize], Vec<u8>)]) -> String {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in entries {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert(
            (*name).to_owned(),
            serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }),
        );
        data.extend(bytes);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let file = [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat();
    std::fs::write(folder.path().join(name), file).unwrap();
    path(folder, name)
}

/// A data set of samples of two numbers with those labels, as a file.
fn labelled(folder: &TempDir, name: &str, train: &[i32], test: &[i32]) -> String {
    let x = |n: usize| Tensor::of([n, 2], (0..2 * n).map(|k| k as f32).collect::<Vec<_>>());
    let y = |labels: &[i32]| Tensor::of([labels.len()], labels.to_vec());
    let arrays = Arrays::from([
        ("x_train".to_owned(), x(train.len())),
        ("y_train".to_owned(), y(train)),
        ("x_test".to_owned(), x(test.len())),
        ("y_test".to_owned(), y(test)),
    ]);
    let file = folder.path().join(name);
    arrays::write(&file, &arrays, &Default::default()).unwrap();
    file.display().to_string()
}

/// Models of three classes that use labels in different ways.
const INDEXING: [&str; 3] = [
    "loss = mean(softmax_cross_entropy(logits, y))",
    "loss = mean(square(logits - one_hot(y, 3)))",
    "loss = mean(square(logits))\n  metric accuracy = mean(argmax(logits) == y)",
];

fn classifier(loss: &str) -> String {
    format!("model m(x: f32[batch, 2], y: i32[batch]) {{\n  logits = dense(x, 3) as head\n  {loss}\n}}\n")
}

#[test]
fn labels_outside_of_the_classes_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let good = labelled(&folder, "good.safetensors", &[0, 1, 2, 2], &[1, 2]);
    let train = labelled(&folder, "train.safetensors", &[0, 1, 2, 3], &[1, 2]);
    let test = labelled(&folder, "test.safetensors", &[0, 1, 2, 2], &[1, 7]);
    let (out, init) = (path(&folder, "out"), path(&folder, "init.safetensors"));
    for (k, loss) in INDEXING.into_iter().enumerate() {
        let model = written(&folder, &format!("m{k}.fg"), &classifier(loss));
        let said = fails(&["train", &model, "--batch", "2", "--data", &train, "--out", &out]);
        assert!(said.contains("train.safetensors: `y_train`: sample 3 is 3"), "{loss}: {said}");
        assert!(said.contains("has 3 positions for `y`: 0 to 2"), "{loss}: {said}");
        assert!(!Path::new(&out).exists());
        succeeds(&["init", &model, "-o", &init]);
        let said = fails(&["eval", &model, "--params", &init, "--data", &test]);
        assert!(said.contains("`y_test`: sample 1 is 7") && said.contains("3 positions"), "{loss}: {said}");
        succeeds(&["eval", &model, "--params", &init, "--data", &good]);

        for bad in [15i32, -1] {
            let x = (0..4).flat_map(|k| (k as f32).to_le_bytes()).collect();
            let y = [1, bad].map(i32::to_le_bytes).concat();
            let given = stored(&folder, "given", &[("x", "F32", &[2, 2], x), ("y", "I32", &[2], y)]);
            for mode in [&["primal"][..], &["grad"], &["jvp", "--tangent", "normal"]] {
                let run = [&["run", &model, "--batch", "2", "--inputs", &given, "--mode"][..], mode].concat();
                let said = fails(&run);
                assert!(said.contains(&format!("element [1] of `y` is {bad}")), "{loss}: {said}");
                assert!(said.contains("3 positions for it: 0 to 2"), "{loss}: {said}");
            }
        }
    }
    // An index that is computed reads zeros outside, as the language says.
    let model = "model m(i: i32[2]) {\n  output y = take(broadcast(1.0, [3]), i - 1)\n}\n";
    let model = written(&folder, "computed.fg", model);
    let given = stored(&folder, "given", &[("i", "I32", &[2], [0, 3].map(i32::to_le_bytes).concat())]);
    let (printed, _) = succeeds(&["run", &model, "--inputs", &given]);
    assert_eq!(printed, "y = [0.0, 1.0]\n");
    // Symbols are positions too.
    let model = "model m(i: i32[2]) {\n  output y = sum(embedding(i, 3, 4) as e)\n}\n";
    let model = written(&folder, "symbols.fg", model);
    assert!(fails(&["run", &model, "--inputs", &given]).contains("element [1] of `i` is 3"));
}

#[test]
fn arrays_of_other_types_are_converted_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = written(&folder, "m.fg", &classifier(INDEXING[0]));
    let single = |v: [f32; 4]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let x = single([1.0, 2.0, 0.5, 3.0]);
    let y = |dtype: &'static str, bytes: Vec<u8>| ("y", dtype, &[2usize][..], bytes);
    let ints = y("I32", [1, 2].map(i32::to_le_bytes).concat());
    let run = |entries: &[(&str, &str, &[usize], Vec<u8>)]| {
        let given = stored(&folder, "given", entries);
        fgc(&["run", &model, "--batch", "2", "--mode", "grad", "--inputs", &given])
    };
    let shape = &[2usize, 2][..];
    let (code, expected, _) = run(&[("x", "F32", shape, x.clone()), ints.clone()]);
    assert_eq!(code, Some(0));
    // 1, 2, 0.5, 3 as binary16 and bfloat16.
    let halves = [0x3c00u16, 0x4000, 0x3800, 0x4200].map(u16::to_le_bytes).concat();
    let brains = [0x3f80u16, 0x4000, 0x3f00, 0x4040].map(u16::to_le_bytes).concat();
    let doubles = [1.0f64, 2.0, 0.5, 3.0].map(f64::to_le_bytes).concat();
    for (dtype, bytes) in [("F16", halves), ("BF16", brains), ("F64", doubles)] {
        for labels in [
            ints.clone(),
            y("I64", [1i64, 2].map(i64::to_le_bytes).concat()),
            y("U8", vec![1, 2]),
            y("I16", [1i16, 2].map(i16::to_le_bytes).concat()),
            y("U64", [1u64, 2].map(u64::to_le_bytes).concat()),
        ] {
            let (code, out, errors) = run(&[("x", dtype, shape, bytes.clone()), labels]);
            assert_eq!((code, out.as_str()), (Some(0), expected.as_str()), "{dtype}: {errors}");
            assert!(!errors.contains("rounded"), "{errors}");
        }
    }
    let (code, _, errors) =
        run(&[("x", "F64", shape, [1.0f64, 0.1, 0.5, 0.3].map(f64::to_le_bytes).concat()), ints.clone()]);
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("note: `x`: 2 of 4 numbers are rounded from f64 to f32"), "{errors}");
    for (entries, said) in [
        (
            [("x", "F32", shape, x.clone()), y("I64", [1i64, 1 << 40].map(i64::to_le_bytes).concat())],
            "`y` is expected to be i32[2]: element [1] is 1099511627776, which i32 can't hold",
        ),
        (
            [("x", "F64", shape, [1e300f64; 4].map(f64::to_le_bytes).concat()), ints.clone()],
            "element [0, 0] is 1e300, which f32 can't hold",
        ),
        (
            [("x", "F32", shape, x.clone()), y("F32", single([1.0, 0.5, 0.0, 0.0])[..8].to_vec())],
            "element [1] is 0.5, which i32 can't hold",
        ),
        (
            [("x", "C64", &[2usize, 1][..], x.clone()), ints.clone()],
            "array `x`: elements of type C64 aren't read",
        ),
    ] {
        let (code, _, errors) = run(&entries);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
    let given =
        stored(&folder, "given", &[("x", "F32", &[2, 3, 8, 8], vec![0; 4 * 2 * 3 * 64]), ints.clone()]);
    let said = fails(&[
        "run",
        "models/logistic.fg",
        "--batch",
        "2",
        "--set",
        "image=8",
        "--set",
        "channels=3",
        "--inputs",
        &given,
    ]);
    assert!(said.contains("expected f32[2, 8, 8, 3] (channels go last)"), "{said}");

    // Parameters of other types, too.
    let data = labelled(&folder, "good.safetensors", &[0, 1, 2, 2], &[1, 2]);
    let (init, wide) = (path(&folder, "init"), path(&folder, "wide"));
    succeeds(&["init", &model, "-o", &init]);
    let params = arrays::read(Path::new(&init)).unwrap().tensors;
    let doubled: Arrays = params.iter().map(|(n, x)| (n.clone(), x.cast(fgc::ir::DType::F64))).collect();
    arrays::write(Path::new(&wide), &doubled, &Default::default()).unwrap();
    let eval = |params: &str| succeeds(&["eval", &model, "--params", params, "--data", &data]);
    assert_eq!(eval(&init), eval(&wide));
}

#[test]
fn images_with_channels_first_train_as_those_with_channels_last() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |n: usize| (0..n).map(|k| (k * 37 % 251) as u8).collect::<Vec<u8>>();
    let moved = |n: usize| {
        let first = bytes(n * 192);
        (0..n * 192).map(|k| first[k / 192 * 192 + k % 3 * 64 + k % 192 / 3]).collect::<Vec<u8>>()
    };
    let file = |name: &str, shape: [usize; 3], x: &dyn Fn(usize) -> Vec<u8>| {
        let shape = |n: usize| [&[n][..], &shape].concat();
        let (train, test) = (shape(4), shape(2));
        let entries = [
            ("x_train", "U8", &train[..], x(4)),
            ("y_train", "U8", &[4][..], vec![0, 1, 2, 9]),
            ("x_test", "U8", &test[..], x(2)),
            ("y_test", "U8", &[2][..], vec![0, 1]),
        ];
        stored(&folder, name, &entries)
    };
    let first = file("first.safetensors", [3, 8, 8], &|n| bytes(n * 192));
    let last = file("last.safetensors", [8, 8, 3], &moved);
    let init = path(&folder, "init");
    let sizes = ["--set", "image=8", "--set", "channels=3"];
    succeeds(&[&["init", "models/logistic.fg", "-o", &init][..], &sizes].concat());
    let eval = |data: &str| {
        succeeds(&[&["eval", "models/logistic.fg", "--params", &init, "--data", data][..], &sizes].concat())
    };
    let ((one, said), (other, silent)) = (eval(&first), eval(&last));
    assert_eq!(one, other);
    assert!(
        said.contains("note: ") && said.contains("has channels first; it is read as [4, 8, 8, 3]"),
        "{said}"
    );
    assert_eq!(silent, "");
}

#[test]
fn numbers_out_of_their_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "out");
    let rate = "a learning rate is positive and finite";
    let adam = ["--optimizer", "adam"];
    let forward = ["--grad", "forward"];
    let cases: [(&[&str], &str); 31] = [
        (&["--lr", "0"], rate),
        (&["--lr", "-0.1"], "not -0.1"),
        (&["--lr=-0.1"], "not -0.1"),
        (&["--lr", "nan"], "not NaN"),
        (&["--lr", "inf"], "not inf"),
        (&["--lr", "1e300"], rate),
        (&["--lr", "1e-60"], rate),
        (&["--epochs", "0"], "the number of epochs is a whole number from 1, not 0"),
        (&["--batch", "0"], "the size of a batch is a whole number from 1, not 0"),
        (&["--train-samples", "0"], "the first 0 of 5000 training samples"),
        (&["--test-samples", "0"], "the first 0 of 1000 test samples"),
        (&["--set", "hidden=0"], "has no elements"),
        (&["--set", "image=0"], "has no elements"),
        (&["--set", "hidden=-3"], "hidden"),
        (&["--schedule", "exp:-1"], "can't be `-1`"),
        (&["--schedule", "exp:nan"], "can't be `nan`"),
        (&["--schedule", "step:0:0.5"], "positive number of steps"),
        (&["--schedule", "step:5:-1"], "can't be `-1`"),
        (&["--schedule", "warmup:0"], "positive number of steps"),
        (&["--weight-decay", "-1"], "a weight decay is 0 or more"),
        (&["--weight-decay", "nan"], "can't be `NaN`: that isn't a finite number"),
        (&["--clip", "0"], "here `bound` is the integer 0"),
        (&["--clip", "-2"], "the largest norm of a gradient has to be positive"),
        (&["--optimizer", "momentum", "--beta", "1"], "a decay is from 0 to less than 1"),
        (&["--optimizer", "nesterov", "--beta", "-0.5"], "here `beta` is the number -0.5"),
        (&[adam[0], adam[1], "--beta1", "1.5"], "here `beta1` is the number 1.5"),
        (&[adam[0], adam[1], "--beta2", "nan"], "`beta2` of `adam` can't be `NaN`"),
        (&[adam[0], adam[1], "--eps", "0"], "ε has to be positive"),
        (&[adam[0], adam[1], "--eps", "1e-60"], "it is 0 in single precision"),
        (&[forward[0], forward[1], "--tangents", "0"], "at least one tangent"),
        (
            &[forward[0], forward[1], "--clip-directional", "-1"],
            "the bound of directional derivatives has to be positive",
        ),
    ];
    for (args, message) in cases {
        let said = fails(&[&["train", "models/mlp.fg", "--out", &out][..], args].concat());
        assert!(said.contains(message), "{args:?} says\n{said}");
        assert!(!Path::new(&out).exists(), "{args:?}");
    }
    // Where there can't be a sign, what is said is about the number still.
    for flag in ["--tangents", "--epochs", "--batch", "--seed", "--opt", "--log-every", "--threads"] {
        let (code, _, said) = fgc(&["train", "models/mlp.fg", flag, "-1"]);
        assert_eq!(code, Some(2), "{flag}: {said}");
        assert!(said.contains("'-1'") && !said.contains("unexpected argument"), "{flag} says\n{said}");
    }
    for command in [&["compile"][..], &["run"], &["bench"], &["check"], &["init", "-o", &out]] {
        let said = fails(&[command, &["models/mlp.fg", "--batch", "0"]].concat());
        assert!(said.contains("a batch has at least one example"), "{command:?}: {said}");
    }
    assert!(fails(&["bench", "models/mlp.fg", "--seconds", "-1"]).contains("--seconds"));
    assert!(fails(&["compile", "models/mlp.fg", "--mode", "jvp", "--tangents", "0"]).contains("tangent"));
}

/// The same ranges hold in the file of a run that goes on.
#[test]
fn numbers_of_a_run_are_checked_when_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let data = ["--data", "synthetic:8x2x2x1", "--set", "image=2", "--batch", "4", "--epochs", "1"];
    succeeds(&[&["train", "models/logistic.fg", "--out", &run][..], &data].concat());
    let settings = folder.path().join("run/run.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    // What is recorded is the rate that was used.
    assert!(text.contains("\nlr = 0.02\n"), "{text}");
    std::fs::write(&settings, text.replace("\nlr = 0.02\n", "\nlr = nan\n")).unwrap();
    assert!(fails(&["train", "--resume", &run]).contains("a learning rate is positive and finite"));
}

#[test]
fn windows_larger_than_the_image_are_an_error() {
    let said = fails(&["compile", "models/cnn.fg", "--set", "image=3"]);
    assert!(said.contains("a window of 2×2 doesn't fit into an image of 1×1"), "{said}");
    assert!(said.contains("f32[64, 1, 1, 64]"), "{said}");
}

#[test]
fn advice_on_shapes_is_of_the_models_own_consts() {
    let folder = tempfile::tempdir().unwrap();
    let advice = |text: &str, data: &str| {
        let model = written(&folder, "m.fg", text);
        fails(&["train", &model, "--data", data, "--batch", "4", "--out", &path(&folder, "out")])
    };
    let body =
        "{\n  logits = dense(flatten(x), 10) as head\n  loss = mean(softmax_cross_entropy(logits, y))\n}\n";
    let own =
        format!("const side = 4\nconst k = 3\nmodel m(x: f32[batch, side, side, k], y: i32[batch]) {body}");
    let said = advice(&own, "synthetic:20x6x6x3");
    assert!(said.contains("with --set side=6\n"), "{said}");
    assert!(advice(&own, "synthetic:20x6x6x1").contains("with --set side=6 --set k=1\n"));
    assert!(advice(&own, "synthetic:20x6x5x3").contains("no const of `m` makes it take such samples"));
    let fixed = format!("const side = 4\nmodel m(x: f32[batch, 4, 4, 3], y: i32[batch]) {body}");
    let said = advice(&fixed, "synthetic:20x6x6x3");
    assert!(!said.contains("--set") && said.contains("no const"), "{said}");
}

#[test]
fn levels_keep_the_results_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let broken = written(&folder, "broken.fg", "model m(x: f32[batch, 4]) {\n  loss = mean(x @ w)\n}\n");
    let plain = written(&folder, "plain.fg", "model plain(x: f32[batch, 4]) {\n  output y = exp(x)\n}\n");
    let quick = ["--seconds", "0.001"];
    let (table, said) =
        succeeds(&[&["levels", "models/prelude.fg", "models/logistic.fg"][..], &quick].concat());
    assert!(said.contains("note: models/prelude.fg: there is no model in it"), "{said}");
    assert_eq!(table.lines().count(), 2 + 20, "{table}");

    let all = [&broken, "models/logistic.fg", &plain, "models/none.fg", "models/beale.fg"];
    let (code, table, said) = fgc(&[&["levels"][..], &all, &quick].concat());
    assert_eq!(code, Some(1), "{said}");
    // All five programs of two models, and the one that a model without a loss and parameters has.
    assert_eq!(table.lines().count(), 2 + 20 + 4 + 20, "{table}");
    for part in ["broken.fg:2", "none.fg", "plain.fg: no jvp", "plain.fg: no grad", "2 of 5 files"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, json, _) = fgc(&[&["levels"][..], &all, &quick, &["--json"]].concat());
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert_eq!((code, rows.len()), (Some(1), 44));
}

#[test]
fn results_print_as_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let model = "model m(x: f32[batch]) {
  output one = argmax(x)
  output sure = argmax(x) == 2
  output few = i32(x)
  output which = x > 1
  nans = log(broadcast(-1.0, [2, 3]))
  output nans
  output many = i32(broadcast(reshape(x, [3, 1]), [3, 20]))
  output mask = broadcast(reshape(x, [3, 1]), [3, 20]) > 0
  output real = x
}
";
    let model = written(&folder, "m.fg", model);
    let x = [0f32, 1.0, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let given = stored(&folder, "given", &[("x", "F32", &[3], x)]);
    let expected = "\
one   = 2
sure  = true
few   = [0, 1, 2]
which = [false, false, true]
nans  = f32[2, 3], all NaN
many  = i32[3, 20] from 0 to 2, mean 1.000000
mask  = bool[3, 20], 40 of 60 true
real  = [0.0, 1.0, 2.0]
";
    for backend in ["jit", "interp"] {
        let run = ["run", &model, "--batch", "3", "--inputs", &given, "--backend", backend];
        assert_eq!(succeeds(&run).0, expected, "{backend}");
    }
}

/// The first command that anyone tries trains, and where training diverges it is said what to try.
#[test]
fn a_rate_that_trains_is_the_default() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    let train = ["train", "models/mlp.fg", "--grad", "forward", "--epochs", "1", "--out", &run];
    let (_, said) = succeeds(&train);
    assert!(said.contains("epoch 1/1"), "{said}");
    let settings = std::fs::read_to_string(folder.path().join("run/run.toml")).unwrap();
    assert!(settings.contains("\nlr = 0.00005\n"), "{settings}");

    let diverges = |more: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let out = path(&out, "run");
        let small =
            ["train", "models/mlp.fg", "--set", "hidden=8", "--epochs", "1", "--out", &out, "--lr", "1e20"];
        let (code, _, said) = fgc(&[&small[..], more].concat());
        assert_eq!(code, Some(3), "{said}");
        said.lines().filter(|line| line.starts_with("try ")).collect::<String>()
    };
    let said = diverges(&["--grad", "forward", "--tangents", "2"]);
    for part in
        ["a lower rate than 1e20", "--lr 1e19", "--optimizer adam", "--tangents 8", "--clip-directional"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    // What is given within a name is known too.
    let said = diverges(&["--grad", "forward:tangents=2,clip=5"]);
    assert!(said.contains("--tangents 8") && !said.contains("--clip-directional"), "{said}");
    let said = diverges(&["--grad", "frog", "--optimizer", "clip:bound=3+sgd"]);
    assert!(said.contains("--tangents 16") && !said.contains("--clip "), "{said}");
    let said = diverges(&["--optimizer", "adam", "--clip", "1"]);
    assert!(
        said.contains("try a lower rate") && !said.contains("tangents") && !said.contains("adam"),
        "{said}"
    );
}

#[test]
fn what_is_too_much_to_draw_is_said_so() {
    let inputs = "models/data/fashion-64.safetensors";
    let args = [
        "run",
        "models/mlp.fg",
        "--mode",
        "jvp",
        "--tangent",
        "normal",
        "--tangents",
        "4096",
        "--inputs",
        inputs,
    ];
    let said = fails(&args);
    assert!(said.contains("too much to draw") && !said.contains("interpret"), "{said}");
}
