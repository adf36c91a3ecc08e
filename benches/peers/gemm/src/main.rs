//! Times a product of matrices in `f32` by the crate `gemm`: `gemm-peer M N K LAYOUT SECONDS THREADS`. Prints the median and
//! the least time of a call in milliseconds.
//!
//! The layout says which operand is given transposed: `nn` neither, `tn` the left, `nt` the right one.

use std::time::{Duration, Instant};

use gemm::Parallelism;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [m, n, k, layout, seconds, threads] = &args[..] else { panic!("usage: M N K LAYOUT SECONDS THREADS") };
    let [m, n, k, threads] = [m, n, k, threads].map(|x| x.parse::<usize>().expect("a number"));
    let seconds = Duration::from_secs_f64(seconds.parse().expect("seconds"));
    let numbers = |len: usize| (0..len).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect::<Vec<f32>>();
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0f32; m * n]);
    // The strides of columns and rows.
    let lhs = if layout == "tn" { [m as isize, 1] } else { [1, k as isize] };
    let rhs = if layout == "nt" { [k as isize, 1] } else { [1, n as isize] };
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    let mut call = || {
        // SAFETY: the matrices have as many elements as their sizes and strides say, and `c` is borrowed mutably.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                lhs[0],
                lhs[1],
                b.as_ptr(),
                rhs[0],
                rhs[1],
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    };
    call();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < 5 || start.elapsed() < seconds {
        let begin = Instant::now();
        call();
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{} {}", times[times.len() / 2], times[0]);
}
