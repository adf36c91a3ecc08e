//! What slides over images: padding, and pooling.

use fgc::DType;

use crate::dim::Dim;
use crate::onnx::graph::{Node, Said, unsaid, unsaid_with};
use crate::onnx::importer::Importer;
use crate::program::{Expr, Value, channels_last, each};

/// What slides, by spatial dimension.
pub struct Slides {
    /// Its size.
    pub size: Vec<i64>,
    /// How far apart results are.
    pub stride: Vec<i64>,
    /// How far apart elements are.
    pub dilation: Vec<i64>,
}

/// What is put around an image, in front and behind, by spatial dimension.
#[derive(Clone, PartialEq, Debug)]
pub struct Pads(Vec<(i64, i64)>);

impl Slides {
    /// Fails if a number is none that there can be.
    fn check(&self) -> Said {
        let wrong = |v: &[i64]| v.iter().any(|n| !(1..=i64::from(i32::MAX)).contains(n));
        match () {
            () if wrong(&self.size) => Err(unsaid_with("kernel_shape", format!("{:?}", self.size))),
            () if wrong(&self.stride) => Err(unsaid_with("strides", format!("{:?}", self.stride))),
            () if wrong(&self.dilation) => Err(unsaid_with("dilations", format!("{:?}", self.dilation))),
            () => Ok(()),
        }
    }

    /// How many elements it goes over in dimension `k`.
    fn span(&self, k: usize) -> i64 {
        (self.size[k] - 1).saturating_mul(self.dilation[k]).saturating_add(1)
    }

    /// What has to be put around `n` elements so that there are as many results as that divided by the stride, rounded up.
    fn same(&self, k: usize, n: i64) -> i64 {
        let last = ((n + self.stride[k] - 1) / self.stride[k] - 1).saturating_mul(self.stride[k]);
        last.saturating_add(self.span(k)).saturating_sub(n).max(0)
    }

    /// The sizes of the results over `x`, an image with channels last.
    pub fn results(&self, x: &Value, pads: &Pads) -> Said<Vec<Dim>> {
        let sizes = spatial(x)?;
        let size = |k: usize| {
            let room = (sizes[k] + pads.0[k].0 + pads.0[k].1).saturating_sub(self.span(k));
            let enough = room >= 0 && pads.0[k].0 >= 0 && pads.0[k].1 >= 0;
            enough.then(|| Dim::of(room / self.stride[k] + 1))
        };
        let all = (0..sizes.len()).map(size).collect::<Option<_>>();
        all.ok_or_else(|| unsaid(format!("a window of {:?} in an image of {sizes:?}", self.size)))
    }
}

impl Pads {
    /// As the language writes it for `slides` over `x`.
    pub fn text(&self, x: &Value, slides: &Slides) -> String {
        let sizes = spatial(x).unwrap_or_default();
        let same = |(k, n): (usize, &i64)| {
            let total = slides.same(k, *n);
            self.0[k] == (total / 2, total - total / 2)
        };
        if self.is_none() {
            "\"valid\"".to_owned()
        } else if sizes.iter().enumerate().all(same) {
            "\"same\"".to_owned()
        } else {
            let pairs: Vec<String> = self.0.iter().map(|(low, high)| format!("[{low}, {high}]")).collect();
            format!("[{}]", pairs.join(", "))
        }
    }

    /// Whether there is nothing around.
    pub fn is_none(&self) -> bool {
        self.0.iter().all(|p| *p == (0, 0))
    }
}

/// The sizes of `x`, an image with channels last, between batch and channels.
fn spatial(x: &Value) -> Said<Vec<i64>> {
    let inner = x.sizes.get(1..x.sizes.len().saturating_sub(1)).unwrap_or_default();
    let known = inner.iter().map(|d| d.known()).collect::<Option<Vec<_>>>();
    known.ok_or_else(|| unsaid("an image of any size can't be said"))
}

/// The padding of `node`, by which `slides` goes over `x`, an image with channels last.
pub fn padding(node: Node, x: &Value, slides: &Slides) -> Said<Pads> {
    slides.check()?;
    let n = slides.size.len();
    let sizes = spatial(x)?;
    if sizes.len() != n {
        return Err(unsaid_with("kernel_shape", format!("{n} numbers for {} dimensions", sizes.len())));
    }
    let mode = node.text("auto_pad", "NOTSET");
    let same = |k: usize| slides.same(k, sizes[k]);
    let pairs = match mode {
        "NOTSET" => {
            let pads = node.each("pads", 2 * n, 0)?;
            if pads.iter().any(|p| !(0..=i64::from(i32::MAX)).contains(p)) {
                return Err(unsaid_with("pads", format!("{pads:?}")));
            }
            (0..n).map(|k| (pads[k], pads[n + k])).collect()
        }
        "VALID" => vec![(0, 0); n],
        "SAME_UPPER" => (0..n).map(|k| (same(k) / 2, same(k) - same(k) / 2)).collect(),
        "SAME_LOWER" => (0..n).map(|k| (same(k) - same(k) / 2, same(k) / 2)).collect(),
        _ => return Err(unsaid_with("auto_pad", format!("there is no `{mode}`"))),
    };
    Ok(Pads(pairs))
}

