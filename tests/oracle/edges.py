"""Writes `edges.safetensors`: elementwise functions and their slopes at the edges of their domains.

Run as `python tests/oracle/edges.py` from the root of the repository; see README.md beside it. The numbers are those
of mpmath, rounded once to double precision, at arguments that are exact in the precision they are for. What a slope is
at a kink, and the limits at infinity, are stated here; that of every function of `jax.nn` is checked against JAX
wherever JAX gives a number.
"""

import pathlib
import sys

import jax
import mpmath as mp
import numpy as np
from mpmath import inf, mpf, nan

sys.dont_write_bytecode = True
from make import write  # noqa: E402

jax.config.update("jax_enable_x64", True)
mp.mp.dps = 60
HERE = pathlib.Path(__file__).parent

SIZES = [0, 1e-45, 1e-40, 1.2e-38, 1e-30, 1e-20, 1e-10, 1e-5, 1e-3, 0.1, 0.5, 1, 1.5, 2, 3, 5, 8, 9, 10, 12, 17, 20]
SIZES += [30, 40, 50, 87, 88.5, 89, 100, 103, 104, 500, 700, 745, 800, 1e4, 16777218, 1e8, 1e15, 1e20, 3e38, inf]
WIDE = [5e-324, 1e-310, 1e-300, 1e150, 1e300, 1.7e308]
SINGLE = np.unique(np.float32([s * float(x) for x in SIZES for s in (1, -1)])).astype(np.float64)
DOUBLE = np.unique(np.float64([s * float(x) for x in SIZES + WIDE for s in (1, -1)]))


def logistic(x):
    return 1 / (1 + mp.exp(-x)) if x > 0 else mp.exp(x) / (1 + mp.exp(x))


def erfc(x):
    # Of what mpmath takes too long for.
    return mp.erfc(x) if abs(x) < 100 else mpf(0 if x > 0 else 2)


def bell(x):
    return 2 / mp.sqrt(mp.pi) * mp.exp(-min(abs(x), mpf(100)) ** 2)


def normal(x):
    """The probability that a standard normal number is below x, and the density."""
    return erfc(-x / mp.sqrt(2)) / 2, bell(x / mp.sqrt(2)) / (2 * mp.sqrt(2))


def gated(gate):
    """x · gate(x) and its slope, where gate(x) goes from 0 to 1 and gives its own slope too."""

    def value(x):
        return mpf(0) if x == -inf else x if x == inf else x * gate(x)[0]

    def slope(x):
        return mpf(x > 0) if mp.isinf(x) else gate(x)[0] + x * gate(x)[1]

    return value, slope


def gelu_gate(x):
    u = 2 * mp.sqrt(2 / mp.pi) * (x + mpf("0.044715") * x**3)
    return logistic(u), logistic(u) * logistic(-u) * 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mpf("0.044715") * x**2)


def periodic(f):
    return lambda x: nan if mp.isinf(x) else f(x)


def arcs(slope):
    """A slope of `asin` or `acos`, infinite at ±1."""
    return lambda x: slope * inf if abs(x) == 1 else slope / mp.sqrt((1 - x) * (1 + x))


def logarithm(base):
    return lambda x: -inf if x == 0 else mp.log(x, base), lambda x: inf if x == 0 else 1 / (x * mp.log(base)), 0


def tame(f):
    # Of what mpmath takes too long for.
    return lambda x: f(max(min(x, mpf(20000)), mpf(-20000)))


def none(x):
    return mpf(0)


def elu(alpha):
    return (lambda x: x if x > 0 else alpha * mp.expm1(x)), (lambda x: mpf(1) if x > 0 else alpha * mp.exp(x))


