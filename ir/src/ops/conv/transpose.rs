//! The transposes of a convolution, by each of its operands: convolutions again.

use super::{Conv, ConvDims, Layout};
use crate::builder::{Builder, Built};
use crate::graph::Value;
use crate::ops::Reverse;
use crate::ops::pad::dilated;
use crate::types::Shape;

impl Conv {
    /// The cotangent of the left operand: a convolution of `ct` with the kernel reversed, its
    /// features exchanged and the stride become dilation.
    pub(super) fn transpose_lhs(&self, b: &mut Builder, ct: Value, lhs: &Shape, rhs: Value) -> Built {
        let shape = b.shape(rhs).clone();
        let padding = (0..self.dims.spatial()).map(|k| {
            let (image, kernel) = self.reach(k, lhs, &shape);
            let out = dilated(b.shape(ct)[self.dims.out.spatial[k]], self.stride[k] - 1);
            let low = kernel - 1 - self.padding[k].0;
            (low, image + kernel - 1 - out - low)
        });
        let padding = padding.collect();
        let (kernel, layout) = self.exchange_kernel(b, rhs)?;
        let conv = Conv {
            dims: ConvDims { lhs: self.dims.out.clone(), rhs: layout, out: self.dims.lhs.clone() },
            stride: self.lhs_dilation.clone(),
            padding,
            lhs_dilation: self.stride.clone(),
            rhs_dilation: self.rhs_dilation.clone(),
            groups: self.groups,
            flip: !self.flip,
        };
        b.push(conv, &[ct, kernel])
    }

    /// The kernel with input and output features exchanged within each group.
    fn exchange_kernel(&self, b: &mut Builder, rhs: Value) -> Built<(Value, Layout)> {
        let layout = &self.dims.rhs;
        if self.groups == 1 {
            return Ok((rhs, layout.swapped()));
        }
        // Spatial…, group, output, input: then the group joins the input features.
        let n = self.dims.spatial();
        let order: Vec<usize> = layout.spatial.iter().copied().chain([layout.outer, layout.inner]).collect();
        let arranged = b.transpose(rhs, &order)?;
        let shape = b.shape(arranged).to_vec();
        let (window, o, i) = (&shape[..n], shape[n], shape[n + 1]);
        let split: Shape = window.iter().copied().chain([self.groups, o / self.groups, i]).collect();
        let split = b.reshape(arranged, split)?;
        let order: Vec<usize> = (0..n).chain([n + 1, n, n + 2]).collect();
        let joined: Shape = window.iter().copied().chain([o / self.groups, self.groups * i]).collect();
        let turned = b.transpose(split, &order)?;
        Ok((b.reshape(turned, joined)?, Layout::spatial_first(n)))
    }

    /// The cotangent of the kernel: a convolution of the left operand, its features taken for
    /// batch, with `ct` for a kernel.
    pub(super) fn transpose_rhs(&self, b: &mut Builder, ct: Value, lhs: Value, rhs: &Shape) -> Built {
        let shape = b.shape(lhs).clone();
        let padding = (0..self.dims.spatial()).map(|k| {
            let (image, kernel) = self.reach(k, &shape, rhs);
            let out = dilated(b.shape(ct)[self.dims.out.spatial[k]], self.stride[k] - 1);
            let low = self.padding[k].0;
            (low, out + kernel - image - 1 - low)
        });
        let padding = padding.collect();
        let (image, layout) = self.exchange_image(b, lhs)?;
        let conv = Conv {
            dims: ConvDims { lhs: layout, rhs: self.dims.out.swapped(), out: self.dims.rhs.swapped() },
            stride: self.rhs_dilation.clone(),
            padding,
            lhs_dilation: self.lhs_dilation.clone(),
            rhs_dilation: self.stride.clone(),
            groups: self.groups,
            flip: false,
        };
        let y = b.push(conv, &[image, ct])?;
        if self.flip { b.push(Reverse { axes: self.dims.rhs.spatial.clone() }, &[y]) } else { Ok(y) }
    }

    /// The left operand with batch and features exchanged within each group.
    fn exchange_image(&self, b: &mut Builder, lhs: Value) -> Built<(Value, Layout)> {
        let layout = &self.dims.lhs;
        if self.groups == 1 {
            return Ok((lhs, layout.swapped()));
        }
        let n = self.dims.spatial();
        let order: Vec<usize> =
            [layout.inner, layout.outer].into_iter().chain(layout.spatial.clone()).collect();
        let arranged = b.transpose(lhs, &order)?;
        let shape = b.shape(arranged).to_vec();
        let (c, batch, image) = (shape[0], shape[1], &shape[2..]);
        let with = |front: &[usize]| front.iter().chain(image).copied().collect::<Shape>();
        let split = b.reshape(arranged, with(&[self.groups, c / self.groups, batch]))?;
        let order: Vec<usize> = [1, 0, 2].into_iter().chain(3..n + 3).collect();
        let turned = b.transpose(split, &order)?;
        let joined = b.reshape(turned, with(&[c / self.groups, self.groups * batch]))?;
        Ok((joined, Layout::spatial_last(n)))
    }
}

/// Joins the batch dimension in front of `x` with what was dimension `dim` without it.
pub(super) fn merge(b: &mut Builder, x: Value, dim: usize) -> Built {
    let rank = b.shape(x).rank();
    let order: Vec<usize> = (1..=dim).chain([0]).chain(dim + 1..rank).collect();
    let moved = b.transpose(x, &order)?;
    let mut shape = b.shape(moved).to_vec();
    let size = shape.remove(dim);
    shape[dim] *= size;
    b.reshape(moved, shape)
}

/// Splits `size`, which isn't 0, off the front of dimension `dim` and moves it to the front.
pub(super) fn split(b: &mut Builder, y: Value, dim: usize, size: usize) -> Built {
    let mut shape = b.shape(y).to_vec();
    shape[dim] /= size;
    shape.insert(dim, size);
    let apart = b.reshape(y, shape)?;
    let rank = b.shape(apart).rank();
    let order: Vec<usize> = [dim].into_iter().chain((0..rank).filter(|&d| d != dim)).collect();
    b.transpose(apart, &order)
}
