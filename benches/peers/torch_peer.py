"""PyTorch's side of the comparison: eager, and compiled where that works.

Usage: torch_peer.py THREADS [compile], then as worker.py says."""

import sys

import worker

THREADS = worker.threads()

import torch  # after the cores have been chosen
import torch.nn.functional as F

torch.set_num_threads(THREADS)
COMPILE = "compile" in sys.argv[2:]


def linear(n_in, n_out):
    return [torch.randn(n_out, n_in) / n_in**0.5, torch.zeros(n_out)]


def kernel(n_in, n_out):
    return [torch.randn(n_out, n_in, 3, 3) * (2 / (9 * n_in)) ** 0.5, torch.zeros(n_out)]


def mlp(params, x):
    x = x.flatten(1)
    for k in range(0, len(params) - 2, 2):
        x = F.relu(F.linear(x, params[k], params[k + 1]))
    return F.linear(x, params[-2], params[-1])


def cnn(params, x):
    for k in (0, 4):
        x = F.relu(F.conv2d(x, params[k], params[k + 1], padding=1))
        x = F.relu(F.conv2d(x, params[k + 2], params[k + 3], padding=1))
        x = F.max_pool2d(x, 2)
    return mlp(params[8:], x)


def batch_norm(x, scale, offset):
    mean = x.mean((0, 2, 3), keepdim=True)
    var = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    return (x - mean) * torch.rsqrt(var + 1e-5) * scale[None, :, None, None] + offset[None, :, None, None]


def resnet(params, x):
    def block(x, k):
        w, b, scale, offset = params[4 * k : 4 * k + 4]
        return batch_norm(F.conv2d(x, w, b, padding=1), scale, offset)

    x = F.relu(block(x, 0))
    for k in range(1, 5):
        x = F.relu(x + block(x, k))
    return mlp(params[20:], x.mean((2, 3)))


def model(work):
    """The parameters of a work, and the function that gives logits."""
    if work["model"] == "mlp":
        hidden = work["width"]
        return linear(28 * 28, hidden) + linear(hidden, hidden) + linear(hidden, worker.CLASSES), mlp
    if work["model"] == "cnn":
        convs = sum((kernel(n_in, 64) for n_in in (1, 64, 64, 64)), [])
        return convs + linear(7 * 7 * 64, 1024) + linear(1024, worker.CLASSES), cnn
    blocks = sum((kernel(n_in, 32) + [torch.ones(32), torch.zeros(32)] for n_in in (3, 32, 32, 32, 32)), [])
    return blocks + linear(32, worker.CLASSES), resnet


def prepare(work):
    torch.manual_seed(0)
    torch.compiler.reset()
    height, width, channels = work["input"]
    x = torch.randn(work["batch"], channels, height, width)
    y = torch.randint(0, worker.CLASSES, (work["batch"],))
    params, logits = model(work)
    params = tuple(params)
    v = tuple(torch.randn_like(p) for p in params)

    def loss(params, x, y):
        return F.cross_entropy(logits(params, x), y)

    def calls(loss, wrap):
        """The rows, with `loss` for a loss; `wrap` is what is done to functions without a backward pass."""
        leaves = [p.detach().clone().requires_grad_() for p in params]
        own = [p.detach().clone() for p in params]

        def forward(params, x, y):
            with torch.no_grad():
                return loss(params, x, y)

        def jvp(params, v, x, y):
            with torch.no_grad():
                return torch.func.jvp(lambda q: loss(q, x, y), (params,), (v,))

        def grad():
            value = loss(leaves, x, y)
            return value, torch.autograd.grad(value, leaves)

        def backprop():
            _, gradient = grad()
            with torch.no_grad():
                torch._foreach_add_(leaves, gradient, alpha=-worker.RATE)

        def forward_step(params, x, y):
            with torch.no_grad():
                v = tuple(torch.randn_like(p) for p in params)
                _, directional = torch.func.jvp(lambda q: loss(q, x, y), (tuple(params),), (v,))
                torch._foreach_add_(params, [directional * d for d in v], alpha=-worker.RATE)

        forward, jvp, forward_step = wrap(forward), wrap(jvp), wrap(forward_step)
        return {
            "forward": lambda: forward(params, x, y),
            "jvp": lambda: jvp(params, v, x, y),
            "grad": grad,
            "backprop": backprop,
            "forward-normal": lambda: forward_step(own, x, y),
        }

    rows = {row: {"torch": call} for row, call in calls(loss, lambda f: f).items()}
    if COMPILE:
        whole = calls(loss, torch.compile)
        # What has a backward pass compiles the loss, and autograd what is behind it.
        with_backward = calls(torch.compile(loss), lambda f: f)
        for row in rows:
            call = (with_backward if row in ("grad", "backprop") else whole)[row]
            try:
                call()
            except Exception as e:  # whatever the compiler doesn't do
                reason = str(e).strip().splitlines()[:1]
                print(f"torch.compile doesn't do {row} of {work['model']}: {type(e).__name__} {reason}", file=sys.stderr)
                continue
            rows[row]["torch compiled"] = call
    return rows


worker.serve(prepare)
