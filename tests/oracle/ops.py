"""The single operations of the oracle: the text of each, and what computes the same in JAX."""

import functools
import itertools
from typing import Callable, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Case(NamedTuple):
    """`lines` are of the core form; the last one is without `%y =` and its type."""

    name: str
    lines: tuple[str, ...]
    function: Callable
    args: dict


CASES = []


def case(name, lines, function, **args):
    """Adds a case. An argument, in the order of the function's, is an array or draws one."""
    lines = (lines,) if isinstance(lines, str) else tuple(lines)
    CASES.append(Case(name, lines, function, args))


def type_of(array):
    """As the text writes it: `f32[2, 3]`."""
    name = array.dtype.name.replace("uint", "u").replace("int", "i").replace("float", "f")
    return f"{name}{list(array.shape)}"


def normal(*shape):
    return lambda rng: np.float32(rng.standard_normal(shape))


def uniform(low, high, shape=(3, 4)):
    return lambda rng: np.float32(rng.uniform(low, high, shape))


def floats(*values):
    return np.array(values, np.float32)


def ints(*values):
    return np.array(values, np.int32)


def tied(*shape):
    """Few distinct values, so that there are ties."""
    return lambda rng: np.float32(rng.integers(-2, 3, shape))


# ---- Elementwise -----------------------------------------------------------------------------

UNARY = [
    ("neg", lax.neg, -2, 2),
    ("abs", lax.abs, -2, 2),
    ("sign", lax.sign, -2, 2),
    ("square", lax.square, -2, 2),
    ("exp", lax.exp, -2, 2),
    ("exp2", lax.exp2, -2, 2),
    ("expm1", lax.expm1, -2, 2),
    ("log", lax.log, 0.2, 3),
    ("log2", jnp.log2, 0.2, 3),
    ("log10", jnp.log10, 0.2, 3),
    ("log1p", lax.log1p, -0.7, 2),
    ("sqrt", lax.sqrt, 0.2, 3),
    ("rsqrt", lax.rsqrt, 0.2, 3),
    ("sin", lax.sin, -3, 3),
    ("cos", lax.cos, -3, 3),
    ("tan", lax.tan, -1.2, 1.2),
    ("asin", lax.asin, -0.9, 0.9),
    ("acos", lax.acos, -0.9, 0.9),
    ("atan", lax.atan, -3, 3),
    ("sinh", lax.sinh, -3, 3),
    ("cosh", lax.cosh, -3, 3),
    ("tanh", lax.tanh, -3, 3),
    ("logistic", lax.logistic, -4, 4),
    ("softplus", jax.nn.softplus, -4, 4),
    ("silu", jax.nn.silu, -4, 4),
    ("relu", jax.nn.relu, -2, 2),
    ("erf", lax.erf, -2, 2),
    ("erfc", lax.erfc, -2, 2),
    ("floor", lax.floor, -3, 3),
    ("ceil", lax.ceil, -3, 3),
    ("round", functools.partial(lax.round, rounding_method=lax.RoundingMethod.TO_NEAREST_EVEN), -3, 3),
]
for op, function, low, high in UNARY:
    case(op, f"{op} %x", function, x=uniform(low, high))

ZEROS = floats(-1.5, -0.0, 0.0, 2.5)
for op, function in [("abs", lax.abs), ("sign", lax.sign), ("relu", jax.nn.relu)]:
    case(f"{op}_at_zero", f"{op} %x", function, x=ZEROS)
for op, function in [("expm1", lax.expm1), ("log1p", lax.log1p)]:
    case(f"{op}_small", f"{op} %x", function, x=floats(-1e-3, -1e-6, 0.0, 1e-7, 1e-4))
for op, function in [("softplus", jax.nn.softplus), ("logistic", lax.logistic), ("tanh", lax.tanh)]:
    case(f"{op}_large", f"{op} %x", function, x=floats(-60.0, -30.0, -12.0, -0.5, 0.0, 12.0, 30.0, 60.0))
for op, function in [("erf", lax.erf), ("erfc", lax.erfc)]:
    case(f"{op}_large", f"{op} %x", function, x=floats(-6.0, -3.5, -0.3, 0.0, 0.01, 3.0, 5.0))
case("round_ties", "round %x", dict((u[0], u[1]) for u in UNARY)["round"], x=floats(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5))

