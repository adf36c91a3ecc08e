//! The laws of the passes, as checks of any graph. Each gives what is broken, if anything is.
//!
//! Laws about derivatives expect a graph in `f64`, since differences don't converge in `f32`.

use fgc_ir::bounded::MAX_TEXT;
use fgc_ir::{Arrays, DType, Graph, Tensor, verify};
use fgc_transforms::{
    Linearized, Passed, Suffix, grad, grad_of, hvp, jvp, jvp_many, linearize, transpose, vmap,
};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::numeric::*;

/// What is broken, if anything is.
pub type Law<T = ()> = Result<T, String>;

/// The graph that a pass gives; it has to be valid and to read back from its text.
pub fn passed(g: Passed) -> Law<Graph> {
    let g = g.map_err(|e| format!("a pass fails: {e}"))?;
    valid(&g)?;
    Ok(g)
}

/// `g` is valid, and its text reads back as `g`, or is refused if it is larger than any that is read.
pub fn valid(g: &Graph) -> Law {
    if let Err(errors) = verify(g) {
        let errors: Vec<String> = errors.iter().map(|e| e.to_string()).collect();
        return Err(format!("`{}` isn't valid: {}\n{g}", g.name, errors.join("; ")));
    }
    let text = g.to_string();
    let back = match parse_graph(&text, DType::F32) {
        Err(e) if text.len() as u64 > MAX_TEXT && e.contains("the text is too large") => return Ok(()),
        back => back?,
    };
    let again = back.to_string();
    if back != *g || again != text {
        return Err(format!("`{}` reads back as another graph:\n{text}\n{again}", g.name));
    }
    Ok(())
}

/// Directions for the leaves `wrt`, by the names of the leaves.
pub fn directions(g: &Graph, wrt: &[&str], rng: &mut StdRng) -> Arrays {
    let leaves = wrt.iter().filter_map(|name| Some((*name, g.leaf(name)?)));
    leaves.map(|(name, v)| (name.to_owned(), random(g.ty(v), rng))).collect()
}

/// `arrays`, and `more` with `suffix` on their names.
pub fn with(arrays: &Arrays, more: &Arrays, suffix: &Suffix) -> Arrays {
    let mut all = arrays.clone();
    all.extend(more.iter().map(|(name, x)| (suffix.on(name), x.clone())));
    all
}

fn close(what: &str, a: &[f64], b: &[f64], tolerance: f64) -> Law {
    let apart = distance(a, b, 1.0);
    if apart <= tolerance {
        return Ok(());
    }
    let first = |v: &[f64]| v.iter().take(8).map(|x| format!("{x:e}")).collect::<Vec<_>>().join(" ");
    Err(format!("{what}: {apart:e} > {tolerance:e} apart: {} … and {} …", first(a), first(b)))
}

/// The tangents of `g` are what differences of its outputs, `step` to each side, converge to.
pub fn jvp_is_difference(
    g: &Graph,
    arrays: &Arrays,
    wrt: &[&str],
    step: f64,
    tolerance: f64,
    rng: &mut StdRng,
) -> Law {
    let along = directions(g, wrt, rng);
    let suffix = Suffix::tangent(g, wrt);
    let tangents = run(&passed(jvp(g, wrt))?, &with(arrays, &along, &suffix))?;
    let (ahead, behind) = (run(g, &moved(arrays, &along, step))?, run(g, &moved(arrays, &along, -step))?);
    for output in g.outputs.iter().filter(|o| o.kind.is_differentiated()) {
        let name = suffix.on(&output.name);
        if !g.ty(output.value).dtype.is_float() {
            if tangents.contains_key(&name) {
                return Err(format!("`{}` isn't of floats but has a tangent", output.name));
            }
            continue;
        }
        let (ahead, behind) = (get(&ahead, &output.name)?.to_f64(), get(&behind, &output.name)?.to_f64());
        let difference: Vec<f64> = ahead.iter().zip(&behind).map(|(a, b)| (a - b) / (2.0 * step)).collect();
        let what = format!("jvp and difference of `{}` in `{}`", output.name, g.name);
        close(&what, &get(&tangents, &name)?.to_f64(), &difference, tolerance)?;
    }
    Ok(())
}

