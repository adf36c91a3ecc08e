//! Times sums over each axis, and measures their errors against sums in double precision.
//!
//! `cargo run --release -p fgc-codegen --example sums [NAME]`: on the threads of rayon's pool, only
//! what has `NAME` in its name.

use std::time::Instant;

use fgc_codegen::Executable;
use fgc_ir::ops::reduce::ReduceKind;
use fgc_ir::ops::{Binary, Reduce};
use fgc_ir::{Builder, DType, Graph, OutputKind, Role, Tensor, Type};

/// Name, shape, the axes summed over, and whether the squares are summed too and the position of
/// the largest is found.
type Case = (&'static str, &'static [usize], &'static [usize], bool, bool);

const CASES: &[Case] = &[
    ("leading, 3 columns", &[131_072, 3], &[0], false, false),
    ("leading, 16 columns", &[10_000, 16], &[0], false, false),
    ("leading, 64 columns", &[262_144, 64], &[0], false, false),
    ("leading, in a cache", &[256, 64], &[0], false, false),
    ("leading, with squares", &[262_144, 64], &[0], true, false),
    ("leading, in a cache with squares", &[256, 64], &[0], true, false),
    ("trailing, 16 long rows", &[16, 1_000_000], &[1], false, false),
    ("trailing, in a cache", &[16, 1000], &[1], false, false),
    ("trailing, short rows", &[65_536, 10], &[1], false, false),
    ("trailing, rows of 512", &[4096, 512], &[1], false, false),
    ("trailing, with squares", &[16, 1_000_000], &[1], true, false),
    ("middle", &[64, 1024, 64], &[1], false, false),
    ("all", &[1 << 24], &[0], false, false),
    ("all, in a cache", &[1 << 12], &[0], false, false),
    ("all, with the position of the largest", &[1 << 24], &[0], false, true),
];

fn graph(shape: &[usize], axes: &[usize], squares: bool, largest: bool) -> Graph {
    let mut b = Builder::new("sums");
    let x = b.bound("x", Role::Input, Type::new(DType::F32, shape)).expect("a leaf");
    let sum = b.push(Reduce::sum(axes), &[x]).expect("a sum");
    b.output("sum", OutputKind::Value, sum);
    if squares {
        let square = b.push(Binary::Mul, &[x, x]).expect("a product");
        let sum = b.push(Reduce::sum(axes), &[square]).expect("a sum");
        b.output("squares", OutputKind::Value, sum);
    }
    if largest {
        let argmax = Reduce { kind: ReduceKind::Argmax, axes: axes.to_vec() };
        let at = b.push(argmax, &[x]).expect("a position");
        b.output("largest", OutputKind::Value, at);
    }
    b.finish().expect("a graph")
}

/// Elements around `offset`, in [0, 1) of it.
fn elements(n: usize, offset: f32) -> Vec<f32> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        offset + (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..n).map(next).collect()
}

/// The largest error of `sums` over the axes of `x`, in terms of the sum of magnitudes.
fn error(x: &[f32], shape: &[usize], axes: &[usize], sums: &[f64]) -> f64 {
    let (mut exact, mut size) = (vec![0.0; sums.len()], vec![0.0; sums.len()]);
    for (i, &x) in x.iter().enumerate() {
        let (mut rest, mut at, mut step) = (i, 0, 1);
        for k in (0..shape.len()).rev() {
            if !axes.contains(&k) {
                at += rest % shape[k] * step;
                step *= shape[k];
            }
            rest /= shape[k];
        }
        exact[at] += x as f64;
        size[at] += x.abs() as f64;
    }
    let errors = exact.iter().zip(&size).zip(sums).map(|((e, size), sum)| (e - sum).abs() / size);
    errors.fold(0.0, f64::max)
}

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    println!("{:40} {:>10} {:>8} {:>9} {:>9}", "", "µs", "GB/s", "error", "at 1e4");
    for &(case, shape, axes, squares, largest) in CASES.iter().filter(|c| c.0.contains(&name)) {
        let mut program = Executable::compile(&graph(shape, axes, squares, largest)).expect("code");
        let n: usize = shape.iter().product();
        let errors = [0.0, 1e4].map(|offset| {
            let x = elements(n, offset);
            program.bind("x", &Tensor::of(shape, x.clone())).expect("an input");
            program.call();
            error(&x, shape, axes, &program.read("sum").expect("a sum").to_f64())
        });
        let mut best = f64::MAX;
        let begin = Instant::now();
        while begin.elapsed().as_secs_f64() < 0.3 {
            let calls = ((1 << 20) / n).max(1);
            let start = Instant::now();
            (0..calls).for_each(|_| program.call());
            best = best.min(start.elapsed().as_secs_f64() / calls as f64);
        }
        let speed = 4.0 * n as f64 / best / 1e9;
        println!("{case:40} {:10.2} {speed:8.1} {:9.1e} {:9.1e}", best * 1e6, errors[0], errors[1]);
    }
}
