//! The digits of sums: their errors against double precision, in terms of the sum of magnitudes.

use fgc_codegen::{Executable, Fusion};
use fgc_ir::ops::index::IndexKind;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Binary, Cast, Index, Reduce};
use fgc_ir::{Arrays, Builder, DType, Graph, OutputKind, Role, Tensor, Type, interpret};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::eqsat::program;

/// What every reduction keeps to: six roundings to `f32` are 3.6e-7.
const ERROR: f64 = 4e-7;

/// Shapes, and the axes that are summed over: leading, in the middle, trailing, all; a few elements
/// and many; with and without whole vectors and runs.
const SHAPES: &[(&[usize], &[usize])] = &[
    (&[1], &[0]),
    (&[5], &[0]),
    (&[6], &[0]),
    (&[7], &[0]),
    (&[63], &[0]),
    (&[65], &[0]),
    (&[1023], &[0]),
    (&[1_000_003], &[0]),
    (&[131_072, 3], &[0]),
    (&[10_000, 16], &[0]),
    (&[16_384, 64], &[0]),
    (&[40_001, 7], &[0]),
    (&[8, 70_001], &[0]),
    (&[7, 5], &[0]),
    (&[16, 100_000], &[1]),
    (&[3000, 10], &[1]),
    (&[300, 127], &[1]),
    (&[4, 65_536, 2], &[1]),
    (&[3, 2000, 33], &[1]),
    (&[40, 6, 700], &[0, 2]),
    (&[40, 6, 49], &[0, 2]),
    (&[20, 30, 17, 12], &[0, 1, 2]),
    (&[70, 30, 17], &[0, 1, 2]),
];

fn elements(n: usize, offset: f32, rng: &mut StdRng) -> Vec<f32> {
    (0..n).map(|_| offset + rng.random_range(if offset == 0.0 { -1.0..1.0 } else { 0.0..1.0f32 })).collect()
}

/// The sums over `axes`, and those of magnitudes.
fn exact(x: &[f32], shape: &[usize], axes: &[usize]) -> Vec<(f64, f64)> {
    let results = (0..shape.len()).filter(|k| !axes.contains(k)).map(|k| shape[k]).product();
    let mut sums = vec![(0.0, 0.0); results];
    for (i, &x) in x.iter().enumerate() {
        let (mut rest, mut at, mut step) = (i, 0, 1);
        for k in (0..shape.len()).rev() {
            if !axes.contains(&k) {
                at += rest % shape[k] * step;
                step *= shape[k];
            }
            rest /= shape[k];
        }
        sums[at].0 += x as f64;
        sums[at].1 += x.abs() as f64;
    }
    sums
}

/// The largest error of `found`, in terms of the sum of magnitudes.
fn error(found: &Tensor, exact: &[(f64, f64)]) -> f64 {
    let errors =
        found.to_f64().into_iter().zip(exact).map(|(x, (sum, size))| (x - sum).abs() / size.max(1e-30));
    errors.fold(0.0, |worst, e| if e <= worst || worst.is_nan() { worst } else { e })
}

/// What else is computed of the summed array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum With {
    Nothing,
    Squares,
    Largest,
    Position,
    Step,
    Double,
}

const ALL: [With; 6] =
    [With::Nothing, With::Squares, With::Largest, With::Position, With::Step, With::Double];

/// A sum of `x·x`, with something else.
fn graph(shape: &[usize], axes: &[usize], with: With) -> Graph {
    let mut b = Builder::new("sums");
    let x = b.bound("x", Role::Input, Type::new(DType::F32, shape)).unwrap();
    let y = b.push(Binary::Add, &[x, x]).unwrap();
    let sum = b.push(Reduce::sum(axes), &[y]).unwrap();
    b.output("sum", OutputKind::Value, sum);
    let other = match with {
        With::Nothing => return b.finish().unwrap(),
        With::Squares => {
            let square = b.push(Binary::Mul, &[y, y]).unwrap();
            b.push(Reduce::sum(axes), &[square]).unwrap()
        }
        With::Largest => b.push(Reduce { kind: ReduceKind::Max, axes: axes.to_vec() }, &[y]).unwrap(),
        With::Position => {
            b.push(Reduce { kind: ReduceKind::Argmax, axes: axes[..1].to_vec() }, &[y]).unwrap()
        }
        With::Step => b.push(Binary::Mul, &[y, x]).unwrap(),
        With::Double => {
            let wide = b.push(Cast { dtype: DType::F64 }, &[y]).unwrap();
            b.push(Reduce::sum(axes), &[wide]).unwrap()
        }
    };
    b.output("other", OutputKind::Value, other);
    b.finish().unwrap()
}

