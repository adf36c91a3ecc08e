//! `x[:, 0]`: positions and ranges of lists and tensors, and tensors of positions.

use super::broadcast::common_shape;
use super::eval::{Elab, fail};
use super::value::{Res, Val, axis};
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::ops::index::from_either_end;
use crate::ops::{Binary, Compare, Index, Reverse, Select, Slice};
use crate::text::ast::{Expr, IndexItem};
use crate::types::{DType, Shape, Type};

/// Every `step`-th position of one dimension from `start` to before `stop`, in this order or in reverse.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    stop: usize,
    step: usize,
    reversed: bool,
}

/// What stands for one dimension between the brackets.
enum Item {
    /// A position, known at compile time.
    At(usize),
    /// A range.
    Range(Range),
    /// A tensor of positions.
    Computed(Value, Span),
}

impl Range {
    /// The position `at` alone.
    fn one(at: usize) -> Range {
        Range { start: at, stop: at + 1, step: 1, reversed: false }
    }

    /// All of `size` positions.
    fn all(size: usize) -> Range {
        Range { start: 0, stop: size, step: 1, reversed: false }
    }
}

impl<'a> Elab<'a> {
    /// `value[items]`.
    pub(super) fn index(&mut self, value: Val, base: Span, items: &'a [IndexItem], span: Span) -> Res {
        match value {
            Val::Poison => Ok(Val::Poison),
            Val::Tensor(x) => self.tensor_index(x, base, items, span),
            Val::List(list) => match items {
                [item] => match self.item(item, list.items().len(), "the list", span)? {
                    None => Ok(Val::Poison),
                    Some(Item::At(k)) => {
                        list.items().get(k).cloned().ok_or_else(|| fail(span, "out of range"))
                    }
                    Some(Item::Range(r)) => {
                        let part = list.items().iter().take(r.stop).skip(r.start).step_by(r.step);
                        let mut part: Vec<Val> = part.cloned().collect();
                        if r.reversed {
                            part.reverse();
                        }
                        self.list(part, span)
                    }
                    Some(Item::Computed(v, at)) => {
                        let message = format!(
                            "an index of a list is a compile-time integer, not {}",
                            self.builder.ty(v)
                        );
                        Err(Box::new(Diagnostic::new(at, message).help(
                            "of tensors of one shape, `take(stack(list), i)` is one that is chosen at run time",
                        )))
                    }
                },
                _ => Err(fail(span, format!("a list has one index, not {}", items.len()))),
            },
            other => Err(fail(base, format!("{} can't be indexed", other.describe(&self.builder)))),
        }
    }

    fn tensor_index(&mut self, x: Value, base: Span, items: &'a [IndexItem], span: Span) -> Res {
        let ty = self.builder.ty(x).clone();
        if items.len() > ty.rank() {
            let message = format!("{} indices for {ty}, which has {} dimensions", items.len(), ty.rank());
            return Err(Box::new(Diagnostic::new(span, message).also(base, ty.to_string())));
        }
        let mut ranges: Vec<Range> = ty.shape.iter().map(|&size| Range::all(size)).collect();
        // The dimensions that are indexed by a position or a tensor of them, and of these the tensors.
        let (mut placed, mut computed) = (Vec::new(), Vec::new());
        for (k, item) in items.iter().enumerate() {
            let what = format!("dimension {k} of {ty}");
            match self.item(item, ty.shape[k], &what, span)? {
                None => return Ok(Val::Poison),
                Some(Item::Range(range)) => ranges[k] = range,
                Some(Item::At(at)) => {
                    ranges[k] = Range::one(at);
                    placed.push(k);
                }
                Some(Item::Computed(v, at)) => {
                    placed.push(k);
                    computed.push((k, v, at));
                }
            }
        }
        self.at(span);
        let part = self.part(x, &ranges, span)?;
        let kept = |k: &usize| !placed.contains(k) || computed.iter().any(|(c, ..)| c == k);
        let kept: Vec<usize> = (0..ty.rank()).filter(kept).collect();
        let shape = self.builder.shape(part).pick(&kept);
        let part = self.reshape(part, shape, span)?;
        let Some(first) = placed.first().filter(|_| !computed.is_empty()) else {
            return Ok(Val::Tensor(part));
        };
        let together = placed.iter().enumerate().all(|(n, k)| first + n == *k);
        let axes: Vec<usize> =
            (0..kept.len()).filter(|&a| computed.iter().any(|(c, ..)| *c == kept[a])).collect();
        let positions: Vec<(Value, Span)> = computed.into_iter().map(|(_, v, at)| (v, at)).collect();
        self.gather(part, &axes, &positions, together, span).map(Val::Tensor)
    }

