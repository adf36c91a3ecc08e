//! Convolutions and pooling over the inner dimensions of `[batch, …, channels]`.

use super::Args;
use crate::diag::Diagnostic;
use crate::graph::Value;
use crate::lang::eval::Elab;
use crate::lang::value::{Res, Val};
use crate::ops::conv::{Conv, ConvDims};
use crate::ops::window::{Window, WindowKind, WindowSpec};
use crate::types::Shape;

/// What slides along one dimension.
struct Slide {
    size: usize,
    stride: usize,
    dilation: usize,
}

/// The padding that parameter `k` asks for; `"same"` is XLA's SAME: as many results as the size
/// divided by the stride, rounded up, with the odd zero behind.
fn padding(
    e: &Elab,
    args: &Args,
    k: usize,
    default: &str,
    sizes: &[usize],
    slides: &[Slide],
) -> Res<Vec<(i64, i64)>> {
    let mode = match args.given(k).map(|a| &a.value) {
        None => default,
        Some(Val::Str(mode)) => mode,
        Some(Val::List(_)) => return args.pairs(e, k, sizes.len()),
        Some(_) => return Err(args.wrong(e, k, "`\"same\"`, `\"valid\"` or a list of `[low, high]` pairs")),
    };
    match mode {
        "valid" => Ok(vec![(0, 0); sizes.len()]),
        "same" => {
            let total = |(&n, s): (&usize, &Slide)| {
                let span = (s.size as i64 - 1) * s.dilation as i64 + 1;
                let last = (n.div_ceil(s.stride) as i64 - 1) * s.stride as i64;
                let total = (last + span - n as i64).max(0);
                (total / 2, total - total / 2)
            };
            Ok(sizes.iter().zip(slides).map(total).collect())
        }
        _ => Err(args.wrong(e, k, "`\"same\"`, `\"valid\"` or a list of `[low, high]` pairs")),
    }
}

/// Fails if what slides doesn't fit into `x`, of these sizes, padded by `padding`, in some dimension: there would be no
/// result.
fn fits(
    e: &Elab,
    args: &Args,
    x: Value,
    sizes: &[usize],
    slides: &[Slide],
    padding: &[(i64, i64)],
) -> Res<()> {
    let span = |s: &Slide| (s.size as i64 - 1) * s.dilation as i64 + 1;
    let padded = |k: usize| sizes[k] as i64 + padding[k].0 + padding[k].1;
    if (0..sizes.len()).all(|k| span(&slides[k]) <= padded(k)) {
        return Ok(());
    }
    let shown =
        |of: &dyn Fn(usize) -> i64| (0..sizes.len()).map(|k| of(k).to_string()).collect::<Vec<_>>().join("×");
    let what = if args.name().starts_with("convolve") { "kernel" } else { "window" };
    let (window, image) = (shown(&|k| span(&slides[k])), shown(&|k| sizes[k] as i64));
    let with = if padding.iter().any(|p| *p != (0, 0)) {
        format!(", {} with its padding", shown(&padded))
    } else {
        String::new()
    };
    let message =
        format!("`{}`: a {what} of {window} doesn't fit into an image of {image}{with}", args.name());
    let error = Diagnostic::new(args.span, message).also(args.at(0), e.builder.ty(x).to_string());
    Err(Box::new(error.help(
        "images are [batch, height, width, channels]; `padding=\"same\"` gives results at the edges too",
    )))
}

/// The sizes of the dimensions between batch and channels.
fn spatial(e: &Elab, args: &Args, x: Value) -> Res<Vec<usize>> {
    let ty = e.builder.ty(x);
    match &*ty.shape {
        [_, inner @ .., _] if !inner.is_empty() => Ok(inner.to_vec()),
        _ => {
            let error = Diagnostic::new(
                args.at(0),
                format!(
                    "`x` of `{}` is [batch, …, channels] with dimensions to slide over, not {ty}",
                    args.name()
                ),
            );
            Err(Box::new(error.help("images are [batch, height, width, channels]")))
        }
    }
}

pub(super) fn convolve(e: &mut Elab, args: &Args) -> Res {
    let sizes = spatial(e, args, args.tensor(e, 0)?)?;
    let (conv, slides) = kernel(e, args)?;
    let padding = padding(e, args, 3, "same", &sizes, &slides)?;
    convolved(e, args, &sizes, &slides, Conv { padding, ..conv })
}

/// The padding and the sizes are those of `jax.lax.conv_transpose`.
pub(super) fn convolve_transpose(e: &mut Elab, args: &Args) -> Res {
    let sizes = spatial(e, args, args.tensor(e, 0)?)?;
    let (conv, slides) = kernel(e, args)?;
    let spread: Vec<usize> = sizes
        .iter()
        .zip(&conv.stride)
        .map(|(&n, &s)| n + n.saturating_sub(1).saturating_mul(s - 1))
        .collect();
    let mode = match args.given(3).map(|a| &a.value) {
        None => "same",
        Some(Val::Str(mode)) => mode,
        Some(_) => "",
    };
    let padding = match mode {
        "same" | "valid" => slides.iter().map(|s| transposed_padding(s, mode == "same")).collect(),
        // A list, or the error of what is neither.
        _ => padding(e, args, 3, "same", &spread, &slides)?,
    };
    let ones = vec![1; sizes.len()];
    let conv = Conv { padding, lhs_dilation: conv.stride.clone(), stride: ones, ..conv };
    convolved(e, args, &spread, &slides, conv)
}

