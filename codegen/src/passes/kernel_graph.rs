//! Which kernels build on which, while some become parts of others.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::program::{BufferId, Scheduled};

/// Which kernels build on which.
pub struct KernelGraph {
    /// For each kernel, those behind it that read or write a buffer that it writes. Kernels that have become part of
    /// others stand for those.
    next: Vec<Vec<usize>>,
    /// The kernel that each has become part of, or itself.
    part_of: Vec<usize>,
    /// The schedule depths. Along `next` they never fall.
    depths: Vec<isize>,
}

impl KernelGraph {
    /// That of these kernels, in the order in which they run.
    pub fn new(kernels: &[Scheduled]) -> KernelGraph {
        let mut next = vec![Vec::new(); kernels.len()];
        // The last to write each buffer: it comes behind those that wrote it before.
        let mut writer: HashMap<BufferId, usize> = HashMap::new();
        for (k, (_, kernel)) in kernels.iter().enumerate() {
            let read = kernel.reads().into_iter().map(|s| s.buffer);
            for buffer in read.chain(kernel.writes()) {
                writer.get(&buffer).into_iter().filter(|&&w| w != k).for_each(|&w: &usize| next[w].push(k));
            }
            writer.extend(kernel.writes().into_iter().map(|buffer| (buffer, k)));
        }
        let depths: Vec<isize> = kernels.iter().map(|(depth, _)| *depth).collect();
        let rise = |from: usize| next[from].iter().all(|&to: &usize| depths[from] <= depths[to]);
        debug_assert!((0..kernels.len()).all(rise), "a kernel builds on one of a higher level");
        KernelGraph { next, part_of: (0..kernels.len()).collect(), depths }
    }

    /// The kernel that `k` is part of now.
    fn whole(&self, mut k: usize) -> usize {
        while self.part_of[k] != k {
            k = self.part_of[k];
        }
        k
    }

    /// The kernels that `kernels` are part of now, each once, in their order.
    pub fn now<'k>(&self, kernels: impl IntoIterator<Item = &'k usize>) -> Vec<usize> {
        let mut all: Vec<usize> = kernels.into_iter().map(|&k| self.whole(k)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether `to` builds on `from` through something between them.
    pub fn reaches_around(&self, from: usize, to: usize) -> bool {
        let mut seen: HashSet<usize> = HashSet::new();
        let mut open: Vec<usize> = self.behind(from).filter(|&k| k != to).collect();
        while let Some(k) = open.pop() {
            if k == to {
                return true;
            }
            if self.depths[k] <= self.depths[to] && seen.insert(k) {
                open.extend(self.behind(k));
            }
        }
        false
    }

    /// The kernels that come directly behind `k`.
    fn behind(&self, k: usize) -> impl Iterator<Item = usize> + '_ {
        self.next[k].iter().map(|&next| self.whole(next)).filter(move |&next| next != k)
    }

    /// Makes `gone` a part of `into`, which is of no lesser depth.
    pub fn join(&mut self, gone: usize, into: usize) {
        let behind = std::mem::take(&mut self.next[gone]);
        self.next[into].extend(behind);
        self.part_of[gone] = into;
    }

    /// The kernels, each behind those that it builds on, and as near to their order as that allows.
    pub fn sorted(&self) -> Vec<usize> {
        let mut before = vec![0usize; self.next.len()];
        let all = || (0..self.next.len()).filter(|&k| self.part_of[k] == k);
        all().flat_map(|k| self.behind(k)).for_each(|k| before[k] += 1);
        let mut open: BTreeSet<usize> = all().filter(|&k| before[k] == 0).collect();
        let mut sorted = Vec::with_capacity(before.len());
        while let Some(k) = open.pop_first() {
            sorted.push(k);
            for next in self.behind(k) {
                before[next] -= 1;
                if before[next] == 0 {
                    open.insert(next);
                }
            }
        }
        sorted
    }
}