BINARY = [
    ("add", lax.add, -2, 2),
    ("sub", lax.sub, -2, 2),
    ("mul", lax.mul, -2, 2),
    ("div", lax.div, 0.5, 2),
    ("rem", lax.rem, 0.3, 3),
    ("maximum", lax.max, -2, 2),
    ("minimum", lax.min, -2, 2),
    ("pow", lax.pow, 0.5, 2),
    ("atan2", lax.atan2, -2, 2),
]
for op, function, low, high in BINARY:
    case(op, f"{op} %a, %b", function, a=uniform(low, high), b=uniform(low, high))

case("rem_signs", "rem %a, %b", lax.rem, a=floats(5.5, -5.5, 5.5, -5.5, 0.3), b=floats(2.0, 2.0, -2.0, -2.0, 0.7))
for op, function in [("maximum", lax.max), ("minimum", lax.min)]:
    case(f"{op}_ties", f"{op} %a, %b", function, a=tied(3, 4), b=tied(3, 4))
case("same_operand", "mul %a, %a", lambda a: a * a, a=normal(3))
case("pow_zero_exponent", "pow %a, %b", lax.pow, a=floats(2.0, 0.5, 1.0), b=floats(0.0, 0.0, -2.0))
case("pow_zero_base", "pow %a, %b", lax.pow, a=floats(0.0, 0.0), b=floats(3.0, 2.0))
for exponent in 2.0, 3.0:
    case(
        f"pow_{exponent:.0f}",
        [f"%b = const[{exponent}] : f32[4]", "pow %a, %b"],
        lambda a, exponent=exponent: lax.pow(a, jnp.full_like(a, exponent)),
        a=floats(-2.0, -0.5, 0.0, 1.5),
    )

COMPARE = [("lt", lax.lt), ("le", lax.le), ("eq", lax.eq), ("ne", lax.ne)]
for op, compare in COMPARE:
    case(
        f"select_{op}",
        [f"%k = {op} %a, %b : bool[3, 4]", "select %k, %x, %b"],
        lambda a, b, x, compare=compare: lax.select(compare(a, b), x, b),
        a=tied(3, 4),
        b=tied(3, 4),
        x=normal(3, 4),
    )

case(
    "cast_from_int",
    ["%f = cast %i : f32[5]", "mul %f, %x"],
    lambda i, x: i.astype(x.dtype) * x,
    i=ints(-3, 0, 7, 16777216, -5),
    x=normal(5),
)
case(
    "cast_to_int",
    ["%i = cast %x : i32[5]", "%f = cast %i : f32[5]", "mul %f, %x"],
    lambda x: x.astype(np.int32).astype(x.dtype) * x,
    x=floats(-2.7, -0.4, 0.0, 1.5, 3.9),
)
case(
    "one_hot",
    [
        "%j = iota[dim=1] : i32[3, 4]",
        "%k = broadcast[dims=[0]] %i : i32[3, 4]",
        "%is = eq %j, %k : bool[3, 4]",
        "%zero = const[0.0] : f32[3, 4]",
        "select %is, %x, %zero",
    ],
    lambda x, i: x * jax.nn.one_hot(i, 4, dtype=x.dtype),
    x=normal(3, 4),
    i=ints(2, 0, 3),
)

BIG = ints(7, -7, 2**31 - 1, -(2**31), 12345)
for op, function in [("neg", lax.neg), ("abs", lax.abs), ("sign", lax.sign), ("not", lax.bitwise_not)]:
    case(f"int_{op}", f"{op} %a", function, a=BIG)
for op, function in [
    *((row[0], row[1]) for row in BINARY[:7]),
    ("and", lax.bitwise_and),
    ("or", lax.bitwise_or),
    ("xor", lax.bitwise_xor),
]:
    case(f"int_{op}", f"{op} %a, %b", function, a=BIG, b=ints(2, 3, 65537, -3, -77))


def mulhi(a, b):
    return ((a.astype(np.uint64) * b.astype(np.uint64)) >> 32).astype(np.uint32)


WORDS = np.array([1, 0x80000001, 0xFFFFFFFF, 0xDEADBEEF], np.uint32)
for op, function, b in [
    ("shl", lax.shift_left, [0, 1, 31, 5]),
    ("shr", lax.shift_right_logical, [0, 1, 31, 5]),
    ("mulhi", mulhi, [0xFFFFFFFF, 2, 0xFFFFFFFF, 0xCD9E8D57]),
]:
    case(f"uint_{op}", f"{op} %a, %b", function, a=WORDS, b=np.array(b, np.uint32))

