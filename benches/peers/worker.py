"""What the peers have in common: the work, and a loop that times what it is told to.

A peer is a process of its own. It reads lines of JSON from standard input and answers each with one:
  {"do": "prepare", "work": W}                  makes (and compiles) the calls of W, as `work` makes it
  {"do": "time", "row": R, "seconds": S}        times one of them
"""

import json
import os
import statistics
import sys
import time

CLASSES = 10

# The shape of an image, and what the models are made of; `mlp` has two hidden layers of a width. fgc's own are in models/*.fg.
MODELS = {
    "mlp": {"input": (28, 28, 1)},
    "cnn": {"input": (28, 28, 1)},
    "resnet": {"input": (32, 32, 3)},
}


def work(model, batch, width=None):
    """What is timed: a model with batches of a size, and for `mlp` hidden layers of a width."""
    return {"model": model, "batch": batch, "width": width, **MODELS[model]}

# The rate of the steps: parameters are updated, but nothing diverges while it is timed.
RATE = 2e-9

LEAST_CALLS = 5


def threads():
    """The threads that this process has, from its first argument; it keeps to as many cores."""
    count = int(sys.argv[1])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    return count


def time_calls(call, seconds):
    """The median and the least time of `call` in ms, over about so many seconds, behind two calls to warm up."""
    call()
    call()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST_CALLS or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3, min(times) * 1e3


def serve(prepare):
    """Answers until the input ends. `prepare(work)` gives the calls of a work: variants of rows, as
    {row: {variant: call}}; a call runs once and waits for its results."""
    out, sys.stdout = sys.stdout, sys.stderr
    rows = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "prepare":
            rows = prepare(asked["work"])
            answer = {"rows": sorted(rows)}
        else:
            variants = rows.get(asked["row"], {})
            answer = {name: time_calls(call, asked["seconds"]) for name, call in variants.items()}
        print(json.dumps(answer), file=out, flush=True)
