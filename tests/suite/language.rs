//! What the language means: shapes, names, initialisers, consts, and its manual.

use fgc_transforms::Derivatives;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fgc_ir::bind::Arrays;
use fgc_ir::diag::Sources;
use fgc_ir::interp::interpret;
use fgc_ir::lang::{Options, builtins, load};
use fgc_ir::ops::Init;
use fgc_ir::scalar::{Float, Native};
use fgc_ir::text::print::print;
use fgc_ir::verify::verify;
use fgc_ir::{DType, Graph, OutputKind, Role, Tensor, random};

fn try_load(text: &str, options: &Options) -> Result<Graph, String> {
    let mut sources = Sources::new();
    let file = sources.add("test.fg", text);
    let graph = load(&mut sources, file, options, &Derivatives)
        .map_err(|errors| errors.iter().map(|e| e.render(&sources, false)).collect::<Vec<_>>().join("\n"))?;
    verify(&graph).map_err(|e| format!("{e:?}"))?;
    Ok(graph)
}

fn graph(text: &str) -> Graph {
    try_load(text, &Options { batch: Some(3), ..Options::default() })
        .unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The names of what is bound, in order.
fn names(g: &Graph) -> Vec<String> {
    g.bindings().map(|(_, name, _)| name.to_owned()).collect()
}

/// The type of output `name`.
fn type_of(g: &Graph, name: &str) -> String {
    let output = g.outputs.iter().find(|o| o.name == name).unwrap_or_else(|| panic!("no output {name}"));
    g.ty(output.value).to_string()
}

/// A model of inputs a and b, with output y.
fn expression(a: &str, b: &str, y: &str) -> String {
    let g = graph(&format!("model m(a: {a}, b: {b}) {{\n  output y = {y}\n}}\n"));
    type_of(&g, "y")
}

#[test]
fn shapes_broadcast_as_in_numpy() {
    let add = |a: &str, b: &str| expression(a, b, "a + b");
    assert_eq!(add("f32[2, 3]", "f32[3]"), "f32[2, 3]");
    assert_eq!(add("f32[2, 1]", "f32[3]"), "f32[2, 3]");
    assert_eq!(add("f32[]", "f32[4, 1, 2]"), "f32[4, 1, 2]");
    assert_eq!(add("f32[5, 1, 2]", "f32[4, 1]"), "f32[5, 4, 2]");
    assert_eq!(add("f32[1]", "f32[0]"), "f32[0]");
    assert_eq!(expression("f32[2]", "f32[3, 1]", "2 * a > b"), "bool[3, 2]");
}

#[test]
fn matrix_products_are_those_of_numpy() {
    let product = |a: &str, b: &str| expression(a, b, "a @ b");
    assert_eq!(product("f32[3]", "f32[3]"), "f32[]");
    assert_eq!(product("f32[2, 3]", "f32[3]"), "f32[2]");
    assert_eq!(product("f32[3]", "f32[5, 3, 4]"), "f32[5, 4]");
    assert_eq!(product("f32[2, 3]", "f32[5, 3, 4]"), "f32[5, 2, 4]");
    assert_eq!(product("f32[5, 2, 3]", "f32[3, 4]"), "f32[5, 2, 4]");
    assert_eq!(product("f32[6, 1, 2, 3]", "f32[5, 3, 4]"), "f32[6, 5, 2, 4]");
}

#[test]
fn einstein_sums() {
    assert_eq!(expression("f32[2, 3]", "f32[3, 4]", r#"einsum("ij,jk->ki", a, b)"#), "f32[4, 2]");
    assert_eq!(expression("f32[2, 3]", "f32[2, 4]", r#"einsum("bi,bj->b", a, b)"#), "f32[2]");
    assert_eq!(expression("f32[2, 3]", "f32[4]", r#"einsum("ij,k->kj", a, b)"#), "f32[4, 3]");
}

#[test]
fn indexing_and_compile_time_values() {
    assert_eq!(expression("f32[4, 6, 2]", "f32[1]", "a[-1, 1:5:2]"), "f32[2, 2]");
    assert_eq!(expression("f32[4, 6, 2]", "f32[1]", "a[:, -2:]"), "f32[4, 2, 2]");
    assert_eq!(expression("f32[4, 6]", "f32[1]", "reshape(a, shape(a)[1:] + [2, -1])"), "f32[6, 2, 2]");
    assert_eq!(
        expression("f32[4]", "f32[1]", "zeros([7 // 2, -7 // 2 + 6, 7 % 4, 2 ** 3])"),
        "f32[3, 2, 3, 8]"
    );
    assert_eq!(
        expression("f32[4]", "f32[1]", "zeros([max(2, 5), min([4, 3]), prod([2, 3]), len([1])])"),
        "f32[5, 3, 6, 1]"
    );
    assert_eq!(
        expression("f32[9, 8, 8, 4]", "f32[3, 3, 2, 6]", "convolve(a, b, stride=2, groups=2)"),
        "f32[9, 4, 4, 6]"
    );
    assert_eq!(
        expression("f32[9, 8, 4]", "f32[3, 4, 6]", r#"convolve(a, b, padding="valid")"#),
        "f32[9, 6, 6]"
    );
    assert_eq!(
        expression("f32[9, 7, 7, 4]", "f32[1]", r#"avg_pool(a, 3, stride=2, padding="same")"#),
        "f32[9, 4, 4, 4]"
    );
}

#[test]
fn names_come_from_instances_and_turns() {
    let g = graph(
        "fn block(x) {\n  repeat 2 { x = dense(x, 4) as fc }\n  dense(x, 4)\n}\n\
         model m(x: f32[batch, 4]) {\n  h = dense(x, 4)\n  h = dense(h, 4)\n  repeat 2 {\n    repeat 2 { h = dense(h, 4) as conv }\n    \
         param scale: f32[] ~ ones\n    h = block(h) as block\n  }\n  loss = mean(dense(h, 1) as head)\n}\n",
    );
    let expected = "x dense.0.w dense.0.b dense.1.w dense.1.b \
        conv.0.0.w conv.0.0.b conv.0.1.w conv.0.1.b scale.0 \
        block.0.fc.0.w block.0.fc.0.b block.0.fc.1.w block.0.fc.1.b block.0.dense.0.w block.0.dense.0.b \
        conv.1.0.w conv.1.0.b conv.1.1.w conv.1.1.b scale.1 \
        block.1.fc.0.w block.1.fc.0.b block.1.fc.1.w block.1.fc.1.b block.1.dense.0.w block.1.dense.0.b head.w head.b";
    assert_eq!(names(&g).join(" "), expected);
}

#[test]
fn a_name_given_with_as_survives_edits_elsewhere() {
    let model = |body: &str| {
        let text = format!("model m(x: f32[batch, 4]) {{\n{body}\n  loss = mean(dense(h, 1) as head)\n}}\n");
        names(&graph(&text))
            .into_iter()
            .filter(|n| n.starts_with("fc") || n.starts_with("head"))
            .collect::<Vec<_>>()
    };
    let before = model("  h = dense(x, 4) as fc");
    let after = model("  h = dropout(dense(x, 4))\n  h = dense(layer_norm(h), 4) as fc\n  h = dense(h, 4)");
    assert_eq!(before, after);
}

#[test]
fn initialisers_follow_jax() {
    let init = |declaration: &str| {
        let g = graph(&format!("model m() {{\n  param w: {declaration}\n  loss = sum(w)\n}}\n"));
        let (_, _, role) = g.bindings().next().unwrap();
        let Role::Param(init) = role else { panic!("not a parameter") };
        *init
    };
    let close = |init: Init, expected: Init| match (init, expected) {
        (Init::TruncatedNormal(a), Init::TruncatedNormal(b)) | (Init::Normal(a), Init::Normal(b)) => {
            assert!((a.get() / b.get() - 1.0).abs() < 1e-14, "{a:?} {b:?}");
        }
        (Init::Uniform(a, b), Init::Uniform(c, d)) => {
            assert!(
                (a.get() / c.get() - 1.0).abs() < 1e-14 && (b.get() / d.get() - 1.0).abs() < 1e-14,
                "{a:?} {b:?}"
            );
        }
        (a, b) => assert_eq!(a, b),
    };
    let named = |name: &str, args: &[f64]| Init::named(name, args).unwrap();
    let cut = 0.879_625_661_034_239_8;
    close(init("f32[20, 30] ~ lecun_normal"), named("truncated_normal", &[(1.0f64 / 20.0).sqrt() / cut]));
    close(init("f32[3, 3, 8, 16] ~ he_normal"), named("truncated_normal", &[(2.0f64 / 72.0).sqrt() / cut]));
    close(init("f32[3, 3, 8, 16] ~ glorot_gaussian"), named("normal", &[(2.0f64 / (72.0 + 144.0)).sqrt()]));
    let limit = (6.0f64 / 50.0).sqrt();
    close(init("f32[20, 30] ~ glorot_uniform"), named("uniform", &[-limit, limit]));
    close(init("f32[5] ~ he_gaussian"), named("normal", &[(2.0f64 / 5.0).sqrt()]));
    close(init("f32[] ~ lecun_gaussian"), named("normal", &[1.0]));
    close(init("f32[0, 3] ~ lecun_gaussian"), named("normal", &[1.0]));
    close(init("f32[3, 3, 8, 16] ~ haiku_normal"), named("truncated_normal", &[(1.0f64 / 72.0).sqrt()]));
    close(init("f32[2, 8] ~ normal(1 / fan_out)"), named("normal", &[0.125]));
    let own = "init scaled(by, of=2) = normal(by * of)\nmodel m() {\n  param w: f32[2] ~ scaled(0.25)\n  loss = sum(w)\n}\n";
    let g = graph(own);
    assert_eq!(g.bindings().next().unwrap().2, &Role::Param(named("normal", &[0.5])));
}

#[test]
fn a_text_names_an_initialiser() {
    let text = "const weights = \"lecun_normal\"\ninit mine() = normal(0.5)\n\
                model m(x: f32[batch, 4]) {\n  \
                h = dense(x, 4, init=weights) as a\n  h = dense(h, 4, init=\"mine\") as b\n  \
                param c: f32[4] ~ weights\n  loss = sum(h * c)\n}\n";
    let drawn = |set: &[(&str, &str)], name: &str| {
        let set = set.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
        let g = try_load(text, &Options { batch: Some(3), set, ..Options::default() })?;
        match g.bindings().find(|(_, n, _)| *n == name).unwrap().2 {
            Role::Param(init) => Ok(*init),
            role => Err(format!("{role:?}")),
        }
    };
    let named = |name: &str, x: f64| Ok(Init::named(name, &[x]).unwrap());
    assert_eq!(drawn(&[("weights", "haiku_normal")], "a.w"), named("truncated_normal", 0.5));
    assert_eq!(drawn(&[("weights", "mine")], "a.w"), named("normal", 0.5));
    assert_eq!(drawn(&[("weights", "mine")], "c"), named("normal", 0.5));
    assert_eq!(drawn(&[], "b.w"), named("normal", 0.5));
    let error = drawn(&[("weights", "haku_normal")], "a.w").unwrap_err();
    assert!(error.contains("there is no initialiser `haku_normal`"), "{error}");
    assert!(
        error.contains("did you mean `haiku_normal`?") && error.contains("dense(x, 4, init=weights)"),
        "{error}"
    );
}

#[test]
fn consts_can_be_set() {
    let text = "const n = 2\nconst wide = n * 8\nconst rate = 0.5\nconst on = true\n\n\
                model m(x: f32[batch, 4]) {\n  output y = if_on(dense(x, wide))\n}\nfn if_on(h) {\n  if on { h } else { h[:, :n] * rate }\n}\n";
    let with = |set: &[(&str, &str)]| {
        let set = set.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
        type_of(&try_load(text, &Options { batch: Some(3), set, ..Options::default() }).unwrap(), "y")
    };
    assert_eq!(with(&[]), "f32[3, 16]");
    assert_eq!(with(&[("n", "3")]), "f32[3, 24]");
    assert_eq!(with(&[("wide", "5"), ("rate", "2")]), "f32[3, 5]");
    assert_eq!(with(&[("on", "false"), ("n", "1")]), "f32[3, 1]");
}

#[test]
fn training_and_double_precision() {
    let text = "model m(x: f32[batch, 4], y: i32[batch]) {\n  h = dropout(batch_norm(x))\n  output h\n  metric top = max(y)\n}\n";
    let train = try_load(text, &Options::default()).unwrap();
    assert_eq!(train.outputs.iter().filter(|o| o.kind == OutputKind::Update).count(), 2);
    assert!(train.leaf("seed").is_some());
    let options = Options { training: false, float: DType::F64, ..Options::default() };
    let eval = try_load(text, &options).unwrap();
    assert!(eval.outputs.iter().all(|o| o.kind != OutputKind::Update));
    assert!(eval.leaf("seed").is_none());
    assert_eq!((type_of(&eval, "h"), type_of(&eval, "top")), ("f64[64, 4]".to_owned(), "i32[]".to_owned()));
}

#[test]
fn functions_shadow_and_are_hygienic() {
    // The prelude's `dense` doesn't see this `zeros`, nor this const; the model does.
    let text = "const w = 3\ninit zeros() = constant(7)\nfn relu(x) { x * w }\n\
                model m(x: f32[batch, 4]) {\n  param c: f32[4] ~ zeros\n  loss = mean(relu(dense(x + c, 4) as fc))\n}\n";
    let g = graph(text);
    let init = |name: &str| match g.binding(g.leaf(name).unwrap()) {
        Some((_, Role::Param(init))) => *init,
        _ => panic!("{name} is not a parameter"),
    };
    assert_eq!(init("c"), Init::named("constant", &[7.0]).unwrap());
    assert_eq!(init("fc.b"), Init::named("constant", &[0.0]).unwrap());
    assert!(!print(&g).contains("relu"));
}

#[test]
fn dropout_masks_differ() {
    let g = graph(
        "model m(x: f32[batch, 4]) {\n  h = dropout(x)\n  repeat 2 { h = dropout(h) as drop }\n  output y = dropout(h) + random_normal(shape(x)) + random_normal(shape(x))\n}\n",
    );
    let text = print(&g);
    let streams: BTreeSet<&str> =
        text.lines().filter_map(|l| l.split("random_bits[stream=").nth(1)).collect();
    assert_eq!(streams.len(), 4 + 4, "{text}");
}

#[test]
fn nothing_overflows_the_stack() {
    let minuses = "-".repeat(60);
    let deep = [
        format!("fn f(x) {{ {minuses}f(x) }}\nmodel m(x: f32[2]) {{\n  loss = sum(f(x))\n}}\n"),
        "fn f(x) { g(x) + g(x) }\nfn g(x) { if true { repeat 1 { return f(x) } } }\nmodel m(x: f32[2]) {\n  loss = sum(f(x))\n}\n".to_owned(),
        "init a() = b\ninit b() = a\nmodel m() {\n  param w: f32[2] ~ a\n  loss = sum(w)\n}\n".to_owned(),
        "model m(x: f32[2]) {\n  a = []\n  repeat 100000 { a = [a] }\n  loss = sum(x)\n}\n".to_owned(),
        "model m(x: f32[2]) {\n  a = [1]\n  repeat 100000 { a = a + a }\n  loss = sum(x)\n}\n".to_owned(),
        "model m(x: f32[2]) {\n  repeat 100 { x = reshape(x, shape(x) + [1]) }\n  loss = sum(x)\n}\n".to_owned(),
    ];
    for text in deep {
        assert!(try_load(&text, &Options::default()).is_err(), "{text}");
    }
}

#[test]
fn every_model_loads_and_prints() {
    for path in models() {
        let text = std::fs::read_to_string(&path).unwrap();
        for training in [true, false] {
            let options = Options { batch: Some(2), training, ..Options::default() };
            let g = try_load(&text, &options).unwrap_or_else(|e| panic!("{}\n{e}", path.display()));
            assert_eq!(Some(g.name.as_str()), path.file_stem().unwrap().to_str());
            let again = try_load(&print(&g), &Options::default()).unwrap();
            assert_eq!(again, g, "{}", path.display());
            let init = random::init_graph(&g).unwrap();
            verify(&init).unwrap();
        }
    }
}

/// The content of each parameter that the model `text` starts from.
fn initial(text: &str, float: DType, seed: [u32; 2]) -> Arrays {
    let g = try_load(text, &Options { float, ..Options::default() }).unwrap();
    let init = random::init_graph(&g).unwrap();
    let seed = Tensor::of([2], seed.to_vec());
    interpret(&init, &Arrays::from([(random::SEED.to_owned(), seed)])).unwrap()
}

#[test]
fn initial_parameters_have_their_distribution() {
    let text = "model m() {\n  param n: f32[100, 200] ~ normal(2)\n  param t: f32[100, 200] ~ truncated_normal(0.5)\n  \
                param u: f32[100, 200] ~ uniform(-1, 3)\n  param c: f32[3] ~ constant(0.25)\n  loss = sum(n + t + u) + sum(c)\n}\n";
    for float in [DType::F32, DType::F64] {
        let arrays = initial(text, float, [1, 2]);
        let check = |name: &str, mean: f64, std: f64, lowest: f64, highest: f64| {
            assert_eq!(arrays[name].dtype(), float);
            let x = arrays[name].to_f64();
            let n = x.len() as f64;
            let m = x.iter().sum::<f64>() / n;
            let s = (x.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n).sqrt();
            assert!((m - mean).abs() < 0.03 * std.max(0.1), "{name}: mean {m}");
            assert!((s - std).abs() < 0.02 * std + 1e-12, "{name}: standard deviation {s}");
            assert!(x.iter().all(|x| (lowest..=highest).contains(x)), "{name} leaves its range");
        };
        check("n", 0.0, 2.0, -14.0, 14.0);
        check("t", 0.0, 0.5 * 0.879_625_661_034_239_8, -1.0, 1.0);
        check("u", 1.0, 4.0 / 12f64.sqrt(), -1.0, 3.0);
        check("c", 0.25, 0.0, 0.25, 0.25);
    }
}

#[test]
fn what_a_parameter_starts_from_depends_on_its_name_alone() {
    let one = "model m() {\n  param w: f32[4] ~ normal(1)\n  loss = sum(w)\n}\n";
    let two =
        "model m() {\n  param v: f32[4] ~ normal(1)\n  param w: f32[4] ~ normal(1)\n  loss = sum(v * w)\n}\n";
    let (a, b) = (initial(one, DType::F32, [5, 6]), initial(two, DType::F32, [5, 6]));
    assert_eq!(a["w"], b["w"]);
    assert_ne!(b["v"], b["w"]);
    assert_ne!(a["w"], initial(one, DType::F32, [5, 7])["w"]);
}

#[test]
fn the_inverse_error_function_inverts() {
    for k in -99..=99 {
        let x = k as f64 / 100.0;
        let y = random::erf_inv(&mut Native::<f64>::new(), x);
        assert!((Native::<f64>::new().erf(y) - x).abs() < 1e-14, "{x}");
    }
}

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|p| p.extension().is_some_and(|e| e == "fg") && !p.ends_with("prelude.fg")).collect();
    files.sort();
    files
}

fn manual() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md")).unwrap()
}

#[test]
fn the_manual_s_examples_load() {
    let manual = manual();
    let examples: Vec<&str> =
        manual.split("```fg\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 5);
    for example in examples {
        try_load(example, &Options::default()).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn the_manual_lists_what_there_is() {
    let manual = manual();
    for builtin in builtins::all() {
        let row = format!("| `{}` | {} |", builtin.signature(), builtin.doc);
        assert!(manual.contains(&row), "docs/language.md lacks the row\n{row}");
    }
    for row in builtins::row_names() {
        assert!(manual.contains(&format!("`{row}`")), "docs/language.md lacks `{row}`");
    }
    for line in fgc_ir::lang::PRELUDE.lines() {
        let layer = line.strip_prefix("fn ").and_then(|l| l.strip_suffix(" {"));
        if let Some(layer) = layer {
            assert!(manual.contains(&format!("`{layer}`")), "docs/language.md lacks `{layer}`");
        }
        if let Some(init) = line.strip_prefix("init ").and_then(|l| l.split('(').next()) {
            assert!(manual.contains(&format!("`{init}`")), "docs/language.md lacks `{init}`");
        }
    }
}