# ---- Movement --------------------------------------------------------------------------------

case("reshape", "reshape %x", lambda x: x.reshape(2, 2, 3), x=normal(4, 3))
case("transpose", "transpose[perm=[2, 0, 1]] %x", lambda x: jnp.transpose(x, (2, 0, 1)), x=normal(2, 3, 4))
case("broadcast", "broadcast[dims=[1]] %x", lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (1,)), x=normal(3))
case("broadcast_scalar", "broadcast[dims=[]] %x", lambda x: jnp.broadcast_to(x, (2, 3)), x=normal())
case(
    "broadcast_matrix",
    "broadcast[dims=[0, 2]] %x",
    lambda x: lax.broadcast_in_dim(x, (2, 3, 4), (0, 2)),
    x=normal(2, 4),
)
case("slice", "slice[0:6:2, 1:4:1] %x", lambda x: x[0:6:2, 1:4], x=normal(6, 5))
case("slice_uneven", "slice[1:7:3, 0:5:4] %x", lambda x: x[1:7:3, 0:5:4], x=normal(8, 5))


def pad(x, *config):
    return lax.pad(x, jnp.zeros((), x.dtype), config)


case(
    "pad",
    "pad[low=[1, -1], high=[0, 2], interior=[0, 1]] %x",
    lambda x: pad(x, (1, 0, 0), (-1, 2, 1)),
    x=normal(3, 4),
)
case(
    "pad_negative",
    "pad[low=[-1, 0], high=[-1, -2], interior=[2, 1]] %x",
    lambda x: pad(x, (-1, -1, 2), (0, -2, 1)),
    x=normal(3, 4),
)
case("pad_plain", "pad[low=[0, 1], high=[2, 0], interior=[0, 0]] %x", lambda x: pad(x, (0, 2, 0), (1, 0, 0)), x=normal(2, 3))
case(
    "concat",
    "concat[axis=1] %a, %b, %a",
    lambda a, b: jnp.concatenate([a, b, a], 1),
    a=normal(2, 3),
    b=normal(2, 1),
)
case("reverse", "reverse[axes=[0, 2]] %x", lambda x: jnp.flip(x, (0, 2)), x=normal(2, 3, 4))

# ---- Reductions ------------------------------------------------------------------------------

REDUCE = [("sum", jnp.sum), ("max", jnp.max), ("min", jnp.min)]
for op, function in REDUCE:
    for axes in [0], [1], [0, 2], [0, 1, 2]:
        name = f"{op}_{''.join(map(str, axes))}"
        reduce = functools.partial(function, axis=tuple(axes))
        case(name, f"{op}[axes={axes}] %x", reduce, x=normal(3, 4, 2))
    if op != "sum":
        reduce = functools.partial(function, axis=1)
        case(f"{op}_ties", f"{op}[axes=[1]] %x", reduce, x=tied(4, 6))
for axis in 0, 1:
    argmax = functools.partial(lax.argmax, axis=axis, index_dtype=np.int32)
    case(f"argmax_{axis}", f"argmax[axes=[{axis}]] %x", argmax, x=tied(4, 6))

# ---- Products --------------------------------------------------------------------------------


def dot(name, a, b, contract, batch=()):
    """A case of `dot` from pairs of dimensions."""
    pairs = lambda p: "[" + ", ".join(f"{i}:{j}" for i, j in p) + "]"  # noqa: E731
    attrs = ", ".join(f"{k}={pairs(p)}" for k, p in [("batch", batch), ("contract", contract)] if p or k == "contract")
    dims = [tuple(zip(*p)) if p else ((), ()) for p in (contract, batch)]
    function = lambda a, b: lax.dot_general(a, b, dims)  # noqa: E731
    case(f"dot_{name}", f"dot[{attrs}] %a, %b", function, a=normal(*a), b=normal(*b))


dot("matmul", (3, 5), (5, 4), [(1, 0)])
dot("transposed", (5, 3), (4, 5), [(0, 1)])
dot("vectors", (6,), (6,), [(0, 0)])
dot("matvec", (3, 5), (5,), [(1, 0)])
dot("batched", (2, 3, 5), (2, 5, 4), [(2, 1)], [(0, 0)])
dot("inner_batch", (3, 2, 5), (5, 4, 2), [(2, 0)], [(1, 2)])
dot("two_contracted", (2, 3, 4), (4, 5, 2), [(0, 2), (2, 0)])
dot("two_batched", (2, 2, 3, 4), (4, 3, 2, 2), [(3, 0)], [(0, 2), (2, 1)])
dot("outer", (2, 3), (4,), [])
case("dot_square", "dot[contract=[1:0]] %a, %a", lambda a: a @ a, a=normal(3, 3))

