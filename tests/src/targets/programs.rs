//! A random program: its derivatives and batches, rewritten, compiled and interpreted.

use fgc_codegen::{Executable, Fusion};
use fgc_ir::{Graph, Limits, OpRules, OutputKind, interpret_within};
use fgc_transforms::eqsat::{self, optimise};
use fgc_transforms::{grad, hvp, jvp, jvp_many, vmap};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::laws::passed;
use crate::numeric::{arrays_to_f64, graph_to_f64, random_arrays};
use crate::rounding::Rounded;
use crate::{fuzz, generate};

/// What running a program may take.
const LIMITS: Limits = Limits { bytes: 1 << 22, flops: 1 << 22 };
/// What a rewritten program may differ by, in parts of the largest element, beside what rounding explains.
const REWRITTEN: f64 = 1e-6;

/// The first byte says what is done with the program that the others stand for, the second draws its arrays.
pub fn run(input: &[u8]) {
    let [how, seed, choices @ ..] = input else { return };
    let g = generate::graph_of(choices);
    check(&g, *how, u64::from(*seed)).unwrap_or_else(|e| panic!("{e}\n{g}"));
}

fn check(g: &Graph, how: u8, seed: u64) -> Result<(), String> {
    fuzz::check(g, seed)?;
    let floats = g.bindings().filter(|(v, _, _)| g.ty(*v).dtype.is_float());
    let wrt: Vec<&str> = floats.map(|(_, name, _)| name).collect();
    let derived = match how % 8 {
        0 => passed(jvp(g, &wrt))?,
        1 => passed(grad(g, &wrt))?,
        2 => passed(hvp(g, &wrt))?,
        3 => passed(jvp_many(g, &wrt, 2))?,
        4 => passed(vmap(g, &wrt, 3))?,
        _ => g.clone(),
    };
    match how / 8 % 4 {
        0 => compiled(&derived, Fusion::None, seed),
        1 | 2 => compiled(&derived, Fusion::All, seed),
        _ => rewritten(&graph_to_f64(&derived)?, seed),
    }
}

/// Compiled code gives what the interpreter does, and the same again in memory that isn't zero.
fn compiled(g: &Graph, fusion: Fusion, seed: u64) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let arrays = random_arrays(g, &mut rng);
    let mut executable = Executable::compile_with(g, fusion).map_err(|e| e.to_string())?;
    let Some(expected) = Rounded::new(g, &arrays, LIMITS, &mut rng)? else { return Ok(()) };
    let found = executable.run(&arrays).map_err(|e| e.to_string())?;
    let again = executable.run(&arrays).map_err(|e| e.to_string())?;
    for (name, x) in &found {
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        if bits(&x.to_f64()) != bits(&again[name].to_f64()) {
            return Err(format!("`{name}` is {x:?}, and then {:?}", again[name]));
        }
    }
    // Padding is zeros that are multiplied, which tells where a kernel isn't finite.
    let padded = g.values().any(|v| g.node(v).op.name() == "conv");
    if padded && !expected.is_finite() {
        return Ok(());
    }
    expected.explains(&found, 0.0).map_err(|e| format!("compiled with {fusion:?}: {e}\n{g}"))
}

/// A rewritten program has the same interface, costs no more, and gives the same, interpreted and compiled.
fn rewritten(g: &Graph, seed: u64) -> Result<(), String> {
    let (result, report) = optimise(g, &eqsat::Limits::default()).map_err(|e| e.to_string())?;
    crate::laws::valid(&result)?;
    let metrics = g.outputs.iter().any(|o| o.kind == OutputKind::Metric);
    if eqsat::is_worse(&result, g) && !metrics {
        return Err(format!("costs {} instead of {}", report.cost_after, report.cost_before));
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let arrays = arrays_to_f64(&random_arrays(g, &mut rng));
    let Some(expected) = Rounded::new(g, &arrays, LIMITS, &mut rng)? else { return Ok(()) };
    let Ok(found) = interpret_within(&result, &arrays, LIMITS) else { return Ok(()) };
    // What isn't finite may come out otherwise, and then what depends on it.
    if !expected.is_finite() {
        return Ok(());
    }
    expected.explains(&found, REWRITTEN).map_err(|e| format!("rewritten: {e}\n{g}\n{result}"))?;
    let mut executable = Executable::compile(&result).map_err(|e| e.to_string())?;
    let found = executable.run(&arrays).map_err(|e| e.to_string())?;
    expected.explains(&found, REWRITTEN).map_err(|e| format!("rewritten and compiled: {e}\n{g}\n{result}"))
}
