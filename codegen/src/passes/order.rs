//! The order of kernels by their schedule depth.

use std::collections::{BTreeSet, HashMap};

use crate::program::{BufferId, Scheduled};

/// The kernels in the order of their depths, those before depth 0 as late as others allow: their results are then
/// still in the cache when they are read.
pub fn in_order(mut kernels: Vec<Scheduled>) -> Vec<Scheduled> {
    kernels.sort_by_key(|(depth, _)| *depth);
    let rest = kernels.split_off(kernels.partition_point(|(depth, _)| *depth < 0));
    let mut writers: HashMap<BufferId, Vec<usize>> = HashMap::new();
    for (k, (_, kernel)) in kernels.iter().enumerate() {
        kernel.writes().into_iter().for_each(|b| writers.entry(b).or_default().push(k));
    }
    let mut early: Vec<Option<Scheduled>> = kernels.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(early.len() + rest.len());
    for (depth, kernel) in rest {
        // The kernels that it builds on, directly or not.
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        let mut open = vec![&kernel];
        while let Some(kernel) = open.pop() {
            let buffers = kernel.reads().into_iter().map(|s| s.buffer).chain(kernel.writes());
            for &k in buffers.filter_map(|b| writers.get(&b)).flatten() {
                if let Some((_, kernel)) = &early[k]
                    && needed.insert(k)
                {
                    open.push(kernel);
                }
            }
        }
        ordered.extend(needed.into_iter().filter_map(|k| early[k].take()));
        ordered.push((depth, kernel));
    }
    ordered.extend(early.into_iter().flatten());
    ordered
}
