//! Loops: which elementwise operations, folds and draws are steps of one.

use std::collections::HashMap;

use fgc_ir::ops::{Random, Reduce};
use fgc_ir::{Type, Value};

use super::{Form, Growing, Lowering, NESTED, START};
use crate::program::{Loop, Origin, Step};

/// Steps of a loop that it takes a while to move.
const MANY: usize = 256;

impl Lowering<'_> {
    /// The steps of a loop over `shape` that `args` are: those of the loop at `level` if they are
    /// of it, else loads.
    pub(super) fn args(&mut self, id: usize, args: &[Value]) -> Vec<usize> {
        let mut steps = Vec::with_capacity(args.len());
        for &a in args {
            let known = self.loops[id].as_ref().and_then(|growing| growing.steps.get(&a).copied());
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
        let Some(growing) = &mut self.loops[id] else { return 0 };
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

    fn level(&self, id: usize) -> isize {
        self.loops[id].as_ref().map_or(START, |growing| growing.level)
    }

    pub(super) fn new_loop(&mut self, ty: &Type, level: isize) -> usize {
        let nest = Loop { shape: ty.shape.clone(), ..Loop::default() };
        self.loops.push(Some(Growing { level, nest, steps: HashMap::new() }));
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
        let mut level = START + 1;
        for &a in &node.args {
            level = level.max(match self.loop_of(a, ty) {
                Some(id) => self.level(id),
                None => self.after(a),
            });
        }
        let mut same: Vec<usize> = node.args.iter().filter_map(|&a| self.loop_of(a, ty)).collect();
        same.retain(|&id| self.level(id) == level);
        same.sort_unstable();
        same.dedup();
        if !self.compatible(&same) {
            level += 1;
            same.clear();
        }
        let id = match same.split_first() {
            None => self.new_loop(ty, level),
            Some((&first, rest)) => rest.iter().fold(first, |into, &other| self.join(into, other)),
        };
        let args = self.args(id, &node.args);
        self.step(id, v, Step::Apply { op: node.op.clone(), args });
        self.set(v, Form::Step(id, None), level);
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
        (depth <= NESTED).then_some(depth)
    }

    /// The least level of a loop that reads `a`.
    pub(super) fn after(&self, a: Value) -> isize {
        match self.forms[a.index()] {
            Form::Inline(_) | Form::Formula(_) => START + 1,
            _ => self.ready[a.index()] + 1,
        }
    }

    /// Whether loops can be one: their folds are over the same axes.
    fn compatible(&self, ids: &[usize]) -> bool {
        let mut axes = ids.iter().filter_map(|&id| self.fold_axes(id));
        let first = axes.next();
        axes.all(|other| Some(other) == first)
    }

    fn fold_axes(&self, id: usize) -> Option<&[usize]> {
        let (_, reduce, _) = self.loops[id].as_ref()?.nest.folds.first()?;
        Some(&reduce.axes)
    }

    /// Makes two loops one; gives its position. The second becomes a part of the first, unless that
    /// would move many more steps than the other way round.
    fn join(&mut self, id: usize, gone: usize) -> usize {
        let steps = |id: usize| self.loops[id].as_ref().map_or(0, |growing| growing.nest.steps.len());
        let (id, gone) = if steps(gone) > MANY.max(steps(id)) { (gone, id) } else { (id, gone) };
        let (Some(other), Some(into)) = (self.loops[gone].take(), &mut self.loops[id]) else {
            unreachable!("a loop that operands are steps of is there")
        };
        let base = into.nest.steps.len();
        for (mut step, dtype) in other.nest.steps {
            if let Step::Apply { args, .. } = &mut step {
                args.iter_mut().for_each(|a| *a += base);
            }
            into.nest.steps.push((step, dtype));
        }
        into.nest.stores.extend(other.nest.stores.into_iter().map(|(at, to)| (at + base, to)));
        into.nest.folds.extend(other.nest.folds.into_iter().map(|(at, reduce, to)| (at + base, reduce, to)));
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
        let fits = |id: &usize| self.fold_axes(*id).is_none_or(|axes| axes == reduce.axes);
        let (id, level) = match own.filter(fits) {
            Some(id) => (id, self.level(id)),
            None => {
                let level = self.after(arg);
                (self.new_loop(ty, level), level)
            }
        };
        let step = self.args(id, &[arg])[0];
        let out = self.whole(self.g.ty(v), Origin::Computed);
        if let Some(growing) = &mut self.loops[id] {
            growing.nest.folds.push((step, reduce, out.buffer));
        }
        self.set(v, Form::Source(out), level);
    }

    /// Bits are drawn in the loop of what is made of them.
    pub(super) fn random(&mut self, v: Value, op: Random) {
        let key = self.g.node(v).args[0];
        let (source, level) = (self.source(key), self.ready[key.index()] + 1);
        let id = self.new_loop(self.g.ty(v), level);
        self.step(id, v, Step::Random(op, source));
        self.set(v, Form::Step(id, None), level);
    }
}
