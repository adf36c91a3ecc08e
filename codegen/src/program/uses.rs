//! Which kernels read and write each buffer, so that passes ask that without going through all kernels.

use crate::program::{BufferId, Kernel, Program};

/// The kernels, by position, that read and write each buffer.
pub(crate) struct Uses {
    readers: Vec<Vec<usize>>,
    writers: Vec<Vec<usize>>,
    /// Whether a buffer is a result of the program.
    results: Vec<bool>,
}

impl Uses {
    /// Those of `kernels`, over the buffers of `program`.
    pub fn new<'k>(program: &Program, kernels: impl IntoIterator<Item = &'k Kernel>) -> Uses {
        let buffers = program.buffers.len();
        let mut uses = Uses {
            readers: vec![Vec::new(); buffers],
            writers: vec![Vec::new(); buffers],
            results: vec![false; buffers],
        };
        program.outputs.iter().for_each(|o| uses.results[o.buffer.0] = true);
        for (k, kernel) in kernels.into_iter().enumerate() {
            kernel.reads().into_iter().for_each(|s| uses.read(s.buffer, k));
            kernel.writes().into_iter().for_each(|b| insert(&mut uses.writers[b.0], k));
        }
        uses
    }

    /// The kernels that read `buffer`, in their order.
    pub fn readers(&self, buffer: BufferId) -> &[usize] {
        &self.readers[buffer.0]
    }

    /// The kernels that write `buffer`, in their order; a kernel that writes it in pieces once.
    pub fn writers(&self, buffer: BufferId) -> &[usize] {
        &self.writers[buffer.0]
    }

    /// Whether `buffer` is a result of the program.
    pub fn is_result(&self, buffer: BufferId) -> bool {
        self.results[buffer.0]
    }

    /// Notes that kernel `k` reads `buffer`.
    pub fn read(&mut self, buffer: BufferId, k: usize) {
        insert(&mut self.readers[buffer.0], k);
    }

    /// Takes `buffer` for one that nothing reads or writes any more.
    pub fn clear(&mut self, buffer: BufferId) {
        self.readers[buffer.0].clear();
        self.writers[buffer.0].clear();
    }
}

/// Puts `k` in its place in a sorted list that holds each number once.
fn insert(sorted: &mut Vec<usize>, k: usize) {
    // Kernels mostly come in their order.
    match sorted.last() {
        Some(&last) if last >= k => {
            if let Err(at) = sorted.binary_search(&k) {
                sorted.insert(at, k);
            }
        }
        _ => sorted.push(k),
    }
}