/// Zeros around the image with zeros between its elements, so that the result has the size times the stride (`same`),
/// or so much more as the kernel is larger than the stride.
fn transposed_padding(slide: &Slide, same: bool) -> (i64, i64) {
    let (stride, size) = (slide.stride as i64, slide.size as i64);
    let span = (size - 1) * slide.dilation as i64 + 1;
    let (low, total) = if same {
        let total = span + stride - 2;
        (if stride > span - 1 { span - 1 } else { (total + 1) / 2 }, total)
    } else {
        (span - 1, span + stride - 2 + (span - stride).max(0))
    };
    (low, total - low)
}

/// A convolution of parameters 0 and 1 with the stride, dilation and groups of parameters 2, 4 and 5 and no padding yet,
/// and its kernel.
fn kernel(e: &Elab, args: &Args) -> Res<(Conv, Vec<Slide>)> {
    let (x, w) = (args.tensor(e, 0)?, args.tensor(e, 1)?);
    let n = spatial(e, args, x)?.len();
    let (image, kernel) = (e.builder.ty(x).clone(), e.builder.ty(w).clone());
    let wrong = |message: String| {
        Box::new(
            Diagnostic::new(args.span, message)
                .also(args.at(0), image.to_string())
                .also(args.at(1), kernel.to_string()),
        )
    };
    let name = args.name();
    if kernel.rank() != n + 2 {
        return Err(wrong(format!(
            "`{name}` of {image} takes a kernel of {} dimensions ([size…, channels, features]), not {kernel}",
            n + 2
        )));
    }
    let stride = args.each(e, 2, n, &vec![1; n])?;
    let dilation = args.each(e, 4, n, &vec![1; n])?;
    let groups = args.int(e, 5, 1)?;
    let Some(groups) = usize::try_from(groups).ok().filter(|g| *g > 0) else {
        return Err(args.fail(5, format!("`groups` is at least 1, not {groups}")));
    };
    let (channels, wanted, features) = (image.shape[n + 1], kernel.shape[n], kernel.shape[n + 1]);
    if wanted.checked_mul(groups) != Some(channels) {
        let of = if groups == 1 { String::new() } else { format!(" in each of {groups} groups") };
        return Err(wrong(format!(
            "`{name}` of {image} and {kernel}: the image has {channels} channels, the kernel takes {wanted}{of}"
        )));
    }
    if !features.is_multiple_of(groups) {
        return Err(wrong(format!("{features} features can't be made by {groups} groups")));
    }
    let slides =
        (0..n).map(|k| Slide { size: kernel.shape[k], stride: stride[k], dilation: dilation[k] }).collect();
    let plain = Conv::plain(ConvDims::channels_last(n));
    Ok((Conv { stride, rhs_dilation: dilation, groups, ..plain }, slides))
}

/// `conv` of parameters 0 and 1, where the kernel fits into the image of these `sizes`.
fn convolved(e: &mut Elab, args: &Args, sizes: &[usize], slides: &[Slide], conv: Conv) -> Res {
    let (x, w) = (args.tensor(e, 0)?, args.tensor(e, 1)?);
    fits(e, args, x, sizes, slides, &conv.padding)?;
    e.push(conv, &[x, w], args.span).map(Val::Tensor)
}

/// The windows that parameters 1 to 3 ask for.
fn windows(e: &Elab, args: &Args, x: Value) -> Res<WindowSpec> {
    let sizes = spatial(e, args, x)?;
    let n = sizes.len();
    let size = args.each(e, 1, n, &[])?;
    let stride = args.each(e, 2, n, &size)?;
    let slide = |k: usize| Slide { size: size[k], stride: stride[k], dilation: 1 };
    let slides: Vec<Slide> = (0..n).map(slide).collect();
    let padding = padding(e, args, 3, "valid", &sizes, &slides)?;
    fits(e, args, x, &sizes, &slides, &padding)?;
    fn outer<T: Copy>(inner: &[T], end: T) -> Vec<T> {
        std::iter::once(end).chain(inner.iter().copied()).chain([end]).collect()
    }
    let spec = WindowSpec {
        size: outer(&size, 1),
        stride: outer(&stride, 1),
        padding: outer(&padding, (0, 0)),
        dilation: vec![1; n + 2],
    };
    let taps = Shape::from(spec.size.as_slice()).elements();
    if taps > i32::MAX as usize {
        return Err(args.fail(1, format!("a window of {taps} elements is too large")));
    }
    Ok(spec)
}

pub(super) fn window_sum(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let spec = windows(e, args, x)?;
    e.push(Window { kind: WindowKind::Sum, spec }, &[x], args.span).map(Val::Tensor)
}

/// The largest is found by position, so that its derivative goes to one element.
pub(super) fn window_max(e: &mut Elab, args: &Args) -> Res {
    let x = args.tensor(e, 0)?;
    let spec = windows(e, args, x)?;
    let at = e.push(Window { kind: WindowKind::Argmax, spec: spec.clone() }, &[x], args.span)?;
    e.push(Window { kind: WindowKind::Gather, spec }, &[x, at], args.span).map(Val::Tensor)
}
