//! The functions that are built in, with what each is called and takes.

mod args;
mod calculus;
mod contract;
mod draw;
mod einsum;
mod index;
mod linalg;
mod make;
mod reduce;
mod shape;
mod tree;
mod window;

pub(super) use args::{Arg, Args};

use super::eval::Elab;
use super::value::Res;

pub use super::call::row_names;

/// A parameter of a builtin.
#[derive(Clone, Copy, Debug)]
pub struct Param(&'static str, Option<&'static str>);

impl Param {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0
    }

    /// Whether it has to be given.
    pub fn is_required(&self) -> bool {
        self.1.is_none()
    }
}

/// A function that is built in.
pub struct Builtin {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, in order.
    pub params: &'static [Param],
    /// What it gives, in a line.
    pub doc: &'static str,
    /// Whether it takes trees as they are; others are computed leaf by leaf.
    pub(super) of_trees: bool,
    pub(super) run: for<'a> fn(&mut Elab<'a>, &Args) -> Res,
}

impl Builtin {
    /// Whether its last parameter stands for any number of arguments.
    pub(super) fn is_variadic(&self) -> bool {
        self.params.last().is_some_and(|p| p.name().ends_with('…'))
    }

    /// How it is called: `sum(x, axes=all, keep=false)`.
    pub fn signature(&self) -> String {
        let params = self.params.iter().map(|p| match p.1 {
            Some(default) => format!("{}={default}", p.0),
            None => p.0.to_owned(),
        });
        format!("{}({})", self.name, params.collect::<Vec<_>>().join(", "))
    }
}

/// The builtin called `name`.
pub fn find(name: &str) -> Option<&'static Builtin> {
    all().find(|b| b.name == name)
}

/// Every builtin, in the order of the manual.
pub fn all() -> impl Iterator<Item = &'static Builtin> {
    TABLE.iter().chain(OF_TREES)
}

macro_rules! table {
    ($TABLE:ident $of_trees:literal
     $($name:literal ($($param:literal $(= $default:literal)?),*) $run:path: $doc:literal;)*) => {
        const $TABLE: &[Builtin] = &[$(Builtin {
            name: $name,
            params: &[$(Param($param, table!(@default $($default)?))),*],
            doc: $doc,
            of_trees: $of_trees,
            run: $run,
        }),*];
    };
    (@default) => { None };
    (@default $default:literal) => { Some($default) };
}

table! {
    TABLE false
    "shape" ("x") shape::shape: "the sizes of `x` as a list";
    "dim" ("x", "axis") shape::dim: "the size of dimension `axis`";
    "rank" ("x") shape::rank: "the number of dimensions";
    "len" ("list") shape::len: "the number of elements of a list";
    "range" ("n") shape::range: "the list 0, 1, …, n - 1";
    "each" ("x", "n") shape::each: "the list of `n` times `x`; `x` itself if it is a list of that length";
    "reshape" ("x", "shape") shape::reshape: "the same elements in another shape; one size may be -1";
    "flatten" ("x") shape::flatten: "all dimensions but the first joined";
    "transpose" ("x", "perm"="reversed") shape::transpose: "dimension `k` of the result is dimension `perm[k]` of `x`";
    "broadcast" ("x", "shape") shape::broadcast: "`x` repeated to a shape, as operators do it";
    "concat" ("list", "axis") shape::concat: "tensors joined along a dimension";
    "stack" ("list", "axis"="0") shape::stack: "tensors of one shape along a new dimension; numbers among them are repeated";
    "pad" ("x", "padding") shape::pad: "zeros around `x`: `[[low, high], …]`, one pair for each dimension";
    "reverse" ("x", "axes") shape::reverse: "dimensions run backwards";
    "sum" ("x", "axes"="all", "keep"="false") reduce::sum: "the sum over axes; of bool, how many hold, as i32";
    "mean" ("x", "axes"="all", "keep"="false") reduce::mean: "the mean over axes; of bool and integers, as f32";
    "max" ("x", "axes"="all", "keep"="false") reduce::max: "the largest over axes; of numbers, `max(a, b)`";
    "min" ("x", "axes"="all", "keep"="false") reduce::min: "the smallest over axes; of numbers, `min(a, b)`";
    "prod" ("x", "axes"="all", "keep"="false") reduce::prod: "the product over axes; of a list of numbers, their product";
    "any" ("x", "axes"="all", "keep"="false") reduce::any: "whether a truth value holds somewhere along the axes";
    "all" ("x", "axes"="all", "keep"="false") reduce::all: "whether a truth value holds everywhere along the axes";
    "cumsum" ("x", "axis"="-1") reduce::cumsum: "the sums of the elements up to each; of bool, how many hold, as i32";
    "argmax" ("x", "axis"="-1") reduce::argmax: "the position of the first largest element, as i32";
    "argmin" ("x", "axis"="-1") reduce::argmin: "the position of the first smallest element, as i32";
    "einsum" ("spec", "operands…") einsum::einsum:
        "sums of products of any number of tensors: `einsum(\"ij,jk,kl->il\", a, b, c)`";
    "cholesky" ("a") linalg::cholesky:
        "the lower triangular `l` with `l @ transpose(l)` = `a` [..., n, n], symmetric and positive definite";
    "triangular_solve" ("l", "b", "lower"="true", "transpose"="false") linalg::triangular_solve:
        "the `x` with `l @ x` = `b`, [..., n] or [..., n, m], of the triangular `l` [..., n, n], or of its transpose";
    "convolve" ("x", "w", "stride"="1", "padding"="\"same\"", "dilation"="1", "groups"="1") window::convolve:
        "convolution of `x` [batch, …, channels] with `w` [size…, channels / groups, features]";
    "convolve_transpose" ("x", "w", "stride"="1", "padding"="\"same\"", "dilation"="1", "groups"="1")
        window::convolve_transpose:
        "convolution of `x` with `stride - 1` zeros between its elements, as `jax.lax.conv_transpose`";
    "window_sum" ("x", "size", "stride"="size", "padding"="\"valid\"") window::window_sum:
        "sums of windows over the inner dimensions of `x` [batch, …, channels]";
    "window_max" ("x", "size", "stride"="size", "padding"="\"valid\"") window::window_max:
        "the largest of windows over the inner dimensions of `x` [batch, …, channels]";
    "take" ("x", "idx", "axis"="0") index::take: "`x` at the positions `idx` of an axis; outside of it, 0";
    "take_along" ("x", "idx") index::take_along: "for each row of `x`, its element at the position in `idx`; outside, 0";
    "take_along_axis" ("x", "idx", "axis"="-1") index::take_along_axis:
        "for each row of `x` along the axis, its elements at the positions in that row of `idx`; outside, 0";
    "scatter_add" ("x", "idx", "y", "axis"="0") index::scatter_add:
        "`x` with `y` added at the positions `idx` of an axis, once for each; outside of it, nothing";
    "select" ("m", "a", "b") index::select: "`a` where `m` holds, else `b`";
    "where" ("m", "a", "b") index::select: "the same as `select`";
    "iota" ("n") make::iota: "0, 1, …, n - 1, as i32";
    "zeros" ("shape") make::zeros: "zeros, as f32";
    "ones" ("shape") make::ones: "ones, as f32";
    "full" ("shape", "c") make::full: "the number `c` in every element, as f32";
    "tensor" ("list") make::tensor: "a constant of the numbers of a nested list: f32, i32 or bool";
    "random_uniform" ("shape") make::random_uniform: "independent uniform numbers in [0, 1), new in each step";
    "random_normal" ("shape") make::random_normal: "independent standard normal numbers, new in each step";
}

