//! What this machine can do: fused multiply-adds and copied bytes each second, measured.

#![expect(unsafe_code, reason = "instructions that the processor is asked for first")]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long each rate is measured, and how often; the best counts.
const WINDOW: Duration = Duration::from_millis(5);
const ROUNDS: usize = 5;

/// Bytes read and written by each copy that is measured, over all threads: from what stays in the
/// first caches to what stays in none.
const COPIES: [usize; 7] = [64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20];

/// The rates of this machine, in units each second.
#[derive(Clone, PartialEq, Debug)]
pub struct Peaks {
    /// Operations on `f32`, a fused multiply-add counted as two.
    pub flops: f64,
    /// Bytes read and written by a copy that touches so many bytes in all, in increasing order.
    pub copies: Vec<(usize, f64)>,
}

impl Peaks {
    /// Measures all threads of the rayon pool that it is called in together.
    pub fn measure() -> Peaks {
        // The best of each thread, while the others do the same.
        let best = |rate: &dyn Fn() -> f64| (0..ROUNDS).map(|_| rate()).fold(0.0, f64::max);
        let all =
            |rate: &(dyn Fn() -> f64 + Sync)| rayon::broadcast(|_| best(&rate)).into_iter().sum::<f64>();
        let flops = all(&fma_rate);
        let threads = rayon::current_num_threads();
        let copy = |bytes: usize| (bytes, all(&|| copy_rate(bytes / threads)));
        Peaks { flops, copies: COPIES.into_iter().map(copy).collect() }
    }

    /// The bytes each second that a copy of at most so many bytes in all is done with.
    pub fn copy(&self, bytes: u64) -> f64 {
        let within = self.copies.iter().rfind(|(size, _)| *size as u64 <= bytes);
        within.or(self.copies.first()).map_or(0.0, |(_, rate)| *rate)
    }

    /// The rate at which memory itself is copied.
    pub fn memory(&self) -> f64 {
        self.copies.last().map_or(0.0, |(_, rate)| *rate)
    }

    /// The part of what the machine can do that is done by `flops` operations and `bytes` moved in
    /// `seconds`: of its arithmetic or of its memory, whichever is used more.
    pub fn share(&self, flops: u64, bytes: u64, seconds: f64) -> f64 {
        let part = |amount: u64, rate: f64| if rate > 0.0 { amount as f64 / rate } else { 0.0 };
        let least = part(flops, self.flops).max(part(bytes, self.copy(bytes)));
        if seconds > 0.0 { least / seconds } else { 0.0 }
    }
}

/// The amount each second of `work`, which gives the amount that it does.
fn rate(mut work: impl FnMut() -> usize) -> f64 {
    work();
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < WINDOW {
        done += work();
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// Bytes each second that one thread reads and writes, copying between two halves of `bytes`.
fn copy_rate(bytes: usize) -> f64 {
    let from = vec![1u8; bytes / 2];
    let mut to = vec![0u8; bytes / 2];
    rate(|| {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        2 * from.len()
    })
}

/// Multiply-adds that don't wait for each other: enough for a latency of 4 cycles on 2 units.
const CHAINS: usize = 12;
/// How often each is done before the clock is looked at.
const REPEATS: usize = 10_000;

/// The operations each second of one thread.
fn fma_rate() -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            return rate(|| unsafe { x86::avx512() });
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the instructions.
            return rate(|| unsafe { x86::avx2() });
        }
    }
    rate(portable)
}

/// As vectors of whatever this program is compiled for; without fused multiply-add there, with
/// multiplications and additions.
fn portable() -> usize {
    const LANES: usize = 4;
    let (by, and) = (black_box(0.999f32), black_box(0.001f32));
    let fused = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
    let step = |x: f32| if fused { x.mul_add(by, and) } else { x * by + and };
    let mut chains = [[1.0f32; LANES]; CHAINS];
    for _ in 0..REPEATS {
        chains = chains.map(|chain| chain.map(step));
    }
    black_box(chains);
    2 * CHAINS * LANES * REPEATS
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::hint::black_box;

    use super::{CHAINS, REPEATS};

    macro_rules! probe {
        ($name:ident, $feature:literal, $lanes:literal, $splat:ident, $fma:ident) => {
            /// Gives how many operations it does.
            #[target_feature(enable = $feature)]
            pub fn $name() -> usize {
                let (by, and) = ($splat(black_box(0.999)), $splat(black_box(0.001)));
                let mut chains = [$splat(1.0); CHAINS];
                for _ in 0..REPEATS {
                    for chain in &mut chains {
                        *chain = $fma(*chain, by, and);
                    }
                }
                black_box(chains);
                2 * CHAINS * $lanes * REPEATS
            }
        };
    }

    probe!(avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps);
    probe!(avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_positive_and_shares_are_of_the_scarcer() {
        let measured = Peaks::measure();
        assert!(measured.flops > 0.0 && measured.copies.iter().all(|(_, rate)| *rate > 0.0));
        let peaks = Peaks { flops: 100.0, copies: vec![(10, 40.0), (1000, 20.0)] };
        assert_eq!(peaks.share(50, 10, 1.0), 0.5);
        assert_eq!(peaks.share(5, 10, 1.0), 0.25);
        assert_eq!(peaks.share(5, 1000, 1.0), 50.0);
        assert_eq!((peaks.copy(999), peaks.copy(1), peaks.memory()), (40.0, 40.0, 20.0));
        assert_eq!(peaks.share(0, 0, 0.0), 0.0);
    }
}