# ---- Convolutions ----------------------------------------------------------------------------


def conv(name, x, w, dims="b01f_01io->b01f", stride=None, padding=None, lhs=None, rhs=None, groups=1, flip=False):
    """A case of `conv`. What has its default isn't written."""
    spec = dims.replace("->", "_").split("_")
    spatial = sum(c.isdigit() for c in spec[0])
    attrs = [f'dims="{dims}"']
    for key, value in [("stride", stride), ("padding", padding), ("lhs_dilation", lhs), ("rhs_dilation", rhs)]:
        if value:
            text = ", ".join(f"{v[0]}:{v[1]}" if isinstance(v, tuple) else str(v) for v in value)
            attrs.append(f"{key}=[{text}]")
    attrs += [f"groups={groups}"] * (groups != 1) + ["flip=true"] * flip
    letters = [dict(zip("bf", "NC")), dict(zip("io", "IO")), dict(zip("bf", "NC"))]
    numbers = tuple("".join(m.get(c, c) for c in part) for m, part in zip(letters, spec))

    def function(x, w):
        if flip:
            w = jnp.flip(w, [k for k, c in enumerate(spec[1]) if c.isdigit()])
        # In single precision XLA's gradient by the kernel is wrong where padding is negative.
        if any(min(p) < 0 for p in padding or []):
            trims = dict(zip("0123", ((min(low, 0), min(high, 0), 0) for low, high in padding)))
            x = pad(x, *(trims.get(c, (0, 0, 0)) for c in spec[0]))
        return lax.conv_general_dilated(
            x,
            w,
            stride or [1] * spatial,
            [(max(low, 0), max(high, 0)) for low, high in padding or [(0, 0)] * spatial],
            lhs_dilation=lhs,
            rhs_dilation=rhs,
            dimension_numbers=numbers,
            feature_group_count=groups,
        )

    case(f"conv_{name}", f"conv[{', '.join(attrs)}] %x, %w", function, x=normal(*x), w=normal(*w))


IMAGE, KERNEL = (2, 6, 5, 2), (3, 2, 2, 3)
conv("plain", IMAGE, KERNEL)
conv("same", (2, 4, 4, 2), (3, 3, 2, 3), padding=[(1, 1), (1, 1)])
conv("strided", IMAGE, KERNEL, stride=[2, 2], padding=[(1, 0), (0, 1)])
conv("stride_rest", (1, 8, 6, 2), (3, 3, 2, 2), stride=[3, 2])
conv("uneven_padding", IMAGE, KERNEL, padding=[(2, 0), (1, 3)])
conv("negative_padding", IMAGE, KERNEL, padding=[(-1, 1), (0, -2)])
conv("negative_strided", IMAGE, KERNEL, stride=[2, 1], padding=[(-1, -1), (1, -1)])
conv("lhs_dilation", (2, 4, 3, 2), (3, 2, 2, 3), lhs=[2, 3], padding=[(1, 1), (0, 2)])
conv("rhs_dilation", IMAGE, KERNEL, rhs=[2, 3])
conv("all_dilations", (1, 5, 4, 2), (2, 3, 2, 2), stride=[2, 3], padding=[(2, 1), (1, 2)], lhs=[2, 3], rhs=[3, 2])
conv("groups", (1, 4, 4, 4), (3, 2, 2, 4), groups=2, padding=[(1, 1), (0, 0)])
conv("depthwise", (1, 4, 5, 3), (2, 2, 1, 6), groups=3, stride=[1, 2])
conv("flip", IMAGE, KERNEL, flip=True)
conv("flip_strided", IMAGE, KERNEL, flip=True, stride=[2, 1], padding=[(1, 0), (0, 2)])
conv("one_dim", (2, 8, 3), (3, 3, 4), dims="b0f_0io->b0f", stride=[2], padding=[(1, 1)])
conv("three_dims", (1, 3, 4, 3, 2), (2, 2, 2, 2, 3), dims="b012f_012io->b012f", padding=[(1, 0), (0, 0), (0, 1)])
conv("odd_layout", (5, 4, 3, 2), (3, 2, 2, 4), dims="01fb_i01o->f0b1", stride=[1, 2])
conv("channels_first", (2, 3, 4, 3), (2, 3, 3, 2), dims="bf01_oi01->bf01", padding=[(1, 1), (0, 0)])
conv("layout_f01b", (3, 4, 3, 2), (3, 2, 3, 4), dims="f01b_i01o->01bf")
conv("swapped_spatial", (2, 4, 5, 2), (2, 3, 2, 3), dims="b10f_01io->b01f", stride=[2, 1])
conv("pointwise", (2, 3, 3, 4), (1, 1, 4, 2))

