//! Cholesky's decomposition, triangular systems, and `solve`, in models.

use fgc::StepConfig;
use fgc_codegen::Executable;
use fgc_ir::diag::Sources;
use fgc_ir::lang::{Options, load};
use fgc_ir::{Arrays, DType, Graph, Tensor, Type, interpret};
use fgc_tests::laws;
use fgc_tests::numeric::{distance, random_arrays, run};
use fgc_transforms::{Derivatives, grad, params, step};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

fn model(text: &str, float: DType) -> Graph {
    let mut sources = Sources::new();
    let file = sources.add("linalg.fg", text);
    let options = Options { batch: Some(6), float, ..Options::default() };
    load(&mut sources, file, &options, &Derivatives).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(|e| e.render(&sources, false)).collect();
        panic!("{}", errors.join("\n"))
    })
}

/// Symmetric positive definite matrices of n × n elements: RRᵀ/n + I/2 of a random R.
fn definite(dtype: DType, lead: &[usize], n: usize, rng: &mut StdRng) -> Tensor {
    let count: usize = lead.iter().product();
    let mut elements = Vec::new();
    for _ in 0..count {
        let r: Vec<f64> = (0..n * n).map(|_| rng.random_range(-1.0..1.0)).collect();
        for (i, j) in (0..n * n).map(|at| (at / n, at % n)) {
            let product: f64 = (0..n).map(|k| r[i * n + k] * r[j * n + k]).sum();
            elements.push(product / n as f64 + f64::from(i == j) * 0.5);
        }
    }
    Tensor::generate(&Type::new(dtype, [lead, &[n, n]].concat()), |i| elements[i])
}

fn compiled(g: &Graph, arrays: &Arrays) -> Arrays {
    Executable::compile(g).expect("code").run(arrays).expect("arrays that fit")
}

/// Two arrays by name.
fn arrays(a: Tensor, b: Tensor) -> Arrays {
    Arrays::from([("a".to_owned(), a), ("b".to_owned(), b)])
}

/// The product of matrices of n × n elements with matrices of n × m, one after the other.
fn product(a: &[f64], x: &[f64], n: usize, m: usize) -> Vec<f64> {
    let of = |at: usize| {
        let (matrix, i, c) = (at / (n * m), at / m % n, at % m);
        (0..n).map(|k| a[(matrix * n + i) * n + k] * x[(matrix * n + k) * m + c]).sum()
    };
    (0..x.len()).map(of).collect()
}

#[test]
fn solutions_solve() {
    let mut rng = StdRng::seed_from_u64(1);
    for (float, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-13)] {
        for (lead, n, columns) in
            [("", 1, Some(1)), ("", 5, None), ("3, ", 4, None), ("3, ", 4, Some(2)), ("", 64, Some(3))]
        {
            let m = columns.map_or(String::new(), |m| format!(", {m}"));
            let text = format!(
                "model m(a: f32[{lead}{n}, {n}], b: f32[{lead}{n}{m}]) {{\n  output x = solve(a, b)\n}}\n"
            );
            let g = model(&text, float);
            let lead: &[usize] = if lead.is_empty() { &[] } else { &[3] };
            let a = definite(float, lead, n, &mut rng);
            let b = random_arrays(&g, &mut rng)["b"].clone();
            let at = arrays(a.clone(), b.clone());
            let found = &run(&g, &at).unwrap()["x"];
            assert_eq!(found.ty(), b.ty());
            let back = product(&a.to_f64(), &found.to_f64(), n, columns.unwrap_or(1));
            let apart = distance(&back, &b.to_f64(), 1.0);
            assert!(apart < tolerance, "{float}, n = {n}: {apart:e}");
            assert_eq!(compiled(&g, &at)["x"], *found, "{float}, n = {n}: compiled");
        }
    }
}

