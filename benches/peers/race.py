#!/usr/bin/env python3
"""How soon an MLP on MNIST gets to 97 %: by an estimator that never goes backward, by fgc's backprop, and by JAX's, each
in processes of their own, in turns. See README.md; MNIST is fetched by `fgc data get mnist`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Each: who trains, by which estimator, and hidden units, hidden layers, rate, epochs, samples in a batch.
RUNNERS = {
    "fgc, control variate, K = 16": ("fgc", "control_variate:tangents=16,c=0.2", 192, 1, 4e-3, 2, 128),
    "fgc, backprop": ("fgc", "backprop", 192, 1, 4e-3, 2, 128),
    "JAX, backprop": ("jax", None, 192, 1, 4e-3, 2, 128),
    "JAX, backprop, an epoch of 256 units": ("jax", None, 256, 1, 3e-3, 1, 64),
    "JAX, backprop, MLP-512, 2e-4": ("jax", None, 512, 2, 2e-4, 2, 64),
}


def fgc(args, seed, estimator, hidden, layers, rate, epochs, batch):
    """The test accuracy, and the seconds of training alone."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [args.fgc, "train", str(ROOT / "models/mlp.fg"), "--set", f"hidden={hidden}", "--set", f"layers={layers}"]
        command += ["--data", "mnist", "--data-dir", str(args.data.parent), "--batch", str(batch), "--grad", estimator]
        command += ["--optimizer", "adam", "--schedule", "cosine", "--lr", str(rate), "--epochs", str(epochs)]
        command += ["--seed", str(seed), "--threads", str(args.threads), "--no-metrics", "--quiet", "--out", str(run)]
        subprocess.run(command, check=True, cwd=ROOT)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        epochs = [line for line in lines if "test" in line]
        return epochs[-1]["test"]["accuracy"], sum(epoch["seconds"] for epoch in epochs)


def jax(args, seed, _, hidden, layers, rate, epochs, batch):
    command = [sys.executable, HERE / "jax_race.py", args.data, hidden, layers, rate, epochs, batch, seed]
    run = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    return found["accuracy"], found["train"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fgc", default=str(ROOT / "target/release/fgc"), help="the binary of a release build")
    parser.add_argument("--data", type=Path, default=ROOT / "data/mnist", help="the folder of MNIST's files")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    found = {name: [] for name in RUNNERS}
    for seed in range(args.seeds):
        for name, (who, *settings) in RUNNERS.items():
            start = time.perf_counter()
            accuracy, seconds = {"fgc": fgc, "jax": jax}[who](args, seed, *settings)
            found[name].append((accuracy, seconds, time.perf_counter() - start))
            print(f"seed {seed}: {name}: {accuracy:.4f}", file=sys.stderr)
    print("| | test accuracy by seed | training, s | the whole process, s |\n|---|---|---|---|")
    for name, runs in found.items():
        accuracies = ", ".join(f"{accuracy:.4f}" for accuracy, *_ in runs)
        medians = [statistics.median(run[k] for run in runs) for k in (1, 2)]
        print(f"| {name} | {accuracies} | {medians[0]:.2f} | {medians[1]:.2f} |")


if __name__ == "__main__":
    main()