/// `MaxPool` and `AveragePool`.
pub fn pool<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    if node.output(1).is_some_and(|name| !imp.uses.by(name).is_empty()) {
        return Err(unsaid("the positions of the largest elements can't be said"));
    }
    let x = imp.value(node, 0)?;
    let rank = x.rank();
    let size = node.ints("kernel_shape").unwrap_or_default().to_vec();
    if rank < 3 || size.len() != rank - 2 {
        return Err(unsaid_with("kernel_shape", format!("{size:?} of an image of {rank} dimensions")));
    }
    let order = channels_last(rank);
    let x = imp.program.laid(&x, &order);
    let slides = Slides {
        stride: node.each("strides", rank - 2, 1)?,
        dilation: node.each("dilations", rank - 2, 1)?,
        size,
    };
    if slides.dilation.iter().any(|d| *d != 1) {
        return Err(unsaid_with("dilations", "windows with gaps can't be said"));
    }
    let mut pads = padding(node, &x, &slides)?;
    let given = pads.clone();
    if node.int("ceil_mode", 0) != 0 {
        rounded_up(&x, &slides, &mut pads)?;
    }
    let inner = slides.results(&x, &pads)?;
    let counted = node.op() == "AveragePool" && node.int("count_include_pad", 0) != 0 && !pads.is_none();
    if counted && pads != given {
        return Err(unsaid_with(
            "ceil_mode",
            "means of windows that count padding, beyond it, can't be said",
        ));
    }
    let name = match node.op() {
        "MaxPool" => "max_pool",
        _ if counted => "window_sum",
        _ => "avg_pool",
    };
    let mut expr = Expr::call(name, [Expr::Line(x.id), Expr::atom(each(&slides.size))]);
    if slides.stride != slides.size {
        expr = expr.with("stride", each(&slides.stride));
    }
    if !pads.is_none() {
        expr = expr.with("padding", pads.text(&x, &slides));
    }
    if counted {
        let taps: f64 = slides.size.iter().map(|&n| n as f64).product();
        expr = Expr::binary("/", expr, Expr::number(taps));
    }
    let sizes = std::iter::once(x.sizes[0]).chain(inner).chain([x.sizes[rank - 1]]).collect();
    let v = imp.program.value(&node.hint(), expr, x.dtype, sizes);
    imp.set_value(node, v.ordered(&order))
}

/// Adds to `pads` what lets a last window that begins within the image or in front of it end.
fn rounded_up(x: &Value, slides: &Slides, pads: &mut Pads) -> Said {
    for (k, n) in spatial(x)?.into_iter().enumerate() {
        let (low, high) = pads.0[k];
        let (stride, span) = (slides.stride[k], slides.span(k));
        let room = (n + low + high).saturating_sub(span);
        if room < 0 {
            continue;
        }
        let mut last = (room + stride - 1) / stride;
        if last * stride >= n + low {
            last -= 1;
        }
        pads.0[k].1 = (last * stride + span - n - low).max(high);
    }
    Ok(())
}

/// `GlobalAveragePool` and `GlobalMaxPool`.
pub fn global<'a>(imp: &mut Importer<'a>, node: Node<'a>) -> Said {
    let x = imp.value(node, 0)?;
    let rank = x.rank();
    if rank < 3 {
        return Err(unsaid(format!("an image of {rank} dimensions")));
    }
    let x = imp.program.laid(&x, &channels_last(rank));
    let expr = if node.op() == "GlobalMaxPool" {
        let axes: Vec<usize> = (1..rank - 1).collect();
        Expr::call("max", [Expr::Line(x.id), Expr::atom(format!("{axes:?}"))])
    } else {
        Expr::call("global_mean_pool", [Expr::Line(x.id)])
    };
    let mut v = imp.program.value(&node.hint(), expr, DType::F32, vec![x.sizes[0], x.sizes[rank - 1]]);
    // The other dimensions have size 1.
    v.axes.resize(rank, None);
    imp.set_value(node, v)
}
