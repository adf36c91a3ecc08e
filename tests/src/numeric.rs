//! Random arrays, running graphs, and how far arrays are apart.

use fgc_ir::diag::Sources;
use fgc_ir::text::ast::Item;
use fgc_ir::text::{core, parser};
use fgc_ir::{Arrays, DType, Graph, Tensor, Type, interpret};
use rand::RngExt;
use rand::rngs::StdRng;

/// The largest difference of `a` and `b` relative to the largest element of `b`, which counts as
/// at least `floor`. Infinite where only one of two elements is NaN or infinite.
pub fn distance(a: &[f64], b: &[f64], floor: f64) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let scale = b.iter().filter(|x| x.is_finite()).fold(floor, |m, x| m.max(x.abs()));
    let apart = |(x, y): (&f64, &f64)| match x == y || (x.is_nan() && y.is_nan()) {
        true => 0.0,
        false => Some((x - y).abs() / scale).filter(|d| d.is_finite()).unwrap_or(f64::INFINITY),
    };
    a.iter().zip(b).map(apart).fold(0.0, f64::max)
}

/// The sum of products.
pub fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Random elements of type `ty`: floats and signed integers around 0, small unsigned integers.
pub fn random(ty: &Type, rng: &mut StdRng) -> Tensor {
    Tensor::generate(ty, |_| match ty.dtype {
        DType::F32 | DType::F64 => rng.random_range(-1.0..1.0),
        DType::I32 => rng.random_range(-2..6) as f64,
        DType::U32 => rng.random_range(0..9) as f64,
        DType::Bool => rng.random_range(0..2) as f64,
    })
}

/// A random array for each leaf of `g` that the caller binds.
pub fn random_arrays(g: &Graph, rng: &mut StdRng) -> Arrays {
    g.bindings().map(|(v, name, _)| (name.to_owned(), random(g.ty(v), rng))).collect()
}

/// The outputs of `g`, or what keeps it from running.
pub fn run(g: &Graph, arrays: &Arrays) -> Result<Arrays, String> {
    interpret(g, arrays).map_err(|e| format!("running `{}`: {e}", g.name))
}

/// [`run`] with only those of `arrays` that `g` has leaves for.
pub fn run_some(g: &Graph, arrays: &Arrays) -> Result<Arrays, String> {
    let known = |name: &&String| g.leaf(name).is_some();
    let some = arrays.keys().filter(known).map(|name| (name.clone(), arrays[name].clone()));
    run(g, &some.collect())
}

/// The array called `name`.
pub fn get<'a>(arrays: &'a Arrays, name: &str) -> Result<&'a Tensor, String> {
    let names = || arrays.keys().cloned().collect::<Vec<_>>().join(", ");
    arrays.get(name).ok_or_else(|| format!("`{name}` isn't among {}", names()))
}

/// `arrays` with `by` times each of `direction` added to the array of its name.
pub fn moved(arrays: &Arrays, direction: &Arrays, by: f64) -> Arrays {
    let mut moved = arrays.clone();
    for (name, d) in direction {
        if let Some(x) = moved.get_mut(name) {
            let (at, along) = (x.to_f64(), d.to_f64());
            *x = Tensor::generate(&x.ty(), |i| at[i] + by * along[i]);
        }
    }
    moved
}

/// The graph that `text` holds, in core form, with `float` for `f32`.
pub fn parse_graph(text: &str, float: DType) -> Result<Graph, String> {
    let mut sources = Sources::new();
    let file = sources.add("printed.fg", text);
    let (ast, errors) = parser::parse(&sources, file);
    let shown = |errors: Vec<fgc_ir::diag::Diagnostic>| {
        errors.iter().map(|e| e.render(&sources, false)).collect::<Vec<_>>().join("\n")
    };
    if !errors.is_empty() {
        return Err(format!("{}\n{text}", shown(errors)));
    }
    match &ast.items[..] {
        [Item::Graph(graph)] => core::build(graph, float).map_err(|e| format!("{}\n{text}", shown(e))),
        _ => Err(format!("not one graph:\n{text}")),
    }
}

/// `g` with `f64` for every `f32`.
pub fn graph_to_f64(g: &Graph) -> Result<Graph, String> {
    parse_graph(&g.to_string(), DType::F64)
}

/// `arrays` with `f64` for every `f32`.
pub fn arrays_to_f64(arrays: &Arrays) -> Arrays {
    let wide = |x: &Tensor| if x.dtype() == DType::F32 { x.cast(DType::F64) } else { x.clone() };
    arrays.iter().map(|(name, x)| (name.clone(), wide(x))).collect()
}

/// Arrays of one type joined along a new dimension in front.
pub fn stack(ty: &Type, parts: &[Tensor]) -> Tensor {
    let elements: Vec<f64> = parts.iter().flat_map(Tensor::to_f64).collect();
    Tensor::generate(&ty.reshaped(ty.shape.prepend(parts.len())), |i| elements[i])
}

/// Part `k` along dimension 0.
pub fn part(x: &Tensor, k: usize) -> Vec<f64> {
    let each = x.shape()[1..].iter().product::<usize>();
    x.to_f64()[k * each..(k + 1) * each].to_vec()
}
