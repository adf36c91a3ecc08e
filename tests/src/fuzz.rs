//! The cases of fuzzing: a seed in, what it ended in or what is broken out.

use fgc_ir::lang::Options;
use fgc_ir::{Arrays, DType, EvalError, Graph, Limits, Output, OutputKind, interpret_within};
use fgc_transforms::{Suffix, grad, hvp, jvp, jvp_many, vmap};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::laws::{directions, passed, valid, with};
use crate::numeric::{arrays_to_f64, graph_to_f64, inner, random_arrays};
use crate::{generate, soup};

/// What running one graph may take.
const LIMITS: Limits = Limits { bytes: 1 << 28, flops: 100_000_000 };

/// Reads a random text and elaborates what it holds; a graph that comes out has to be valid.
pub fn parser(seed: u64) -> Result<&'static str, String> {
    let mut rng = StdRng::seed_from_u64(!seed);
    let options = Options {
        batch: [None, Some(0), Some(1), Some(2), Some(3), Some(usize::MAX)][rng.random_range(0..6)],
        training: rng.random(),
        float: [DType::F32, DType::F64][rng.random_range(0..2)],
        set: if rng.random_range(0..4) == 0 { vec![("hidden".to_owned(), "3".to_owned())] } else { vec![] },
        ..Options::default()
    };
    match soup::load(&soup::text(seed), &options) {
        Ok(g) => valid(&g).map(|()| "accepted"),
        Err(shown) if shown.is_empty() => Err("refused without an error".to_owned()),
        Err(_) => Ok("refused"),
    }
}

/// Takes a random graph through print, parse, verify, jvp, grad and the interpreter.
pub fn graph(seed: u64) -> Result<&'static str, String> {
    let g = generate::graph(seed);
    check(&g, seed).map_err(|e| format!("{e}\n{g}"))
}

/// Takes `g` through print, parse, verify, jvp, grad and the interpreter, on random arrays.
///
/// # Errors
/// What is broken.
pub fn check(g: &Graph, seed: u64) -> Result<&'static str, String> {
    let mut rng = StdRng::seed_from_u64(!seed);
    valid(g)?;
    let floats = g.bindings().filter(|(v, _, _)| g.ty(*v).dtype.is_float());
    let wrt: Vec<String> =
        floats.filter(|_| rng.random_range(0..4) > 0).map(|(_, name, _)| name.to_owned()).collect();
    let wrt: Vec<&str> = wrt.iter().map(String::as_str).collect();
    let (tangent, gradient) = (passed(jvp(g, &wrt))?, passed(grad(g, &wrt))?);
    let arrays = random_arrays(g, &mut rng);
    let along = with(&arrays, &directions(g, &wrt, &mut rng), &Suffix::tangent(g, &wrt));
    bounded(g, &arrays)?;
    bounded(&tangent, &along)?;
    bounded(&gradient, &arrays)?;
    match rng.random_range(0..8) {
        0 => drop(passed(hvp(g, &wrt))?),
        1 => drop(passed(jvp_many(g, &wrt, rng.random_range(0..3)))?),
        2 => {
            let some: Vec<&str> =
                g.bindings().filter(|_| rng.random_range(0..2) == 0).map(|(_, name, _)| name).collect();
            let many = passed(vmap(g, &some, rng.random_range(0..3)))?;
            bounded(&many, &random_arrays(&many, &mut rng))?;
            passed(jvp(&many, &wrt))?;
        }
        _ => {}
    }
    agree(&tangent, &gradient, g, &wrt, &arrays_to_f64(&along), &arrays_to_f64(&arrays))
}

fn bounded(g: &Graph, arrays: &Arrays) -> Result<(), String> {
    match interpret_within(g, arrays, LIMITS) {
        Ok(_) | Err(EvalError::TooLarge { .. }) => Ok(()),
        Err(e) => Err(e.to_string()),
    }
}

/// ⟨grad, v⟩ = jvp in `f64`, where it is well-conditioned: all values finite and none large.
fn agree(
    tangent: &Graph,
    gradient: &Graph,
    g: &Graph,
    wrt: &[&str],
    along: &Arrays,
    arrays: &Arrays,
) -> Result<&'static str, String> {
    let (Some(forward), Some(backward)) = (everything(tangent, along)?, everything(gradient, arrays)?) else {
        return Ok("too large");
    };
    let largest = |out: &Arrays| {
        let floats = out.values().filter(|x| x.dtype().is_float());
        floats
            .flat_map(|x| x.to_f64())
            .fold(1.0, |m: f64, x| if x.is_finite() { m.max(x.abs()) } else { f64::INFINITY })
    };
    let tolerance = 1e-13 * largest(&forward) * largest(&backward) * (tangent.len() + gradient.len()) as f64;
    if tolerance.is_nan() || tolerance > 1e-4 {
        return Ok("ill-conditioned");
    }
    let suffix = Suffix::tangent(g, wrt);
    let mut sum = 0.0;
    for name in wrt {
        let (Some(x), Some(v)) = (backward.get(&Suffix::grad(g, wrt).on(name)), along.get(&suffix.on(name)))
        else {
            return Err(format!("no gradient by `{name}`"));
        };
        sum += inner(&x.to_f64(), &v.to_f64());
    }
    let expected = forward.get(&suffix.on("loss")).map(|x| x.to_f64()[0]);
    match expected {
        Some(x) if (x - sum).abs() <= tolerance => Ok("agree"),
        x => Err(format!(
            "the tangent is {x:?}, ⟨grad, v⟩ {sum} (tolerance {tolerance:e})\n{tangent}\n{gradient}"
        )),
    }
}

/// The outputs and every other value of `g` in `f64`; nothing if that is too much.
fn everything(g: &Graph, arrays: &Arrays) -> Result<Option<Arrays>, String> {
    let mut g = graph_to_f64(g)?;
    for v in g.values() {
        let name = format!("value.{}.of.all", v.index());
        g.outputs.push(Output { name, kind: OutputKind::Metric, value: v });
    }
    match interpret_within(&g, arrays, LIMITS) {
        Ok(out) => Ok(Some(out)),
        Err(EvalError::TooLarge { .. }) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}