/// ⟨∇f, v⟩ is the tangent of f along v.
pub fn grad_is_jvp(g: &Graph, arrays: &Arrays, wrt: &[&str], tolerance: f64, rng: &mut StdRng) -> Law {
    let Some(loss) = g.loss() else { return Ok(()) };
    let along = directions(g, wrt, rng);
    let suffix = Suffix::tangent(g, wrt);
    let tangents = run(&passed(jvp(g, wrt))?, &with(arrays, &along, &suffix))?;
    let gradients = run(&passed(grad(g, wrt))?, arrays)?;
    let suffix_of_grad = Suffix::grad(g, wrt);
    let mut sum = 0.0;
    for (name, direction) in &along {
        let gradient = get(&gradients, &suffix_of_grad.on(name))?;
        if gradient.ty() != direction.ty() {
            return Err(format!("the gradient by `{name}` is {}, not {}", gradient.ty(), direction.ty()));
        }
        sum += inner(&gradient.to_f64(), &direction.to_f64());
    }
    let tangent = get(&tangents, &suffix.on(&loss.name))?.to_f64();
    close(&format!("⟨grad, v⟩ and jvp of `{}`", g.name), &[sum], &tangent, tolerance)
}

/// ⟨Tx, y⟩ = ⟨x, Tᵀy⟩ for the linear half T of `g`, and Tᵀᵀ = T.
pub fn transpose_is_adjoint(
    g: &Graph,
    arrays: &Arrays,
    wrt: &[&str],
    tolerance: f64,
    rng: &mut StdRng,
) -> Law {
    let Linearized { primal, linear, residuals } =
        linearize(g, wrt).map_err(|e| format!("a pass fails: {e}"))?;
    valid(&primal)?;
    valid(&linear)?;
    let mut known = arrays.clone();
    let results = run(&primal, arrays)?;
    for name in &residuals {
        known.insert(name.clone(), get(&results, name)?.clone());
    }
    let tangent = Suffix::tangent(g, wrt);
    let ins: Vec<String> = wrt.iter().map(|name| tangent.on(name)).collect();
    let ins: Vec<&str> = ins.iter().map(String::as_str).collect();
    let x = directions(&linear, &ins, rng);
    known.extend(x.clone());
    let tx = run_some(&linear, &known)?;

    let cotangent = Suffix::cotangent(&linear, &ins);
    let back = passed(transpose(&linear, &ins))?;
    let inputs = back.bindings().filter_map(|(_, name, _)| cotangent.off(name).map(|_| name.to_owned()));
    let outs: Vec<String> = inputs.collect();
    let outs: Vec<&str> = outs.iter().map(String::as_str).collect();
    let y = directions(&back, &outs, rng);
    known.extend(y.clone());
    let ty = run_some(&back, &known)?;

    let mut forward = 0.0;
    for (name, y) in &y {
        let name = cotangent.off(name).unwrap_or(name);
        forward += inner(&get(&tx, name)?.to_f64(), &y.to_f64());
    }
    let mut backward = 0.0;
    for (name, x) in &x {
        backward += inner(&get(&ty, &cotangent.on(name))?.to_f64(), &x.to_f64());
    }
    close(&format!("⟨Tx, y⟩ and ⟨x, Tᵀy⟩ of `{}`", g.name), &[forward], &[backward], tolerance)?;

    let second = Suffix::cotangent(&back, &outs);
    let twice = passed(transpose(&back, &outs))?;
    for (name, x) in &x {
        known.insert(second.on(&cotangent.on(name)), x.clone());
    }
    let ttx = run_some(&twice, &known)?;
    for name in outs {
        let what = format!("Tᵀᵀ and T of `{}` at `{name}`", g.name);
        let once = get(&tx, cotangent.off(name).unwrap_or(name))?;
        close(&what, &get(&ttx, &second.on(name))?.to_f64(), &once.to_f64(), tolerance)?;
    }
    Ok(())
}

