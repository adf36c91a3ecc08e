"""Writes `language.safetensors`: expressions of the language and what JAX computes for the same in NumPy's words.

Run as `python tests/oracle/language.py` from the root of the repository; see README.md beside it. An expression reads
the operands that it names. Results are in double precision, of operands that are exact in single precision.
"""

import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

sys.dont_write_bytecode = True
from make import write  # noqa: E402

HERE = pathlib.Path(__file__).parent
RNG = np.random.default_rng(7)


def normal(*shape):
    return np.float64(np.float32(RNG.standard_normal(shape)))


def floats(*values):
    return np.float64(np.float32(values))


def ints(*values):
    return np.array(values, np.int32)


OPERANDS = {
    "x": normal(4, 5, 6),
    "y": normal(4, 3, 6),
    "a": normal(3, 4),
    "b": normal(4, 5),
    "c": normal(5, 2),
    "m": normal(5, 5),
    "s": normal(4, 5, 5),
    "o": normal(4, 3, 4),
    "t": normal(1, 5, 2),
    "u": normal(6),
    "z": np.float64([[2.0, 0.0, 3.0, -1.5], [0.0, 2.5, 0.0, 4.0], [1.0, -2.0, 0.5, 3.0]]),
    "f": floats(5.5, -5.5, 5.5, -5.5, 1.0, -1.0, 6.0, -6.0, 0.3),
    "h": floats(2.0, 2.0, -2.0, -2.0, 0.1, 0.1, 1.5, 1.5, -7.0),
    "e": floats(np.nan, np.inf, -np.inf, 1.0, 3e38),
    "image": normal(2, 5, 6, 3),
    "kernel": normal(3, 2, 3, 4),
    "own": normal(3, 3, 1, 6),
    "i": ints(3, -1, 0),
    "j": ints(0, 4, -5),
    "r": ints([1], [-2]),
    "p": np.int32(RNG.integers(0, 5, (4, 2, 6))),
    "g": ints(1, 4, 1),
    "d": ints(3, 0, 1),
    "k": ints(7, -7, 7, -7, 6, -6, 2**31 - 1, -(2**31)),
    "n": ints(3, 3, -3, -3, 3, 3, -65537, 3),
}


def einsum(spec, *names):
    return f'einsum("{spec}", {", ".join(names)})', lambda **v: jnp.einsum(spec, *(v[name] for name in names))


def transposed(options, stride, padding, dilation=None):
    dims = ("NHWC", "HWIO", "NHWC")
    return (
        f"convolve_transpose(image, kernel{options})",
        lambda image, kernel: lax.conv_transpose(
            image, kernel, stride, padding, rhs_dilation=dilation, dimension_numbers=dims
        ),
    )


