"""Writes the oracle fixtures: what JAX says of the models and of single operations.

Run as `python tests/oracle/make.py` from the root of the repository; see README.md beside it.
"""

import json
import math
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_default_matmul_precision", "highest")

sys.dont_write_bytecode = True
import ops  # noqa: E402  (its functions are made after the switches above)

HERE = pathlib.Path(__file__).parent
BATCH = 3
FLOATS = {"f32": np.float32, "f64": np.float64}
DTYPES = {"float32": "F32", "float64": "F64", "int32": "I32", "uint32": "U32"}


def write(path, arrays, metadata):
    """A safetensors file. The library's own writer puts metadata in an order that changes."""
    header, blobs, at = {"__metadata__": metadata}, [], 0
    for name, array in sorted(arrays.items()):
        array = np.asarray(array)
        blob = array.tobytes()
        offsets = [at, at + len(blob)]
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": offsets}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def cast(arrays, dtype):
    """The float arrays in another precision, the rest as they are."""
    return {k: jnp.asarray(v, dtype if v.dtype.kind == "f" else v.dtype) for k, v in arrays.items()}


def derivatives(loss, params, tangents):
    """`loss(params)` and its derivatives, by the names that the fixtures use.

    A Hessian-vector product that is zero throughout is left out.
    """
    value, dloss = jax.jit(lambda p, dp: jax.jvp(loss, (p,), (dp,)))(params, tangents)
    grads, hvps = jax.jit(lambda p, dp: jax.jvp(jax.grad(loss), (p,), (dp,)))(params, tangents)
    named = {"loss": value, "loss.tangent": dloss}
    named |= {f"{k}.grad": v for k, v in grads.items()}
    return named | {f"{k}.hvp": v for k, v in hvps.items() if np.any(v)}


def expect(named, prefix, dtype):
    """Checks that results are finite and of the intended precision, and marks them with it."""
    out = {}
    for name, value in named.items():
        value = np.asarray(value)
        assert value.dtype.kind != "f" or value.dtype == dtype, f"{name} is {value.dtype}"
        assert np.all(np.isfinite(value)), f"{name} isn't finite"
        out[f"{prefix}:{name}"] = value
    return out


# ---- Models ----------------------------------------------------------------------------------


class Net:
    """Parameters and states by qualified name. With a generator, unknown ones are drawn."""

    def __init__(self, params, states, training=True, rng=None):
        self.params, self.states, self.training, self.rng = params, states, training, rng
        self.updates = {}

    def declare(self, arrays, name, shape, mean, std):
        if self.rng is not None:
            arrays[name] = np.float32(mean + std * self.rng.standard_normal(shape))
        return arrays[name]

    def param(self, name, shape, mean=0.0, std=0.5):
        return self.declare(self.params, name, shape, mean, std)

    def dense(self, x, units, name):
        w = self.param(f"{name}.w", (x.shape[-1], units), std=x.shape[-1] ** -0.5)
        return x @ w + self.param(f"{name}.b", (units,))

    def conv(self, x, features, name):
        c = x.shape[-1]
        w = self.param(f"{name}.w", (3, 3, c, features), std=(9 * c) ** -0.5)
        dims = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=dims)
        return y + self.param(f"{name}.b", (features,))

    def affine(self, x, name):
        c = (x.shape[-1],)
        return x * self.param(f"{name}.scale", c, mean=1.0, std=0.2) + self.param(f"{name}.offset", c)

    def batch_norm(self, x, name):
        c = (x.shape[-1],)
        mean = self.declare(self.states, f"{name}.mean", c, 0.0, 0.3)
        var = self.declare(self.states, f"{name}.var", c, 1.5, 0.1)
        if self.training:
            axes = tuple(range(x.ndim - 1))
            m = jnp.mean(x, axes)
            v = jnp.mean(jnp.square(x - m), axes)
            self.updates[f"{name}.mean"] = 0.9 * mean + 0.1 * m
            self.updates[f"{name}.var"] = 0.9 * var + 0.1 * v
            mean, var = m, v
        return self.affine((x - mean) * jax.lax.rsqrt(var + 1e-5), name)

    def layer_norm(self, x, name):
        m = jnp.mean(x, -1, keepdims=True)
        v = jnp.mean(jnp.square(x - m), -1, keepdims=True)
        return self.affine((x - m) * jax.lax.rsqrt(v + 1e-5), name)


def flatten(x):
    return x.reshape(x.shape[0], -1)