fn run(g: &Graph, x: &Tensor, fusion: Fusion) -> Arrays {
    let mut executable = Executable::compile_with(g, fusion).unwrap();
    executable.run(&[("x".to_owned(), x.clone())].into()).unwrap()
}

fn bits(x: &Tensor) -> Vec<u64> {
    x.to_f64().into_iter().map(f64::to_bits).collect()
}

/// Alone and beside whatever else, fused and not, on one thread and three: within the error, and
/// with the same bits.
#[test]
fn sums_keep_their_digits_and_their_bits() {
    let mut rng = StdRng::seed_from_u64(17);
    let three = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let mut failures = Vec::new();
    for (shape, axes) in SHAPES {
        for offset in [0.0, 1e2, 1e4] {
            let n = shape.iter().product();
            let x = elements(n, offset, &mut rng);
            let twice: Vec<f32> = x.iter().map(|x| x + x).collect();
            let exact = exact(&twice, shape, axes);
            let x = Tensor::of(*shape, x);
            let mut first = None;
            for with in ALL {
                let g = graph(shape, axes, with);
                let fusions = [Fusion::All, Fusion::None];
                for (k, fusion) in
                    fusions.into_iter().enumerate().filter(|_| offset == 1e4 || with == With::Nothing)
                {
                    let found =
                        if k == 0 { run(&g, &x, fusion) } else { three.install(|| run(&g, &x, fusion)) };
                    let error = error(&found["sum"], &exact);
                    let bits = bits(&found["sum"]);
                    let same = *first.get_or_insert_with(|| bits.clone()) == bits;
                    if error > ERROR || error.is_nan() || !same {
                        failures.push(format!(
                            "{shape:?} {axes:?} at {offset} {with:?}: {error:e}, same bits {same}"
                        ));
                    }
                }
            }
            if n < 100_000 {
                let found =
                    interpret(&graph(shape, axes, With::Nothing), &[("x".to_owned(), x)].into()).unwrap();
                let error = error(&found["sum"], &exact);
                assert!(error <= 6e-8, "interpreted {shape:?} {axes:?} at {offset}: {error:e}");
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What would be lost in a serial sum: elements of half a unit in the last place of the first.
#[test]
fn small_elements_behind_a_large_one_count() {
    for (shape, axes) in SHAPES {
        let n: usize = shape.iter().product();
        let mut x = vec![f32::EPSILON / 4.0; n];
        x[0] = 0.5;
        let twice: Vec<f32> = x.iter().map(|x| x + x).collect();
        let found = run(&graph(shape, axes, With::Nothing), &Tensor::of(*shape, x), Fusion::All);
        let error = error(&found["sum"], &exact(&twice, shape, axes));
        assert!(error <= ERROR, "{shape:?} {axes:?}: {error:e}");
    }
}

#[test]
fn an_offset_is_no_matter_to_statistics() {
    let mut rng = StdRng::seed_from_u64(4);
    let x = Tensor::of([131_072, 3], elements(3 * 131_072, 1e4, &mut rng));
    let g = program(
        "x: f32[131072, 3]",
        "m = mean(x, 0)\n v = mean(square(x - m), 0)\n n = batch_norm(x)\n y = concat([m, v, mean(n, 0)], 0)",
    );
    let mut inputs = Arrays::new();
    for (v, name, _) in g.bindings() {
        let ty = g.ty(v).clone();
        let ones = Tensor::of(ty.shape.clone(), vec![1.0f32; ty.elements()]);
        inputs.insert(name.to_owned(), if name == "x" { x.clone() } else { ones });
    }
    let y = Executable::compile(&g).unwrap().run(&inputs).unwrap()["y"].to_f64();
    for k in 0..3 {
        assert!((y[k] - 10_000.5).abs() < 0.01, "the mean is {}", y[k]);
        assert!((y[3 + k] - 1.0 / 12.0).abs() < 1e-3, "the variance is {}", y[3 + k]);
        // The mean is off by half a unit in its last place, 5e-4, which is 2e-3 standard deviations.
        assert!((y[6 + k] - 1.0).abs() < 4e-3, "normalised, with an offset of 1, it has mean {}", y[6 + k]);
    }
}

/// More ones than `f32` can count, alone and beside the position of the largest.
#[test]
fn ones_beyond_the_digits_are_counted() {
    let n = 33_554_433;
    let ones = Tensor::of([n], vec![0.5f32; n]);
    for with in [With::Nothing, With::Position] {
        let found = run(&graph(&[n], &[0], with), &ones, Fusion::All);
        assert_eq!(found["sum"].to_f64(), [33_554_432.0], "{with:?}");
    }
}

#[test]
fn integers_are_exact() {
    let mut rng = StdRng::seed_from_u64(5);
    for (shape, axes) in SHAPES {
        let n: usize = shape.iter().product();
        let x: Vec<i32> = (0..n).map(|_| rng.random_range(-1000..1000)).collect();
        let mut b = Builder::new("sums");
        let v = b.bound("x", Role::Input, Type::new(DType::I32, *shape)).unwrap();
        let sum = b.push(Reduce::sum(axes), &[v]).unwrap();
        b.output("sum", OutputKind::Value, sum);
        let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let exact: Vec<f64> = exact(&single, shape, axes).into_iter().map(|(sum, _)| sum).collect();
        let found = run(&b.finish().unwrap(), &Tensor::of(*shape, x), Fusion::All);
        assert_eq!(found["sum"].to_f64(), exact, "{shape:?} {axes:?}");
    }
}

/// Sums of products over many `k`, and sums over the rows of a product as its epilogue has them.
#[test]
fn long_products_keep_their_digits() {
    let mut rng = StdRng::seed_from_u64(6);
    for (m, n, k) in [(1, 3, 131_072), (3, 16, 50_000), (6, 64, 60_001), (12, 10, 100_000), (130, 33, 3000)] {
        for offset in [0.0, 1e2] {
            let (a, b) = (elements(k * m, offset, &mut rng), elements(k * n, offset, &mut rng));
            let g = program(&format!("x: f32[{k}, {m}], d: f32[{k}, {n}]"), "y = transpose(x) @ d");
            let inputs = [("x", Tensor::of([k, m], a.clone())), ("d", Tensor::of([k, n], b.clone()))];
            let inputs: Arrays = inputs.into_iter().map(|(name, x)| (name.to_owned(), x)).collect();
            let found = Executable::compile(&g).unwrap().run(&inputs).unwrap();
            let mut exact = vec![(0.0, 0.0); m * n];
            for ((i, j), e) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).zip(&mut exact) {
                let products = (0..k).map(|l| a[l * m + i] as f64 * b[l * n + j] as f64);
                *e = products.fold(*e, |(sum, size), p| (sum + p, size + p.abs()));
            }
            let error = error(&found["y"], &exact);
            assert!(error <= ERROR, "{m}×{n} over {k} at {offset}: {error:e}");
        }
    }
    let (x, w) = (elements(20_000 * 8, 1e2, &mut rng), elements(8 * 32, 1.0, &mut rng));
    let g = program(
        "x: f32[20000, 8], w: f32[8, 32]",
        "h = x @ w\n y = concat([sum(relu(h), 0), reshape(sum(h), [1])], 0)",
    );
    let inputs = [("x", Tensor::of([20_000, 8], x.clone())), ("w", Tensor::of([8, 32], w.clone()))];
    let inputs: Arrays = inputs.into_iter().map(|(name, x)| (name.to_owned(), x)).collect();
    let found = Executable::compile(&g).unwrap().run(&inputs).unwrap();
    let product =
        |i: usize, j: usize| (0..8).map(|l| x[i * 8 + l] as f64 * w[l * 32 + j] as f64).sum::<f64>();
    let columns = (0..32).map(|j| (0..20_000).map(|i| product(i, j)).sum::<f64>());
    let mut exact: Vec<(f64, f64)> = columns.map(|sum| (sum, sum)).collect();
    let all = exact.iter().map(|e| e.0).sum();
    exact.push((all, all));
    let error = error(&found["y"], &exact);
    assert!(error <= ERROR, "in an epilogue: {error:e}");
}

/// Windows of many elements.
#[test]
fn windows_keep_their_digits() {
    let mut rng = StdRng::seed_from_u64(7);
    let x = elements(96 * 96 * 8, 1e4, &mut rng);
    let g = program("x: f32[1, 96, 96, 8]", "y = avg_pool(x, 96) * 9216");
    let found = run(&g, &Tensor::of([1, 96, 96, 8], x.clone()), Fusion::All);
    let error = error(&found["y"], &exact(&x, &[1, 96, 96, 8], &[0, 1, 2]));
    // The average is rounded, and its product with the number of elements.
    assert!(error <= ERROR, "{error:e}");
}

/// Elements that many overlapping windows choose: each of `y`'s elements goes to the largest of its
/// window, which is the same one for all that hold it.
#[test]
fn what_overlapping_windows_choose_keeps_its_digits() {
    let mut rng = StdRng::seed_from_u64(10);
    // Windows, from one to the next, and the elements between large ones.
    for (size, stride, apart) in [(3, 1, 4), (4, 1, 5), (5, 1, 6), (5, 2, 6), (24, 1, 40), (40, 3, 50)] {
        let n = 3 * apart;
        let place = |i: usize| i % apart == apart / 2;
        let large = |y: usize, x: usize| place(y) && place(x);
        let pixels: Vec<f32> = (0..n * n).map(|i| f32::from(large(i / n, i % n))).collect();
        let windows = (n - size) / stride + 1;
        let ct = elements(windows * windows, 1e4, &mut rng);
        let mut exact = vec![(0.0, 0.0); n * n];
        for (w, &ct) in ct.iter().enumerate() {
            let (top, left) = (w / windows * stride, w % windows * stride);
            let taps = (0..size * size).map(|t| (top + t / size, left + t % size));
            let first = taps.clone().find(|&(y, x)| large(y, x)).unwrap_or((top, left));
            let e = &mut exact[first.0 * n + first.1];
            *e = (e.0 + ct as f64, e.1 + ct as f64);
        }
        let g = program(
            &format!("x: f32[1, {n}, {n}, 1], ct: f32[1, {windows}, {windows}, 1]"),
            &format!("y = sum(max_pool(x, {size}, stride={stride}) * ct)"),
        );
        let g = fgc_transforms::grad_of(&g, "y", &["x"]).unwrap();
        let arrays =
            [("x", Tensor::of([1, n, n, 1], pixels)), ("ct", Tensor::of([1, windows, windows, 1], ct))];
        let arrays: Arrays = arrays.into_iter().map(|(name, x)| (name.to_owned(), x)).collect();
        let found = Executable::compile(&g).unwrap().run(&arrays).unwrap();
        let error = error(&found["x.grad"], &exact);
        assert!(error <= ERROR, "windows of {size} by {stride}: {error:e}");
    }
}

/// Many elements at one index.
#[test]
fn what_is_scattered_to_one_place_keeps_its_digits() {
    let (n, columns) = (50_001, 3);
    let mut rng = StdRng::seed_from_u64(9);
    let x = elements(n * columns, 1e4, &mut rng);
    let mut b = Builder::new("sums");
    let y = b.bound("x", Role::Input, Type::new(DType::F32, [n, columns])).unwrap();
    let index = b.bound("index", Role::Input, Type::new(DType::I32, [n])).unwrap();
    let scatter = Index { kind: IndexKind::ScatterAdd([2, columns].into()), batch: 0, axis: 0 };
    let sum = b.push(scatter, &[y, index]).unwrap();
    b.output("sum", OutputKind::Value, sum);
    let places: Vec<i32> = (0..n).map(|i| i32::from(i % 7 == 0)).collect();
    let mut exact = vec![(0.0, 0.0); 2 * columns];
    for (i, &x) in x.iter().enumerate() {
        let e = &mut exact[places[i / columns] as usize * columns + i % columns];
        *e = (e.0 + x as f64, e.1 + x as f64);
    }
    let arrays = [("x", Tensor::of([n, columns], x)), ("index", Tensor::of([n], places))];
    let arrays: Arrays = arrays.into_iter().map(|(name, x)| (name.to_owned(), x)).collect();
    let found = Executable::compile(&b.finish().unwrap()).unwrap().run(&arrays).unwrap();
    let error = error(&found["sum"], &exact);
    assert!(error <= ERROR, "{error:e}");
}

/// The largest, which take seconds: `cargo test --release --test suite sums -- --ignored`.
#[test]
#[ignore = "arrays of 400 MB"]
fn a_hundred_million_elements_keep_their_digits() {
    let mut rng = StdRng::seed_from_u64(8);
    let shapes: [(&[usize], &[usize]); 4] = [
        (&[100_000_000], &[0]),
        (&[10_000_000, 10], &[0]),
        (&[10, 10_000_000], &[1]),
        (&[100, 10_000, 100], &[1]),
    ];
    for (shape, axes) in shapes {
        for offset in [0.0, 1e2, 1e4] {
            let x = elements(shape.iter().product(), offset, &mut rng);
            let twice: Vec<f32> = x.iter().map(|x| x + x).collect();
            let exact = exact(&twice, shape, axes);
            let x = Tensor::of(shape, x);
            for with in [With::Nothing, With::Squares] {
                let found = run(&graph(shape, axes, with), &x, Fusion::All);
                let error = error(&found["sum"], &exact);
                assert!(error <= ERROR, "{shape:?} {axes:?} at {offset} {with:?}: {error:e}");
            }
        }
    }
}
