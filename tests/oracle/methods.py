"""Writes `methods/`: what JAX and Optax say of estimators of gradients, along given directions, and of optimizers.

Run as `python tests/oracle/methods.py` from the root of the repository; see README.md beside it. Estimators are written
here as their papers have them, from derivatives by JAX of a network that takes what is added to the outputs of its layers
as an argument.
"""

import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

sys.dont_write_bytecode = True
import ops  # noqa: E402
from make import write  # noqa: E402  (it sets double precision)

HERE = pathlib.Path(__file__).parent / "methods"
BATCH, DIRECTIONS, CLASSES = 2, 3, 10
STEPS = 20


# ---- Networks: layers are a name, what is done before to the outputs of the last one, and the map that has parameters.


def flatten(x):
    return x.reshape(x.shape[0], -1)


def pooled(x):
    return ops.max_pool(jax.nn.relu(x), size=(1, 2, 2, 1), stride=(1, 2, 2, 1))


def dense(w, b, x):
    return x @ w + b


def conv(w, b, x):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b


def mlp(hidden):
    return [
        ("fc.0", flatten, dense, hidden),
        ("fc.1", jax.nn.relu, dense, hidden),
        ("head", jax.nn.relu, dense, CLASSES),
    ]


def cnn(features, hidden):
    return [
        ("conv.0.0", lambda x: x, conv, features),
        ("conv.0.1", jax.nn.relu, conv, features),
        ("conv.1.0", pooled, conv, features),
        ("conv.1.1", jax.nn.relu, conv, features),
        ("fc", lambda x: flatten(pooled(x)), dense, hidden),
        ("head", jax.nn.relu, dense, CLASSES),
    ]


class Problem:
    """A network with parameters and a batch; `sites` are the outputs of layers, of which all but the last are hidden."""

    def __init__(self, layers, image, rng):
        self.layers, self.rng = layers, rng
        self.x = self.drawn((BATCH, image, image, 1))
        self.y = rng.integers(0, CLASSES, BATCH, dtype=np.int32)
        self.params = {}
        at = self.x
        for name, before, map_, units in layers:
            at = before(at)
            shape = (at.shape[-1], units) if map_ is dense else (3, 3, at.shape[-1], units)
            w, b = self.drawn(shape) * np.prod(shape[:-1]) ** -0.5, 0.3 * self.drawn((units,))
            self.params[f"{name}.w"], self.params[f"{name}.b"] = (np.float64(np.float32(v)) for v in (w, b))
            at = map_(self.params[f"{name}.w"], self.params[f"{name}.b"], at)
        self.sites = self.outputs(self.params)
        self.hidden = {name: site for name, site in self.sites.items() if name != "head"}
        self.active = {name: np.float64(site > 0) for name, site in self.hidden.items()}
        _, self.error = jax.value_and_grad(lambda z: jnp.sum(self.shares(z)))(self.sites["head"])

    def drawn(self, shape):
        """Numbers that single precision has, so that fixtures hold half the bytes."""
        return np.float64(np.float32(self.rng.standard_normal(shape)))

    def outputs(self, params, moved=None):
        """The outputs of layers, where what is in `moved` is added to them."""
        at, sites = self.x, {}
        for name, before, map_, _ in self.layers:
            at = map_(params[f"{name}.w"], params[f"{name}.b"], before(at))
            at = at + (moved or {}).get(name, 0.0)
            sites[name] = at
        return sites

    def shares(self, logits):
        """What each sample adds to the loss."""
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), self.y[:, None], 1)[:, 0] / BATCH

    def loss(self, params):
        return jnp.sum(self.shares(self.outputs(params)["head"]))

    def along(self, function, v):
        """The derivative by what is added to hidden outputs."""
        still = {name: jnp.zeros_like(site) for name, site in self.hidden.items()}
        return jax.jvp(lambda moved: function(self.outputs(self.params, moved)["head"]), (still,), (v,))[1]

    def by_errors(self, errors):
        """The gradient by the parameters of each layer, its inputs held fixed, from the errors of its outputs."""
        grads, at = {}, self.x
        for name, before, map_, _ in self.layers:
            w, b = self.params[f"{name}.w"], self.params[f"{name}.b"]
            _, back = jax.vjp(lambda w, b, at=before(at), map_=map_: map_(w, b, at), w, b)
            grads[f"{name}.w"], grads[f"{name}.b"] = back((errors | {"head": self.error})[name])
            at = self.sites[name]
        return grads

    def directions(self, kind, like):
        """DIRECTIONS of them for each array, as they are for fgc: for `rank1` by their factors."""
        found = {}
        for name, x in like.items():
            signs = lambda *shape: np.float64(self.rng.choice([-1.0, 1.0], (DIRECTIONS, *shape)))  # noqa: E731
            if kind == "normal":
                found[name] = self.drawn((DIRECTIONS, *x.shape))
            elif kind == "rademacher":
                found[name] = signs(*x.shape)
            else:
                rows = x.shape[:-1] + (1,) if x.ndim > 1 else x.shape
                columns = (1,) * (x.ndim - 1) + x.shape[-1:] if x.ndim > 1 else (1,)
                found[f"{name}.rows"], found[f"{name}.columns"] = signs(*rows), signs(*columns)
        return found