    /// The elements of `x` that the ranges of its dimensions hold.
    fn part(&mut self, x: Value, ranges: &[Range], span: Span) -> Res<Value> {
        let shape = self.builder.shape(x);
        let whole = ranges.iter().zip(shape.iter()).all(|(r, &n)| r.start == 0 && r.stop == n && r.step == 1);
        let part = if whole {
            x
        } else {
            let slice = Slice {
                start: ranges.iter().map(|r| r.start).collect(),
                stop: ranges.iter().map(|r| r.stop).collect(),
                step: ranges.iter().map(|r| r.step).collect(),
            };
            self.push(slice, &[x], span)?
        };
        let axes: Vec<usize> = (0..ranges.len()).filter(|&k| ranges[k].reversed).collect();
        if axes.is_empty() { Ok(part) } else { self.push(Reverse { axes }, &[part], span) }
    }

    /// `x` at `positions` of its dimensions `axes`, as NumPy has it: the dimensions of the positions, which broadcast,
    /// stand where the axes were if those are `together`, else before all others.
    fn gather(
        &mut self,
        x: Value,
        axes: &[usize],
        positions: &[(Value, Span)],
        together: bool,
        span: Span,
    ) -> Res<Value> {
        let shape = self.builder.shape(x).clone();
        let sizes: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
        let at = self.joined(positions, &sizes, span)?;
        let place = if together { axes.first().copied().unwrap_or(0) } else { 0 };
        let rest: Vec<usize> = (0..shape.rank()).filter(|k| !axes.contains(k)).collect();
        let order = [&rest[..place], axes, &rest[place..]].concat();
        let built = self.builder.transpose(x, &order).map_err(|e| fail(span, e.message));
        let x = self.checked(built?, span)?;
        let joined = Shape::from(sizes).elements();
        let sizes = |dims: &[usize]| shape.pick(dims).to_vec();
        let merged = [sizes(&rest[..place]), vec![joined], sizes(&rest[place..])].concat();
        let x = self.reshape(x, merged.into(), span)?;
        self.push(Index::gather(0, place), &[x, at], span)
    }

    /// Positions in dimensions of `sizes` as positions in these dimensions joined; −1 where one is outside of its own.
    fn joined(&mut self, positions: &[(Value, Span)], sizes: &[usize], span: Span) -> Res<Value> {
        let shapes: Vec<&Shape> = positions.iter().map(|(v, _)| self.builder.shape(*v)).collect();
        let shape = common_shape(shapes).map_err(|sizes| self.unbroadcast("[…]", positions, sizes, span))?;
        let ty = Type::new(DType::I32, shape.clone());
        let mut joined: Option<(Value, Value)> = None;
        for (&(v, at), &size) in positions.iter().zip(sizes) {
            let v = self.broadcast_to(v, &shape, at)?;
            let built = from_either_end(&mut self.builder, v, size).map_err(|e| fail(at, e.message));
            let v = self.checked(built?, at)?;
            if positions.len() == 1 {
                return Ok(v);
            }
            let (least, count) =
                (self.constant(ty.clone(), -1.0, at)?, self.constant(ty.clone(), size as f64, at)?);
            let (low, high) =
                (self.push(Compare::Lt, &[least, v], at)?, self.push(Compare::Lt, &[v, count], at)?);
            let inside = self.push(Binary::And, &[low, high], at)?;
            joined = Some(match joined {
                None => (v, inside),
                Some((outer, all)) => {
                    let scaled = self.push(Binary::Mul, &[outer, count], at)?;
                    let flat = self.push(Binary::Add, &[scaled, v], at)?;
                    (flat, self.push(Binary::And, &[all, inside], at)?)
                }
            });
        }
        let Some((flat, inside)) = joined else { unreachable!("there is a tensor of positions") };
        let outside = self.constant(ty, -1.0, span)?;
        self.push(Select, &[inside, flat, outside], span)
    }

