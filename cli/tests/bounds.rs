//! Input that is hostile, endless or huge: each is refused soon, with the number and the limit; and output that can't
//! be written.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(args).current_dir(root()).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// What a command says that fails with exit code 1, which it does soon.
fn fails<S: AsRef<OsStr>>(args: &[S]) -> String {
    let start = Instant::now();
    let Output { status, stderr, .. } = command(args).output().expect("fgc can be run");
    let said = String::from_utf8(stderr).expect("text");
    let shown: Vec<String> = args.iter().map(|arg| arg.as_ref().display().to_string()).collect();
    assert_eq!(status.code(), Some(1), "{shown:?}: {said}");
    assert!(said.contains("error") && !said.contains("panicked"), "{shown:?}: {said}");
    assert!(start.elapsed() < Duration::from_secs(60), "{shown:?} took {:?}", start.elapsed());
    said
}

fn refused<S: AsRef<OsStr>>(args: &[S], why: &[&str]) {
    let said = fails(args);
    for part in why {
        assert!(said.contains(part), "`{part}` isn't in: {said}");
    }
}

fn written(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

#[test]
fn times_are_bounded() {
    for seconds in ["1e19", "1e300", "inf", "nan", "-1", "86401"] {
        for command in [&["levels", "models/beale.fg"][..], &["bench", "models/beale.fg"]] {
            let said = fails(&[command, &["--seconds", seconds]].concat());
            assert!(said.contains("--seconds: times are from 0 to 86400 seconds, not "), "{said}");
        }
    }
}

#[test]
fn synthetic_sets_are_bounded() {
    refused(
        &["data", "show", "synthetic:2147483647x1x1x1"],
        &["2147483647 images", "at most 16777216 images"],
    );
    refused(&["data", "show", "synthetic:1x2147483647x1x1"], &["2147483647 pixels", "268435456 pixels"]);
    let largest = usize::MAX.to_string();
    refused(
        &["data", "show", &format!("synthetic:1x{largest}x{largest}x{largest}")],
        &["pixels", "268435456"],
    );
    refused(
        &["train", "models/mlp.fg", "--data", "synthetic:99999999x9x9x9"],
        &["99999999 images", "at most 16777216"],
    );
}

#[test]
fn files_without_an_end_are_not_read_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let link = |name: &str| {
        let path = folder.path().join(name);
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        path.display().to_string()
    };
    let text = "longer than the 16777216 bytes";
    refused(&["compile", "/dev/zero"], &[text]);
    refused(&["levels", &link("a.fg")], &[text]);
    refused(&["train", &link("b.fg")], &[text]);
    refused(
        &["reproduce", &link("c.toml"), "--out", &folder.path().join("out").display().to_string()],
        &[text],
    );
    fs::create_dir(folder.path().join("run")).unwrap();
    link("run/run.toml");
    refused(&["train", "--resume", &folder.path().join("run").display().to_string()], &[text]);
    for name in ["d.safetensors", "e.npz"] {
        let path = link(name);
        refused(&["run", "models/mlp.fg", "--inputs", &path], &["not a valid"]);
        // A device isn't a file with a set.
        refused(&["data", "show", &path], &["no data set in this folder"]);
    }
}

