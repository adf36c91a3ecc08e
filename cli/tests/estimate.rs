//! `fgc estimate` as its users run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn fgc(args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    command.args(args).current_dir(root).stdin(Stdio::null()).env("NO_COLOR", "1");
    let Output { status, stdout, stderr } = command.output().expect("fgc can be run");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

/// A small network, few draws, and little time.
const SMALL: [&str; 11] = [
    "estimate",
    "models/mlp.fg",
    "--set",
    "hidden=8",
    "--batch",
    "16",
    "--samples",
    "60",
    "--seconds",
    "0.01",
    "--grad",
];

fn estimate(estimators: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
    let mut args: Vec<&str> = SMALL[..10].to_vec();
    for spec in estimators {
        args.extend([SMALL[10], spec]);
    }
    args.extend(more);
    fgc(&args)
}

/// What is printed as JSON with exit code 0.
fn json(estimators: &[&str], more: &[&str]) -> Value {
    let (code, out, said) = estimate(estimators, &[more, &["--json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&out).expect("JSON")
}

fn number(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap_or_else(|| panic!("`{key}` of {of}"))
}

#[test]
fn json_has_what_was_measured_in_the_order_of_the_command_line() {
    let specs = ["forward:tangents=2,draw=rademacher", "backprop", "control_variate"];
    let found = json(&specs, &["--data", "embedded"]);
    assert_eq!(
        (&found["model"], &found["batch"], &found["samples"]),
        (&"mlp".into(), &16.into(), &60.into())
    );
    assert!(number(&found, "gradient_norm") > 0.0);
    let rows = found["estimators"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["spec"].as_str().unwrap()).collect::<Vec<_>>(), specs);
    let [forward, backprop, variate] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(forward["settings"], serde_json::json!({ "tangents": "2", "draw": "rademacher" }));
    assert_eq!(forward["name"], "forward");
    for row in rows {
        assert_eq!(row["unbiased"], true);
        assert_eq!(row["bias_shown"], serde_json::json!([]));
        for key in ["bias_se", "cosine_sd", "variance_se", "variance_cost"] {
            assert!(number(row, key) >= 0.0, "{key} of {row}");
        }
        for key in ["cost", "flops", "peak_bytes", "ms"] {
            assert!(number(row, key) > 0.0, "{key} of {row}");
        }
        assert_eq!(row["layers"].as_object().unwrap().len(), 3);
    }
    // 2 tangents of signs: n − 1 over 2; 32 of them are a word.
    let n = number(&found, "parameters");
    let (variance, error) = (number(forward, "variance"), number(forward, "variance_se"));
    assert!((variance - (n - 1.0) / 2.0).abs() < 5.0 * error, "{variance} ± {error} with {n} parameters");
    let words = number(forward, "draws");
    assert!(words >= 2.0 * n / 32.0 && words < 2.0 * n / 32.0 + 16.0, "{words}");
    assert!((number(forward, "cosine") * (variance + 1.0).sqrt() - 1.0).abs() < 0.6, "{forward}");
    assert_eq!((number(backprop, "variance"), number(backprop, "draws")), (0.0, 0.0));
    assert!((number(backprop, "cosine") - 1.0).abs() < 1e-6);
    assert_eq!((&backprop["states"], &variate["states"]), (&Value::Null, &"first".into()));
    assert_eq!(backprop["rank"], 1);
    // What isn't timed is the same again, whatever the number of threads.
    let again = json(&specs, &["--data", "embedded", "--threads", "1"]);
    for (row, other) in rows.iter().zip(again["estimators"].as_array().unwrap()) {
        for key in [
            "bias",
            "bias_se",
            "bias_z",
            "layers",
            "along",
            "variance",
            "cosine",
            "cosine_sd",
            "flops",
            "draws",
        ] {
            assert_eq!(row[key], other[key], "{key}");
        }
    }
}

#[test]
fn tables_are_ranked_and_fit_a_terminal() {
    let long = "forward:tangents=4,draw=rademacher,clip=1000";
    let (code, out, said) = estimate(&["forward", long, "backprop", "frog"], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.lines().all(|line| line.chars().count() <= 100), "{out}");
    let ranks: Vec<&str> =
        out.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).collect();
    assert!(ranks[0].starts_with(" 1 backprop ") && ranks[0].trim_end().ends_with(" 0"), "{out}");
    assert!(ranks.iter().any(|line| line.contains("*frog ")), "{out}");
    assert!(ranks.iter().any(|line| line.ends_with(long)), "{out}");
    let flat = out.lines().any(|line| line.starts_with("* biased"));
    assert!(flat && out.contains("\nfc.0 ") && out.contains("\nhead "), "{out}");
}

#[test]
fn false_claims_are_errors_behind_the_results() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("long.fg").display().to_string();
    let text =
        |claim: &str| format!("{claim}\nestimator long(by=1.01) {{\n  grad = by * grad(loss, params)\n}}\n");
    fs::write(&file, text("const unbiased = true")).unwrap();
    let (code, out, said) = estimate(&["backprop", &file], &[]);
    assert_eq!(code, Some(1));
    assert!(out.contains("backprop") && out.contains("var·cost"), "{out}");
    assert!(
        said.contains("says that it is unbiased") && said.contains("the mean error is 1.00e-2 of ‖∇f‖"),
        "{said}"
    );
    let right = format!("{file}:by=1.0");
    assert_eq!(estimate(&[&right], &[]).0, Some(0));
    fs::write(&file, text("")).unwrap();
    assert_eq!(estimate(&[&file], &[]).0, Some(0), "it claims nothing");
}

