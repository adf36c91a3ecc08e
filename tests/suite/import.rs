//! Imported models against PyTorch, and files that aren't models; `tests/oracle/import/fixtures.py` makes the fixtures.

use std::fs;
use std::path::PathBuf;

use fgc::{Arrays, CompileOptions, Model, Options};
use fgc_import::{Error, Imported, Layout, Loss, Settings, import};
use fgc_ir::arrays::{self, ArrayFile};

/// The fixtures, by name.
const FIXTURES: [&str; 6] = ["block", "block_ts", "cnn", "cnn_ts", "images", "recurrent"];

/// How far results may be from PyTorch's, as a part of the largest of them.
const OUTPUTS: f64 = 1e-5;
const DERIVATIVES: f64 = 1e-4;

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("oracle/import").join(file)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(path(&format!("{name}.onnx"))).unwrap()
}

fn settings(name: &str, oracle: &ArrayFile) -> Settings {
    let loss = match oracle.metadata["loss"].as_str() {
        "mse" => Loss::Mse,
        _ => Loss::CrossEntropy,
    };
    Settings { name: name.to_owned(), loss: Some(loss), ..Settings::default() }
}

fn imported(name: &str) -> (Imported, ArrayFile) {
    let oracle = arrays::read(&path(&format!("{name}.safetensors"))).unwrap();
    (import(bytes(name), None, &settings(name, &oracle)).unwrap(), oracle)
}

/// What is wrong with `results`, those of `wanted:` in `oracle` whose names `is_told`.
fn problems(
    results: &Arrays,
    oracle: &ArrayFile,
    is_told: impl Fn(&str) -> bool,
    allowed: f64,
) -> Vec<String> {
    let wanted =
        oracle.tensors.iter().filter_map(|(name, x)| Some((name.strip_prefix("wanted:")?, x.to_f64())));
    let wanted: Vec<_> = wanted.filter(|(name, _)| is_told(name)).collect();
    assert!(!wanted.is_empty());
    let size = |v: &[f64]| v.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    let largest = wanted.iter().fold(0.0, |a: f64, (_, v)| a.max(size(v)));
    let mut problems = Vec::new();
    for (name, v) in wanted {
        // A gradient that is 0 but for rounding has no scale of its own.
        let scale = size(&v).max(1e-6 * largest);
        let got = results[name].to_f64();
        let difference: Vec<f64> = got.iter().zip(&v).map(|(a, b)| a - b).collect();
        if got.len() != v.len() || size(&difference) > allowed * scale {
            problems.push(format!("{name}: {:.1e} of {scale:.1e}", size(&difference)));
        }
    }
    problems
}

