//! Images of other sizes.

use fgc::DType;

use crate::dim::{self, Dim};
use crate::onnx::graph::{Node, Said, unsaid, unsaid_with};
use crate::onnx::importer::Importer;
use crate::program::{Expr, channels_last};

/// `DepthToSpace` and `SpaceToDepth`.
pub fn depth<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    let b = node.int("blocksize", 0);
    let shape = x.shape();
    let &[n, c, h, w] = shape.as_slice() else { return Err(unsaid("it isn't an image of 4 dimensions")) };
    if !(1..=65_536).contains(&b) {
        return Err(unsaid_with("blocksize", format!("{b}")));
    }
    let order = channels_last(4);
    let x = imp.program.laid(&x, &order);
    let block = Dim::of(b);
    let fail = || unsaid_with("blocksize", format!("blocks of {b} in {}", dim::list(&shape)));
    let less = |d: Dim| d.div(block).filter(|q| q.mul(block) == Some(d)).ok_or_else(fail);
    let more = |d: Dim| d.mul(block).ok_or_else(fail);
    let (apart, perm, joined): (Vec<Dim>, &str, Vec<Dim>) = if node.op() == "SpaceToDepth" {
        let (h, w) = (less(h)?, less(w)?);
        (vec![n, h, block, w, block, c], "[0, 1, 3, 2, 4, 5]", vec![n, h, w, more(more(c)?)?])
    } else {
        let c = less(less(c)?)?;
        let joined = vec![n, more(h)?, more(w)?, c];
        match node.text("mode", "DCR") {
            "DCR" => (vec![n, h, w, block, block, c], "[0, 1, 3, 2, 4, 5]", joined),
            "CRD" => (vec![n, h, w, c, block, block], "[0, 1, 4, 2, 5, 3]", joined),
            mode => return Err(unsaid_with("mode", format!("there is no `{mode}`"))),
        }
    };
    let expr = Expr::call("reshape", [Expr::Line(x.id), Expr::atom(dim::list(&apart))]);
    let expr = Expr::call("transpose", [expr, Expr::atom(perm)]);
    let expr = Expr::call("reshape", [expr, Expr::atom(dim::list(&joined))]);
    let v = imp.program.value(&node.hint(), expr, x.dtype, joined);
    imp.set_value(node, v.ordered(&order))
}

/// `Resize` of images: by repeating elements, or linearly between them.
pub fn resize<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    let rank = x.rank();
    if rank < 3 {
        return Err(unsaid(format!("an image of {rank} dimensions")));
    }
    if node.ints("axes").is_some()
        || node.int("antialias", 0) != 0
        || node.text("keep_aspect_ratio_policy", "stretch") != "stretch"
    {
        return Err(unsaid("resizing by axes, without aliasing or by an aspect ratio can't be said"));
    }
    let order = channels_last(rank);
    let x = imp.program.laid(&x, &order);
    let (mode, place) =
        (node.text("mode", "nearest"), node.text("coordinate_transformation_mode", "half_pixel"));
    let shape = x.shape();
    let scales = imp.known(node, 2)?.filter(|s| s.len() > 0).and_then(|s| s.numbers());
    let sizes = imp.known(node, 3)?.filter(|s| s.len() > 0);
    let mut expr = Expr::Line(x.id);
    let mut new = x.sizes.clone();
    for axis in 0..rank {
        let size = match (&scales, sizes.as_ref().and_then(|s| s.as_ints())) {
            (Some(scales), _) if scales.len() == rank => match (scales[axis], shape[axis].known()) {
                (1.0, _) => shape[axis],
                (scale, Some(n)) => Dim::of((n as f64 * scale).floor() as i64),
                _ => return Err(unsaid_with("scales", "a batch of another size can't be said")),
            },
            (None, Some(sizes)) if sizes.len() == rank => sizes[axis],
            _ => return Err(unsaid("it has neither scales nor sizes for each dimension")),
        };
        if size == shape[axis] {
            continue;
        }
        let (Some(from), Some(to)) = (shape[axis].known(), size.known()) else {
            return Err(unsaid("an image of any size can't be said"));
        };
        if axis < 2 || !(1..=i64::from(i32::MAX)).contains(&to) {
            return Err(unsaid(format!("dimension {axis} of {} to {size}", dim::list(&shape))));
        }
        let at = axis - 1;
        new[at] = size;
        expr = match mode {
            "nearest"
                if to % from == 0 && ["half_pixel", "asymmetric", "pytorch_half_pixel"].contains(&place) =>
            {
                if place == "asymmetric" && node.text("nearest_mode", "round_prefer_floor") != "floor" {
                    return Err(unsaid_with(
                        "nearest_mode",
                        "only `floor` can be said of asymmetric positions",
                    ));
                }
                Expr::call("repeated", [expr, Expr::atom(at), Expr::atom(to / from)])
            }
            "linear" => {
                let ratio = match &scales {
                    Some(scales) => 1.0 / scales[axis],
                    None => from as f64 / to as f64,
                };
                let (step, first) = match place {
                    "half_pixel" => (ratio, 0.5 * ratio - 0.5),
                    "pytorch_half_pixel" if to > 1 => (ratio, 0.5 * ratio - 0.5),
                    "pytorch_half_pixel" => (ratio, 0.0),
                    "asymmetric" => (ratio, 0.0),
                    "align_corners" if to > 1 => ((from - 1) as f64 / (to - 1) as f64, 0.0),
                    "align_corners" => (0.0, 0.0),
                    _ => {
                        return Err(unsaid_with(
                            "coordinate_transformation_mode",
                            format!("`{place}` can't be said"),
                        ));
                    }
                };
                let args = [Expr::atom(at), Expr::atom(to), Expr::number(step), Expr::number(first)];
                Expr::call("interpolated", [expr].into_iter().chain(args))
            }
            _ => {
                return Err(unsaid_with(
                    "mode",
                    format!("`{mode}` from {from} to {to} by `{place}` can't be said"),
                ));
            }
        };
    }
    let v = imp.program.value(&node.hint(), expr, DType::F32, new);
    imp.set_value(node, v.ordered(&order))
}
