//! The command as its users run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use fgc::ir::{Arrays, Tensor, arrays};

/// The repository, which commands run in.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgc"));
    command.args(args).current_dir(root()).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

fn fgc(args: &[&str]) -> Output {
    command(args).output().expect("fgc can be run")
}

/// What a command that succeeds prints.
fn stdout(args: &[&str]) -> String {
    let output = fgc(args);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// What a command that fails with exit code `code` says.
fn fails(code: i32, args: &[&str]) -> String {
    let output = fgc(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}");
    assert!(output.stdout.is_empty(), "{args:?} fails but prints");
    String::from_utf8(output.stderr).expect("text")
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

const IMAGES: &str = "models/data/fashion-64.safetensors";
const SMALL: [&str; 4] = ["--set", "hidden=16", "--inputs", IMAGES];

#[test]
fn jvp_on_real_images_is_the_gradient_times_the_direction() {
    let folder = tempfile::tempdir().unwrap();
    let (init, forward, reverse) = (path(&folder, "init"), path(&folder, "jvp"), path(&folder, "grad"));
    stdout(&["init", "models/mlp.fg", "--set", "hidden=16", "--seed", "3", "-o", &init]);
    let mut inputs = arrays::read(Path::new(&init)).unwrap().tensors;
    inputs.extend(arrays::read(&root().join(IMAGES)).unwrap().tensors);
    let names: Vec<String> = inputs.keys().filter(|name| name.len() > 1).cloned().collect();
    for name in &names {
        let ty = inputs[name].ty();
        let direction = Tensor::generate(&ty, |i| ((i * 7919 + name.len()) % 13) as f64 / 6.0 - 1.0);
        inputs.insert(format!("{name}.tangent"), direction);
    }
    let all = path(&folder, "all");
    arrays::write(Path::new(&all), &inputs, &Default::default()).unwrap();
    stdout(&[
        "run",
        "models/mlp.fg",
        "--mode",
        "jvp",
        "--set",
        "hidden=16",
        "--inputs",
        &all,
        "--outputs",
        &forward,
    ]);
    let primal: Arrays = inputs
        .iter()
        .filter(|(n, _)| !n.ends_with(".tangent"))
        .map(|(n, x)| (n.clone(), x.clone()))
        .collect();
    arrays::write(Path::new(&all), &primal, &Default::default()).unwrap();
    stdout(&[
        "run",
        "models/mlp.fg",
        "--mode",
        "grad",
        "--set",
        "hidden=16",
        "--inputs",
        &all,
        "--outputs",
        &reverse,
    ]);

    let forward = arrays::read(Path::new(&forward)).unwrap().tensors;
    let reverse = arrays::read(Path::new(&reverse)).unwrap().tensors;
    let along: f64 = names
        .iter()
        .flat_map(|name| {
            let gradient = reverse[&format!("{name}.grad")].to_f64();
            gradient.into_iter().zip(inputs[&format!("{name}.tangent")].to_f64())
        })
        .map(|(g, v)| g * v)
        .sum();
    let tangent = forward["loss.tangent"].to_f64()[0];
    assert!((along - tangent).abs() < 1e-4 * tangent.abs(), "{along} {tangent}");
    assert_eq!(forward["loss"], reverse["loss"]);
    let loss = forward["loss"].to_f64()[0];
    assert!((1.5..4.0).contains(&loss), "an untrained classifier of 10 classes has loss {loss}");
}

#[test]
fn what_compile_prints_compiles_and_runs_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let printed = path(&folder, "mlp_jvp.fg");
    stdout(&["compile", "models/mlp.fg", "--mode", "jvp", "--set", "hidden=16", "-o", &printed]);
    let again = stdout(&["compile", &printed]);
    assert_eq!(again, std::fs::read_to_string(&printed).unwrap());

    let mut given = vec!["run", "models/mlp.fg", "--mode", "jvp", "--tangent", "rademacher"];
    given.extend(SMALL);
    let one = stdout(&given);
    assert!(one.contains("loss.tangent = "), "{one}");
    // The printed graph differentiated again, by what are its parameters still.
    let second = stdout(&["compile", &printed, "--mode", "grad"]);
    assert!(second.contains("output fc.0.w.grad"), "{second}");
}

#[test]
fn modes_and_directions() {
    let run = |args: &[&str]| stdout(&[&["run", "models/mlp.fg"][..], args, &SMALL].concat());
    let normal = run(&["--mode", "jvp", "--tangent", "normal", "--tangents", "3"]);
    let tangents = normal.lines().find_map(|line| line.strip_prefix("loss.tangent = ["));
    assert_eq!(tangents.map(|list| list.split(", ").count()), Some(3), "{normal}");
    let product = run(&["--mode", "hvp", "--tangent", "normal", "--dtype", "f64"]);
    assert!(product.contains("head.w.hvp   = f64[16, 10] from"), "{product}");
    let by_input = run(&["--mode", "grad", "--wrt", "x,head.b"]);
    assert!(by_input.contains("x.grad      = f32[64, 28, 28, 1] from"), "{by_input}");
    assert!(!by_input.contains("fc.0.w.grad"), "{by_input}");
    assert_eq!(run(&["--seed", "5"]), run(&["--seed", "5"]));
    assert_ne!(run(&["--seed", "5"]), run(&["--seed", "6"]));
}

#[test]
fn evaluation_mode_and_functions_of_parameters_alone() {
    assert_eq!(
        stdout(&["run", "models/rosenbrock.fg", "--mode", "grad"]),
        "loss   = 104\nx.grad = -404\ny.grad = -200\n"
    );
    let training = stdout(&["compile", "models/mlp_bn.fg", "--set", "hidden=4"]);
    let evaluation = stdout(&["compile", "models/mlp_bn.fg", "--set", "hidden=4", "--eval"]);
    assert!(training.contains("update bn.0.mean"), "{training}");
    assert!(!evaluation.contains("update"), "{evaluation}");
}

#[test]
fn steps_of_training() {
    let folder = tempfile::tempdir().unwrap();
    let printed = path(&folder, "step.fg");
    let flags = ["--mode", "step", "--grad", "forward", "--tangents", "3", "--tangent", "rademacher"];
    let more = ["--optimizer", "adam", "--weight-decay", "1e-4", "--clip", "1", "--clip-directional", "5"];
    stdout(
        &[&["compile", "models/mlp_bn.fg", "--set", "hidden=4", "-o", &printed], &flags[..], &more].concat(),
    );
    let text = std::fs::read_to_string(&printed).unwrap();
    for output in
        ["update fc.0.w ", "update fc.0.w.m ", "update bn.0.mean ", "update step ", "metric grad_norm "]
    {
        assert!(text.contains(output), "no `{output}` in {text}");
    }
    assert_eq!(stdout(&["compile", &printed]), text);

    // It runs on what is given and drawn: from x = −1, y = 0 down the gradient (−404, −200).
    let lr = path(&folder, "lr");
    arrays::write(
        Path::new(&lr),
        &Arrays::from([("lr".to_owned(), Tensor::of([], vec![0.5f32]))]),
        &Default::default(),
    )
    .unwrap();
    let stepped = stdout(&["run", "models/rosenbrock.fg", "--mode", "step", "--no-metrics", "--inputs", &lr]);
    assert_eq!(stepped, "loss = 104\nx    = 201\ny    = 100\n");
}

#[test]
fn statistics_and_drawings() {
    let json = stdout(&["compile", "models/resnet.fg", "--mode", "jvp", "--emit", "stats", "--json"]);
    let stats: serde_json::Value = serde_json::from_str(&json).unwrap();
    for key in ["values", "kernels", "flops", "bytes", "peak_bytes"] {
        assert!(stats[key].as_u64().unwrap() > 0, "{key}: {json}");
    }
    assert!(stats["passes"]["jvp"].as_f64().unwrap() > 0.0);
    let text = stdout(&["compile", "models/resnet.fg", "--mode", "jvp", "--emit", "stats"]);
    assert!(text.contains("peak memory"), "{text}");
    let dot = stdout(&["compile", "models/beale.fg", "--emit", "dot"]);
    assert!(dot.starts_with("digraph \"beale\" {") && dot.ends_with("}\n"), "{dot}");
}

#[test]
fn compiled_programs_are_shown() {
    let beale = |emit: &str| stdout(&["compile", "models/beale.fg", "--mode", "grad", "--emit", emit]);
    let kernels = beale("kernels");
    assert!(kernels.starts_with("memory: ") && kernels.contains("output x.grad = "), "{kernels}");
    assert!(beale("clif").contains("function u0:0(i64, i64, i64)"));
    assert!(beale("asm").contains("; kernel 0: loop 1"));
}

/// What a benchmark reports, and that it is of the program that is compiled.
#[test]
fn benchmarks() {
    let model = ["models/mlp.fg", "--set", "hidden=16", "--batch", "4", "--mode"];
    let quick = ["--seconds", "0.01", "--threads", "2"];
    let cases: [&[&str]; 5] = [
        &["primal"],
        &["jvp", "--tangents", "2"],
        &["grad"],
        &["hvp"],
        &["step", "--grad", "forward", "--tangent", "rademacher", "--optimizer", "adam"],
    ];
    for mode in cases {
        let json = stdout(&[&["bench"][..], &model, mode, &quick, &["--json"]].concat());
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        for key in ["median_ms", "min_ms", "compile_ms", "gflops", "flops", "peak_bytes"] {
            assert!(report[key].as_f64().unwrap() > 0.0, "{mode:?} {key}: {json}");
        }
        assert!(report["calls"].as_u64().unwrap() >= 10 && report["threads"] == 2, "{json}");
        let kernels = report["kernels"].as_array().unwrap();
        for kernel in kernels {
            assert!(kernel["name"].as_str().unwrap().contains('→'), "{json}");
            assert!(
                ["ms", "gflops", "gbs", "share"].iter().all(|key| kernel[key].as_f64().is_some()),
                "{json}"
            );
        }
        let stats = stdout(&[&["compile"][..], &model, mode, &["--emit", "stats", "--json"]].concat());
        let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
        assert_eq!(stats["peak_bytes"], report["peak_bytes"], "{mode:?}");
        assert_eq!(stats["flops"], report["flops"], "{mode:?}");
        assert_eq!(stats["kernels"], kernels.len(), "{mode:?}");
    }
    let calls = stdout(&[&["bench"][..], &model, &["step", "--calls-only", "--json"], &quick].concat());
    let calls: serde_json::Value = serde_json::from_str(&calls).unwrap();
    assert!(calls["median_ms"].as_f64().unwrap() > 0.0 && calls["kernels"].is_null(), "{calls}");
    let text = stdout(&[&["bench"][..], &model, &["step"], &quick].concat());
    assert!(
        text.starts_with("call ") && text.contains("the median of") && text.contains("of peak"),
        "{text}"
    );
}

#[test]
fn check_passes_on_models_and_reports_each_error() {
    let report = stdout(&["check", "models/mlp.fg", "--set", "hidden=8", "--threads", "1"]);
    assert_eq!(report.matches("  ok\n").count(), 6, "{report}");
    let printed = stdout(&["check", "models/beale.fg"]);
    assert_eq!(printed.matches("  ok\n").count(), 6, "{printed}");
}

/// At an initial point that is singular: where slopes of what isn't chosen are infinite, and at kinks.
#[test]
fn check_at_the_initial_point() {
    let folder = tempfile::tempdir().unwrap();
    let model = path(&folder, "m.fg");
    for loss in [
        "sum(select(x < 1, x, sqrt(x)))",
        "sum(maximum(x + 5, sqrt(x)))",
        "sum(relu(x) + abs(x) + maximum(x, 2 * x))",
    ] {
        let text = format!("model m() {{\n  param x: f32[1] ~ zeros\n  loss = {loss}\n}}\n");
        std::fs::write(&model, text).unwrap();
        let report = stdout(&["check", &model, "--at", "init"]);
        assert_eq!(report.matches("  ok\n").count(), 6, "{loss}: {report}");
    }
    let report = stdout(&["check", "models/rnn.fg", "--set", "hidden=8", "--at", "init"]);
    assert_eq!(report.matches("  ok\n").count(), 6, "{report}");
    // The slope of √x at 0 is infinite: neither mode has a number.
    std::fs::write(&model, "model m() {\n  param x: f32[3] ~ zeros\n  loss = sum(sqrt(x))\n}\n").unwrap();
    let output = fgc(&["check", &model, "--at", "init"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.contains("comparisons fail"), "{error}");
}

#[test]
fn wrong_input_is_exit_code_1_and_says_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let bad = path(&folder, "bad.fg");
    std::fs::write(&bad, "model m(x: f32[batch, 4]) {\n  loss = mean(x @ w)\n}\n").unwrap();
    let cases: [(&[&str], &str); 21] = [
        (&["compile", "no-such.fg"], "no-such.fg: No such file"),
        (&["compile", "models"], "models: Is a directory"),
        (&["compile", IMAGES], "not a text file"),
        (&["compile", &bad], "bad.fg:2:19"),
        (&["compile", "models/mlp.fg", "--set", "hiden=3"], "did you mean `hidden`?"),
        (&["compile", "models/mlp.fg", "--name", "mpl"], "the file has `mlp`"),
        (&["compile", "models/mlp.fg", "--mode", "jvp", "--wrt", "haed.w"], "did you mean `head.w`?"),
        (&["compile", "models/mlp.fg", "--mode", "jvp", "--wrt", "y"], "derivatives are by floating-point"),
        (&["compile", "models/mlp.fg", "--tangents", "2"], "--tangents is for modes jvp and step"),
        (&["compile", "models/mlp.fg", "--mode", "jvp", "--grad", "forward"], "--grad is for mode step"),
        (&["compile", "models/mlp.fg", "--mode", "jvp", "--tangent", "normal"], "--tangent is for mode step"),
        (&["compile", "models/mlp.fg", "--mode", "step", "--tangents", "2"], "--tangents is for --grad "),
        (
            &["compile", "models/mlp.fg", "--mode", "step", "--optimizer", "adam", "--beta", "0.5"],
            "--beta is for",
        ),
        (
            &["compile", "models/mlp.fg", "--mode", "step", "--clip", "0"],
            "the largest norm of a gradient has to be positive",
        ),
        (&["compile", "models/mlp.fg", "--json"], "--json is for --emit stats"),
        (&["bench", "models/mlp.fg", "--seconds=-1"], "--seconds: "),
        (&["bench", "models/mlp.fg", "--grad", "forward"], "--grad is for mode step"),
        (&["run", "models/mlp.fg"], "`x` is missing: expected f32[64, 28, 28, 1]"),
        (
            &["run", "models/mlp.fg", "--batch", "2", "--inputs", IMAGES],
            "`x` is f32[64, 28, 28, 1]: expected f32[2, 28, 28, 1]",
        ),
        (&["run", "models/mlp.fg", "--inputs", "models/mlp.fg"], "not a valid safetensors file"),
        (&["init", "models/mlp.fg", "-o", "no-such-folder/init"], "no-such-folder/init: No such file"),
    ];
    for (args, message) in cases {
        let said = fails(1, args);
        assert!(said.contains(message), "{args:?} says\n{said}");
        assert!(said.starts_with("error"), "{args:?} says\n{said}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for args in [&["compile"][..], &["compile", "models/mlp.fg", "--mode", "sideways"], &["frobnicate"], &[]]
    {
        let said = fails(2, args);
        assert!(said.contains("--help") || said.contains("Usage:"), "{args:?} says\n{said}");
    }
}

#[test]
fn the_examples_in_the_help_work_as_pasted() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["docs", "models", "tests"] {
        std::os::unix::fs::symlink(root().join(name), folder.path().join(name)).unwrap();
    }
    // The names of commands in a help, which are indented by two.
    let listed = |help: String| -> Vec<String> {
        let usage = help.lines().skip_while(|line| !line.starts_with("Usage: "));
        let lines = usage.take_while(|line| !line.starts_with("Options:"));
        let names = lines.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        names
            .filter_map(|line| line.split_whitespace().next())
            .filter(|n| *n != "help")
            .map(str::to_owned)
            .collect()
    };
    let mut commands = listed(stdout(&["--help"]));
    commands.retain(|name| name != "data");
    commands.extend(listed(stdout(&["data", "--help"])).iter().map(|name| format!("data {name}")));
    assert!(commands.len() > 15, "{commands:?}");
    // Some read what others leave.
    let first = |name: &str| ["train", "init"].iter().position(|its| *its == name).unwrap_or(2);
    commands.sort_by_key(|name| first(name));
    let run = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let out = command(&words).current_dir(&folder).output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    };
    run("fgc train mlp --set hidden=8 --epochs 1 --out runs/mlp-2");
    for name in commands {
        let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        let help = stdout(&words);
        let line = help.lines().map(str::trim).find(|line| line.starts_with("fgc ")).expect("an example");
        // What it fetches isn't here.
        if name != "data get" {
            run(line);
        }
    }
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let mut child = command(&["compile", "models/transformer.fg", "--mode", "hvp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
}

#[test]
fn data_sets_are_shown() {
    let shown = stdout(&["data", "show", "embedded"]);
    assert!(
        shown.starts_with("embedded: 5000 + 1000 samples\n  x  u8[28, 28]  published: mean 0.2860"),
        "{shown}"
    );
    assert!(shown.contains("\n    9       500   100  ankle boot\n"), "{shown}");
    let shown = stdout(&["data", "show", "synthetic:20x4x4x3"]);
    assert!(shown.starts_with("synthetic:20x4x4x3: 20 + 4 samples\n  x  u8[4, 4, 3]  from "), "{shown}");
    let shown = stdout(&["data", "show", "embedded", "--model", "models/mlp.fg", "--validate", "0.1"]);
    assert!(shown.contains("trained on are 4500 samples, tested on 500 samples\n  x: f32[4500, 28, 28, 1], normalised by mean 0.2860"), "{shown}");
    let folder = tempfile::tempdir().unwrap();
    let none = path(&folder, "none");
    let message = fails(1, &["data", "show", "mnist", "--data-dir", &none]);
    assert!(message.contains("`fgc data get mnist`"), "{message}");
    assert!(
        fails(2, &["data", "get", "imagenet"]).contains("possible values: mnist, fashion-mnist, cifar10")
    );
}

#[test]
fn optimisation_is_reported_and_explained() {
    let step = ["compile", "models/mlp.fg", "--set", "hidden=16", "--mode", "step", "--grad", "forward"];
    let with = |more: &[&str]| stdout(&[&step[..], more].concat());
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let plain = json(&with(&["--emit", "stats", "--json", "--opt", "0"]));
    let best = json(&with(&["--emit", "stats", "--json"]));
    assert!(plain["saturation"].is_null());
    assert_eq!(best["saturation"]["stop"], "saturated");
    assert!(best["saturation"]["rules"]["stop-gradient"].as_u64() >= Some(1), "{best}");
    assert!(best["passes"]["saturation"].as_f64() > Some(0.0), "{best}");
    assert!(best["bytes"].as_u64() <= plain["bytes"].as_u64());
    assert!(with(&["--emit", "stats", "--opt", "1"]).contains("iterations"));

    // What is printed is what the passes gave, unless it is asked for.
    assert!(with(&[]).contains("stop_gradient"));
    assert!(!with(&["--opt", "1"]).contains("stop_gradient"));

    let explained = with(&["--explain"]);
    assert!(explained.contains("stop-gradient") && explained.contains("-> "), "{explained}");
    let proof =
        stdout(&[&["compile", "models/mlp.fg", "--mode", "grad", "--explain", "logits~"][..]].concat());
    assert!(proof.contains("(Rewrite=> "), "{proof}");
    assert_eq!(proof, stdout(&["compile", "models/mlp.fg", "--mode", "grad", "--explain", "%logits~"]));
    let error = fails(1, &["compile", "models/mlp.fg", "--explain", "logit"]);
    assert!(error.contains("did you mean `logits`?"), "{error}");
    assert!(fails(1, &["compile", "models/mlp.fg", "--opt", "0", "--explain"]).contains("--opt 1 and 2"));
    fails(2, &["compile", "models/mlp.fg", "--opt", "3"]);
}

#[test]
fn levels_show_what_optimisation_saves() {
    let model = "models/logistic.fg";
    let json = stdout(&["levels", model, "--seconds", "0.001", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let programs = ["primal", "jvp", "grad", "backprop step", "forward step"];
    // Each level, and the highest without equality saturation.
    let forms = [(0, false), (1, true), (2, true), (2, false)];
    assert_eq!(rows.len(), forms.len() * programs.len(), "{json}");
    for (program, rows) in programs.iter().zip(rows.chunks(forms.len())) {
        for (row, (opt, saturated)) in rows.iter().zip(forms) {
            assert!(row["program"] == **program, "{row}");
            assert!(row["opt"] == opt && row["saturated"] == saturated, "{row}");
            assert!(row["median_ms"].as_f64().unwrap() > 0.0, "{row}");
        }
        let figure = |opt: usize, key: &str| rows[opt][key].as_u64().unwrap();
        for key in ["kernels", "bytes"] {
            assert!(figure(2, key) < figure(0, key), "{program} {key}: {json}");
        }
    }
    // The forward step is what the rules and fusion are for.
    assert!(2 * rows[18]["bytes"].as_u64().unwrap() <= rows[16]["bytes"].as_u64().unwrap(), "{json}");
    let table = stdout(&["levels", model, "--seconds", "0.001"]);
    assert!(table.starts_with("| model |") && table.lines().count() == 2 + 20, "{table}");
    assert!(fails(1, &["levels", "models/none.fg"]).contains("none.fg"));
}