def vector(tree):
    return ravel_pytree(tree)[0]


def add(a, b):
    return jax.tree.map(jnp.add, a, b)


def mean(trees):
    return jax.tree.map(lambda *x: sum(x) / len(trees), *trees)


def scaled(c, tree):
    return jax.tree.map(lambda x: c * x, tree)


def of_samples(d, tree):
    """A number for each sample, times what the tree has of it."""
    return jax.tree.map(lambda x: d.reshape((-1,) + (1,) * (x.ndim - 1)) * x, tree)


# ---- Estimators: gradients, and the next contents of states, from directions and states.


def slope(p, v):
    return jax.jvp(p.loss, (p.params,), (v,))[1]


def backprop(p, vs, states):
    return jax.grad(p.loss)(p.params), {}


def forward(p, vs, states, clip=np.inf):
    return mean([scaled(jnp.clip(slope(p, v), -clip, clip), v) for v in vs]), {}


def spsa(p, vs, states, eps=1e-3):
    def difference(v):
        ahead, behind = (p.loss(add(p.params, scaled(s * eps, v))) for s in (1, -1))
        return (ahead - behind) / (2 * eps)

    return mean([scaled(difference(v), v) for v in vs]), {}


def momentum_variate(p, vs, states, c=0.5):
    m = states["mean"]
    rest = mean([scaled(slope(p, v) - vector(m) @ vector(v), v) for v in vs])
    grad = add(m, rest)
    share = c * len(vs) / vector(m).size
    return grad, {"mean": add(scaled(1 - share, m), scaled(share, grad))}


def frog(p, vs, states):
    basis, unravel = jnp.stack([vector(v) for v in vs], 1), ravel_pytree(p.params)[1]
    projection = basis @ jnp.linalg.inv(basis.T @ basis) @ basis.T
    return unravel(projection @ vector(jax.grad(p.loss)(p.params))), {}


def fomoh(p, vs, states, damping=1e-6):
    basis, unravel = jnp.stack([vector(v) for v in vs], 1), ravel_pytree(p.params)[1]
    in_plane = lambda a: p.loss(add(p.params, unravel(basis @ a)))  # noqa: E731
    origin = jnp.zeros(len(vs))
    g, h = jax.grad(in_plane)(origin), jax.hessian(in_plane)(origin)
    return unravel(basis @ jnp.linalg.solve(h @ h + damping * jnp.eye(len(vs)), h @ g)), {}


def masked(p, v):
    return jax.tree.map(jnp.multiply, v, p.active)


def activity(p, vs, states):
    vs = [masked(p, v) for v in vs]
    return p.by_errors(mean([of_samples(p.along(p.shares, v), v) for v in vs])), {}


def predicted(p, maps):
    return masked(p, {name: (p.error @ maps[name]).reshape(site.shape) for name, site in p.hidden.items()})


def control_variate(p, vs, states, c=0.1):
    maps, vs = states["B"], [masked(p, v) for v in vs]
    guess = predicted(p, maps)

    def rest(v):
        known = sum(jnp.sum(flatten(guess[name] * v[name]), 1) for name in v)
        return of_samples(p.along(p.shares, v) - known, v)

    errors = add(guess, mean([rest(v) for v in vs]))
    wrong = lambda name: flatten(errors[name] - guess[name])  # noqa: E731
    learned = {name: p.error.T @ wrong(name) / jnp.sum(p.error**2) for name in maps}
    return p.by_errors(errors), {"B": add(maps, scaled(c, learned))}


def fdfa(p, vs, states, alpha=1e-3):
    maps, (v,) = states["B"], [masked(p, v) for v in vs]
    d = p.along(lambda logits: logits, v)
    measured = {name: jnp.mean(jax.vmap(jnp.outer)(d, flatten(x)), 0) for name, x in v.items()}
    return p.by_errors(predicted(p, maps)), {"B": mean_to(maps, measured, alpha)}


def mean_to(old, new, share):
    return add(scaled(1 - share, old), scaled(share, new))