/// The header of an array file says how much follows; nothing is allocated for what it says alone.
#[test]
fn headers_that_promise_too_much_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, header: &str| {
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        written(&folder, name, bytes)
    };
    let array = |shape: &str, end: u64| {
        format!(r#"{{"x":{{"dtype":"U8","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let largest = 2_147_483_647u64;
    let many: Vec<String> = (0..40)
        .map(|k| {
            let (start, end) = (k * largest, (k + 1) * largest);
            format!(r#""x{k}":{{"dtype":"U8","shape":[{largest}],"data_offsets":[{start},{end}]}}"#)
        })
        .collect();
    let many = format!("{{{}}}", many.join(","));
    let cases = [
        (
            file("a.safetensors", &array("[4294967296]", 1 << 32)),
            "shape [4294967296] is too large: at most 2147483647",
        ),
        (file("b.safetensors", &array("[2147483647]", 2_147_483_647)), "cut short"),
        (file("c.safetensors", &array("[4]", u64::MAX)), "invalid shape, data type, or offset"),
        (file("h.safetensors", &many), "at most 68719476736 are read"),
        (file("d.safetensors", &array(&format!("[{}1]", "1,".repeat(40)), 1)), "32 dimensions"),
        (written(&folder, "e.safetensors", u64::MAX.to_le_bytes()), "the format has at most 100000000"),
        (written(&folder, "f.safetensors", [9, 0]), "ends within its header"),
        (file("g.safetensors", "{}") + "", "there are no arrays in it"),
    ];
    for (path, why) in &cases {
        refused(&["data", "show", path], &[why]);
        if !path.ends_with("g.safetensors") {
            refused(&["run", "models/mlp.fg", "--inputs", path], &[why]);
        }
    }
    // As NumPy writes them.
    let npy = |shape: &str| {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()
    };
    for (shape, why) in [
        ("(9223372036854775807, 9223372036854775807)", "too large: at most 2147483647"),
        ("(1000000, 100)", "cut short: 0 bytes of data where its header says 800000000"),
    ] {
        let set = tempfile::tempdir().unwrap();
        for name in ["x_train", "y_train", "x_test", "y_test"] {
            written(&set, &format!("{name}.npy"), npy(shape));
        }
        refused(&["data", "show", &set.path().display().to_string()], &[why]);
    }
}

/// Whatever a file holds at whatever length, a message about it is short, and says what is wrong.
#[test]
fn what_files_hold_is_quoted_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let long = "y".repeat(60_000);
    let npy = |header: &str| {
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat()
    };
    let safetensors = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let array = |name: &str, dtype: &str, shape: &str, end: usize| {
        format!(r#"{{"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let rank = format!("[{}1]", "1,".repeat(30_000));
    let many: Vec<String> =
        (0..5000).map(|k| format!(r#""y{k}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    let cases = [
        ("a.safetensors", safetensors(&format!(r#"{{"x":"{long}"}}"#)), "at line 1 column 60"),
        ("b.safetensors", safetensors(&array("x", &long, "[0]", 0)), "unknown variant `yyy"),
        ("h.safetensors", safetensors(&array("x", &"\\n".repeat(30_000), "[0]", 0)), "unknown variant `"),
        ("c.safetensors", safetensors(&array(&long, "F8_E4M3", "[0]", 0)), "aren't read"),
        ("d.safetensors", safetensors(&array("x", "U8", &rank, 1)), "1, 1] is too large"),
        ("e.safetensors", safetensors(&array(&long, "U8", "[0]", 0)), "y` is unknown"),
        ("f.safetensors", safetensors(&array("x", "U8", &rank.replace('1', "0"), 1)), "invalid shape"),
        ("g.safetensors", safetensors(&format!("{{{}}}", many.join(","))), "… and 4800 more"),
    ];
    let short = |args: &[&str], why: &str| {
        let said = fails(args);
        assert!(said.contains(why) && said.len() < 8192, "{} bytes: {said:.2000}", said.len());
    };
    for (name, bytes, why) in cases {
        let path = written(&folder, name, bytes);
        short(&["run", "models/beale.fg", "--inputs", &path], why);
    }
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
    for (of, by, why) in [
        ("descr", &*long, "no valid `descr`: {'yyy"),
        ("'<f4'", &format!("'{long}'"), "y' aren't read: use integers"),
        ("(2, 2)", &format!("({long})"), "no valid `shape`: {'descr': '<f4',"),
        ("fortran_order", "\u{1b}\n", "'  ': False"),
    ] {
        let set = tempfile::tempdir().unwrap();
        for name in ["x_train", "y_train", "x_test", "y_test"] {
            written(&set, &format!("{name}.npy"), npy(&header.replace(of, by)));
        }
        short(&["data", "show", &set.path().display().to_string()], why);
    }
    for (text, why) in [
        (format!("{long} = "), "at line 1, column 60"),
        (format!("format = '{long}'"), "a run of format \"yyy"),
        (format!("format = 2\nmodel = '{long}'"), "at line 2"),
    ] {
        let run = tempfile::tempdir().unwrap();
        written(&run, "run.toml", text);
        short(&["train", "--resume", &run.path().display().to_string()], why);
    }
}

/// An experiment of training with these lines in place of the default ones.
fn experiment(top: &str, axes: &str, rest: &str) -> String {
    format!(
        "kind = 'training'\ntitle = 't'\n{top}\nsettings = {{ model = 'logistic', lr = 0.1, set = {{ image = 6 }}, data = \
         'synthetic:16x6x6x1', batch = 8, epochs = 1 }}\n[[matrix]]\n{axes}\n{rest}"
    )
}

/// An axis of `n` values.
fn axis(name: &str, n: usize) -> String {
    let values: Vec<String> = (0..n).map(|k| format!("{{ label = '{name}{k}' }}")).collect();
    format!("[[matrix.axis]]\nname = '{name}'\nvalues = [{}]\n", values.join(", "))
}

#[test]
fn experiments_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let (one, nine) =
        (axis("a", 1), "abcdefghi".chars().map(|c| axis(&c.to_string(), 10)).collect::<String>());
    let panels = |axis: &str| {
        format!("[[figure]]\nname = 'f'\ntitle = 't'\nx = 'epoch'\n{axis}\ny = [{{ of = 'train_loss' }}]\n")
    };
    let labelled =
        |label: &str| format!("[[matrix.axis]]\nname = 'a'\nvalues = [{{ label = \"{label}\" }}]\n");
    let cases = [
        (experiment("seeds = 2147483648", &one, ""), "`seeds` is at most 1000, not 2147483648"),
        (experiment("quick = { seeds = 1001 }", &one, ""), "`seeds` is at most 1000, not 1001"),
        (experiment("", &nine, ""), "the number of runs is at most 100000, not 1000000000"),
        (experiment("seeds = 1000", &axis("a", 101), ""), "is at most 100000, not 101000"),
        (
            experiment("", &axis("a", 9000), &panels("panels = 'a'")),
            "the number of panels is at most 256, not 9000",
        ),
        (
            experiment("", &axis("a", 300), &panels("series = ['a']")),
            "lines in a panel is at most 256, not 300",
        ),
        (experiment("", &one, &panels("").repeat(2)), "there are two figures called `f`"),
        (experiment("", &labelled("a\\nb"), ""), "`label` is a line of text: `\\n` has no place in it"),
        (experiment("", &labelled("a\\u001b[2J"), ""), "has no place in it"),
        (experiment("", &labelled(""), ""), "`label` is a text that isn't empty"),
        (experiment("", &labelled(&"x".repeat(300)), ""), "the length of `label` is at most 200, not 300"),
        (experiment("", &format!("name = \"a\\tb\"\n{one}"), ""), "`name` is a line of text"),
        (experiment("", &one.replace("name = 'a'", "name = 'train_loss'"), ""), "isn't a column already"),
        (experiment("", &one.replace("name = 'a'", "name = 'seconds'"), ""), "isn't a column already"),
        (
            experiment("", &one.replace("'a0' }", "'a0', epochs = 9223372036854775807 }"), ""),
            "`epochs` is at most",
        ),
        (experiment("", &one.replace("'a0' }", "'a0', lr = nan }"), ""), "`lr` is a finite number"),
        (experiment("", &one.replace("'a0' }", "'a0', lr = -1.0 }"), ""), "a learning rate is positive"),
        (experiment("", &one.replace("'a0' }", "'a0', lr = inf }"), ""), "`lr` is a finite number"),
        (experiment("", &one.replace("'a0' }", "'a0', schedule = 'exp:nan' }"), ""), "can't be `nan`"),
        (experiment("", &one.replace("'a0' }", "'a0', schedule = 'step:1:inf' }"), ""), "can't be `inf`"),
        (experiment("", &one.replace("'a0' }", "'a0', clip = nan }"), ""), "`clip` is a finite number"),
    ];
    for (k, (text, why)) in cases.iter().enumerate() {
        let path = written(&folder, &format!("e{k}.toml"), text);
        refused(&["reproduce", &path, "--out", &out], &[why]);
        assert!(!Path::new(&out).join(format!("e{k}")).exists(), "{why}");
    }
}

#[test]
fn experiments_that_measure_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let text = |kind: &str, settings: &str| {
        format!(
            "kind = '{kind}'\ntitle = 't'\nfigure = {{ title = 'f', caption = 'c', columns = 1 }}\n[settings]\n{settings}\n"
        )
    };
    let curve = |more: &str| {
        let curve = "[[settings.curves]]\nname = 'c'\ntitle = 'c'\nmodel = 'beale'\nprograms = ['forward']\n";
        text("cost", &format!("{curve}{more}"))
    };
    let case = |at_once: u64, more: &str| {
        text(
            "variance",
            &format!(
                "tangents = ['normal']\nat_once = {at_once}\n[[settings.cases]]\nname = 'c'\ntitle = 'c'\nmodel = \
                 'quadratic'\nalong = 'n'\ncomponents = 1\n{more}"
            ),
        )
    };
    let path = |runs: u64, more: &str| {
        text(
            "trajectories",
            &format!(
                "tangent = 'normal'\nruns = {runs}\npaths = 1\npoints = 1000\n[[settings.functions]]\nname = 'f'\ntitle = \
                 'f'\nmodel = 'beale'\n{more}"
            ),
        )
    };
    let fine = "lr = 0.1\niterations = 1\nx = [0, 1]\ny = [0, 1]\n";
    let cases = [
        (curve("seconds = 1e19"), "times are from 0 to 86400 seconds"),
        (curve("seconds = nan"), "times are from 0 to 86400 seconds"),
        (curve("batch = 0"), "a batch is a whole number from 1"),
        (curve("along = 'batch'\nvalues = [2, 2]"), "its values increase, but 2 is before 2"),
        (curve("").replace("name = 'c'", "name = \"a\\nb\""), "the name of a curve is a line of text"),
        (
            curve("[[settings.curves]]\nname = 'c'\ntitle = 'd'\nmodel = 'beale'\nprograms = []"),
            "two of the name `c`",
        ),
        (case(1 << 20, "values = [1]\ndraws = 1"), "`at_once` is at most 65536, not 1048576"),
        (case(1, "values = [1]\ndraws = 9223372036854775807"), "`draws` is at most"),
        (path(2_147_483_648, fine), "`runs` times `points` is at most 10000000, not 2147483648000"),
        (path(1, &fine.replace("0.1", "nan")), "a learning rate is positive and finite"),
        (path(1, &fine.replace("0.1", "-1.0")), "a learning rate is positive and finite"),
        (path(1, &fine.replace("x = [0, 1]", "x = [0, inf]")), "is a finite number, not inf"),
        (path(1, &fine.replace("x = [0, 1]", "x = [1, 1]")), "it is shown from 1 to 1"),
    ];
    for (k, (text, why)) in cases.iter().enumerate() {
        let path = written(&folder, &format!("e{k}.toml"), text);
        refused(&["reproduce", &path, "--out", &out], &[why]);
    }
}

/// Labels with what CSV, folders and XML have a use for come through, and two runs never share a folder.
#[test]
fn labels_may_have_any_printable_character() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let values = r#"[{ label = 'a, "b"/../c\d<&>;é', lr = 0.1 }, { label = " ' ", lr = 0.2 }]"#;
    let figure =
        "[[figure]]\nname = 'f'\ntitle = 't'\nx = 'epoch'\nseries = ['a']\ny = [{ of = 'train_loss' }]\n";
    let text = experiment("", &format!("[[matrix.axis]]\nname = 'a'\nvalues = {values}\n"), figure);
    let path = written(&folder, "labels.toml", text);
    for args in
        [&["reproduce", &path, "--out", &out, "-q"][..], &["reproduce", "--report", "--out", &out, "-q"]]
    {
        let Output { status, stderr, .. } = command(args).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    }
    let csv = fs::read_to_string(Path::new(&out).join("labels/results.csv")).unwrap();
    assert!(csv.contains(r#"runs,"a, ""b""/../c\d<&>;é",0,epoch"#), "{csv}");
    assert!(csv.contains("runs, ' ,0,epoch"), "{csv}");
    let svg = fs::read_to_string(Path::new(&out).join("labels/f.svg")).unwrap();
    assert!(svg.contains("a, &quot;b&quot;/../c\\d&lt;&amp;&gt;;é"), "{svg}");
    let same = experiment("", &axis("a", 2).replace("a0", "A b").replace("a1", "a-b"), "");
    let path = written(&folder, "same.toml", same);
    refused(
        &["reproduce", &path, "--out", &out],
        &["the runs `A b, seed 0` and `a-b, seed 0` have the same settings"],
    );
}

#[test]
fn names_that_a_step_needs_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let model = |param: &str, metric: &str| {
        let text = format!(
            "model m(x: f32[batch, 28, 28, 1], y: i32[batch]) {{\n  param {param}: f32[784, 10] ~ normal(0.05)\n  loss = \
             mean(softmax_cross_entropy(flatten(x) @ {param}, y))\n  metric {metric} = mean({param})\n}}\n"
        );
        written(&folder, &format!("{param}-{metric}.fg"), text)
    };
    let out = |k: usize| folder.path().join(format!("run{k}")).display().to_string();
    let train = |model: &str, grad: &str, k: usize| {
        let args = [
            "train",
            model,
            "--grad",
            grad,
            "--epochs",
            "1",
            "--train-samples",
            "64",
            "--out",
            &out(k),
            "-q",
        ];
        args.map(str::to_owned)
    };
    let rate = "training binds the learning rate under the name `lr`, which the model has for something else";
    let key = "training binds the key of random numbers under the name `seed`";
    refused(&train(&model("lr", "m"), "backprop", 0), &[rate, "called `lr2`"]);
    refused(&train(&model("seed", "m"), "forward", 1), &[key, "called `seed2`"]);
    refused(&train(&model("w", "seed"), "forward", 2), &[key]);
    refused(&train(&model("w", "lr"), "backprop", 3), &["a metric can't be called `lr`"]);
    // Where nothing is drawn there is no key.
    let Output { status, stderr, .. } = command(&train(&model("seed", "m"), "backprop", 4)).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn names_of_arrays_are_shown_escaped_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["z\u{1b}[31m", "b\nb", "a`a"];
    let arrays: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(k, name)| {
            let name = serde_json::to_string(name).unwrap();
            format!(r#"{name}:{{"dtype":"F16","shape":[1],"data_offsets":[{},{}]}}"#, 2 * k, 2 * k + 2)
        })
        .collect();
    let header = format!("{{{}}}", arrays.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 6]].concat();
    let path = written(&folder, "names.safetensors", bytes);
    let unknown = "`a`a` is unknown\n  `b\\nb` is unknown\n  `z\\u{1b}[31m` is unknown\n";
    for _ in 0..4 {
        refused(&["run", "models/beale.fg", "--inputs", &path], &[unknown]);
        refused(
            &["train", "models/mlp.fg", "--data", &path],
            &["there are `a`a`: f32[1], `b\\nb`: f32[1], `z\\u{1b}[31m`"],
        );
    }
    let shown = command(&["data", "show", &path]).output().unwrap().stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("\n  b\\nb ") && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn paths_that_are_not_utf8() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join(OsStr::from_bytes(b"m\xff.fg"));
    fs::copy(root().join("models/beale.fg"), &name).unwrap();
    // A model is read from there, and arrays are written there.
    let arrays = folder.path().join(OsStr::from_bytes(b"a\xff.safetensors"));
    for args in [
        vec![OsStr::new("compile"), name.as_os_str()],
        vec![OsStr::new("init"), name.as_os_str(), OsStr::new("-o"), arrays.as_os_str()],
        vec![OsStr::new("run"), name.as_os_str(), OsStr::new("--inputs"), arrays.as_os_str()],
    ] {
        let Output { status, stderr, .. } = command(&args).output().unwrap();
        assert!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
    }
    // What settings have to name they can't.
    refused(&[OsStr::new("train"), name.as_os_str()], &["the name isn't UTF-8"]);
    // Other files of that kind in a folder are no matter.
    let set = folder.path().join("set");
    fs::create_dir(&set).unwrap();
    fs::write(set.join(OsStr::from_bytes(b"\xff-train-images-idx3-ubyte")), "").unwrap();
    refused(&["data", "show", &set.display().to_string()], &["no data set in this folder"]);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [
        &["--help"][..],
        &["--version"],
        &["train", "--help"],
        &["help", "run"],
        &["compile", "models/beale.fg"],
        &["compile", "models/beale.fg", "--explain"],
        &["run", "models/beale.fg"],
        &["check", "models/beale.fg"],
        &["levels", "models/beale.fg", "--seconds", "0"],
        &["bench", "models/beale.fg", "--seconds", "0", "--calls-only"],
        &["data", "show", "synthetic:8x4x4x1"],
    ] {
        let Output { status, stderr, .. } = command(args).stdout(full()).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert_eq!(status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("can't write to standard output: No space left"), "{args:?}: {said}");
        // A reader that has stopped is no error.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let Output { status, stderr, .. } = command(args).stdout(writer).output().unwrap();
        assert!(status.success() && !String::from_utf8_lossy(&stderr).contains("error"), "{args:?}");
    }
}

#[test]
fn text_that_is_too_large_to_read_again_is_said_to_be() {
    let folder = TempDir::new().unwrap();
    let name = "a".repeat(20_000);
    let model = format!(
        "model m(x: f32[batch, 2]) {{\n  h = x\n  repeat 400 {{ h = relu(dense(h, 2) as {name}) }}\n  loss = mean(h)\n}}\n"
    );
    let model = written(&folder, "m.fg", model);
    let printed = folder.path().join("printed.fg").display().to_string();
    let Output { status, stderr, .. } =
        command(&["compile", &model, "-o", &printed]).output().expect("fgc can be run");
    let said = String::from_utf8(stderr).expect("text");
    assert!(status.success() && said.contains("MiB; fgc reads at most 16 MiB"), "{said}");
    refused(&["compile", &printed], &["longer than the 16777216 bytes that are read of such a file"]);
}
