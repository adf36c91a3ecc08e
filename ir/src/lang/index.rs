//! `x[:, 0]`: positions and ranges of lists and tensors.

use super::eval::{Elab, fail};
use super::value::{Res, Val, axis};
use crate::diag::Diagnostic;
use crate::graph::{Span, Value};
use crate::ops::Slice;
use crate::text::ast::{Expr, IndexItem};
use crate::types::Shape;

/// A range of one dimension.
struct Range {
    start: usize,
    stop: usize,
    step: usize,
}

impl<'a> Elab<'a> {
    /// `value[items]`.
    pub(super) fn index(&mut self, value: Val, base: Span, items: &'a [IndexItem], span: Span) -> Res {
        match value {
            Val::Poison => Ok(Val::Poison),
            Val::Tensor(x) => self.tensor_index(x, base, items, span),
            Val::List(list) => match items {
                [IndexItem::At(at)] => {
                    let Some(k) = self.position(at, list.items().len(), "the list")? else {
                        return Ok(Val::Poison);
                    };
                    list.items().get(k).cloned().ok_or_else(|| fail(span, "out of range"))
                }
                [range] => {
                    let Some(r) = self.range(range, list.items().len(), "the list", span)? else {
                        return Ok(Val::Poison);
                    };
                    let part = list.items().iter().take(r.stop).skip(r.start).step_by(r.step.max(1));
                    let part = part.cloned().collect();
                    self.list(part, span)
                }
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
        let mut ranges: Vec<Range> = ty.shape.iter().map(|&stop| Range { start: 0, stop, step: 1 }).collect();
        let mut kept = vec![true; ty.rank()];
        for (k, item) in items.iter().enumerate() {
            let what = format!("dimension {k} of {ty}");
            let range = match item {
                IndexItem::At(at) => {
                    kept[k] = false;
                    let at = self.position(at, ty.shape[k], &what)?;
                    at.map(|at| Range { start: at, stop: at + 1, step: 1 })
                }
                range => self.range(range, ty.shape[k], &what, span)?,
            };
            let Some(range) = range else { return Ok(Val::Poison) };
            ranges[k] = range;
        }
        self.at(span);
        let whole =
            ranges.iter().zip(ty.shape.iter()).all(|(r, &n)| r.start == 0 && r.stop == n && r.step == 1);
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
        let sizes = self.builder.shape(part).iter().zip(&kept).filter(|(_, kept)| **kept).map(|(&d, _)| d);
        let shape: Shape = sizes.collect();
        self.reshape(part, shape, span).map(Val::Tensor)
    }

    /// One position of `size`; `None` if an error hid it.
    fn position(&mut self, at: &'a Expr, size: usize, what: &str) -> Res<Option<usize>> {
        match self.expr(at) {
            Val::Poison => Ok(None),
            Val::Int(i) => match axis(i, size) {
                Some(at) => Ok(Some(at)),
                None => Err(fail(at.span, format!("index {i} is out of range: {what} has size {size}"))),
            },
            Val::Tensor(v) => {
                let message = format!("an index is a compile-time integer, not {}", self.builder.ty(v));
                Err(Box::new(
                    Diagnostic::new(at.span, message)
                        .help("`take(x, idx, axis)` reads at computed positions"),
                ))
            }
            other => {
                let found = other.describe(&self.builder);
                Err(fail(at.span, format!("an index is a compile-time integer, not {found}")))
            }
        }
    }

    fn range(&mut self, item: &'a IndexItem, size: usize, what: &str, span: Span) -> Res<Option<Range>> {
        let IndexItem::Range { start, stop, step } = item else { return Ok(None) };
        let mut bound = |e: &'a Option<Expr>, default: i64| -> Res<Option<(i64, Span)>> {
            let Some(e) = e else { return Ok(Some((default, span))) };
            match self.expr(e) {
                Val::Poison => Ok(None),
                Val::Int(i) => Ok(Some((i, e.span))),
                other => {
                    let found = other.describe(&self.builder);
                    Err(fail(e.span, format!("the bounds of a range are compile-time integers, not {found}")))
                }
            }
        };
        let (start, stop, step) = (bound(start, 0)?, bound(stop, size as i64)?, bound(step, 1)?);
        let (Some(start), Some(stop), Some((step, step_at))) = (start, stop, step) else { return Ok(None) };
        let Some(step) = usize::try_from(step).ok().filter(|s| *s > 0) else {
            let error = Diagnostic::new(step_at, format!("the step of a range is at least 1, not {step}"));
            return Err(Box::new(error.help("`reverse(x, axes)` runs dimensions backwards")));
        };
        let clip = |(i, at): (i64, Span)| {
            let from_front = if i < 0 { i.saturating_add(size as i64) } else { i };
            let within = usize::try_from(from_front).ok().filter(|i| *i <= size);
            within.ok_or_else(|| fail(at, format!("bound {i} is out of range: {what} has size {size}")))
        };
        let (start, stop) = (clip(start)?, clip(stop)?);
        Ok(Some(Range { start, stop: stop.max(start), step }))
    }
}