def logistic(net, x):
    return net.dense(flatten(x), 10, "head")


def mlp(net, x, hidden):
    h = flatten(x)
    for i in range(2):
        h = jax.nn.relu(net.dense(h, hidden, f"fc.{i}"))
    return net.dense(h, 10, "head")


def mlp_bn(net, x, hidden):
    h = flatten(x)
    for i in range(2):
        h = jax.nn.relu(net.batch_norm(net.dense(h, hidden, f"fc.{i}"), f"bn.{i}"))
    return net.dense(h, 10, "head")


def cnn(net, x, features, hidden):
    h = x
    for i in range(2):
        for j in range(2):
            h = jax.nn.relu(net.conv(h, features, f"conv.{i}.{j}"))
        h = ops.max_pool(h, size=(1, 2, 2, 1), stride=(1, 2, 2, 1))
    h = jax.nn.relu(net.dense(flatten(h), hidden, "fc"))
    return net.dense(h, 10, "head")


def resnet(net, x, features, blocks):
    h = jax.nn.relu(net.batch_norm(net.conv(x, features, "stem"), "stem_bn"))
    for i in range(blocks):
        residual = net.batch_norm(net.conv(h, features, f"block.{i}.conv"), f"block.{i}.bn")
        h = jax.nn.relu(h + residual)
    return net.dense(jnp.mean(h, (1, 2)), 10, "head")


def rnn(net, x, hidden):
    steps, width = x.shape[1:3]
    wx = net.param("wx", (width, hidden), std=width**-0.5)
    wh = net.param("wh", (hidden, hidden), std=hidden**-0.5)
    b = net.param("b", (hidden,))
    h = jnp.zeros((x.shape[0], hidden), x.dtype)
    for t in range(steps):
        h = jnp.tanh(x[:, t, :, 0] @ wx + h @ wh + b)
    return net.dense(h, 10, "head")


def attention(net, x, heads, name):
    batch, tokens, width = x.shape
    split = (batch, tokens, heads, width // heads)
    q, k, v = (net.dense(x, width, f"{name}.{part}").reshape(split) for part in "qkv")
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(width // heads)
    out = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, -1), v)
    return net.dense(out.reshape(x.shape), width, f"{name}.o")


def transformer(net, x, patch, width, heads):
    batch, image, _, channels = x.shape
    n = image // patch
    h = x.reshape(batch, n, patch, n, patch, channels).transpose(0, 1, 3, 2, 4, 5)
    h = net.dense(h.reshape(batch, n * n, patch * patch * channels), width, "embed")
    h = h + net.param("pos", (n * n, width))
    h = h + attention(net, net.layer_norm(h, "norm1"), heads, "attn")
    up = net.dense(net.layer_norm(h, "norm2"), 4 * width, "up")
    h = h + net.dense(jax.nn.gelu(up, approximate=True), width, "down")
    return net.dense(jnp.mean(net.layer_norm(h, "norm3"), 1), 10, "head")


def rosenbrock(net):
    x, y = net.param("x", ()), net.param("y", ())
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def beale(net):
    x, y = net.param("x", ()), net.param("y", ())
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


# Model, constants that shape its input, its other constants.
CLASSIFIERS = [
    (logistic, {"image": 4}, {}),
    (mlp, {"image": 4}, {"hidden": 5}),
    (mlp_bn, {"image": 4}, {"hidden": 5}),
    (cnn, {"image": 8}, {"features": 3, "hidden": 6}),
    (resnet, {"image": 6, "channels": 2}, {"features": 4, "blocks": 2}),
    (rnn, {"image": 4}, {"hidden": 5}),
    (transformer, {"image": 4}, {"patch": 2, "width": 8, "heads": 2}),
]


