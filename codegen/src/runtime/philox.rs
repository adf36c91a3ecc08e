//! Random bits for compiled loops: Philox4x32-10, many blocks at a time.
//!
//! Vectors of compiled code are short, and their wide products need shuffles. So the words come
//! from here, in vectors as long as the CPU has, a chunk at a time.

#![expect(unsafe_code, reason = "compiled code passes where the words go by address")]

use fgc_ir::ops::random::{MULTIPLIERS, ROUNDS, WEYL, philox4x32};

/// The blocks that are computed together: four of the longest vectors of each word, whose products
/// take turns while each waits for its own.
const BLOCKS: usize = 32;

/// Words of a block.
const WORDS: usize = 4;

/// Writes the words of the elements `first` to `first + n` of a stream under a key.
///
/// # Safety
/// `out` is aligned and has room for `n` words, which nothing else accesses meanwhile.
pub unsafe extern "C" fn fill(out: *mut u32, key0: u32, key1: u32, stream: u32, first: u64, n: u64) {
    // SAFETY: the caller vouches for `n` words at `out`, aligned, which nothing else accesses.
    let out = unsafe { std::slice::from_raw_parts_mut(out, n as usize) };
    let lead = (first.next_multiple_of(WORDS as u64) - first).min(n) as usize;
    let (before, rest) = out.split_at_mut(lead);
    if !before.is_empty() {
        let block = philox4x32([(first / WORDS as u64) as u32, 0, stream, 0], [key0, key1]);
        let skipped = (first % WORDS as u64) as usize;
        before.copy_from_slice(&block[skipped..skipped + lead]);
    }
    let block = (first.div_ceil(WORDS as u64)) as u32;
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has the instructions.
            return unsafe { words_512(rest, [key0, key1], stream, block) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has the instructions.
            return unsafe { words_256(rest, [key0, key1], stream, block) };
        }
    }
    words(rest, [key0, key1], stream, block);
}

/// [`words`] in vectors of 512 bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn words_512(out: &mut [u32], key: [u32; 2], stream: u32, block: u32) {
    words(out, key, stream, block);
}

/// [`words`] in vectors of 256 bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn words_256(out: &mut [u32], key: [u32; 2], stream: u32, block: u32) {
    words(out, key, stream, block);
}

/// The words from block `block` on.
#[inline(always)]
fn words(out: &mut [u32], key: [u32; 2], stream: u32, mut block: u32) {
    let (whole, rest) = out.as_chunks_mut::<{ BLOCKS * WORDS }>();
    for out in whole {
        let mut pairs = [0; 2 * BLOCKS];
        philox(key, stream, block, &mut pairs);
        for (out, pair) in out.as_chunks_mut::<2>().0.iter_mut().zip(&pairs) {
            *out = [*pair as u32, (*pair >> 32) as u32];
        }
        block = block.wrapping_add(BLOCKS as u32);
    }
    for (k, out) in rest.chunks_mut(WORDS).enumerate() {
        let words = philox4x32([block.wrapping_add(k as u32), 0, stream, 0], key);
        out.copy_from_slice(&words[..out.len()]);
    }
}

/// The blocks from `block` on, each as its first two words and its last two.
///
/// A word is the low half of a `u64` here, with anything above it: that is where wide products
/// take their factors from and leave their results, so that nothing is shuffled.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "loops over plain indices become vectors")]
fn philox(mut key: [u32; 2], stream: u32, block: u32, pairs: &mut [u64; 2 * BLOCKS]) {
    const LOW: u64 = u32::MAX as u64;
    let mut c = [[0; BLOCKS], [0; BLOCKS], [stream as u64; BLOCKS], [0; BLOCKS]];
    for k in 0..BLOCKS {
        c[0][k] = block.wrapping_add(k as u32) as u64;
    }
    for _ in 0..ROUNDS {
        for k in 0..BLOCKS {
            let a = MULTIPLIERS[0] as u64 * (c[0][k] & LOW);
            let b = MULTIPLIERS[1] as u64 * (c[2][k] & LOW);
            c[0][k] = (b >> 32) ^ c[1][k] ^ key[0] as u64;
            c[1][k] = b;
            c[2][k] = (a >> 32) ^ c[3][k] ^ key[1] as u64;
            c[3][k] = a;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    for k in 0..BLOCKS {
        pairs[2 * k] = c[0][k] & LOW | c[1][k] << 32;
        pairs[2 * k + 1] = c[2][k] & LOW | c[3][k] << 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_blocks_they_are_in() {
        let (key, stream) = ([0xA409_3822, 0x299F_31D0], 0x1319_8A2E);
        for (first, n) in [(0u64, 300usize), (3, 1), (5, 2), (6, 200), (4 * (u32::MAX as u64 - 20), 90)] {
            let mut out = vec![0; n];
            // SAFETY: there is room for as many.
            unsafe { fill(out.as_mut_ptr(), key[0], key[1], stream, first, n as u64) };
            for (k, word) in out.into_iter().enumerate() {
                let at = first + k as u64;
                let block = philox4x32([(at / 4) as u32, 0, stream, 0], key);
                assert_eq!(word, block[(at % 4) as usize], "element {at}");
            }
        }
    }
}
