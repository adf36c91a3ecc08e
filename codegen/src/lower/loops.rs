//! Loops: the elementwise operations, reductions and draws that are steps of one.

use std::collections::HashMap;

use fgc_ir::ops::{Random, Reduce};
use fgc_ir::{Type, Value};

use super::{Form, Growing, Lowering, MAX_NESTING, START};
use crate::program::{Loop, Origin, Step};

/// The fewest steps of a loop that take a while to move.
const MIN_MOVED: usize = 256;

impl Lowering<'_> {
    /// The steps of loop `id` that `args` are, which become loads if they aren't computed in it.
    pub(super) fn args(&mut self, id: usize, args: &[Value]) -> Vec<usize> {
        let mut steps = Vec::with_capacity(args.len());
        for &a in args {
            let known = self.growing(id).steps.get(&a).copied();
            let step = known.unwrap_or_else(|| {
                let step = match &self.forms[a.index()] {
                    Form::Inline(step) => step.clone(),
                    Form::Formula(_) => {
                        let g = self.g;
                        let args = self.args(id, &g.node(a).args);
                        Step::Apply { op: g.node(a).op.clone(), args }
                    }
                    _ => Step::Load(self.source(a)),
                };
                self.step(id, a, step)
            });
            steps.push(step);
        }
        steps
    }

    /// Adds the step that `v` is to loop `id`.
    pub(super) fn step(&mut self, id: usize, v: Value, step: Step) -> usize {
        let dtype = self.g.ty(v).dtype;
        let growing = self.growing_mut(id);
        growing.nest.steps.push((step, dtype));
        let at = growing.nest.steps.len() - 1;
        growing.steps.insert(v, at);
        at
    }

    /// The loop that `a` is a step of, if it is one of the shape of `ty`.
    fn loop_of(&self, a: Value, ty: &Type) -> Option<usize> {
        match &self.forms[a.index()] {
            Form::Step(id, _) if self.fused && self.g.ty(a).shape == ty.shape => Some(*id),
            _ => None,
        }
    }

    fn depth(&self, id: usize) -> isize {
        self.growing(id).depth
    }

    pub(super) fn new_loop(&mut self, ty: &Type, depth: isize) -> usize {
        let nest = Loop { shape: ty.shape.clone(), ..Loop::default() };
        self.loops.push(Some(Growing { depth, nest, steps: HashMap::new() }));
        self.loops.len() - 1
    }

    pub(super) fn map(&mut self, v: Value) {
        let (node, ty) = (self.g.node(v), self.g.ty(v));
        if let Some(depth) = self.formula(&node.args).filter(|_| self.fused) {
            return self.set(v, Form::Formula(depth), START);
        }
        if self.fused && node.op.is_sum() && self.add_up(v, &node.args) {
            return;
        }
        let mut depth = START + 1;
        for &a in &node.args {
            depth = depth.max(match self.loop_of(a, ty) {
                Some(id) => self.depth(id),
                None => self.after(a),
            });
        }
        let mut same: Vec<usize> = node.args.iter().filter_map(|&a| self.loop_of(a, ty)).collect();
        same.retain(|&id| self.depth(id) == depth);
        same.sort_unstable();
        same.dedup();
        if !self.compatible(&same) {
            depth += 1;
            same.clear();
        }
        let id = match same.split_first() {
            None => self.new_loop(ty, depth),
            Some((&first, rest)) => rest.iter().fold(first, |into, &other| self.join(into, other)),
        };
        let args = self.args(id, &node.args);
        self.step(id, v, Step::Apply { op: node.op.clone(), args });
        self.set(v, Form::Step(id, None), depth);
    }

    /// How deep an operation on `args` is nested in formulas, if it is one.
    pub(super) fn formula(&self, args: &[Value]) -> Option<usize> {
        let mut depth = 0;
        for a in args {
            depth = depth.max(match self.forms[a.index()] {
                Form::Inline(_) => 1,
                Form::Formula(depth) => depth + 1,
                _ => return None,
            });
        }
        (depth <= MAX_NESTING).then_some(depth)
    }

    /// The least depth of a loop that reads `a`.
    pub(super) fn after(&self, a: Value) -> isize {
        match self.forms[a.index()] {
            Form::Inline(_) | Form::Formula(_) => START + 1,
            _ => self.ready[a.index()] + 1,
        }
    }

    /// Whether loops can be one: their reductions are over the same axes.
    fn compatible(&self, ids: &[usize]) -> bool {
        let mut axes = ids.iter().filter_map(|&id| self.reduced_axes(id));
        let first = axes.next();
        axes.all(|other| Some(other) == first)
    }

    fn reduced_axes(&self, id: usize) -> Option<&[usize]> {
        let (_, reduce, _) = self.growing(id).nest.reductions.first()?;
        Some(&reduce.axes)
    }

    /// Makes two loops one; gives its position. The second becomes a part of the first, unless that
    /// would move many more steps than the other way round.
    fn join(&mut self, id: usize, gone: usize) -> usize {
        let steps = |id: usize| self.growing(id).nest.steps.len();
        let (id, gone) = if steps(gone) > MIN_MOVED.max(steps(id)) { (gone, id) } else { (id, gone) };
        let other = self.loops[gone].take().expect("a loop that operands are steps of");
        let into = self.loops[id].as_mut().expect("a loop that operands are steps of");
        let base = into.nest.steps.len();
        for (mut step, dtype) in other.nest.steps {
            if let Step::Apply { args, .. } = &mut step {
                args.iter_mut().for_each(|a| *a += base);
            }
            into.nest.steps.push((step, dtype));
        }
        into.nest.stores.extend(other.nest.stores.into_iter().map(|(at, to)| (at + base, to)));
        into.nest
            .reductions
            .extend(other.nest.reductions.into_iter().map(|(at, reduce, to)| (at + base, reduce, to)));
        for (v, at) in other.steps {
            into.steps.entry(v).or_insert(at + base);
            if let Form::Step(of, _) = &mut self.forms[v.index()]
                && *of == gone
            {
                *of = id;
            }
        }
        id
    }

    pub(super) fn reduce(&mut self, v: Value, reduce: Reduce) {
        let arg = self.g.node(v).args[0];
        let ty = self.g.ty(arg);
        let own = self.loop_of(arg, ty);
        let fits = |id: &usize| self.reduced_axes(*id).is_none_or(|axes| axes == reduce.axes);
        let (id, depth) = match own.filter(fits) {
            Some(id) => (id, self.depth(id)),
            None => {
                let depth = self.after(arg);
                (self.new_loop(ty, depth), depth)
            }
        };
        let step = self.args(id, &[arg])[0];
        let out = self.whole(self.g.ty(v), Origin::Computed);
        self.growing_mut(id).nest.reductions.push((step, reduce, out.buffer));
        self.set(v, Form::Source(out), depth);
    }

    /// Bits are drawn in the loop that uses them.
    pub(super) fn random(&mut self, v: Value, op: Random) {
        let key = self.g.node(v).args[0];
        let (source, depth) = (self.source(key), self.ready[key.index()] + 1);
        let id = self.new_loop(self.g.ty(v), depth);
        self.step(id, v, Step::Random(op, source));
        self.set(v, Form::Step(id, None), depth);
    }
}