def model_fixture(model, input_consts, consts):
    """Draws the arrays of a classifier and computes what is expected of it."""
    rng = np.random.default_rng(0)
    image, channels = input_consts["image"], input_consts.get("channels", 1)
    inputs = {
        "x": np.float32(rng.standard_normal((BATCH, image, image, channels))),
        "y": rng.integers(0, 10, BATCH, dtype=np.int32),
    }
    params, states = {}, {}
    model(Net(params, states, rng=rng), inputs["x"], **consts)
    tangents = {k: np.float32(rng.standard_normal(v.shape)) for k, v in params.items()}

    arrays = inputs | params | states | {f"{k}.tangent": v for k, v in tangents.items()}
    for prefix, dtype in FLOATS.items():
        x, y = cast(inputs, dtype).values()
        s = cast(states, dtype)

        def run(p, training=True):
            net = Net(p, s, training)
            logits = model(net, x, **consts)
            losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)
            accuracy = jnp.mean((jnp.argmax(logits, 1) == y).astype(dtype))
            return jnp.mean(losses), accuracy, net.updates

        p = cast(params, dtype)
        named = derivatives(lambda p: run(p)[0], p, cast(tangents, dtype))
        _, named["accuracy"], updates = run(p)
        named |= updates
        if states:
            named["eval.loss"] = run(p, training=False)[0]
        arrays |= expect(named, prefix, dtype)
    settings = " ".join(f"{k}={v}" for k, v in (input_consts | consts).items())
    write(HERE / "models" / f"{model.__name__}.safetensors", arrays, {"set": settings, "batch": str(BATCH)})


def function_fixture(function):
    """The same for a test function of optimisation, which has parameters alone."""
    rng = np.random.default_rng(0)
    params = {}
    function(Net(params, {}, rng=rng))
    tangents = {k: np.float32(rng.standard_normal(v.shape)) for k, v in params.items()}
    arrays = params | {f"{k}.tangent": v for k, v in tangents.items()}
    for prefix, dtype in FLOATS.items():
        named = derivatives(lambda p: function(Net(p, {})), cast(params, dtype), cast(tangents, dtype))
        arrays |= expect(named, prefix, dtype)
    write(HERE / "models" / f"{function.__name__}.safetensors", arrays, {"set": "", "batch": str(BATCH)})


# ---- Single operations -----------------------------------------------------------------------


def op_fixture(case):
    """The graph of a case as text, and what is expected of it."""
    rng = np.random.default_rng(0)
    args = {k: v(rng) if callable(v) else v for k, v in case.args.items()}
    floats = [k for k, v in args.items() if v.dtype == np.float32]
    y = np.asarray(case.function(*cast(args, np.float32).values()))
    differentiable = y.dtype == np.float32
    if differentiable:
        cotangent = np.float32(rng.standard_normal(y.shape))
    tangents = {k: np.float32(rng.standard_normal(args[k].shape)) for k in floats}

    def leaf(k, v):
        form = f'param["{k}", init=constant(0.0)]' if k in floats else f'input["{k}"]'
        return f"%{k} = {form} : {ops.type_of(v)}"

    lines = [leaf(k, v) for k, v in args.items()] + list(case.lines[:-1])
    lines.append(f"%y = {case.lines[-1]} : {ops.type_of(y)}")
    outputs = ["output y = %y"]
    if differentiable:
        outputs.insert(0, "loss loss = %l")
        lines.insert(len(args), f'%c = input["c"] : {ops.type_of(y)}')
        if y.ndim:
            lines.append(f"%m = mul %y, %c : {ops.type_of(y)}")
            lines.append(f"%l = sum[axes={list(range(y.ndim))}] %m : f32[]")
        else:
            lines.append("%l = mul %y, %c : f32[]")
    text = "".join(f"  {line}\n" for line in lines) + "\n" + "".join(f"  {line}\n" for line in outputs)
    (HERE / "ops" / f"{case.name}.fg").write_text(f"graph {case.name} {{\n{text}}}\n")

    arrays = args | {f"{k}.tangent": v for k, v in tangents.items()}
    if differentiable:
        arrays["c"] = cotangent
    for prefix, dtype in FLOATS.items():
        given = cast(args, dtype)
        primal = lambda p: case.function(*(given | p).values())  # noqa: E731
        p, dp = {k: given[k] for k in floats}, cast(tangents, dtype)
        named = {"y": primal(p)}
        if differentiable:
            _, named["y.tangent"] = jax.jvp(primal, (p,), (dp,))
            c = jnp.asarray(cotangent, dtype)
            named |= derivatives(lambda p: jnp.sum(primal(p) * c), p, dp)
        arrays |= expect(named, prefix, dtype)
    write(HERE / "ops" / f"{case.name}.safetensors", arrays, {})


def main():
    for directory in "models", "ops":
        (HERE / directory).mkdir(exist_ok=True)
        for old in (HERE / directory).iterdir():
            old.unlink()
    for model in CLASSIFIERS:
        model_fixture(*model)
    for function in rosenbrock, beale:
        function_fixture(function)
    for case in ops.CASES:
        op_fixture(case)


if __name__ == "__main__":
    main()