/// The builtin has the triangle and the transpose that its arguments say.
#[test]
fn triangular_systems_are_of_the_triangle_that_is_named() {
    let mut rng = StdRng::seed_from_u64(2);
    for (lower, transpose) in [(true, false), (true, true), (false, false), (false, true)] {
        let text = format!(
            "model m(a: f32[4, 4], b: f32[4]) {{\n  output x = triangular_solve(a, b, lower={lower}, \
             transpose={transpose})\n}}\n"
        );
        let g = model(&text, DType::F64);
        // The other triangle is NaN: it isn't read.
        let read = |i: usize, j: usize| i == j || (i > j) == lower;
        let full = definite(DType::F64, &[], 4, &mut rng).to_f64();
        let ty = Type::new(DType::F64, [4, 4]);
        let a = Tensor::generate(&ty, |at| if read(at / 4, at % 4) { full[at] } else { f64::NAN });
        let b = random_arrays(&g, &mut rng)["b"].clone();
        let x = run(&g, &arrays(a.clone(), b.clone())).unwrap()["x"].to_f64();
        let element = |i: usize, j: usize| if read(i, j) { full[i * 4 + j] } else { 0.0 };
        let t: Vec<f64> = (0..16)
            .map(|at| if transpose { element(at % 4, at / 4) } else { element(at / 4, at % 4) })
            .collect();
        assert!(distance(&product(&t, &x, 4, 1), &b.to_f64(), 1.0) < 1e-13, "{lower} {transpose}");
    }
}

const FACTOR: &str = "model m(a: f32[3, 3]) {\n  output l = cholesky(a)\n}\n";

#[test]
fn factors_are_lower_triangles_or_nan() {
    let nan = f32::NAN;
    let cases: [([f32; 9], Option<[f32; 9]>); 6] = [
        // The upper triangle isn't read.
        ([4.0, nan, 9.0, 2.0, 5.0, nan, 6.0, 5.0, 14.0], Some([2.0, 0.0, 0.0, 1.0, 2.0, 0.0, 3.0, 1.0, 2.0])),
        // The last, the second and the first pivot aren't positive.
        ([4.0, 2.0, 6.0, 2.0, 5.0, 5.0, 6.0, 5.0, 10.0], None),
        ([4.0, 0.0, 0.0, 2.0, 1.0, 0.0, 6.0, 5.0, 14.0], None),
        ([-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], None),
        ([1.0, 0.0, 0.0, nan, 1.0, 0.0, 0.0, 0.0, 1.0], None),
        ([f32::INFINITY, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], None),
    ];
    for (a, expected) in cases {
        let expected = expected.unwrap_or([nan, 0.0, 0.0, nan, nan, 0.0, nan, nan, nan]);
        let at = Arrays::from([("a".to_owned(), Tensor::of([3, 3], a.to_vec()))]);
        let g = model(FACTOR, DType::F32);
        for found in [&run(&g, &at).unwrap()["l"], &compiled(&g, &at)["l"]] {
            let same = |(x, y): (&f32, &f32)| x == y || x.is_nan() && y.is_nan();
            assert!(found.as_slice::<f32>().iter().zip(&expected).all(same), "{a:?}: {found:?}");
        }
    }
}

/// Features, the best linear readout of which a system of the normal equations has, and the loss of that.
const RIDGE: &str = "model ridge(x: f32[batch, 4], y: f32[batch]) {
  param w: f32[4, 3] ~ normal(0.5)
  param level: f32[] ~ constant(-2)
  h = tanh(x @ w)
  a = transpose(h) @ h + exp(level) * one_hot(iota(3), 3)
  theta = solve(a, transpose(h) @ y)
  output theta
  loss = mean(square(h @ theta - y)) + 0.01 * sum(square(theta))
}
";

fn ridge(float: DType) -> (Graph, Arrays) {
    let g = model(RIDGE, float);
    let at = random_arrays(&g, &mut StdRng::seed_from_u64(3));
    (g, at)
}