# Value, slope, least argument, and the largest unless that is infinity.
UNARY = {
    "neg": (lambda x: -x, lambda x: mpf(-1), -inf),
    "abs": (abs, lambda x: mpf(-1 if x < 0 else 1), -inf),
    "sign": (mp.sign, none, -inf),
    "square": (lambda x: x * x, lambda x: 2 * x, -inf),
    "exp": (mp.exp, mp.exp, -inf),
    "expm1": (mp.expm1, mp.exp, -inf),
    "exp2": (tame(lambda x: mpf(2) ** x), tame(lambda x: mp.log(2) * mpf(2) ** x), -inf),
    "log": (lambda x: -inf if x == 0 else mp.log(x), lambda x: inf if x == 0 else 1 / x, 0),
    "log2": logarithm(2),
    "log10": logarithm(10),
    "log1p": (lambda x: -inf if x == -1 else mp.log1p(x), lambda x: inf if x == -1 else 1 / (1 + x), -1),
    "sqrt": (mp.sqrt, lambda x: inf if x == 0 else 1 / (2 * mp.sqrt(x)), 0),
    "rsqrt": (lambda x: inf if x == 0 else 1 / mp.sqrt(x), lambda x: -inf if x == 0 else -1 / (2 * x * mp.sqrt(x)), 0),
    "sin": (periodic(mp.sin), periodic(mp.cos), -inf),
    "cos": (periodic(mp.cos), periodic(lambda x: -mp.sin(x)), -inf),
    "tan": (periodic(mp.tan), periodic(lambda x: 1 + mp.tan(x) ** 2), -inf),
    "asin": (mp.asin, arcs(1), -1, 1),
    "acos": (mp.acos, arcs(-1), -1, 1),
    "atan": (mp.atan, lambda x: 1 / (1 + x * x), -inf),
    "sinh": (tame(mp.sinh), tame(mp.cosh), -inf),
    "cosh": (tame(mp.cosh), tame(mp.sinh), -inf),
    "tanh": (mp.tanh, lambda x: 4 * logistic(2 * x) * logistic(-2 * x), -inf),
    "logistic": (logistic, lambda x: logistic(x) * logistic(-x), -inf),
    "softplus": (lambda x: max(x, 0) + mp.log1p(mp.exp(-abs(x))), logistic, -inf),
    "silu": (*gated(lambda x: (logistic(x), logistic(x) * logistic(-x))), -inf),
    "relu": (lambda x: max(x, mpf(0)), lambda x: mpf(x > 0), -inf),
    "erf": (lambda x: mp.erf(x) if abs(x) < 1 else 1 - erfc(x) if x > 0 else erfc(-x) - 1, bell, -inf),
    "erfc": (erfc, lambda x: -bell(x), -inf),
    "stop_gradient": (lambda x: x, none, -inf),
    "floor": (mp.floor, none, -inf),
    "ceil": (mp.ceil, none, -inf),
    "round": (mp.nint, none, -inf),
}

# Functions of the prelude, as `call(x)` is written, with what JAX has for them.
PRELUDE = {
    "sigmoid(x)": (*UNARY["logistic"][:2], jax.nn.sigmoid),
    "relu(x)": (*UNARY["relu"][:2], jax.nn.relu),
    "silu(x)": (*UNARY["silu"][:2], jax.nn.silu),
    "softplus(x)": (*UNARY["softplus"][:2], jax.nn.softplus),
    "gelu(x)": (*gated(gelu_gate), jax.nn.gelu),
    "gelu_exact(x)": (*gated(normal), lambda x: jax.nn.gelu(x, approximate=False)),
    "elu(x)": (*elu(1), jax.nn.elu),
    "elu(x, 0.25)": (*elu(mpf("0.25")), lambda x: jax.nn.elu(x, 0.25)),
    "clip(x, -0.5, 2)": (
        lambda x: max(min(x, mpf(2)), mpf("-0.5")),
        lambda x: mpf("0.5") if x in (mpf("-0.5"), 2) else mpf(mpf("-0.5") < x < 2),
        lambda x: jax.numpy.clip(x, -0.5, 2),
    ),
    "leaky_relu(x)": (
        lambda x: x if x >= 0 else mpf("0.01") * x,
        lambda x: mpf(1) if x >= 0 else mpf("0.01"),
        jax.nn.leaky_relu,
    ),
}


def power(a, b):
    if b == 0 or a == 1:
        return mpf(1)
    if a == 0:
        return mpf(0) if b > 0 else inf
    if mp.isinf(b):
        return nan if a < 0 else inf if (a > 1) == (b > 0) else mpf(0)
    if mp.isinf(a):
        return inf if b > 0 else mpf(0)
    if a < 0 and b != int(b):
        return nan
    return mp.power(a, b)


def power_by_base(a, b):
    return mpf(0) if b == 0 else b * power(a, b - 1)


def power_by_exponent(a, b):
    # A power that is 0 in double precision, of whatever base, has the limit 0.
    y = power(a, b)
    return mpf(0) if a == 0 or abs(y) < mpf("1e-400") else mp.log(a) * y if a > 0 else nan


def quotient(a, b):
    if b == 0:
        return nan if a == 0 else inf * mp.sign(a)
    return nan if mp.isinf(a) and mp.isinf(b) else a / b


def strong_quotient(a, b):
    return mpf(0) if a == 0 or mp.isinf(b) else quotient(a, b)