/// vmap(f)(X) = stack(f(x) for x in X) with `count` random arrays for each of `batched`, exactly
/// but for floats, which may differ by `tolerance`.
pub fn vmap_is_stack(
    g: &Graph,
    arrays: &Arrays,
    batched: &[&str],
    count: usize,
    tolerance: f64,
    rng: &mut StdRng,
) -> Law {
    let many = passed(vmap(g, batched, count))?;
    let mut all = arrays.clone();
    let mut each = vec![arrays.clone(); count];
    for name in batched {
        let x = get(arrays, name)?;
        // The array given is one of the batch, so that the others are like it: indices in range,
        // floats away from poles.
        let parts: Vec<Tensor> = (0..count).map(|k| if k == 0 { x.clone() } else { alike(x, rng) }).collect();
        all.insert((*name).to_owned(), stack(&x.ty(), &parts));
        for (one, part) in each.iter_mut().zip(parts) {
            one.insert((*name).to_owned(), part);
        }
    }
    let together = run(&many, &all)?;
    let single: Vec<Arrays> = each.iter().map(|one| run(g, one)).collect::<Result<_, _>>()?;
    let alone = run(g, arrays)?;
    let roots: Vec<_> = batched.iter().filter_map(|name| g.leaf(name)).collect();
    let depends = g.dependents(&roots);
    for output in &g.outputs {
        let y = get(&together, &output.name)?;
        let ty = g.ty(output.value);
        let what = format!("batch of {count} of `{}` in `{}`", output.name, g.name);
        if !depends[output.value.index()] {
            close(&what, &y.to_f64(), &get(&alone, &output.name)?.to_f64(), 0.0)?;
            continue;
        }
        if y.ty() != ty.reshaped(ty.shape.prepend(count)) {
            return Err(format!("{what} is {}, of {ty}", y.ty()));
        }
        for (k, one) in single.iter().enumerate() {
            let exact = if ty.dtype.is_float() { tolerance } else { 0.0 };
            close(&what, &part(y, k), &get(one, &output.name)?.to_f64(), exact)?;
        }
    }
    Ok(())
}

/// An array of elements of `x` in random places: of the same range.
fn alike(x: &Tensor, rng: &mut StdRng) -> Tensor {
    let elements = x.to_f64();
    Tensor::generate(&x.ty(), |_| elements[rng.random_range(0..elements.len())])
}

/// One pass along `count` tangents is `count` passes along one.
pub fn many_tangents(
    g: &Graph,
    arrays: &Arrays,
    wrt: &[&str],
    count: usize,
    tolerance: f64,
    rng: &mut StdRng,
) -> Law {
    let suffix = Suffix::tangent(g, wrt);
    let (one, many) = (passed(jvp(g, wrt))?, passed(jvp_many(g, wrt, count))?);
    let along: Vec<Arrays> = (0..count).map(|_| directions(g, wrt, rng)).collect();
    let joined = |name: &&str| {
        let v = g.leaf(name)?;
        let parts: Vec<Tensor> = along.iter().filter_map(|a| a.get(*name).cloned()).collect();
        Some(((*name).to_owned(), stack(g.ty(v), &parts)))
    };
    let together = run(&many, &with(arrays, &wrt.iter().filter_map(joined).collect(), &suffix))?;
    for (k, along) in along.iter().enumerate() {
        let single = run(&one, &with(arrays, along, &suffix))?;
        for (name, x) in &single {
            let y = get(&together, name)?;
            let is_tangent = suffix.off(name).is_some_and(|name| g.outputs.iter().any(|o| o.name == name));
            let y = if is_tangent { part(y, k) } else { y.to_f64() };
            close(&format!("`{name}` along {count} tangents of `{}`", g.name), &y, &x.to_f64(), tolerance)?;
        }
    }
    Ok(())
}

/// The Hessian times a vector is the same forward over reverse and reverse over forward.
pub fn hvp_both_ways(g: &Graph, arrays: &Arrays, wrt: &[&str], tolerance: f64, rng: &mut StdRng) -> Law {
    let Some(loss) = g.loss() else { return Ok(()) };
    let along = with(arrays, &directions(g, wrt, rng), &Suffix::tangent(g, wrt));
    let forward = run(&passed(hvp(g, wrt))?, &along)?;
    let tangent = passed(jvp(g, wrt))?;
    let of = Suffix::tangent(g, wrt).on(&loss.name);
    let reverse = run(&passed(grad_of(&tangent, &of, wrt))?, &along)?;
    let suffix = Suffix::grad(&tangent, wrt);
    for name in wrt {
        let what = format!("hvp and gradient of the jvp of `{}` by `{name}`", g.name);
        let product = get(&forward, &format!("{name}.hvp"))?.to_f64();
        close(&what, &product, &get(&reverse, &suffix.on(name))?.to_f64(), tolerance)?;
    }
    Ok(())
}
