"""JAX's side of race.py: an MLP trained on MNIST by backprop, Adam and a rate that falls to 0 as a cosine, all epochs in
one compiled call. Usage: jax_race.py FOLDER HIDDEN LAYERS RATE EPOCHS BATCH SEED. Prints the test accuracy, and the
seconds of training and of compilation, as a line of JSON.
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

MEAN, DEVIATION = 0.1307, 0.3081
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def read(folder, split):
    """The images of a split, normalised, and their labels, of files in the form in which MNIST is published."""
    images = np.fromfile(folder / f"{split}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28 * 28)
    labels = np.fromfile(folder / f"{split}-labels-idx1-ubyte", np.uint8, offset=8)
    return (images.astype("f") / 255 - MEAN) / DEVIATION, labels.astype("i")


def logits(params, x):
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


def loss(params, x, y):
    rows = jax.nn.log_softmax(logits(params, x))
    return -jnp.mean(jnp.take_along_axis(rows, y[:, None], 1))


def train(params, x, y, order, rates):
    """The parameters after a step of Adam for each row of `order`, the samples of a batch."""

    def step(carry, now):
        params, m, v, t = carry
        rows, rate = now
        t = t + 1
        g = jax.grad(loss)(params, x[rows], y[rows])
        m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
        scale = rate / (1 - BETA1**t)
        params = jax.tree.map(
            lambda p, m, v: p - scale * m / (jnp.sqrt(v / (1 - BETA2**t)) + EPS), params, m, v
        )
        return (params, m, v, t), None

    zeros = jax.tree.map(jnp.zeros_like, params)
    return jax.lax.scan(step, (params, zeros, zeros, 0.0), (order, rates))[0][0]


def main():
    folder, hidden, layers, rate, epochs, batch, seed = sys.argv[1:]
    hidden, layers, epochs, batch, seed = (int(a) for a in (hidden, layers, epochs, batch, seed))
    x, y = read(Path(folder), "train")
    test = read(Path(folder), "t10k")
    rng = np.random.default_rng(seed)
    sizes = [28 * 28] + [hidden] * layers + [10]
    params = [
        (jnp.array(rng.normal(size=pair).astype("f") / np.sqrt(pair[0])), jnp.zeros(pair[1]))
        for pair in zip(sizes, sizes[1:])
    ]
    steps = len(x) // batch
    order = np.stack([rng.permutation(len(x))[: steps * batch].reshape(steps, batch) for _ in range(epochs)])
    order = order.reshape(-1, batch).astype("i")
    rates = 0.5 * float(rate) * (1 + np.cos(np.pi * np.arange(len(order)) / len(order)))
    args = (params, jnp.array(x), jnp.array(y), jnp.array(order), jnp.array(rates.astype("f")))
    start = time.perf_counter()
    compiled = jax.jit(train).lower(*args).compile()
    compiled_at = time.perf_counter()
    params = jax.block_until_ready(compiled(*args))
    trained = time.perf_counter()
    accuracy = float(np.mean(np.argmax(logits(params, test[0]), 1) == test[1]))
    print(json.dumps({"accuracy": accuracy, "train": trained - compiled_at, "compile": compiled_at - start}))


main()