#[test]
fn models_that_solve_are_differentiated() {
    let (g, at) = ridge(DType::F64);
    let (wrt, rng) = (params(&g), &mut StdRng::seed_from_u64(4));
    laws::valid(&g).unwrap();
    laws::jvp_is_difference(&g, &at, &wrt, 1e-5, 1e-8, rng).unwrap();
    laws::grad_is_jvp(&g, &at, &wrt, 1e-11, rng).unwrap();
    laws::transpose_is_adjoint(&g, &at, &wrt, 1e-11, rng).unwrap();
    laws::jvp_is_difference(&grad(&g, &wrt).unwrap(), &at, &wrt, 1e-5, 1e-7, rng).unwrap();
    laws::hvp_both_ways(&g, &at, &wrt, 1e-10, rng).unwrap();
    laws::many_tangents(&g, &at, &wrt, 3, 1e-11, rng).unwrap();
}

#[test]
fn models_that_solve_are_trained() {
    let (g, mut at) = ridge(DType::F32);
    let stepped = step(&g, &StepConfig::default()).unwrap();
    at.insert("lr".to_owned(), Tensor::scalar(DType::F32, 0.2));
    let mut program = Executable::compile(&stepped).expect("code");
    let (mut losses, mut expected) = (Vec::new(), at.clone());
    for _ in 0..60 {
        let found = program.run(&at).unwrap();
        let interpreted = interpret(&stepped, &expected).unwrap();
        losses.push(found["loss"].to_f64()[0]);
        for name in params(&g) {
            at.insert(name.to_owned(), found[name].clone());
            expected.insert(name.to_owned(), interpreted[name].clone());
        }
    }
    let (first, last) = (losses[0], losses[losses.len() - 1]);
    assert!(last < 0.7 * first, "from {first} to {last}");
    for name in params(&g) {
        assert!(distance(&at[name].to_f64(), &expected[name].to_f64(), 1.0) < 1e-3, "{name}");
    }
}

/// A matrix that has no factor, and whose result isn't chosen, leaves the gradients of the others as they are, and its
/// own 0.
#[test]
fn what_fails_and_is_not_chosen_has_no_gradient() {
    let text = |count: usize| {
        format!(
            "model m() {{\n  param a: f32[{count}, 2, 2] ~ zeros\n  param b: f32[{count}, 2] ~ zeros\n  x = \
             solve(a, b)\n  loss = sum(square(select(x == x, x, 0)))\n}}\n"
        )
    };
    let (good, bad) = ([2.0, 0.5, 0.5, 1.0], [1.0, 2.0, 2.0, 1.0]);
    let gradients = |count: usize| {
        let g = model(&text(count), DType::F64);
        let g = grad(&g, &params(&g)).unwrap();
        let a: Vec<f64> = [good, bad][..count].concat();
        let at = arrays(
            Tensor::of([count, 2, 2], a),
            Tensor::of([count, 2], [1.0, -3.0, 0.5, 2.0][..2 * count].to_vec()),
        );
        [run(&g, &at).unwrap(), compiled(&g, &at)]
    };
    for (both, alone) in gradients(2).into_iter().zip(gradients(1)) {
        for (name, size) in [("a.grad", 4), ("b.grad", 2)] {
            let (both, alone) = (both[name].to_f64(), alone[name].to_f64());
            assert!(alone.iter().any(|x| *x != 0.0));
            assert!(distance(&both[..size], &alone, 1.0) < 1e-12, "{name}: {both:?}");
            assert!(both[size..].iter().all(|x| *x == 0.0), "{name}: {both:?}");
        }
    }
}

/// Batches that are divided between threads.
#[test]
fn threads_change_nothing() {
    let text = "model m() {\n  param a: f32[300, 12, 12] ~ zeros\n  param b: f32[300, 12] ~ zeros\n  x = solve(a, b)\n  \
                output x\n  loss = sum(square(x))\n}\n";
    let g = model(text, DType::F32);
    let mut rng = StdRng::seed_from_u64(5);
    let b = random_arrays(&g, &mut rng)["b"].clone();
    let at = arrays(definite(DType::F32, &[300], 12, &mut rng), b);
    let gradient = grad(&g, &params(&g)).unwrap();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut executable = Executable::compile(&gradient).unwrap();
        pool.install(|| executable.run(&at)).unwrap()
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
    assert_eq!(one["x"], run(&g, &at).unwrap()["x"]);
}