#[test]
fn states_come_from_the_parameters_or_from_steps() {
    let learned =
        json(&["control_variate", "backprop"], &["--data", "embedded", "--steps", "100", "--lr", "0.02"]);
    let first = json(&["control_variate", "backprop"], &["--data", "embedded"]);
    let row = |of: &Value, k: usize| of["estimators"][k].clone();
    assert_eq!(
        (row(&learned, 0)["states"].as_str(), row(&learned, 1)["states"].as_str()),
        (Some("learned"), None)
    );
    assert!(number(&row(&learned, 0), "variance") < 0.9 * number(&row(&first, 0), "variance"), "{learned}");
    // At the same parameters as the others.
    assert_eq!(learned["gradient_norm"], first["gradient_norm"]);

    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run").display().to_string();
    let train = [
        "train",
        "models/mlp.fg",
        "--set",
        "hidden=8",
        "--batch",
        "500",
        "--epochs",
        "1",
        "--grad",
        "control_variate",
    ];
    assert_eq!(fgc(&[&train[..], &["--out", &run, "--quiet"]].concat()).0, Some(0));
    let mut files: Vec<_> =
        fs::read_dir(Path::new(&run).join("checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    let file = files.pop().expect("a checkpoint").display().to_string();
    let given = json(&["control_variate"], &["--data", "embedded", "--params", &file]);
    assert_eq!(row(&given, 0)["states"], "given");
    assert_ne!(given["gradient_norm"], first["gradient_norm"]);
}

/// Steps go on with the samples of another epoch where those of one have all been taken.
#[test]
fn states_are_learned_over_epochs() {
    let two_batches = ["--data", "synthetic:32x28x28x1", "--lr", "0.02", "--steps"];
    let learned = |steps: &'static str| json(&["control_variate"], &[&two_batches[..], &[steps]].concat());
    let [short, long] = ["1", "40"].map(|steps| number(&learned(steps)["estimators"][0], "variance"));
    assert!(long < 0.9 * short, "{long} after 20 epochs, {short} after a step");
}

#[test]
fn precision_is_a_choice() {
    let found = json(&["backprop"], &["--dtype", "f64", "--data", "embedded"]);
    // In units of a bound of rounding that is that of f64.
    assert!(number(&found["estimators"][0], "bias") < 1e-12, "{found}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name).display().to_string();
        fs::write(&path, text).unwrap();
        path
    };
    let says = |args: &[&str], code: i32, what: &str| {
        let (found, out, said) = fgc(args);
        assert_eq!((found, out.as_str()), (Some(code), ""), "{args:?}: {said}");
        assert!(said.contains(what), "{args:?}: {said}");
    };
    says(&["estimate", "models/mlp.fg"], 2, "--grad");
    says(&["estimate", "models/mlp.fg", "--grad", "bckprop"], 2, "did you mean `backprop`?");
    says(&["estimate", "models/mlp.fg", "--grad", "backprop", "--samples", "1"], 2, "2");
    says(&["estimate", "models/mlp.fg", "--grad", "backprop", "--lr", "0.1"], 2, "--steps");
    says(&["estimate", "models/mlp.fg", "--grad", "forward:tangents=0"], 1, "estimators/forward.fg:");
    let dropout = ["estimate", "models/mlp_dropout.fg", "--grad", "backprop", "--samples", "4"];
    says(&dropout, 1, "draws random numbers of its own");
    let (code, _, said) = fgc(&[&dropout[..], &["--eval", "--batch", "4", "--seconds", "0"]].concat());
    assert_eq!(code, Some(0), "{said}");
    says(
        &["estimate", "models/cnn.fg", "--grad", "backprop", "--set", "image=32", "--data", "embedded"],
        1,
        "--set image=28",
    );
    says(
        &["estimate", "models/beale.fg", "--grad", "backprop", "--data", "embedded"],
        1,
        "`beale` has no inputs `[batch, …]` to take from `embedded`",
    );
    let few =
        ["estimate", "models/mlp.fg", "--grad", "backprop", "--data", "synthetic:8x28x28x1", "--batch", "16"];
    let fewer = "batches of 16 can't be made of the 8 training samples of `synthetic:8x28x28x1`";
    says(&few, 1, fewer);
    says(&[&few[..], &["--dtype", "f64"]].concat(), 1, fewer);
    says(
        &["estimate", "models/mlp.fg", "--grad", "control_variate", "--steps", "3", "--lr", "-1"],
        1,
        "a learning rate is positive",
    );
    let flat = write("flat.fg", "model flat() {\n  param w: f32[3] ~ zeros\n  loss = sum(w * w)\n}\n");
    says(&["estimate", &flat, "--grad", "backprop"], 1, "the gradient of `flat` is 0 here");
    let bare = write("bare.fg", "model bare() {\n  param w: f32[3] ~ zeros\n  output y = w\n}\n");
    says(&["estimate", &bare, "--grad", "backprop"], 1, "`bare` has no loss to differentiate");
    let broken = write("broken.fg", "estimator broken() {\n  grad = grad(loss, params) / 0.0\n}\n");
    says(&["estimate", "models/beale.fg", "--grad", &broken], 1, "its estimates aren't all finite here");
    let params = folder.path().join("p.safetensors").display().to_string();
    assert_eq!(fgc(&["init", "models/mlp.fg", "--set", "hidden=4", "-o", &params, "--quiet"]).0, Some(0));
    says(
        &["estimate", "models/mlp.fg", "--grad", "backprop", "--params", &params],
        1,
        "`fc.0.w` is f32[784, 4]: expected f32[784, 512]",
    );
}
