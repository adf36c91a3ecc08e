"""JAX's side of the comparison. Usage: jax_peer.py THREADS, then as worker.py says."""

import worker

THREADS = worker.threads()

import jax  # after the cores have been chosen
import jax.numpy as jnp
import numpy as np


def linear_init(key, sizes):
    params = []
    for n_in, n_out in zip(sizes[:-1], sizes[1:]):
        key, k = jax.random.split(key)
        params.append((jax.random.normal(k, (n_in, n_out)) * np.sqrt(1 / n_in), jnp.zeros(n_out)))
    return params


def mlp(params, x):
    x = x.reshape(x.shape[0], -1)
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def conv_init(key, n_in, n_out):
    return jax.random.normal(key, (3, 3, n_in, n_out)) * np.sqrt(2 / (9 * n_in)), jnp.zeros(n_out)


def conv(x, w, b):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b


def max_pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def cnn_init(key):
    keys = jax.random.split(key, 5)
    convs = [conv_init(k, n_in, 64) for k, n_in in zip(keys, (1, 64, 64, 64))]
    return convs + linear_init(keys[4], [7 * 7 * 64, 1024, worker.CLASSES])


def cnn(params, x):
    for k in (0, 2):
        x = jax.nn.relu(conv(x, *params[k]))
        x = jax.nn.relu(conv(x, *params[k + 1]))
        x = max_pool(x)
    return mlp(params[4:], x)


def batch_norm(x, scale, offset):
    others = tuple(range(x.ndim - 1))
    mean = x.mean(others)
    var = ((x - mean) ** 2).mean(others)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * scale + offset


def resnet_init(key, width=32, blocks=4):
    keys = jax.random.split(key, blocks + 2)
    norm = lambda: (jnp.ones(width), jnp.zeros(width))
    blocks = [(conv_init(k, width, width), norm()) for k in keys[1:-1]]
    stem = (conv_init(keys[0], 3, width), norm())
    return {"stem": stem, "blocks": blocks, "head": linear_init(keys[-1], [width, worker.CLASSES])}


def resnet(params, x):
    (kernel, norm) = params["stem"]
    x = jax.nn.relu(batch_norm(conv(x, *kernel), *norm))
    for kernel, norm in params["blocks"]:
        x = jax.nn.relu(x + batch_norm(conv(x, *kernel), *norm))
    return mlp(params["head"], x.mean((1, 2)))


def model(work):
    """The function that initialises the parameters of a work, and the one that gives logits."""
    if work["model"] == "mlp":
        hidden = work["width"]
        return lambda key: linear_init(key, [28 * 28, hidden, hidden, worker.CLASSES]), mlp
    return {"cnn": (cnn_init, cnn), "resnet": (resnet_init, resnet)}[work["model"]]


def prepare(work):
    init, logits = model(work)
    rng = np.random.default_rng(0)
    x = jnp.array(rng.normal(size=(work["batch"], *work["input"])).astype("f"))
    y = jnp.array(rng.integers(0, worker.CLASSES, work["batch"]))
    params = init(jax.random.PRNGKey(0))

    def loss(params, x, y):
        rows = jax.nn.log_softmax(logits(params, x))
        return -jnp.mean(jnp.take_along_axis(rows, y[:, None], 1))

    def jvp(params, v, x, y):
        return jax.jvp(lambda q: loss(q, x, y), (params,), (v,))

    def draw(params, key):
        leaves, tree = jax.tree.flatten(params)
        keys = jax.random.split(key, len(leaves))
        return tree.unflatten([jax.random.normal(k, a.shape) for k, a in zip(keys, leaves)])

    def update(params, by, scale):
        return jax.tree.map(lambda a, b: a - worker.RATE * scale * b, params, by)

    def backprop_step(params, x, y):
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        return update(params, gradient, 1.0), value

    def forward_step(params, key, x, y):
        v = draw(params, key)
        value, directional = jvp(params, v, x, y)
        return update(params, v, directional), value

    # Steps write over the parameters that they are given.
    steps = {
        "backprop": jax.jit(backprop_step, donate_argnums=0),
        "forward-normal": jax.jit(forward_step, donate_argnums=0),
    }
    own = {row: init(jax.random.PRNGKey(0)) for row in steps}
    key = jax.random.PRNGKey(2)

    def step(row, *args):
        own[row], value = steps[row](own[row], *args, x, y)
        jax.block_until_ready((own[row], value))

    v = draw(params, jax.random.PRNGKey(1))
    forward, jvp_of, grad = jax.jit(loss), jax.jit(jvp), jax.jit(jax.value_and_grad(loss))
    calls = {
        "forward": lambda: jax.block_until_ready(forward(params, x, y)),
        "jvp": lambda: jax.block_until_ready(jvp_of(params, v, x, y)),
        "grad": lambda: jax.block_until_ready(grad(params, x, y)),
        "backprop": lambda: step("backprop"),
        "forward-normal": lambda: step("forward-normal", key),
    }
    return {row: {"jax": call} for row, call in calls.items()}


worker.serve(prepare)
