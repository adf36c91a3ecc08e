//! Expressions of the language against what JAX computes for the same: indexing, `einsum`, folds, `//` and `%`,
//! transposed convolutions, with gradients. `oracle/language.py` made what is expected.

use std::collections::BTreeSet;
use std::path::Path;

use fgc_ir::arrays::{self, ArrayFile};
use fgc_ir::bounds::problems;
use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::{Arrays, DType, Graph, Tensor, Type};
use fgc_tests::numeric::distance;
use fgc_transforms::{Derivatives, grad, params};

use crate::edges::WAYS;

/// How far results may be from those of JAX in double precision, by the precision that they are computed in.
const TOLERANCES: [(DType, f64); 2] = [(DType::F32, 1e-5), (DType::F64, 1e-13)];

fn graph(text: &str, float: DType) -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("numpy.fg", text);
    load(&mut sources, file, &Options { float, ..Options::default() }, &Derivatives).unwrap_or_else(
        |errors| {
            let errors: Vec<String> = errors.iter().map(|e| e.render(&sources, false)).collect();
            panic!("{}\n{text}", errors.join("\n"))
        },
    )
}

/// The operands that `expression` names, outside of texts, as `float` where they are floats.
fn operands(file: &ArrayFile, expression: &str, float: DType) -> Arrays {
    let code: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    let words: BTreeSet<&str> = code.split(|c: char| !c.is_alphanumeric()).collect();
    let named = file.tensors.iter().filter_map(|(key, x)| Some((key.strip_prefix("in:")?, x)));
    let convert = |x: &Tensor| match x.dtype() {
        DType::F64 => {
            let numbers = x.to_f64();
            Tensor::generate(&x.ty().cast(float), |i| numbers[i])
        }
        _ => x.clone(),
    };
    named.filter(|(name, _)| words.contains(name)).map(|(name, x)| (name.to_owned(), convert(x))).collect()
}

/// A model of `expression`: floats are parameters, and the loss is the sum of the squares.
fn model(expression: &str, operands: &Arrays, differentiable: bool) -> String {
    let mut text = String::from("model m(");
    let shape = |x: &Tensor| x.shape().to_string();
    for (name, x) in operands.iter().filter(|(_, x)| !x.dtype().is_float()) {
        text += &format!("{name}: {}{}, ", x.dtype(), shape(x));
    }
    text += ") {\n";
    for (name, x) in operands.iter().filter(|(_, x)| x.dtype().is_float()) {
        text += &format!("  param {name}: f32{} ~ zeros\n", shape(x));
    }
    text += &format!("  y = {expression}\n  output y\n");
    text += if differentiable { "  loss = sum(square(y))\n}\n" } else { "}\n" };
    text
}