table! {
    OF_TREES true
    "jvp" ("f", "at", "along") calculus::jvp:
        "the derivative of `f` at `at` along `along`, or along each of several directions; several arguments are lists";
    "vjp" ("f", "at", "ct", "inner"="false") calculus::vjp:
        "the cotangents of `at` that `ct` of the result of `f` has; `inner` ends derivatives at the model's sites";
    "grad" ("f", "at", "memory"="inf") calculus::grad:
        "the gradient of `f`, a scalar, at `at`; what of `f` is kept for it takes about `memory` bytes, the rest is computed again";
    "vmap" ("f", "xs") calculus::vmap: "`f` of each slice of `xs` along the leading dimension";
    "site" ("x") calculus::site: "`x`, marked as a value at which estimators may perturb the model";
    "samples" ("f", "parts"="false") calculus::samples:
        "what each sample adds to the loss `f` of the model; `parts`: each element of what it is the mean of";
    "sites_of" ("f") calculus::sites_of: "the sites that the loss `f` depends on, but through a `stop_gradient`";
    "params_of" ("sites") calculus::params_of:
        "1 for each parameter that the sites depend on, but through a `stop_gradient`, else 0";
    "dot" ("a", "b", "each"="false") tree::dot:
        "the sum of the products of all elements, for each direction where there are several; `each`: for each sample";
    "map" ("f", "trees") tree::map: "`f` of each leaf; of several trees, or with arguments that are the same for each, a list";
    "size" ("x") tree::size: "the number of elements of a tree or tensor, without directions";
    "only" ("tree") tree::only: "the tensor of a tree of one";
    "gram" ("v") tree::gram: "the products of all pairs of directions of `v`";
    "norm" ("x") tree::norm: "the root of the sum of the squares of all elements, for each direction";
    "combine" ("w", "v") tree::combine: "the sum of the directions of the tree `v`, each times its weight";
    "hidden" ("sites") tree::hidden: "the sites but the last";
    "head" ("sites") tree::head: "the last site";
    "join" ("a", "b") tree::join: "the leaves of one tree, then those of another";
    "named" ("tree", "pattern") tree::named: "1 for each leaf called like `pattern`, with `*` for any characters, else 0";
    "active" ("sites") tree::active: "1 where what is computed next from a site has a slope, else 0";
    "normal" ("like", "count"="1") draw::normal: "standard normal directions of the form of `like`";
    "rademacher" ("like", "count"="1") draw::rademacher: "directions of signs";
    "sphere" ("like", "count"="1") draw::sphere: "directions of one length, the root of the number of elements";
    "rank1" ("like", "count"="1") draw::rank1: "directions that are outer products of signs in each matrix";
    "lowrank" ("like", "count"="1", "rank"="4") draw::lowrank:
        "directions that are sums of `rank` outer products of signs in each matrix";
}
