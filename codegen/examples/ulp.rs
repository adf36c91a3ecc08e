//! Measures the largest error of every function of `vecmath`: those of one argument over all
//! 2³² bit patterns, `pow` over 2³⁰ pseudorandom pairs. It takes some minutes per function;
//! names given as arguments choose among them.

use std::fmt::Debug;
use std::thread;

use fgc_codegen::vecmath::measure::{FUNCTIONS, POW_BOUND, Worst, pow_arguments, pow_error, worst};

const THREADS: u64 = 2;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    println!("{:<9} {:>8} {:>6}  at", "function", "max ulp", "bound");
    for f in FUNCTIONS.iter().filter(|f| wanted(f.name)) {
        print(f.name, f.bound, on_threads(1 << 32, |i| f.error(f32::from_bits(i as u32))));
    }
    if wanted("pow") {
        print("pow", POW_BOUND, on_threads(1 << 30, |i| pow_error(pow_arguments(i))));
    }
}

fn print<A: Debug>(name: &str, bound: f64, w: Option<Worst<A>>) {
    if let Some(w) = w {
        println!("{name:<9} {:>8.4} {bound:>6}  {:?}", w.ulps, w.at);
    }
}

/// The worst of the errors 0 … count − 1.
fn on_threads<A: Send>(count: u64, error: impl Fn(u64) -> Worst<A> + Sync) -> Option<Worst<A>> {
    let error = &error;
    thread::scope(|s| {
        let parts: Vec<_> = (0..THREADS)
            .map(|k| s.spawn(move || worst((k..count).step_by(THREADS as usize).map(error))))
            .collect();
        worst(parts.into_iter().filter_map(|part| part.join().ok().flatten()))
    })
}