    /// What `item` is for a dimension of `size`; `None` if an error hid it.
    fn item(&mut self, item: &'a IndexItem, size: usize, what: &str, span: Span) -> Res<Option<Item>> {
        match item {
            IndexItem::At(at) => self.position(at, size, what),
            IndexItem::Range { start, stop, step } => {
                let range = self.range([start.as_ref(), stop.as_ref(), step.as_ref()], size, what, span)?;
                Ok(range.map(Item::Range))
            }
        }
    }

    /// One position of `size`, or a tensor of them.
    fn position(&mut self, at: &'a Expr, size: usize, what: &str) -> Res<Option<Item>> {
        match self.expr(at) {
            Val::Poison => Ok(None),
            Val::Int(i) => match axis(i, size) {
                Some(at) => Ok(Some(Item::At(at))),
                None => Err(fail(at.span, format!("index {i} is out of range: {what} has size {size}"))),
            },
            Val::Tensor(v) if self.builder.ty(v).dtype == DType::I32 => Ok(Some(Item::Computed(v, at.span))),
            Val::Tensor(v) => {
                let ty = self.builder.ty(v);
                let help = match ty.dtype {
                    DType::Bool => {
                        "`where(m, x, 0)` keeps the elements where `m` holds, in a shape that is known"
                    }
                    _ => "convert it: `i32(…)`",
                };
                let message = format!("a tensor that indexes is i32, not {ty}");
                Err(Box::new(Diagnostic::new(at.span, message).help(help)))
            }
            other => {
                let found = other.describe(&self.builder);
                Err(fail(
                    at.span,
                    format!("an index is a compile-time integer or a tensor of i32, not {found}"),
                ))
            }
        }
    }

    /// `start:stop:step` of a dimension of `size`, with the defaults that these have in Python.
    fn range(
        &mut self,
        [start, stop, step]: [Option<&'a Expr>; 3],
        size: usize,
        what: &str,
        span: Span,
    ) -> Res<Option<Range>> {
        let mut bound = |e: Option<&'a Expr>| -> Res<Option<Option<(i64, Span)>>> {
            let Some(e) = e else { return Ok(Some(None)) };
            match self.expr(e) {
                Val::Poison => Ok(None),
                Val::Int(i) => Ok(Some(Some((i, e.span)))),
                other => {
                    let found = other.describe(&self.builder);
                    Err(fail(e.span, format!("the bounds of a range are compile-time integers, not {found}")))
                }
            }
        };
        let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?);
        let (Some(start), Some(stop), Some(step)) = (start, stop, step) else { return Ok(None) };
        let (step, step_at) = step.unwrap_or((1, span));
        let Some(stride) = usize::try_from(step.unsigned_abs()).ok().filter(|s| *s > 0) else {
            return Err(fail(step_at, "the step of a range isn't 0"));
        };
        let within = |(i, at): (i64, Span), most: usize| {
            let from_front = if i < 0 { i.saturating_add(size as i64) } else { i };
            let within = usize::try_from(from_front).ok().filter(|i| *i <= most);
            within.ok_or_else(|| fail(at, format!("bound {i} is out of range: {what} has size {size}")))
        };
        if step > 0 {
            let start = start.map_or(Ok(0), |s| within(s, size))?;
            let stop = stop.map_or(Ok(size), |s| within(s, size))?;
            return Ok(Some(Range { start, stop: stop.max(start), step: stride, reversed: false }));
        }
        // From the first position on downwards; `last` is one past it, and `stop` one past what is before the end.
        let last = match start {
            None => size,
            Some((i, at)) if size == 0 => within((i, at), 0)?,
            Some(s) => within(s, size - 1)? + 1,
        };
        let stop = stop.map_or(Ok(0), |s| within(s, size).map(|s| s + 1))?;
        let count = last.saturating_sub(stop).div_ceil(stride);
        let Some(more) = count.checked_sub(1) else {
            return Ok(Some(Range { start: 0, stop: 0, step: 1, reversed: false }));
        };
        Ok(Some(Range { start: last - 1 - more * stride, stop: last, step: stride, reversed: count > 1 }))
    }
}