# ---- Windows ---------------------------------------------------------------------------------


def max_pool(x, size, stride=None, padding=None, dilation=None):
    """The largest of each window, where the first of equal ones has all of the derivative.

    This is `reduce_window` with `max`, of which JAX has no reverse mode when it is dilated.
    """
    rank = x.ndim
    stride, dilation = stride or (1,) * rank, dilation or (1,) * rank
    padding = padding or ((0, 0),) * rank
    padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(low, high, 0) for low, high in padding])
    reach = [(s - 1) * d for s, d in zip(size, dilation)]
    shifted = []
    for offsets in itertools.product(*map(range, size)):
        start = [o * d for o, d in zip(offsets, dilation)]
        stop = [a + n - r for a, n, r in zip(start, padded.shape, reach)]
        shifted.append(lax.slice(padded, start, stop, stride))
    windows = jnp.stack(shifted, -1)
    index = jnp.argmax(windows, -1, keepdims=True)
    return jnp.take_along_axis(windows, index, -1)[..., 0]


def window(name, x, size, stride=None, padding=None, dilation=None, ties=False):
    """Cases of a sum and of a maximum over windows."""
    attrs = [f"size={list(size)}"]
    for key, value in [("stride", stride), ("padding", padding), ("dilation", dilation)]:
        if value:
            text = ", ".join(f"{v[0]}:{v[1]}" if isinstance(v, tuple) else str(v) for v in value)
            attrs.append(f"{key}=[{text}]")
    attrs = ", ".join(attrs)
    rank = len(size)
    settings = (size, stride or (1,) * rank, padding or ((0, 0),) * rank)
    total = lambda x: lax.reduce_window(  # noqa: E731
        x, np.zeros((), x.dtype), lax.add, *settings, window_dilation=dilation
    )
    largest = lambda x: max_pool(x, size, stride, padding, dilation)  # noqa: E731

    case(f"window_sum_{name}", f"window_sum[{attrs}] %x", total, x=normal(*x))
    y = jax.eval_shape(largest, jax.ShapeDtypeStruct(x, np.float32))
    index = f"%i = window_argmax[{attrs}] %x : i32{list(y.shape)}"
    gather = f"window_gather[{attrs}] %x, %i"
    case(f"max_pool_{name}", [index, gather], largest, x=normal(*x))
    if ties:
        case(f"max_pool_{name}_ties", [index, gather], largest, x=tied(*x))


window("even", (2, 4, 4, 2), (1, 2, 2, 1), (1, 2, 2, 1), ties=True)
window("rest", (1, 5, 5, 2), (1, 2, 3, 1), (1, 2, 3, 1))
window("overlap", (1, 6, 5, 2), (1, 3, 2, 1), (1, 2, 1, 1), ties=True)
window("padded", (2, 5, 4, 1), (1, 2, 2, 1), (1, 2, 2, 1), ((0, 0), (0, 1), (1, 0), (0, 0)))
window("same", (1, 4, 4, 2), (1, 3, 3, 1), None, ((0, 0), (1, 1), (1, 1), (0, 0)), ties=True)
window("dilated", (1, 7, 6, 1), (1, 2, 3, 1), (1, 2, 1, 1), None, (1, 3, 2, 1), ties=True)
window("one_dim", (9,), (3,), (2,), ((1, 1),), ties=True)

# ---- Indexing --------------------------------------------------------------------------------


def take(x, i, axis):
    """Positions outside give zero. JAX counts negative ones from the end, hence the `where`."""
    i = jnp.where(i < 0, x.shape[axis], i)
    return jnp.take(x, i, axis=axis, mode="fill", fill_value=0)


