#!/usr/bin/env python3
"""Runs fgc and its peers on the same work, in turns, and prints a table of ratios. See README.md."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from worker import WORKS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What fgc is told for each row; `--no-metrics` leaves out metrics that the peers don't compute.
ROWS = {
    "forward": ["--mode", "primal"],
    "jvp": ["--mode", "jvp"],
    "grad": ["--mode", "grad"],
    "backprop": ["--mode", "step", "--no-metrics"],
    "forward-normal": ["--mode", "step", "--no-metrics", "--grad", "forward"],
    "forward-rademacher": ["--mode", "step", "--no-metrics", "--grad", "forward", "--tangent", "rademacher"],
}

# The peers draw normal numbers whatever fgc draws.
PEER_ROW = {"forward-rademacher": "forward-normal"}

MODELS = {
    "mlp-512": ["models/mlp.fg"],
    "mlp-2048": ["models/mlp.fg", "--set", "hidden=2048"],
    "cnn": ["models/cnn.fg"],
    "resnet": ["models/resnet.fg", "--set", "image=32", "--set", "channels=3"],
}


class Peer:
    """A process that times what it is told to."""

    def __init__(self, script, threads, *options):
        command = [sys.executable, str(HERE / script), str(threads), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        print(json.dumps(question), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.process.args[1]} has ended; what it said is above")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def fgc(binary, work, row, threads, seconds):
    """The median and the least time of a call, in ms."""
    command = [binary, "bench", *MODELS[work], *ROWS[row], "--json", "--calls-only"]
    command += ["--threads", str(threads), "--seconds", str(seconds)]
    cores = sorted(os.sched_getaffinity(0))[:threads]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    if run.returncode != 0:
        sys.exit(run.stderr)
    report = json.loads(run.stdout)
    return report["median_ms"], report["min_ms"]


def compare(args, threads):
    """{work: {row: {name: [(median, least) ms of each round]}}}"""
    peers = []
    if "jax" in args.peers:
        peers.append(Peer("jax_peer.py", threads))
    if "torch" in args.peers:
        peers.append(Peer("torch_peer.py", threads, *(["compile"] if args.compile else [])))
    results = {}
    for work in args.works:
        for peer in peers:
            peer.ask(do="prepare", work=work)
        found = results[work] = {row: {} for row in args.rows}
        timed = {PEER_ROW.get(row, row) for row in args.rows}
        for turn in range(args.rounds):
            for row in ROWS:
                if row in args.rows:
                    ms = fgc(args.fgc, work, row, threads, args.seconds)
                    found[row].setdefault("fgc", []).append(ms)
                if row not in timed:
                    continue
                for peer in peers:
                    times = peer.ask(do="time", work=work, row=row, seconds=args.seconds)
                    for of in args.rows:
                        if PEER_ROW.get(of, of) == row:
                            for name, ms in times.items():
                                found[of].setdefault(name, []).append(ms)
            print(f"{work}, {threads} threads: round {turn + 1} of {args.rounds}", file=sys.stderr)
    for peer in peers:
        peer.close()
    return results


def ratio(ms):
    """The time of the fastest peer as a multiple of fgc's."""
    peers = [t for name, t in ms.items() if name != "fgc"]
    return f"{min(peers) / ms['fgc']:.2f}" if peers else ""


def table(results, threads):
    """The medians over rounds of the medians of each, in ms, and ratios: of those, and of the least times."""
    names = []
    for rows in results.values():
        for times in rows.values():
            names += [name for name in times if name not in names]
    print(f"\n{threads} thread{'s' if threads > 1 else ''}, batch 64, median ms\n")
    print("| work | row | " + " | ".join(names) + " | best peer / fgc | of the least times |")
    print("|---|---|" + "---|" * (len(names) + 2))
    for work, rows in results.items():
        for row, times in rows.items():
            medians = {name: statistics.median(median for median, _ in t) for name, t in times.items()}
            least = {name: min(low for _, low in t) for name, t in times.items()}
            cells = [f"{medians[name]:.3f}" if name in medians else "" for name in names]
            print(f"| {work} | {row} | " + " | ".join(cells) + f" | {ratio(medians)} | {ratio(least)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fgc", default=str(ROOT / "target/release/fgc"), help="the binary of a release build")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed, in turns")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each is timed in a round")
    parser.add_argument("--works", nargs="+", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--peers", nargs="*", choices=["jax", "torch"], default=["jax", "torch"])
    parser.add_argument("--compile", action="store_true", help="time torch.compile too, which takes minutes")
    parser.add_argument("--json", help="write every time to this file")
    args = parser.parse_args()
    every = {}
    for threads in args.threads:
        every[threads] = compare(args, threads)
        table(every[threads], threads)
        if args.json:
            Path(args.json).write_text(json.dumps(every, indent=1))


if __name__ == "__main__":
    main()
