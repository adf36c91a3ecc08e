//! Times the contraction engine on the shapes of common networks, beside the peak of the CPU.
//!
//! `cargo run --release -p fgc-codegen --example gemm [THREADS [IMAGES [ISA [NAME]]]]`
//! with one thread, batches of 64 images and the best instruction set (`portable`, `avx2`,
//! `avx512`) unless said otherwise, and only what has `NAME` in its name.
#![allow(
    unsafe_code,
    reason = "calls the engine as compiled code does, and measures the peak with intrinsics"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use fgc_codegen::Isa;
use fgc_codegen::gemm::{Contraction, Operand, Product, Term};
use fgc_ir::ops::{Conv, Dot};
use fgc_ir::{DType, Op, OpRules, Type};

/// Fused multiply-adds at full speed in vectors of an instruction set: GFLOP/s of one thread.
fn peak(isa: Isa) -> f64 {
    const ROUNDS: usize = 50_000;
    let mut best = f64::MAX;
    let mut lanes = 4;
    for _ in 0..300 {
        let start = Instant::now();
        #[cfg(target_arch = "x86_64")]
        if isa == Isa::Avx512 {
            lanes = 16;
            // SAFETY: the CPU has AVX-512.
            unsafe { avx512(ROUNDS) };
        } else if isa == Isa::Avx2 {
            lanes = 8;
            // SAFETY: the CPU has AVX2 and FMA.
            unsafe { avx2(ROUNDS) };
        } else if is_x86_feature_detected!("fma") {
            // SAFETY: the CPU has FMA.
            unsafe { fma(ROUNDS) };
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    (ROUNDS * 16 * lanes * 2) as f64 / best / 1e9
}

#[cfg(target_arch = "x86_64")]
macro_rules! multiply_adds {
    ($name:ident, $features:literal, $set1:ident, $fma:ident) => {
        #[target_feature(enable = $features)]
        fn $name(rounds: usize) {
            use std::arch::x86_64::{$fma, $set1};
            let (a, b) = (black_box($set1(0.999)), black_box($set1(0.001)));
            let mut sums = [a; 12];
            for _ in 0..rounds * 16 / 12 {
                for sum in &mut sums {
                    *sum = $fma(*sum, a, b);
                }
            }
            black_box(sums);
        }
    };
}

#[cfg(target_arch = "x86_64")]
multiply_adds!(avx512, "avx512f", _mm512_set1_ps, _mm512_fmadd_ps);
#[cfg(target_arch = "x86_64")]
multiply_adds!(avx2, "avx2,fma", _mm256_set1_ps, _mm256_fmadd_ps);
#[cfg(target_arch = "x86_64")]
multiply_adds!(fma, "fma", _mm_set1_ps, _mm_fmadd_ps);

/// Seconds of the fastest of many calls. Operands are shared by terms that say so.
fn time(plan: &Contraction, operands: &[[usize; 2]], buffers: &[Type], out: &Type, results: usize) -> f64 {
    // Aligned as the arrays of executables are.
    let buffer = |bytes: usize, x: f32| vec![[x; 16]; bytes.div_ceil(64) + 1];
    fn aligned<T>(at: *const T) -> *mut u8 {
        at.cast_mut().cast::<u8>().wrapping_add(at.align_offset(64) * size_of::<T>())
    }
    let buffers: Vec<_> = buffers.iter().map(|ty| buffer(ty.bytes() + 64, 0.5)).collect();
    let at = |i: usize| aligned(buffers[i].as_ptr().cast::<f32>()).cast_const();
    let operands: Vec<[*const u8; 2]> = operands.iter().map(|o| o.map(at)).collect();
    let mut outs: Vec<_> = (0..results).map(|_| buffer(out.bytes() + 64, 0.0)).collect();
    let outs: Vec<*mut u8> = outs.iter_mut().map(|o| aligned(o.as_mut_ptr().cast::<f32>())).collect();
    let mut scratch = buffer(plan.scratch_bytes() + 64, 0.0);
    let scratch = aligned(scratch.as_mut_ptr().cast::<f32>());
    let mut best = f64::MAX;
    let begin = Instant::now();
    let mut calls = 0;
    while calls < 5 || (begin.elapsed() < Duration::from_millis(400) && calls < 2000) {
        let start = Instant::now();
        // SAFETY: all buffers are as large as the plan says, and apart.
        unsafe { plan.run(&operands, &outs, scratch) };
        best = best.min(start.elapsed().as_secs_f64());
        calls += 1;
    }
    best
}

fn report(name: &str, op: Op, lhs: &[usize], rhs: &[usize], peak: (f64, Isa)) {
    let (lhs, rhs) = (Type::new(DType::F32, lhs), Type::new(DType::F32, rhs));
    report_sum(name, op, &[lhs, rhs], &[([0, 1], 0)], peak);
}

/// A product and its tangent: `x·w`, and `dx·w + x·dw`.
fn report_fused(name: &str, op: Op, lhs: &[usize], rhs: &[usize], peak: (f64, Isa)) {
    let (lhs, rhs) = (Type::new(DType::F32, lhs), Type::new(DType::F32, rhs));
    let buffers = [lhs.clone(), rhs.clone(), lhs, rhs];
    report_sum(name, op, &buffers, &[([0, 1], 0), ([2, 1], 1), ([0, 3], 1)], peak);
}

/// Terms of these buffers, and of which result they are.
fn report_sum(name: &str, op: Op, buffers: &[Type], terms: &[([usize; 2], usize)], (peak, isa): (f64, Isa)) {
    if std::env::args().nth(4).is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let out = match op.infer(&[&buffers[0], &buffers[1]]) {
        Ok(out) => out,
        Err(e) => return println!("{name}: {e}"),
    };
    let op = match op {
        Op::Dot(dot) => Product::Dot(dot),
        Op::Conv(conv) => Product::Conv(conv),
        _ => return,
    };
    let term = |&([l, r], result): &([usize; 2], usize)| {
        let [lhs, rhs] = [l, r].map(|i| Operand::dense(&buffers[i]));
        Term { op: op.clone(), lhs, rhs, result }
    };
    let results = terms.iter().map(|t| t.1 + 1).max().unwrap_or(0);
    let plan = Contraction::with(&terms.iter().map(term).collect::<Vec<_>>(), &[], isa);
    let operands: Vec<[usize; 2]> = terms.iter().map(|t| t.0).collect();
    let seconds = time(&plan, &operands, buffers, &out, results);
    let rate = plan.flops() as f64 / seconds / 1e9;
    let scratch = plan.scratch_bytes() as f64 / 1e6;
    println!(
        "{name:<34} {:>9.3} ms {rate:>7.1} GFLOP/s {:>5.1} %  scratch {scratch:.2} MB",
        seconds * 1e3,
        100.0 * rate / peak
    );
}

fn same(dims: &str, padding: i64, flip: bool) -> Option<Op> {
    let dims = dims.parse().ok()?;
    Some(Conv { padding: vec![(padding, padding); 2], flip, ..Conv::plain(dims) }.into())
}

fn all(peak: (f64, Isa), images: usize) {
    let dot = |name: &str, (l, r): (usize, usize), lhs: [usize; 2], rhs: [usize; 2]| {
        report(name, Dot { batch: vec![], contract: vec![(l, r)] }.into(), &lhs, &rhs, peak);
    };
    dot("dot 64x784x512", (1, 0), [64, 784], [784, 512]);
    dot("dot 64x512x512", (1, 0), [64, 512], [512, 512]);
    dot("dot 64x512x10", (1, 0), [64, 512], [512, 10]);
    dot("input gradient 64x512x784", (1, 1), [64, 512], [784, 512]);
    dot("weight gradient 784x64x512", (0, 0), [64, 784], [64, 512]);
    dot("weight gradient 512x64x10", (0, 0), [64, 512], [64, 10]);
    for [k, n] in [[784, 512], [512, 512], [784, 2048], [2048, 2048]] {
        let name = format!("fused jvp 64x{k}x{n}");
        report_fused(&name, Dot::matmul(2).into(), &[64, k], &[k, n], peak);
    }
    dot("dot 64x2048x2048", (1, 0), [64, 2048], [2048, 2048]);
    dot("input gradient 64x2048x2048", (1, 1), [64, 2048], [2048, 2048]);
    dot("weight gradient 2048x64x2048", (0, 0), [64, 2048], [64, 2048]);
    dot("dot 1024^3", (1, 0), [1024, 1024], [1024, 1024]);
    dot("deep 64x50176x64", (0, 0), [50176, 64], [50176, 64]);
    let scores = Dot { batch: vec![(0, 0), (2, 2)], contract: vec![(3, 3)] };
    report("attention scores 64x4, 64x32x64", scores.into(), &[64, 64, 4, 32], &[64, 64, 4, 32], peak);
    for (side, from, to) in [(28, 64, 64), (32, 32, 32), (14, 64, 64), (28, 1, 64), (32, 3, 32)] {
        let (image, ct) = ([images, side, side, from], [images, side, side, to]);
        let name = |what: &str| format!("conv {side}x{side} {from}->{to} {what}");
        let cases = [
            ("forward", "b01f_01io->b01f", false, &image, &[3, 3, from, to]),
            ("input gradient", "b01f_01oi->b01f", true, &ct, &[3, 3, from, to]),
            ("kernel gradient", "f01b_i01o->01bf", false, &image, &ct),
        ];
        for (what, dims, flip, lhs, rhs) in cases {
            if let Some(op) = same(dims, 1, flip) {
                report(&name(what), op, lhs, rhs, peak);
            }
        }
        if let Some(op) = same("b01f_01io->b01f", 1, false) {
            report_fused(&name("fused jvp"), op, &image, &[3, 3, from, to], peak);
        }
    }
}

fn main() {
    let argument = |i: usize, or: usize| std::env::args().nth(i).and_then(|n| n.parse().ok()).unwrap_or(or);
    let (threads, images) = (argument(1, 1), argument(2, 64));
    let named = std::env::args().nth(3);
    let isa = Isa::ALL.into_iter().find(|isa| Some(isa.to_string()) == named);
    let isa = isa.unwrap_or(Isa::best());
    let one = peak(isa);
    println!("peak of one thread {one:.1} GFLOP/s; {threads} threads, {images} images");
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(|| all((one * threads as f64, isa), images)),
        Err(e) => println!("no pool of {threads} threads: {e}"),
    }
}