# How fgc calls them, the estimator, number of directions, other parameters.
ESTIMATORS = [
    ("backprop", backprop, 0, {}),
    ("forward:draw=normal", forward, 1, {}),
    ("forward:tangents=3,draw=normal", forward, 3, {}),
    ("forward:draw=rademacher", forward, 1, {}),
    ("forward:tangents=3,draw=rademacher", forward, 3, {}),
    ("forward:draw=rank1", forward, 1, {}),
    ("forward:tangents=3,draw=rank1", forward, 3, {}),
    ("forward:tangents=3,clip=0.5,draw=normal", forward, 3, {"clip": 0.5}),
    ("spsa:draw=rademacher", spsa, 1, {}),
    ("spsa:tangents=3,eps=0.01,draw=normal", spsa, 3, {"eps": 0.01}),
    ("momentum_variate:draw=rademacher", momentum_variate, 1, {}),
    ("momentum_variate:tangents=3,c=0.3,draw=normal", momentum_variate, 3, {"c": 0.3}),
    ("frog:tangents=1,draw=normal", frog, 1, {}),
    ("frog:tangents=3,draw=normal", frog, 3, {}),
    ("fomoh:tangents=1,damping=0.01,draw=normal", fomoh, 1, {"damping": 0.01}),
    ("fomoh:tangents=3,damping=0.01,draw=normal", fomoh, 3, {"damping": 0.01}),
    ("activity:draw=rademacher", activity, 1, {}),
    ("activity:tangents=3,draw=rademacher", activity, 3, {}),
    ("control_variate:tangents=1,draw=rademacher", control_variate, 1, {}),
    ("control_variate:tangents=3,c=0.3,draw=rademacher", control_variate, 3, {"c": 0.3}),
    ("fdfa:alpha=0.2,draw=rademacher", fdfa, 1, {"alpha": 0.2}),
]


def multiplied(given, name):
    """A direction by its name, from the factors of its matrix where it is given by these."""
    if name in given:
        return given[name]
    return given[f"{name}.rows"] * given[f"{name}.columns"]


def model_fixture(name, problem, settings):
    states = {
        "mean": {k: 0.1 * problem.drawn(x.shape) for k, x in problem.params.items()},
        "B": {k: 0.3 * problem.drawn((CLASSES, x[0].size)) for k, x in problem.hidden.items()},
    }
    states = jax.tree.map(lambda x: np.float64(np.float32(x)), states)
    given = {f"{leaf}.{state}": x for state, tree in states.items() for leaf, x in tree.items()}
    arrays = {"x": problem.x, **problem.params, **given}
    drawn = {}
    for kind in "normal", "rademacher", "rank1":
        drawn[kind] = problem.directions(kind, problem.params | (problem.hidden if kind == "rademacher" else {}))
        arrays |= {f"{kind}:{k}": v for k, v in drawn[kind].items()}
    arrays = {k: np.float32(v) for k, v in arrays.items()} | {"y": problem.y}
    for spec, estimator, count, parameters in ESTIMATORS:
        kind, of_sites = spec.rpartition("draw=")[2], estimator in (activity, control_variate, fdfa)
        leaves = problem.hidden if of_sites else problem.params
        vs = [{k: multiplied(drawn[kind], k)[i] for k in leaves} for i in range(count)]
        grads, updates = estimator(problem, vs, states, **parameters)
        named = {f"{k}.grad": x for k, x in grads.items()}
        named |= {f"{k}.{state}": x for state, tree in updates.items() for k, x in tree.items()}
        for k, x in named.items():
            assert x.dtype == np.float64 and np.all(np.isfinite(x)), f"{spec}: {k}"
            arrays[f"{spec}|{k}"] = x
    write(HERE / f"{name}.safetensors", arrays, {"set": settings, "batch": str(BATCH)})


# ---- Optimizers


def torch_adagrad(lr, eps):
    """The form of `torch.optim.Adagrad`, √u + ε, where Optax has √(u + ε)."""

    def update(grads, state, params=None):
        count, total = state
        total = jax.tree.map(lambda u, g: u + g * g, total, grads)
        change = jax.tree.map(lambda g, u: -lr(count) * g / (jnp.sqrt(u) + eps), grads, total)
        return change, (count + 1, total)

    return optax.GradientTransformation(lambda p: (0, jax.tree.map(jnp.zeros_like, p)), update)


