//! Convolutions and dropout.

use fgc::DType;

use super::linear::label;
use super::windows::{Slides, padding};
use crate::dim::Dim;
use crate::onnx::graph::{Node, Said, unsaid, unsaid_with};
use crate::onnx::importer::{Importer, Operand};
use crate::program::{Expr, Value, channels_last, each};

/// A kernel of `rank` dimensions, [features, channels, …] in the source, as the language has it: […, channels, features].
fn kernel_order(rank: usize) -> Vec<usize> {
    (2..rank).chain([1, 0]).collect()
}

/// The image and the kernel that a convolution takes, which have as many dimensions.
fn image_and_kernel<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said<(Value, Operand)> {
    let w = imp.operand(node, 1)?;
    let rank = w.shape().len();
    let x = imp.value(node, 0)?;
    if rank < 3 || x.rank() != rank {
        return Err(unsaid(format!("an image of {} dimensions with a kernel of {rank}", x.rank())));
    }
    Ok((x, w))
}

/// `Conv`.
pub fn conv<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let (x, w) = image_and_kernel(imp, node)?;
    let shape = w.shape();
    let rank = shape.len();
    let order = channels_last(rank);
    let x = imp.program.laid(&x, &order);
    let size: Vec<i64> = shape[2..].iter().map(|d| d.known().unwrap_or(0)).collect();
    let slides = Slides {
        stride: node.each("strides", rank - 2, 1)?,
        dilation: node.each("dilations", rank - 2, 1)?,
        size,
    };
    let pads = padding(node, &x, &slides)?;
    let inner = slides.results(&x, &pads)?;
    let groups = node.int("group", 1);
    let (features, channels) = (shape[0], shape[1]);
    if channels.mul(Dim::of(groups)) != x.sizes.last().copied() || groups < 1 {
        return Err(unsaid(format!(
            "{channels} channels in {groups} groups of an image of {}",
            x.shape()[1]
        )));
    }
    let sizes: Vec<Dim> = std::iter::once(x.sizes[0]).chain(inner).chain([features]).collect();
    let shared = |mut call: Expr| {
        if slides.stride.iter().any(|s| *s != 1) {
            call = call.with("stride", each(&slides.stride));
        }
        if pads.text(&x, &slides) != "\"same\"" {
            call = call.with("padding", pads.text(&x, &slides));
        }
        if slides.dilation.iter().any(|d| *d != 1) {
            call = call.with("dilation", each(&slides.dilation));
        }
        if groups == 1 { call } else { call.with("groups", groups) }
    };
    let count = features.known().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let bias = imp.own_vector(node, 2, count);
    // One of zeros that nobody learns is none.
    let has_bias = node.input(2).is_some() && !imp.is_filled(node, 2, 0.0);
    let v = match w {
        Operand::Param(w) if has_bias == bias.is_some() => {
            let label = label(node, &[Some(&w), bias.as_ref()]);
            let name = if has_bias { "conv" } else { "filter" };
            let mut call = Expr::call(name, [Expr::Line(x.id), Expr::atom(features)]);
            if slides.size.iter().any(|s| *s != 3) {
                call = call.with("size", each(&slides.size));
            }
            let w = w.transposed(&kernel_order(rank));
            let mut given = vec![("w", (&w).into())];
            given.extend(bias.as_ref().map(|b| ("b", b.into())));
            imp.program.layer(&label, shared(call), given, sizes)
        }
        w => {
            let w = match w {
                Operand::Param(w) => imp.program.param(&w.transposed(&kernel_order(rank)), None),
                w => {
                    let w = imp.value_of("kernel", w)?;
                    imp.program.laid(&w, &kernel_order(rank))
                }
            };
            let mut expr = shared(Expr::call("convolve", [Expr::Line(x.id), Expr::Line(w.id)]));
            if has_bias {
                let b = imp.value(node, 2)?;
                expr = Expr::binary("+", expr, Expr::Line(b.id));
            }
            imp.program.value(&node.hint(), expr, DType::F32, sizes)
        }
    };
    imp.set_value(node, v.ordered(&order))
}

