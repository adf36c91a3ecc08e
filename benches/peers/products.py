#!/usr/bin/env python3
"""Times products of matrices in f32: by fgc, by OpenBLAS (as numpy has it), and by the crate `gemm`, in turns. See README.md."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Rows, columns and depth: as of layers of 512 to 4096 units with batches of 64 to 1024, and square ones.
SIZES = ["256,256,256", "512,512,512", "1024,1024,1024", "2048,2048,2048", "64,2048,2048", "256,2048,2048"]
SIZES += ["1024,2048,2048", "256,4096,4096", "2048,2048,256", "1000,1000,1000", "784,512,256"]

# Which operand is given transposed, as in a layer, and in its gradients by weights and by inputs.
LAYOUTS = {"nn": "a @ b", "tn": "transpose(a) @ b", "nt": "a @ transpose(b)"}

OPENBLAS = """
import sys, time, statistics, numpy
m, n, k, seconds = *map(int, sys.argv[1:4]), float(sys.argv[5])
rng = numpy.random.default_rng(0)
a = rng.random((k, m) if sys.argv[4] == "tn" else (m, k), "f")
b = rng.random((n, k) if sys.argv[4] == "nt" else (k, n), "f")
a, b, c = a.T if sys.argv[4] == "tn" else a, b.T if sys.argv[4] == "nt" else b, numpy.empty((m, n), "f")
numpy.matmul(a, b, out=c)
times, end = [], time.perf_counter() + seconds
while len(times) < 5 or time.perf_counter() < end:
    start = time.perf_counter()
    numpy.matmul(a, b, out=c)
    times.append((time.perf_counter() - start) * 1e3)
print(statistics.median(times), min(times))
"""


def fgc(args, m, n, k, layout, threads):
    shapes = (f"{k}, {m}" if layout == "tn" else f"{m}, {k}", f"{n}, {k}" if layout == "nt" else f"{k}, {n}")
    text = "model product(a: f32[{}], b: f32[{}]) {{\n  output c = {}\n}}\n".format(*shapes, LAYOUTS[layout])
    with tempfile.NamedTemporaryFile("w", suffix=".fg") as file:
        file.write(text)
        file.flush()
        command = [args.fgc, "bench", file.name, "--json", "--threads", str(threads), "--seconds", str(args.seconds)]
        report = json.loads(run([*command, "--calls-only"], threads))
    return report["median_ms"], report["min_ms"]


def run(command, threads):
    """What a command prints, on so many cores."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    env = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    bind = lambda: os.sched_setaffinity(0, cores)
    done = subprocess.run(command, capture_output=True, text=True, env=env, preexec_fn=bind)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def peak(args, threads):
    """The FMA rate of so many threads, as fgc measures it, in GFLOP/s."""
    command = [args.fgc, "bench", ROOT / "models/logistic.fg", "--json", "--seconds", "0.1", "--threads", str(threads)]
    return json.loads(run([str(part) for part in command], threads))["machine"]["all_threads"]["gflops"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fgc", default=str(ROOT / "target/release/fgc"), help="the binary of a release build")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="M,N,K")
    parser.add_argument("--layouts", nargs="+", choices=list(LAYOUTS), default=list(LAYOUTS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed, in turns")
    parser.add_argument("--seconds", type=float, default=0.3, help="how long each is timed in a round")
    parser.add_argument("--only-fgc", action="store_true", help="without the peers")
    args = parser.parse_args()
    if not args.only_fgc:
        build = ["cargo", "build", "--release", "--quiet", "--manifest-path", str(HERE / "gemm/Cargo.toml")]
        subprocess.run([*build, "--target-dir", str(ROOT / "target/peers")], check=True)
    native = str(ROOT / "target/peers/release/gemm-peer")
    for threads in args.threads:
        rate = max(peak(args, threads) for _ in range(3))
        print(f"\n{threads} thread{'s' if threads > 1 else ''}, a peak of {rate:.0f} GFLOP/s: GFLOP/s by median (parts of the peak by the least time)\n")
        print("| m, n, k | layout | fgc | OpenBLAS | gemm | best peer's time / fgc's |\n|---|---|---|---|---|---|")
        for size in args.sizes:
            m, n, k = map(int, size.split(","))
            for layout in args.layouts:
                times = {}
                for _ in range(args.rounds):
                    times.setdefault("fgc", []).append(fgc(args, m, n, k, layout, threads))
                    if args.only_fgc:
                        continue
                    shape = [str(x) for x in (m, n, k, layout, args.seconds)]
                    for name, command in [
                        ("OpenBLAS", [sys.executable, "-c", OPENBLAS, *shape]),
                        ("gemm", [native, *shape, str(threads)]),
                    ]:
                        median, least = map(float, run(command, threads).split())
                        times.setdefault(name, []).append((median, least))
                gflop = 2 * m * n * k / 1e6
                medians = {name: statistics.median(t for t, _ in found) for name, found in times.items()}
                least = {name: min(t for _, t in found) for name, found in times.items()}
                cells = [
                    f"{gflop / medians[name]:.0f} ({gflop / least[name] / rate:.2f})" if name in times else ""
                    for name in ("fgc", "OpenBLAS", "gemm")
                ]
                peers = [t for name, t in medians.items() if name != "fgc"]
                cells.append(f"{min(peers) / medians['fgc']:.2f}" if peers else "")
                print(f"| {m}, {n}, {k} | {layout} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
