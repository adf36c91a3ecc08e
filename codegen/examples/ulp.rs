//! Measures the largest error of every function of `vecmath`: those of one argument over all
//! 2³² bit patterns, `pow` over 2³⁰ pseudorandom pairs. It takes some minutes per function;
//! names given as arguments choose among them.

use std::fmt::Debug;
use std::thread;

use fgc_codegen::vecmath::measure::{FUNCTIONS, POW_BOUND, Worst, pow_arguments, pow_error, worst};

const THREADS: u32 = 2;

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    println!("{:<9} {:>8} {:>6}  at", "function", "max ulp", "bound");
    for f in FUNCTIONS.iter().filter(|f| wanted(f.name)) {
        print(f.name, f.bound, on_threads(|k| f.worst((0..1 << 31).map(|i| i * THREADS + k))));
    }
    if wanted("pow") {
        print(
            "pow",
            POW_BOUND,
            on_threads(|k| worst((0..1 << 29).map(|i| pow_error(pow_arguments(i + (u64::from(k) << 29)))))),
        );
    }
}

fn print<A: Debug>(name: &str, bound: f64, w: Option<Worst<A>>) {
    if let Some(w) = w {
        println!("{name:<9} {:>8.4} {bound:>6}  {:?}", w.ulps, w.at);
    }
}

/// The worst of the parts, each measured on a thread.
fn on_threads<A: Send>(part: impl Fn(u32) -> Option<Worst<A>> + Sync) -> Option<Worst<A>> {
    let part = &part;
    thread::scope(|s| {
        let parts: Vec<_> = (0..THREADS).map(|k| s.spawn(move || part(k))).collect();
        worst(parts.into_iter().filter_map(|part| part.join().ok().flatten()))
    })
}