def optimizers(lr):
    """What fgc calls them, and those of Optax."""
    twice = lambda count: 2 * lr(count)  # noqa: E731
    rmsprop = {"initial_scale": 0.0, "eps_in_sqrt": False}
    return {
        "sgd": optax.sgd(lr),
        "momentum": optax.sgd(lr, momentum=0.9),
        "momentum:beta=0.5": optax.sgd(lr, momentum=0.5),
        "nesterov": optax.sgd(lr, momentum=0.9, nesterov=True),
        "nesterov:beta=0.5": optax.sgd(lr, momentum=0.5, nesterov=True),
        "adam": optax.adam(lr),
        "adam:beta1=0.8,beta2=0.95,eps=1e-3": optax.adam(lr, b1=0.8, b2=0.95, eps=1e-3),
        "adam:beta1=0": optax.adam(lr, b1=0.0),
        "adamw": optax.adamw(lr, weight_decay=1e-2),
        "adamw:beta1=0.8,beta2=0.95,eps=1e-3,decay=0.5": optax.adamw(lr, 0.8, 0.95, 1e-3, weight_decay=0.5),
        "rmsprop": optax.rmsprop(lr, decay=0.99, eps=1e-8, **rmsprop),
        "rmsprop:decay=0.8,eps=1e-2": optax.rmsprop(lr, decay=0.8, eps=1e-2, **rmsprop),
        # Where ε is negligible, both forms are one.
        "adagrad:eps=1e-30": optax.adagrad(lr, initial_accumulator_value=0.0, eps=0.0),
        "adagrad:eps=1e-2": torch_adagrad(lr, 1e-2),
        "muon": optax.contrib.muon(lr),
        "muon:beta=0.8,beta1=0.7,beta2=0.95,eps=1e-3": optax.contrib.muon(
            lr, beta=0.8, adam_b1=0.7, adam_b2=0.95, eps=1e-3
        ),
        "lion": optax.lion(lr, weight_decay=0.0),
        "lion:beta1=0.7,beta2=0.8,decay=0.5": optax.lion(lr, 0.7, 0.8, weight_decay=0.5),
        "clip+sgd": optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(lr)),
        "clip:bound=3+adam": optax.chain(optax.clip_by_global_norm(3.0), optax.adam(lr)),
        "weight_decay+momentum": optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(lr, momentum=0.9)),
        "clip:bound=3+weight_decay:rate=0.5+nesterov": optax.chain(
            optax.clip_by_global_norm(3.0), optax.add_decayed_weights(0.5), optax.sgd(lr, 0.9, nesterov=True)
        ),
        "weight_decay:rate=0.5+clip:bound=3+rmsprop:decay=0.8": optax.chain(
            optax.add_decayed_weights(0.5),
            optax.clip_by_global_norm(3.0),
            optax.rmsprop(lr, decay=0.8, eps=1e-8, **rmsprop),
        ),
        "group:names=b,factor=2+adam": optax.multi_transform(
            {"a": optax.adam(lr), "b": optax.adam(twice)}, {"a": "a", "b": "b"}
        ),
    }


def optimizer_fixture(rng):
    """Parameters `a` and `b` after each of the steps, whose gradients are those of Σ a·ga + Σ b·gb, and whose rate
    changes. Norms of gradients are on either side of what they are clipped to, and an element of one is always 0."""
    shapes = {"a": (3, 2), "b": (4,)}
    single = lambda x: np.float64(np.float32(x))  # noqa: E731
    params = {k: single(rng.standard_normal(shape)) for k, shape in shapes.items()}
    size = single(np.exp(rng.uniform(-3, 2, STEPS)))
    grads = {k: single(rng.standard_normal((STEPS, *shape))) for k, shape in shapes.items()}
    grads = {k: single(g * size.reshape((-1,) + (1,) * (g.ndim - 1))) for k, g in grads.items()}
    grads["b"][:, 1] = 0
    norms = np.sqrt(sum(np.sum(g.reshape(STEPS, -1) ** 2, 1) for g in grads.values()))
    assert all(0 < np.sum(norms > bound) < STEPS for bound in (1, 3)), norms
    rates = single(rng.uniform(0.01, 0.2, STEPS))
    arrays = {k: np.float32(v) for k, v in params.items()}
    arrays |= {f"g{k}": np.float32(v) for k, v in grads.items()} | {"lr": np.float32(rates)}
    for spec, optimizer in optimizers(lambda count: jnp.asarray(rates)[count]).items():
        at, state, path = params, optimizer.init(params), []
        for k in range(STEPS):
            updates, state = optimizer.update({name: g[k] for name, g in grads.items()}, state, at)
            at = optax.apply_updates(at, updates)
            path.append(at)
        for name in shapes:
            whole = np.stack([p[name] for p in path])
            assert whole.dtype == np.float64 and np.all(np.isfinite(whole)), spec
            arrays[f"{spec}|{name}"] = whole
    write(HERE / "optimizers.safetensors", arrays, {})


def main():
    HERE.mkdir(exist_ok=True)
    for old in HERE.iterdir():
        old.unlink()
    model_fixture("mlp", Problem(mlp(4), 3, np.random.default_rng(1)), "image=3 hidden=4")
    model_fixture("cnn", Problem(cnn(2, 4), 4, np.random.default_rng(2)), "image=4 features=2 hidden=4")
    optimizer_fixture(np.random.default_rng(3))


if __name__ == "__main__":
    main()
