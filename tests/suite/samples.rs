//! Every operation on every element type that it takes, with sizes 0 and 1 and with extreme numbers: compiled code
//! against the interpreter, at every level.
//!
//! What has to be equal: integers, truth values, what is moved but not computed, and arithmetic that IEEE 754 rounds
//! correctly, to the bit but for which NaN it is; elementary functions to some units in the last place, with infinities
//! and NaN in the same places; sums to a part of the sum of magnitudes, unless that leaves the range, where the order of
//! terms decides.

use fgc_codegen::{Executable, Fusion};
use fgc_ir::ops::Sample;
use fgc_ir::{Arrays, DType, Graph, Lower, OpRules, OutputKind, Tensor, Type, interpret};
use fgc_tests::single::single;
use fgc_tests::variants::{combined, is_sum, resized, sprinkled, typed};
use fgc_transforms::eqsat::{self, optimise};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::edges::{ulp, value};

/// Elementwise operations of floats that aren't rounded correctly.
const FUNCTIONS: [&str; 24] = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "rsqrt", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "logistic", "softplus", "silu", "erf", "erfc", "pow", "atan2",
];
/// What sums may be off by, in parts of the sum of magnitudes.
const SUM: (f64, f64) = (1e-6, 1e-13);
/// How often operands other than those of elementwise operations are drawn.
const DRAWS: usize = 8;

fn assert_none(failures: Vec<String>) {
    let (count, shown) = (failures.len(), &failures[..failures.len().min(25)]);
    assert!(failures.is_empty(), "{count} fail:\n{}", shown.join("\n"));
}

fn described(sample: &Sample) -> String {
    let args: Vec<String> = sample.args.iter().map(|x| x.ty().to_string()).collect();
    format!("{}{} {}", sample.op.name(), sample.op.attrs(), args.join(", "))
}

/// The graph of the operation alone.
fn graph(sample: &Sample) -> Graph {
    let (mut g, _) = single(sample).unwrap_or_else(|e| panic!("{}: {e}", described(sample)));
    g.outputs.retain(|o| o.kind == OutputKind::Value);
    fgc_ir::prune(&g)
}

/// Compiled at every level.
fn levels(g: &Graph) -> Vec<(&'static str, Executable)> {
    let (rewritten, _) = optimise(g, &eqsat::Limits::default()).expect("a graph that is rewritten");
    let compile = |g, fusion| Executable::compile_with(g, fusion).expect("code");
    vec![
        ("level 0", compile(g, Fusion::None)),
        ("level 1", compile(&rewritten, Fusion::None)),
        ("level 2", compile(&rewritten, Fusion::All)),
    ]
}

/// The sums of magnitudes of the finite terms, computed in double precision, beyond which nothing is summed.
fn magnitudes(sample: &Sample, args: &[Tensor]) -> Vec<f64> {
    let wide = |x: &Tensor| match x.dtype() {
        DType::F32 | DType::F64 => {
            let numbers = x.to_f64();
            let finite = |x: f64| if x.is_finite() { x.abs() } else { 0.0 };
            Tensor::generate(&x.ty().cast(DType::F64), |i| finite(numbers[i]))
        }
        _ => x.clone(),
    };
    let args: Vec<Tensor> = args.iter().map(wide).collect();
    sample.op.eval(&args.iter().collect::<Vec<_>>()).to_f64()
}