case("gather_rows", "gather[axis=0] %x, %i", lambda x, i: take(x, i, 0), x=normal(5, 3), i=ints(4, 0, 0, 2))
case("gather_columns", "gather[axis=1] %x, %i", lambda x, i: take(x, i, 1), x=normal(2, 4, 3), i=ints([3, 1], [0, 3], [2, 2]))
case("gather_scalar", "gather[axis=1] %x, %i", lambda x, i: take(x, i, 1), x=normal(3, 4), i=np.int32(2))
case("gather_outside", "gather[axis=0] %x, %i", lambda x, i: take(x, i, 0), x=normal(3, 2), i=ints(1, 3, -1, 0, 100))
case(
    "gather_batched",
    "gather[axis=1, batch=1] %x, %i",
    jax.vmap(lambda x, i: take(x, i, 0)),
    x=normal(3, 4),
    i=ints([0, 3], [1, 1], [2, 0]),
)
case(
    "gather_batched_inner",
    "gather[axis=2, batch=1] %x, %i",
    jax.vmap(lambda x, i: take(x, i, 1)),
    x=normal(2, 3, 4, 2),
    i=ints([0, 3, 3], [1, 2, 0]),
)
case(
    "gather_labels",
    "gather[axis=1, batch=1] %x, %i",
    lambda x, i: jnp.take_along_axis(x, i[:, None], 1)[:, 0],
    x=normal(4, 5),
    i=ints(2, 0, 4, 1),
)

case(
    "scatter_add",
    "scatter_add[axis=0] %x, %i",
    lambda x, i: jnp.zeros((4, 3), x.dtype).at[i].add(x, mode="drop"),
    x=normal(5, 3),
    i=ints(3, 0, 3, 9, 1),
)
case(
    "scatter_add_batched",
    "scatter_add[axis=1, batch=1] %x, %i",
    jax.vmap(lambda x, i: jnp.zeros((4, 2), x.dtype).at[i].add(x)),
    x=normal(2, 3, 2),
    i=ints([3, 0, 3], [1, 2, 0]),
)

# ---- Linear algebra --------------------------------------------------------------------------


def dominant(*shape):
    """Matrices with a large diagonal. What isn't read is as it comes."""
    return lambda rng: np.float32(rng.uniform(-1, 1, shape) + (1 + 0.5 * shape[-1]) * np.eye(shape[-1]))


def cholesky(a):
    """Of the lower triangle: `symmetrize_input` would read the other one too."""
    a = jnp.tril(a) + jnp.swapaxes(jnp.tril(a, -1), -1, -2)
    return lax.linalg.cholesky(a, symmetrize_input=False)


for name, shape in [("matrix", (4, 4)), ("batched", (2, 3, 3, 3)), ("one", (1, 1))]:
    case(f"cholesky_{name}", "cholesky %a", cholesky, a=dominant(*shape))
for name, attrs, lower, transpose in [
    ("lower", "", True, False),
    ("lower_transposed", "[transpose=true]", True, True),
    ("upper", "[upper=true]", False, False),
    ("upper_transposed", "[upper=true, transpose=true]", False, True),
]:
    solve = functools.partial(lax.linalg.triangular_solve, left_side=True, lower=lower, transpose_a=transpose)
    case(f"triangular_solve_{name}", f"triangular_solve{attrs} %t, %b", solve, t=dominant(4, 4), b=normal(4, 3))
    case(f"triangular_solve_{name}_batched", f"triangular_solve{attrs} %t, %b", solve, t=dominant(2, 3, 3), b=normal(2, 3, 2))
case(
    "cholesky_solve",
    [
        "%factor = cholesky %a : f32[2, 4, 4]",
        "%x = triangular_solve %factor, %b : f32[2, 4, 2]",
        "triangular_solve[transpose=true] %factor, %x",
    ],
    lambda a, b: jax.scipy.linalg.cho_solve((cholesky(a), True), b),
    a=dominant(2, 4, 4),
    b=normal(2, 4, 2),
)

# ---- Together --------------------------------------------------------------------------------

case(
    "log_softmax",
    [
        "%top = max[axes=[1]] %x : f32[3]",
        "%level = stop_gradient %top : f32[3]",
        "%levels = broadcast[dims=[0]] %level : f32[3, 5]",
        "%shifted = sub %x, %levels : f32[3, 5]",
        "%e = exp %shifted : f32[3, 5]",
        "%total = sum[axes=[1]] %e : f32[3]",
        "%log = log %total : f32[3]",
        "%logs = broadcast[dims=[0]] %log : f32[3, 5]",
        "sub %shifted, %logs",
    ],
    jax.nn.log_softmax,
    x=normal(3, 5),
)