def remainder(a, b):
    if mp.isinf(a) or b == 0:
        return nan
    return a if mp.isinf(b) else mp.sign(a) * mp.fmod(abs(a), abs(b))


def whole(a, b):
    if mp.isinf(a) or b == 0:
        return nan
    return mpf(0) if mp.isinf(b) else -(a - remainder(a, b)) / b


def angle(a, b):
    if mp.isinf(a) and mp.isinf(b):
        a, b = mp.sign(a), mp.sign(b)
    return mp.atan2(a, b) if a != 0 or b != 0 else mpf(0)


def by_height(a, b):
    """b / (a² + b²), where at most one is infinite."""
    if a == 0 and b == 0 or mp.isinf(a) and mp.isinf(b):
        return nan
    return mpf(0) if mp.isinf(a) or mp.isinf(b) else b / (a * a + b * b)


def share(first):
    return lambda a, b: mpf("0.5") if a == b else mpf(first(a, b))


VALUES = [s * float(np.float32(x)) for x in [1e-45, 1e-30, 0.5, 1, 3, 1e10, 3e38, inf] for s in (1, -1)] + [0.0]
BASES = [0, 1e-40, 1e-30, 0.5, 1, 2, 3, 1e10, 3e38, inf, -0.5, -1, -2, -3]
EXPONENTS = [-1e6, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 1e6]

# Value, slopes, operands.
BINARY = {
    "add": (lambda a, b: a + b, lambda a, b: mpf(1), lambda a, b: mpf(1), VALUES, VALUES),
    "sub": (lambda a, b: a - b, lambda a, b: mpf(1), lambda a, b: mpf(-1), VALUES, VALUES),
    "mul": (lambda a, b: a * b, lambda a, b: b, lambda a, b: a, VALUES, VALUES),
    "div": (
        quotient,
        lambda a, b: quotient(mpf(1), b),
        lambda a, b: -quotient(quotient(a, b), b),
        VALUES,
        VALUES,
    ),
    "strong_mul": (lambda a, b: mpf(0) if a == 0 or b == 0 else a * b, lambda a, b: b, lambda a, b: a, VALUES, VALUES),
    "strong_div": (
        strong_quotient,
        lambda a, b: strong_quotient(mpf(1), b),
        lambda a, b: -strong_quotient(strong_quotient(a, b), b),
        VALUES,
        VALUES,
    ),
    "rem": (remainder, lambda a, b: mpf(1), whole, VALUES, VALUES),
    "maximum": (max, share(lambda a, b: a > b), share(lambda a, b: b > a), VALUES, VALUES),
    "minimum": (min, share(lambda a, b: a < b), share(lambda a, b: b < a), VALUES, VALUES),
    "atan2": (angle, by_height, lambda a, b: -by_height(b, a), VALUES, VALUES),
    "pow": (power, power_by_base, power_by_exponent, BASES, EXPONENTS),
}


def numbers(f, *args):
    return np.array([float(f(*(mpf(float(x)) for x in point))) for point in zip(*args)])


def main():
    arrays = {}
    for dtype, xs in ("f32", SINGLE), ("f64", DOUBLE):
        for name, (f, df, least, *most) in UNARY.items():
            x = xs[(xs >= float(least)) & (xs <= float(most[0] if most else inf))]
            arrays |= {f"{dtype}:{name}:x0": x, f"{dtype}:{name}:y": numbers(f, x), f"{dtype}:{name}:d0": numbers(df, x)}
    for name, (f, da, db, first, second) in BINARY.items():
        a, b = (np.float64(np.float32(v.ravel())) for v in np.meshgrid(first, second))
        key = f"any:{name}"
        arrays |= {f"{key}:x0": a, f"{key}:x1": b, f"{key}:y": numbers(f, a, b)}
        arrays |= {f"{key}:d0": numbers(da, a, b), f"{key}:d1": numbers(db, a, b)}
    for call, (f, df, jax_function) in PRELUDE.items():
        y, slope = numbers(f, SINGLE), numbers(df, SINGLE)
        for ours, theirs in (y, jax_function), (slope, jax.grad(jax_function)):
            theirs = np.array([float(theirs(float(x))) for x in SINGLE])
            known = np.isfinite(theirs)
            assert np.sum(known) > len(SINGLE) - 8, call
            np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-9, atol=1e-15, err_msg=call)
        arrays |= {f"prelude:{call}:x0": SINGLE, f"prelude:{call}:y": y, f"prelude:{call}:d0": slope}
    write(HERE / "edges.safetensors", arrays, {})


if __name__ == "__main__":
    main()