/// What of `found` isn't as it has to be.
fn wrong(sample: &Sample, args: &[Tensor], found: &Tensor, expected: &Tensor) -> Option<String> {
    let ty = expected.ty();
    if found.ty() != ty {
        return Some(format!("{}, not {ty}", found.ty()));
    }
    let types: Vec<Type> = args.iter().map(Tensor::ty).collect();
    let lower = sample.op.lower(&types.iter().collect::<Vec<_>>());
    let name = sample.op.name();
    let sums = (is_sum(&lower) && ty.dtype.is_float()).then(|| magnitudes(sample, args));
    // The zeros of padding are multiplied by what a kernel has.
    let padded = matches!(lower, Lower::Conv(_)) && args[1].to_f64().iter().any(|x| !x.is_finite());
    let (found, expected) = (found.to_f64(), expected.to_f64());
    let places: Vec<Vec<f64>> = args.iter().map(Tensor::to_f64).collect();
    let (unit, most) = if ty.dtype == DType::F32 { (SUM.0, f64::from(f32::MAX)) } else { (SUM.1, f64::MAX) };
    for (k, (&is, &was)) in found.iter().zip(&expected).enumerate() {
        let right = match &sums {
            _ if is.is_nan() && was.is_nan() => true,
            Some(sums) if sums[k] > most / 4.0 => true,
            Some(_) if padded && is.is_nan() => true,
            Some(sums) if is.is_finite() && was.is_finite() => {
                (is - was).abs() <= unit * sums[k] + ulp(ty.dtype, 0.0) * 64.0
            }
            Some(_) => is == was,
            None if FUNCTIONS.contains(&name) => {
                let mut tolerance = value(name);
                // Both may be off.
                tolerance.ulps *= 2.0;
                tolerance.allows(ty.dtype, is, was, places[0][k])
            }
            None => is.to_bits() == was.to_bits(),
        };
        if !right {
            let at = if matches!(lower, Lower::Map) {
                places.iter().map(|x| format!("{:e}", x[k])).collect::<Vec<_>>().join(", ")
            } else {
                format!("{args:?}")
            };
            return Some(format!("element {k} is {is:e}, not {was:e}, of {at}"));
        }
    }
    None
}

/// Runs `sample` at every level on each of `drawn`.
fn failures(sample: &Sample, drawn: &[Vec<Tensor>], failures: &mut Vec<String>) {
    let g = graph(sample);
    let mut levels = levels(&g);
    for args in drawn {
        let arrays: Arrays = args.iter().enumerate().map(|(k, x)| (format!("x{k}"), x.clone())).collect();
        let expected = &interpret(&g, &arrays).expect("arrays that fit")["y"];
        for (level, executable) in &mut levels {
            let found = &executable.run(&arrays).expect("arrays that fit")["y"];
            if let Some(e) = wrong(sample, args, found, expected) {
                failures.push(format!("{} at {level}: {e}", described(sample)));
            }
        }
    }
}

#[test]
fn extreme_numbers_have_the_same_results_compiled() {
    let mut all = Vec::new();
    let mut rng = StdRng::seed_from_u64(5);
    for sample in typed() {
        let is_map = sample.class() == "map";
        let (sample, drawn) = if is_map && !sample.args.is_empty() {
            let sample = combined(&sample);
            let args = sample.args.clone();
            (sample, vec![args])
        } else {
            let drawn = (0..DRAWS).map(|_| sprinkled(&sample, &mut rng)).collect();
            (sample, drawn)
        };
        failures(&sample, &drawn, &mut all);
    }
    assert_none(all);
}

#[test]
fn sizes_of_0_and_1_have_the_same_results_compiled() {
    let mut all = Vec::new();
    let mut count = 0;
    for sample in typed() {
        for sample in resized(&sample) {
            count += 1;
            failures(&sample, std::slice::from_ref(&sample.args), &mut all);
        }
    }
    assert!(count > 300, "only {count} samples have other sizes");
    assert_none(all);
}

/// What the op table says of types is what the samples cover: every operation that takes an element type at all has a
/// sample of it.
#[test]
fn samples_cover_every_element_type() {
    let all = typed();
    let types = |name: &str| -> std::collections::BTreeSet<DType> {
        let of = all.iter().filter(|s| s.op.name() == name);
        of.filter_map(|s| s.args.first().map(Tensor::dtype)).collect()
    };
    assert_eq!(types("add").len(), 4);
    assert_eq!(types("exp").into_iter().collect::<Vec<_>>(), [DType::F32, DType::F64]);
    assert_eq!(types("and").len(), 3);
    for name in ["reshape", "transpose", "slice", "pad", "concat", "reverse", "broadcast", "cast"] {
        assert_eq!(types(name).len(), DType::ALL.len(), "{name}");
    }
    for name in ["sum", "max", "argmax", "dot", "conv", "window_sum", "gather"] {
        assert!(types(name).len() >= 4, "{name}: {:?}", types(name));
    }
}