CASES = [
    ("x[i]", lambda x, i: x[i]),
    ("x[:, i]", lambda x, i: x[:, i]),
    ("x[i, j]", lambda x, i, j: x[i, j]),
    ("x[i, :, j]", lambda x, i, j: x[i, :, j]),
    ("x[0, :, i]", lambda x, i: x[0, :, i]),
    ("x[i, 1]", lambda x, i: x[i, 1]),
    ("x[:, -1, i]", lambda x, i: x[:, -1, i]),
    ("x[r, j]", lambda x, r, j: x[r, j]),
    ("x[:, r]", lambda x, r: x[:, r]),
    ("x[i, j, i]", lambda x, i, j: x[i, j, i]),
    ("x[1:3, j, ::-1]", lambda x, j: x[1:3, j, ::-1]),
    ("x[i[1]]", lambda x, i: x[i[1]]),
    ("x[::-1]", lambda x: x[::-1]),
    ("x[3:0:-2, ::2, -1]", lambda x: x[3:0:-2, ::2, -1]),
    ("x[-1:-4:-1, :, ::-3]", lambda x: x[-1:-4:-1, :, ::-3]),
    ("x[1:3:-1]", lambda x: x[1:3:-1]),
    einsum("ab,bc,cd->ad", "a", "b", "c"),
    einsum("ab,bc,cd->dab", "a", "b", "c"),
    einsum("ii->i", "m"),
    einsum("ii", "m"),
    einsum("...ii->...", "s"),
    einsum("iji->ji", "o"),
    einsum("kij->jk", "x"),
    einsum("kij->k", "x"),
    einsum("i,i,i->", "u", "u", "u"),
    einsum("...k,k", "x", "u"),
    einsum("...ij,...jk", "s", "t"),
    einsum("...ij,jj,...jk->k...", "s", "m", "t"),
    einsum("cb,ab", "a", "a"),
    ("prod(a)", lambda a: jnp.prod(a)),
    ("prod(x, [0, 2], keep=true)", lambda x: jnp.prod(x, (0, 2), keepdims=True)),
    ("prod(z, 1)", lambda z: jnp.prod(z, 1)),
    ("prod(i)", lambda i: jnp.prod(i, dtype=np.int32)),
    ("cumsum(a)", lambda a: jnp.cumsum(a, 1)),
    ("cumsum(x, 0)", lambda x: jnp.cumsum(x, 0)),
    ("cumsum(i)", lambda i: jnp.cumsum(i, dtype=np.int32)),
    ("stack([a, 2 * a], 1)", lambda a: jnp.stack([a, 2 * a], 1)),
    ("stack([a, 1], -1)", lambda a: jnp.stack([a, jnp.ones_like(a)], -1)),
    ("clip(a, -0.25, 0.5)", lambda a: jnp.clip(a, -0.25, 0.5)),
    ("where(a > 0, a, -1)", lambda a: jnp.where(a > 0, a, -1)),
    ("take_along_axis(x, p, 1)", lambda x, p: jnp.take_along_axis(x, p, 1)),
    ("scatter_add(x, g, y, 1)", lambda x, g, y: x.at[:, g].add(y)),
    ("scatter(x, d, y, 1)", lambda x, d, y: x.at[:, d].set(y)),
    ("argmin(a)", lambda a: jnp.argmin(a, 1)),
    ("argmin(x, 0)", lambda x: jnp.argmin(x, 0)),
    ("argmin(k)", lambda k: jnp.argmin(k)),
    ("i32(any(a > 0.9, 0))", lambda a: jnp.any(a > 0.9, 0)),
    ("i32(all(x > -1, [0, 2], keep=true))", lambda x: jnp.all(x > -1, (0, 2), keepdims=True)),
    ("i32((a > 0) == (a < 0.5))", lambda a: (a > 0) == (a < 0.5)),
    ("i32((a > 0) != true)", lambda a: (a > 0) != True),  # noqa: E712
    ("i32(isnan(e))", lambda e: jnp.isnan(e)),
    ("i32(isinf(e))", lambda e: jnp.isinf(e)),
    ("i32(isfinite(e))", lambda e: jnp.isfinite(e)),
    ("k // n", lambda k, n: k // n),
    ("k % n", lambda k, n: k % n),
    ("k // -4", lambda k: k // -4),
    ("f // h", lambda f, h: f // h),
    ("f % h", lambda f, h: f % h),
    transposed(", stride=2", (2, 2), "SAME"),
    transposed(', stride=[2, 3], padding="valid"', (2, 3), "VALID"),
    transposed(", stride=3, padding=[[1, 0], [-1, 2]]", (3, 3), [(1, 0), (-1, 2)]),
    transposed(", dilation=2", (1, 1), "SAME", (2, 2)),
    (
        'convolve(image, own, stride=2, padding="valid", groups=3)',
        lambda image, own: lax.conv_general_dilated(
            image, own, (2, 2), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=3
        ),
    ),
]


def main():
    arrays = {f"in:{name}": x for name, x in OPERANDS.items()}
    for text, function in CASES:
        words = set(re.findall(r"\b[a-z]+\b", re.sub(r'"[^"]*"', "", text)))
        used = {name: jnp.asarray(x) for name, x in OPERANDS.items() if name in words}
        value = np.asarray(function(**used))
        if value.dtype.kind != "f":
            arrays[f"{text}:y"] = np.int32(value)
            continue
        arrays[f"{text}:y"] = value
        varied = {name: x for name, x in used.items() if x.dtype.kind == "f"}
        grads = jax.grad(lambda v: jnp.sum(function(**(used | v)) ** 2))(varied)
        arrays |= {f"{text}:{name}.grad": np.asarray(g) for name, g in grads.items()}
    write(HERE / "language.safetensors", arrays, {})


if __name__ == "__main__":
    main()