#[test]
fn imported_models_compute_what_pytorch_does() {
    let mut wrong = Vec::new();
    for name in FIXTURES {
        let (imported, oracle) = imported(name);
        let options =
            Options { training: false, batch: oracle.metadata["batch"].parse().ok(), ..Options::default() };
        let model = Model::parse(&imported.text, &options).unwrap();
        let mut bound = imported.arrays.clone();
        bound.extend(
            oracle.tensors.iter().filter(|(k, _)| !k.contains(':')).map(|(k, x)| (k.clone(), x.clone())),
        );
        let along: Vec<&str> = oracle.tensors.keys().filter_map(|k| k.strip_suffix(".tangent")).collect();
        let by: Vec<&str> = along.iter().copied().filter(|k| !k.contains(':')).collect();
        assert!(!by.is_empty(), "{name}");
        let passes = [
            ("primal", model.clone(), OUTPUTS),
            ("jvp", model.jvp_by(&by).unwrap(), DERIVATIVES),
            ("grad", model.grad_by(&by).unwrap(), DERIVATIVES),
        ];
        for (pass, model, allowed) in passes {
            let told = |key: &str| match pass {
                "primal" => !key.ends_with(".tangent") && !key.ends_with(".grad"),
                "jvp" => key.ends_with(".tangent"),
                _ => key.ends_with(".grad"),
            };
            let given = |graph: &fgc::Graph| -> Arrays {
                graph.bindings().map(|(_, k, _)| (k.to_owned(), bound[k].clone())).collect()
            };
            let interpreted = model.interpret(&given(model.graph())).unwrap();
            let mut program = model.compile(&CompileOptions::default()).unwrap();
            let compiled = program.run(&given(model.graph())).unwrap();
            for (how, results) in [("interpreted", interpreted), ("compiled", compiled)] {
                let found = problems(&results, &oracle, told, allowed);
                wrong.extend(found.into_iter().map(|p| format!("{name} {pass} {how}: {p}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares `text` with the snapshot `name`.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn imported_models_are_readable() {
    for name in FIXTURES {
        snapshot(&format!("import_{name}"), &imported(name).0.text);
    }
}

#[test]
fn images_may_go_in_and_out_as_in_the_source() {
    let (last, oracle) = imported("images");
    let first = Settings { layout: Layout::Source, ..settings("images", &oracle) };
    let first = import(bytes("images"), None, &first).unwrap();
    assert!(last.text.contains("x: f32[batch, 6, 6, 2]") && first.text.contains("x: f32[batch, 2, 6, 6]"));
    assert!(first.notes.iter().all(|note| !note.contains("channels first")) && last.notes.len() >= 2);
    let transposes = |text: &str| text.matches("transpose(").count();
    assert_eq!(
        transposes(&first.text) - transposes(&last.text),
        2,
        "one behind the input, one before the output"
    );
    assert_eq!(first.arrays, last.arrays);
}

/// Whatever the bytes are, there is a model or an error that says something.
fn survives(bytes: Vec<u8>, data: Option<Vec<u8>>) {
    for loss in [None, Some(Loss::CrossEntropy)] {
        if let Err(e) = import(bytes.clone(), data.clone(), &Settings { loss, ..Settings::default() }) {
            assert!(!e.to_string().is_empty());
        }
    }
}

#[test]
fn no_bytes_panic() {
    let mut state = 1u64;
    let mut random = move |n: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n.max(1)
    };
    for name in FIXTURES {
        let whole = bytes(name);
        for _ in 0..60 {
            let mut bytes = whole.clone();
            match random(3) {
                0 => bytes.truncate(random(whole.len())),
                1 => {
                    for _ in 0..1 + random(4) {
                        bytes[random(whole.len())] ^= 1 << random(8);
                    }
                }
                _ => {
                    let at = random(whole.len());
                    bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random(5)];
                    let from = random(whole.len() - 8);
                    let piece = whole[from..from + random(8)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            survives(bytes, None);
        }
    }
    survives(Vec::new(), Some(Vec::new()));
}

/// The fields of messages, as the format has them: a number, or bytes.
fn int(tag: u8, n: u8) -> Vec<u8> {
    vec![tag << 3, n]
}

fn inner(tag: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 1 << 14 && tag < 16);
    let (low, high) = (bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8);
    [&[tag << 3 | 2, low, high], bytes].concat()
}

/// A model of version 20 of the operators with that graph.
fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    [inner(8, &int(2, 20)), inner(7, &graph.concat())].concat()
}

/// An input called `x` of floats, whose sizes are named `dims`.
fn input(dims: &[&str]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|d| inner(1, &inner(2, d.as_bytes()))).collect();
    let ty = inner(1, &[int(1, 1), inner(2, &dims)].concat());
    inner(11, &[inner(1, b"x"), inner(2, &ty)].concat())
}

fn node(op: &str, from: &[&str], to: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = from.iter().map(|name| inner(1, name.as_bytes())).collect();
    parts.push(inner(2, to.as_bytes()));
    parts.push(inner(3, format!("/{to}").as_bytes()));
    parts.push(inner(4, op.as_bytes()));
    parts.extend(attributes.iter().map(|a| inner(5, a)));
    inner(1, &parts.concat())
}

fn refused(bytes: Vec<u8>) -> String {
    import(bytes, None, &Settings::default()).unwrap_err().to_string()
}

#[test]
fn all_that_cannot_be_said_is_listed() {
    let axis = [inner(1, b"axis"), int(3, 7)].concat();
    let graph = [
        input(&["batch"]),
        node("NonZero", &["x"], "a", &[]),
        node("Softmax", &["x"], "b", &[axis]),
        node("Relu", &["a"], "c", &[]),
        node("Loop", &["c"], "d", &[]),
        node("Exp", &["nowhere"], "e", &[]),
        inner(12, &inner(1, b"d")),
        inner(12, &inner(1, b"missing")),
    ];
    let error = import(model(&graph), None, &Settings::default()).unwrap_err();
    let Error::Unsaid(problems) = &error else { panic!("{error}") };
    let found: Vec<(&str, &str)> = problems.iter().map(|p| (p.name.as_str(), p.op.as_str())).collect();
    let wanted = [("/a", "NonZero"), ("/b", "Softmax"), ("/d", "Loop"), ("/e", "Exp"), ("missing", "")];
    assert_eq!(found, wanted);
    assert_eq!(problems[1].attribute.as_deref(), Some("axis"));
    snapshot("import_unsaid", &error.to_string());
}

#[test]
fn dimensions_of_any_size_get_one() {
    let graph = [input(&["batch", "tokens"]), node("Exp", &["x"], "y", &[]), inner(12, &inner(1, b"y"))];
    let said = refused(model(&graph));
    assert!(
        said.contains("dimension 1, `tokens`, has any size: give it one, as in --size tokens=16"),
        "{said}"
    );
    let settings = Settings { sizes: [("tokens".to_owned(), 5)].into(), ..Settings::default() };
    let text = import(model(&graph), None, &settings).unwrap().text;
    assert!(text.contains("model imported(x: f32[batch, 5]) {\n  output y = exp(x)\n}"), "{text}");
}

#[test]
fn hostile_files_are_refused() {
    // A field of two bytes may take a hundred times as many in memory.
    let many = [0x0a, 0].repeat(5_000_000);
    let mut length = many.len();
    let mut bytes = vec![7 << 3 | 2];
    while length >= 128 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    assert!(refused([bytes, many].concat()).contains("more than 4000000 fields of messages"));
    // A constant that is as large as its header says, and one that would be made so large.
    let dims = |sizes: &[&[u8]]| -> Vec<u8> { sizes.iter().flat_map(|n| [&[1 << 3], *n].concat()).collect() };
    let huge: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0x7f];
    let array = |dims: Vec<u8>| inner(5, &[dims, int(2, 1), inner(8, b"w")].concat());
    let said = refused(model(&[array(dims(&[huge, huge, huge]))]));
    assert!(said.contains("its shape is too large"), "{said}");
    let said = refused(model(&[array(dims(&[&[100], &[100]]))]));
    assert!(said.contains("0 elements in shape [100, 100]"), "{said}");
    let sizes = inner(
        5,
        &[dims(&[&[2]]), int(2, 7), inner(7, &[0xff, 0xff, 3, 0xff, 0xff, 3]), inner(8, b"s")].concat(),
    );
    let fill = node("ConstantOfShape", &["s"], "y", &[]);
    let said = refused(model(&[sizes, fill, inner(12, &inner(1, b"y"))]));
    assert!(said.contains("constants of more than 33554432 elements in all aren't computed"), "{said}");
    assert!(refused(b"\x08\x01".to_vec()).contains("which operators it is of"));
    assert!(refused(inner(8, &int(2, 9))).contains("version 9 of ONNX's operators; 13 to 22 are read"));
}