#[test]
fn expressions_are_those_of_jax() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/language.safetensors");
    let file = arrays::read(&path).expect("the fixture");
    let values = file.tensors.keys().filter(|key| !key.starts_with("in:"));
    let expressions: BTreeSet<&str> = values.filter_map(|key| key.strip_suffix(":y")).collect();
    assert!(expressions.len() > 50, "{} expressions", expressions.len());
    let mut wrong = Vec::new();
    for expression in expressions {
        let expected = &file.tensors[&format!("{expression}:y")];
        let differentiable = expected.dtype().is_float();
        for (float, tolerance) in TOLERANCES {
            let arrays = operands(&file, expression, float);
            let g = graph(&model(expression, &arrays, differentiable), float);
            let mut compare = |way: &str, what: &str, found: &Tensor, expected: &Tensor| {
                let far = distance(&found.to_f64(), &expected.to_f64(), 1e-3);
                if found.shape() != expected.shape() || far.is_nan() || far > tolerance {
                    wrong.push(format!(
                        "{expression} {way} in {float}: {what} {} for {}, apart {far:e}",
                        found.shape(),
                        expected.shape()
                    ));
                }
            };
            for (way, run) in WAYS {
                compare(way, "the value", &run(&g, &arrays)["y"], expected);
                if differentiable {
                    let names = params(&g);
                    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                    let gradients = run(&grad(&g, &names).expect("a gradient"), &arrays);
                    for name in names {
                        let key = format!("{name}.grad");
                        compare(way, &key, &gradients[&key], &file.tensors[&format!("{expression}:{key}")]);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What `expression` of `x` (0, 1, …, 5 in two rows) and the positions `i` is, interpreted and compiled.
fn of_positions(expression: &str, i: &[i32]) -> Vec<f64> {
    let text = format!(
        "model m(i: i32[{}]) {{\n  param x: f32[2, 3] ~ zeros\n  output y = {expression}\n}}\n",
        i.len()
    );
    let g = graph(&text, DType::F32);
    let x = Tensor::generate(&Type::new(DType::F32, [2, 3]), |k| k as f64);
    let arrays =
        Arrays::from([("x".to_owned(), x), ("i".to_owned(), Tensor::of::<i32>([i.len()], i.to_vec()))]);
    let results: Vec<Vec<f64>> = WAYS.iter().map(|(_, run)| run(&g, &arrays)["y"].to_f64()).collect();
    assert!(results.iter().all(|y| *y == results[0]), "{expression}: {results:?}");
    results.into_iter().next().unwrap_or_default()
}

#[test]
fn positions_outside_are_read_as_zero_and_write_nothing() {
    let most = i32::MAX;
    assert_eq!(of_positions("x[0, i]", &[2, -3, 3, -4, most, -most]), [2.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    // One that is outside of its own dimension isn't one of another row.
    assert_eq!(of_positions("x[tensor([0, 0, 1, 1, 2]), i]", &[3, 2, -1, -4, 0]), [0.0, 2.0, 5.0, 0.0, 0.0]);
    assert_eq!(of_positions("x[i * 65536 * 1024, i]", &[64, 64])[0], 0.0);
    assert_eq!(of_positions("take_along(x, i)", &[3, -1]), [0.0, 0.0]);
    assert_eq!(of_positions("scatter_add(x, i, 10, 1)[0]", &[1, 1, 3, -1]), [0.0, 21.0, 2.0]);
    assert_eq!(of_positions("scatter(x, i, 10, 1)[1]", &[1, 3, -1]), [3.0, 10.0, 5.0]);
}

#[test]
fn the_last_of_several_writes_to_one_place_stands() {
    let y = "tensor([[10.0, 11.0, 12.0, 13.0], [20.0, 21.0, 22.0, 23.0]])";
    let found = of_positions(&format!("scatter(x, i, {y}, -1)"), &[2, 0, 2, 0]);
    assert_eq!(found, [13.0, 1.0, 12.0, 23.0, 4.0, 22.0]);
    assert_eq!(
        of_positions("scatter(x, i, tensor([[7.0, 8.0, -0.0]]))", &[1])[5].to_bits(),
        (-0.0f64).to_bits()
    );
    assert_eq!(of_positions("scatter(x, i, zeros([0, 3]))", &[]), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn an_input_that_indexes_is_checked_though_negative_positions_count_from_the_end() {
    let g = graph("model m(i: i32[2]) {\n  output y = i32(tensor([5.0, 6.0, 7.0]))[i]\n}\n", DType::F32);
    let with = |i: [i32; 2]| Arrays::from([("i".to_owned(), Tensor::of::<i32>([2], i.to_vec()))]);
    assert_eq!(problems(&g, &with([0, 2])), [""; 0]);
    for i in [[0, 3], [-1, 0]] {
        let problems = problems(&g, &with(i));
        assert!(problems.len() == 1 && problems[0].contains("3 positions"), "{problems:?}");
    }
}

#[test]
fn integers_are_divided_as_in_python_at_their_limits() {
    let text = "model m(a: i32[6], b: i32[6], c: u32[2], d: u32[2]) {\n  output q = a // b\n  output r = a % b\n  \
                output uq = c // d\n  output ur = c % d\n}\n";
    let g = graph(text, DType::F32);
    let ints = |x: &[i32]| Tensor::of::<i32>([x.len()], x.to_vec());
    let words = |x: &[u32]| Tensor::of::<u32>([x.len()], x.to_vec());
    let arrays = Arrays::from([
        ("a".to_owned(), ints(&[5, -5, 0, i32::MIN, i32::MIN, i32::MAX])),
        ("b".to_owned(), ints(&[0, 0, 0, -1, i32::MAX, i32::MIN])),
        ("c".to_owned(), words(&[u32::MAX, 7])),
        ("d".to_owned(), words(&[2, u32::MAX])),
    ]);
    for (way, run) in WAYS {
        let found = run(&g, &arrays);
        let min = f64::from(i32::MIN);
        assert_eq!(found["q"].to_f64(), [-1.0, -1.0, -1.0, min, -2.0, -1.0], "{way}");
        assert_eq!(found["r"].to_f64(), [5.0, -5.0, 0.0, 0.0, f64::from(i32::MAX) - 1.0, -1.0], "{way}");
        assert_eq!(found["uq"].to_f64(), [f64::from(u32::MAX >> 1), 0.0], "{way}");
        assert_eq!(found["ur"].to_f64(), [1.0, 7.0], "{way}");
    }
}
