//! Which positions the inputs of a graph may hold: class numbers, symbols, and other indices.
//!
//! An input of integers whose elements, as they are, index an array or are compared with positions (those of
//! an iota, or of a largest element) is taken to hold positions of that array. What an operation
//! does with an index that is outside stays as it is; a bound says that data with such an index
//! doesn't fit the program. An index that is computed first has no bound; that one which is negative counts from the
//! end, as the language has it, isn't such a computation.

use std::collections::BTreeMap;

use crate::bind::Arrays;
use crate::graph::{Graph, Value};
use crate::ops::index::of_either_end;
use crate::ops::{OpRules, Positions, Role};

/// The inputs of `g` whose elements are positions, by name, with the size of the smallest dimension that they are
/// positions in: elements are from 0 to less than that.
pub fn bounds(g: &Graph) -> BTreeMap<String, usize> {
    let mut bounds = BTreeMap::new();
    // For each value, the input whose elements it has, and the bound of its elements as positions.
    let mut inputs: Vec<Option<&str>> = vec![None; g.len()];
    let mut below: Vec<Option<usize>> = vec![None; g.len()];
    for v in g.values() {
        let node = g.node(v);
        if let Some((name, Role::Input)) = g.binding(v)
            && g.ty(v).dtype.is_int()
        {
            inputs[v.index()] = Some(name);
            continue;
        }
        let mut hold = |at: Value, bound: usize| {
            if let Some(name) = inputs[at.index()] {
                bounds.entry(name.to_owned()).and_modify(|b: &mut usize| *b = bound.min(*b)).or_insert(bound);
            }
        };
        match node.op.positions(&g.arg_types(v), g.ty(v)) {
            Positions::Unknown => {}
            Positions::Below(bound) => below[v.index()] = Some(bound),
            Positions::Kept => {
                let from = node.args[0].index();
                (inputs[v.index()], below[v.index()]) = (inputs[from], below[from]);
            }
            Positions::Of(size) => hold(of_either_end(g, node.args[1]).unwrap_or(node.args[1]), size),
            Positions::Compared => {
                for (a, b) in [(0, 1), (1, 0)] {
                    if let Some(bound) = below[node.args[b].index()] {
                        hold(node.args[a], bound);
                    }
                }
            }
        }
    }
    bounds
}

/// The first of the numbers `elements` that isn't a position from 0 to less than `bound`: where it is, and the number.
pub fn outside(elements: impl IntoIterator<Item = i64>, bound: usize) -> Option<(usize, i64)> {
    let within = |x: i64| usize::try_from(x).is_ok_and(|x| x < bound);
    elements.into_iter().enumerate().find(|(_, x)| !within(*x))
}

/// What `arrays`, which fit `g`, have in them that is outside of its [`bounds`]; a sentence for each array.
pub fn problems(g: &Graph, arrays: &Arrays) -> Vec<String> {
    let problem = |(name, bound): (String, usize)| {
        let x = arrays.get(&name)?;
        // Integers of 32 bits are exact as `f64`.
        let (at, found) = outside(x.to_f64().into_iter().map(|x| x as i64), bound)?;
        let index = x.shape().index(at);
        Some(format!(
            "element {index:?} of `{name}` is {found}, but `{}` has {bound} positions for it: 0 to {}",
            g.name,
            bound as i64 - 1
        ))
    };
    bounds(g).into_iter().filter_map(problem).collect()
}
