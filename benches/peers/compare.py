#!/usr/bin/env python3
"""Runs fgc and its peers on the same work, in turns, and prints a table of ratios. See README.md."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from worker import MODELS, work

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What fgc is told for each row; `--no-metrics` leaves out metrics that the peers don't compute.
STEP = ["--mode", "step", "--no-metrics"]
ROWS = {
    "forward": ["--mode", "primal"],
    "jvp": ["--mode", "jvp"],
    "grad": ["--mode", "grad"],
    "backprop": STEP,
    "forward-normal": [*STEP, "--grad", "forward"],
    "forward-rademacher": [*STEP, "--grad", "forward:draw=rademacher"],
    "forward-rank1": [*STEP, "--grad", "forward:draw=rank1"],
    "activity": [*STEP, "--grad", "activity"],
}

# What the peers do where fgc has something that they haven't: they draw normal numbers for all parameters.
PEER_ROW = {"forward-rademacher": "forward-normal", "forward-rank1": "forward-normal", "activity": "forward-normal"}

# What fgc is told for each model.
CONSTS = {"mlp": [], "cnn": [], "resnet": ["--set", "image=32", "--set", "channels=3"]}

PEERS = {"jax": "jax_peer.py", "torch": "torch_peer.py", "tensorflow": "tensorflow_peer.py"}


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
    model = work["model"]
    command = [binary, "bench", f"models/{model}.fg", *CONSTS[model], "--batch", str(work["batch"])]
    command += ["--set", f"hidden={work['width']}"] if work["width"] else []
    command += [*ROWS[row], "--json", "--calls-only"]
    command += ["--threads", str(threads), "--seconds", str(seconds)]
    cores = sorted(os.sched_getaffinity(0))[:threads]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
    )
    if run.returncode != 0:
        sys.exit(run.stderr)
    report = json.loads(run.stdout)
    return report["median_ms"], report["min_ms"]


def title(work):
    return f"{work['model']}-{work['width']}" if work["width"] else work["model"]


def works(args):
    """The works that are asked for: every model with every batch size, `mlp` with every width."""
    widths = {"mlp": args.widths}
    return [work(m, batch, width) for m in args.models for width in widths.get(m, [None]) for batch in args.batches]


def compare(args, threads):
    """[(work, {row: {name: [(median, least) ms of each round]}})]"""
    options = {"torch": [] if args.no_compile else ["compile"]}
    peers = [Peer(PEERS[name], threads, *options.get(name, [])) for name in args.peers]
    results = []
    for work in works(args):
        for peer in peers:
            peer.ask(do="prepare", work=work)
        found = {row: {} for row in args.rows}
        results.append((work, found))
        timed = {PEER_ROW.get(row, row) for row in args.rows}
        for turn in range(args.rounds):
            for row in ROWS:
                if row in args.rows:
                    ms = fgc(args.fgc, work, row, threads, args.seconds)
                    found[row].setdefault("fgc", []).append(ms)
                if row not in timed:
                    continue
                for peer in peers:
                    times = peer.ask(do="time", row=row, seconds=args.seconds)
                    for of in args.rows:
                        if PEER_ROW.get(of, of) == row:
                            for name, ms in times.items():
                                found[of].setdefault(name, []).append(ms)
            done = f"round {turn + 1} of {args.rounds}"
            print(f"{title(work)}, batch {work['batch']}, {threads} threads: {done}", file=sys.stderr)
    for peer in peers:
        peer.close()
    return results


def ratio(ms):
    """The time of the fastest peer as a multiple of fgc's, if there is one."""
    peers = [t for name, t in ms.items() if name != "fgc"]
    return min(peers) / ms["fgc"] if peers else None


def table(results, threads):
    """The medians over rounds of the medians of each, in ms, and ratios: of those, and of the least times. Below it the
    least ratio of each row, and their geometric mean."""
    names = []
    for _, rows in results:
        for times in rows.values():
            names += [name for name in times if name not in names]
    print(f"\n{threads} thread{'s' if threads > 1 else ''}, median ms\n")
    print("| work | batch | row | " + " | ".join(names) + " | best peer / fgc | of the least times |")
    print("|---|---|---|" + "---|" * (len(names) + 2))
    every = {}
    for work, rows in results:
        for row, times in rows.items():
            medians = {name: statistics.median(median for median, _ in t) for name, t in times.items()}
            least = {name: min(low for _, low in t) for name, t in times.items()}
            cells = [f"{medians[name]:.3f}" if name in medians else "" for name in names]
            ratios = [ratio(medians), ratio(least)]
            if None not in ratios:
                every.setdefault(row, []).append(ratios)
            cells += ["" if r is None else f"{r:.2f}" for r in ratios]
            print(f"| {title(work)} | {work['batch']} | {row} | " + " | ".join(cells) + " |", flush=True)
    if every:
        print("\n| row | least ratio | geometric mean | of the least times: least | geometric mean |\n|---|---|---|---|---|")
    for row, ratios in every.items():
        summary = [(min(r), statistics.geometric_mean(r)) for r in zip(*ratios)]
        print(f"| {row} | " + " | ".join(f"{a:.2f} | {b:.2f}" for a, b in summary) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fgc", default=str(ROOT / "target/release/fgc"), help="the binary of a release build")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed, in turns")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long each is timed in a round")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--batches", type=int, nargs="+", default=[64], help="samples in a batch")
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 2048], help="of the hidden layers of mlp")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=["jax", "torch"])
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile, which takes minutes")
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
