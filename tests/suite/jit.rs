//! Compiled code against the interpreter.

use fgc_codegen::Executable;
use fgc_ir::{Arrays, Graph, Op, OpRules, Tensor, interpret};
use fgc_tests::single::single;

/// How far apart results may be, relative to the largest element: a few roundings of the sums
/// that compiled code keeps in single precision.
fn tolerance(x: &Tensor) -> f64 {
    match x.dtype() {
        fgc_ir::DType::F32 => 2e-6,
        fgc_ir::DType::F64 => 1e-14,
        _ => 0.0,
    }
}

fn differs(a: &Tensor, b: &Tensor) -> Option<String> {
    if a.ty() != b.ty() {
        return Some(format!("{} and {}", a.ty(), b.ty()));
    }
    let (x, y) = (a.to_f64(), b.to_f64());
    let scale = y.iter().filter(|v| v.is_finite()).fold(1e-30, |m: f64, v| m.max(v.abs()));
    let apart = |(x, y): (&f64, &f64)| {
        let same = x == y || (x.is_nan() && y.is_nan());
        !same && (!(x - y).abs().is_finite() || (x - y).abs() > tolerance(b) * scale || (x - y).is_nan())
    };
    let at = x.iter().zip(&y).position(apart)?;
    Some(format!("element {at} is {} instead of {}", x[at], y[at]))
}

/// Why compiled `g` differs from interpreted `g`.
fn compare(g: &Graph, inputs: &Arrays) -> Result<(), String> {
    let expected = interpret(g, inputs).map_err(|e| e.to_string())?;
    let mut executable = Executable::compile(g).map_err(|e| e.to_string())?;
    for turn in 0..2 {
        let found = executable.run(inputs).map_err(|e| e.to_string())?;
        for (name, expected) in &expected {
            let found = found.get(name).ok_or_else(|| format!("no `{name}`"))?;
            if let Some(difference) = differs(found, expected) {
                return Err(format!("turn {turn}: `{name}`: {difference}"));
            }
        }
    }
    Ok(())
}

#[test]
fn every_operation_compiles_to_its_meaning() {
    let mut failures = Vec::new();
    for (k, sample) in Op::samples().into_iter().enumerate() {
        let name = format!("{k}: {}{}", sample.op.name(), sample.op.attrs());
        if let Err(e) = single(&sample).and_then(|(g, inputs)| compare(&g, &inputs)) {
            failures.push(format!("{name}: {e}"));
        }
    }
    assert!(failures.is_empty(), "{} fail:\n{}", failures.len(), failures.join("\n"));
}