/// `ConvTranspose`: each element of the image spreads the kernel, which is a convolution of the image with zeros put
/// between its elements by the kernel turned round.
pub fn conv_transpose<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let (x, w) = image_and_kernel(imp, node)?;
    let shape = w.shape();
    let rank = shape.len();
    if node.int("group", 1) != 1 {
        return Err(unsaid_with("group", "transposed convolutions in groups can't be said"));
    }
    if node.attribute("output_shape").is_some()
        || !matches!(node.text("auto_pad", "NOTSET"), "NOTSET" | "VALID")
    {
        return Err(unsaid("padding that follows from the size of the result can't be said"));
    }
    let order = channels_last(rank);
    let x = imp.program.laid(&x, &order);
    let n = rank - 2;
    let (stride, dilation) = (node.each("strides", n, 1)?, node.each("dilations", n, 1)?);
    let (more, pads) = (node.each("output_padding", n, 0)?, node.each("pads", 2 * n, 0)?);
    let mut sizes = vec![x.sizes[0]];
    let mut around = Vec::new();
    for k in 0..n {
        let (Some(size), Some(image)) = (shape[k + 2].known(), x.sizes[k + 1].known()) else {
            return Err(unsaid("an image of any size can't be said"));
        };
        let small = |v: i64| (0..=i64::from(i32::MAX)).contains(&v).then_some(v);
        let checked = [size, image, stride[k], dilation[k], more[k], pads[k], pads[n + k]].map(small);
        if checked.contains(&None) || stride[k] < 1 || dilation[k] < 1 {
            return Err(unsaid("strides, dilations or pads that there can't be"));
        }
        let span = (size - 1) * dilation[k];
        let (low, high) = (span - pads[k], span - pads[n + k] + more[k]);
        let result = (image - 1) * stride[k] + 1 + low + high - span;
        // There are zeros behind the last element too.
        let high = high - (stride[k] - 1);
        if result < 1 || i32::try_from(result).is_err() {
            return Err(unsaid(format!("a result of size {result}")));
        }
        around.push(format!("[{low}, {high}]"));
        sizes.push(Dim::of(result));
    }
    sizes.push(shape[1]);
    // [channels, features, …] in the source.
    let kernel: Vec<usize> = (2..rank).chain([0, 1]).collect();
    let count = shape[1].known().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let bias = imp.own_vector(node, 2, count);
    // One of zeros that nobody learns is none.
    let has_bias = node.input(2).is_some() && !imp.is_filled(node, 2, 0.0);
    let w = match w {
        Operand::Param(w) => imp.program.param(&w.transposed(&kernel), Some("lecun_normal".to_owned())),
        w => {
            let w = imp.value_of("kernel", w)?;
            imp.program.laid(&w, &kernel)
        }
    };
    let mut expr = Expr::call("spread", [Expr::Line(x.id), Expr::Line(w.id), Expr::atom(each(&stride))])
        .with("padding", format!("[{}]", around.join(", ")));
    if dilation.iter().any(|d| *d != 1) {
        expr = expr.with("dilation", each(&dilation));
    }
    if has_bias {
        let b = match bias {
            Some(_) => imp.value(node, 2)?,
            None => imp.natural(node, 2)?,
        };
        expr = Expr::binary("+", expr, Expr::Line(b.id));
    }
    let v: Value = imp.program.value(&node.hint(), expr, DType::F32, sizes);
    imp.set_value(node, v.ordered(&order))
}

/// `Dropout`, whether or not the file was written to train.
pub fn dropout<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    if node.output(1).is_some_and(|name| !imp.uses.by(name).is_empty()) {
        return Err(unsaid("which elements are kept can't be said"));
    }
    let rate = imp.known_number(node, 1)?.unwrap_or(0.5);
    let v = imp.value(node, 0)?;
    if !(0.0..1.0).contains(&rate) {
        return Err(unsaid_with("ratio", format!("{rate} isn't at least 0 and below 1")));
    }
    if rate == 0.0 {
        return imp.set_value(node, v);
    }
    imp.note("Dropout acts in training alone: evaluation (`--eval`) leaves it out.");
    let call = Expr::call("dropout", [Expr::Line(v.id), Expr::number(rate)]);
    let new = imp.program.value(&node.hint(), call, v.dtype, v.sizes.clone());
    imp.set_value(node, Value { axes: v.axes, ..new })
}
