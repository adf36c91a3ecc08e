//! Keys of programs, and random numbers of loops around them: pure functions of a seed and of where they are used.
//!
//! Blocks of Philox4x32-10 under the key that parameters are drawn with. What programs draw have
//! a counter whose last word is 0; the loop's have other last words, so no block is used twice.

use fgc_ir::Tensor;
use fgc_ir::ops::random::philox4x32;

/// The last word of the counters of step seeds.
const STEP: u32 = 1;
/// The last word of the counters of shuffles.
const SHUFFLE: u32 = 2;
/// The last word of the counters of synthetic data.
const SYNTHETIC: u32 = 3;

fn halves(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// The key of `seed`: `u32[2]`, low word first. Parameters and states are drawn with it.
pub fn key(seed: u64) -> Tensor {
    Tensor::of([2], halves(seed).to_vec())
}

/// The key of step `step` (from 0) of a run with `seed`: `u32[2]`.
pub fn step_key(seed: u64, step: u64) -> Tensor {
    let [low, high] = halves(step);
    let block = philox4x32([low, high, 0, STEP], halves(seed));
    Tensor::of([2], vec![block[0], block[1]])
}

/// A sequence of random words.
struct Words {
    key: [u32; 2],
    counter: [u32; 4],
    block: [u32; 4],
    used: usize,
}

impl Words {
    /// The words of `purpose` numbered `index` under `seed`.
    fn new(seed: u64, purpose: u32, index: u64) -> Words {
        let [low, high] = halves(index);
        Words { key: halves(seed), counter: [0, low, high, purpose], block: [0; 4], used: 4 }
    }

    fn next(&mut self) -> u32 {
        if self.used == 4 {
            self.block = philox4x32(self.counter, self.key);
            self.counter[0] = self.counter[0].wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    /// A uniform number below `bound`, which isn't 0, by the unbiased method of Lemire (2019),
    /// "Fast random integer generation in an interval".
    fn below(&mut self, bound: u32) -> u32 {
        let reject = bound.wrapping_neg() % bound;
        loop {
            let product = self.next() as u64 * bound as u64;
            if product as u32 >= reject {
                return (product >> 32) as u32;
            }
        }
    }
}

/// The numbers below `n` in the order of epoch `epoch`: a uniformly random permutation, by the
/// shuffle of Fisher and Yates.
pub fn permutation(n: u32, seed: u64, epoch: u64) -> Vec<u32> {
    let mut words = Words::new(seed, SHUFFLE, epoch);
    let mut order: Vec<u32> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i as usize, words.below(i + 1) as usize);
    }
    order
}

/// `n` random bytes, the sequence numbered `index`.
pub fn bytes(n: usize, seed: u64, index: u64) -> Vec<u8> {
    let mut words = Words::new(seed, SYNTHETIC, index);
    let mut bytes = Vec::with_capacity(n.next_multiple_of(4));
    while bytes.len() < n {
        bytes.extend(words.next().to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_hold_every_number_once_and_differ_by_seed_and_epoch() {
        for n in [0, 1, 2, 3, 17, 1000] {
            let mut order = permutation(n, 5, 9);
            assert_eq!(order, permutation(n, 5, 9));
            order.sort_unstable();
            assert_eq!(order, (0..n).collect::<Vec<_>>());
        }
        let order = permutation(100, 5, 9);
        assert_ne!(order, permutation(100, 5, 10));
        assert_ne!(order, permutation(100, 6, 9));
        assert_ne!(order, permutation(100, 5 | 1 << 32, 9));
    }

    /// Each of the 24 orders of 4 comes up as often as the others: χ² with 23 degrees of freedom
    /// is below 49.7 with probability 0.999.
    #[test]
    fn permutations_are_uniform() {
        let mut counts = std::collections::BTreeMap::new();
        let draws = 24_000;
        for epoch in 0..draws {
            *counts.entry(permutation(4, 1, epoch)).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 24);
        let expected = draws as f64 / 24.0;
        let chi: f64 = counts.values().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
        assert!(chi < 49.7, "{chi}");
    }

    #[test]
    fn step_keys_differ() {
        let keys: std::collections::BTreeSet<Vec<u32>> =
            (0..1000).map(|step| step_key(3, step).as_slice::<u32>().to_vec()).collect();
        assert_eq!(keys.len(), 1000);
        assert_ne!(step_key(3, 0), step_key(4, 0));
        assert_ne!(step_key(3, 0), key(3));
    }
}
