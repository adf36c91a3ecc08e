"""Imports models that PyTorch and Keras export, and compares outputs, tangents and gradients with theirs.

    python3 -m venv /tmp/venv
    /tmp/venv/bin/pip install torch torchvision timm transformers onnx onnxscript safetensors
    cargo build --release
    /tmp/venv/bin/python tests/oracle/import/compare.py            # all models, as a table
    /tmp/venv/bin/python tests/oracle/import/compare.py resnet18   # those with that in their name

Models have random weights. PyTorch computes in double precision, so that what is measured is fgc's error in single precision.
Errors are the largest difference over the largest number: of the outputs, of the outputs' tangents along a
random direction of the input and all parameters that the file names, and of the gradient of a loss by each of these.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from models import MODELS, randomised

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[3]
FGC = os.environ.get("FGC", ROOT / "target/release/fgc")


def fgc(*args):
    done = subprocess.run([str(FGC), *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"fgc {' '.join(map(str, args))}\n{done.stderr}")
    return done.stderr


def export(module, inputs, path, kind):
    """Writes `module` to `path` by the exporter `kind`, with batch norm and dropout as they are."""
    first = {0: torch.export.Dim("batch")}
    if kind == "dynamo":
        shapes = tuple(first for _ in inputs)
        program = torch.onnx.export(
            module, inputs, dynamo=True, dynamic_shapes=shapes, optimize=module.optimize, verbose=False
        )
        program.save(str(path), external_data=False)
    else:
        names = [f"x{k}" for k in range(len(inputs))]
        torch.onnx.export(
            module, inputs, str(path), dynamo=False, input_names=names, output_names=["out"],
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=module.fold,
            dynamic_axes={name: {0: "batch"} for name in names},
        )


def moved(x, how):
    """`x` with what a text like `transposed [1, 0], reshaped [2, 3]` says done to it."""
    for what, numbers in re.findall(r"(transposed|reshaped) \[([\d, ]*)\]", how):
        numbers = [int(n) for n in numbers.split(",") if n.strip()]
        x = x.transpose(numbers) if what == "transposed" else x.reshape(numbers)
    return np.ascontiguousarray(x)


def error(got, wanted):
    return float(np.abs(got.astype(np.float64) - wanted).max() / max(np.abs(wanted).max(), 1e-30))


def channels_last(x):
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


class Case:
    """A model in the files of a folder, with what PyTorch makes of it, in fgc's names and layouts."""

    def __init__(self, folder, module, inputs, kind):
        self.folder, self.module, self.inputs = pathlib.Path(folder), module, inputs
        self.onnx = self.folder / "model.onnx"
        export(module, inputs, self.onnx, kind)
        self.model, self.params = self.folder / "model.fg", self.folder / "w.safetensors"
        self.notes = fgc("import", self.onnx, "-o", self.model, "--params", self.params, "--loss", module.loss)
        with safe_open(self.params, "np") as f:
            sources = f.metadata() or {}
        self.arrays = load_file(self.params)
        own = {name: p.detach().numpy() for name, p in module.named_parameters()}
        parts = {name: source.partition(", ") for name, source in sources.items() if ", part" not in source}
        # Parameters that the source names, with what was done to them. Where an exporter folds batch norm into convolutions,
        # their weights keep the name, but have other values.
        same = lambda name, of, how: of in own and np.array_equal(self.arrays[name], moved(own[of], how))
        self.named = {name: (of, how) for name, (of, _, how) in parts.items() if same(name, of, how)}
        self.text = self.model.read_text()
        header = re.search(r"model \w+\((.*)\) \{", self.text).group(1)
        self.given = [re.sub(r":.*", "", part).strip() for part in re.split(r",(?![^\[]*\])", header)]
        self.output = re.search(r"output (\w+) =", self.text).group(1)
        # Whether the output has channels last.
        self.turned = "Output `" in self.notes
        self.oracle()

    def bound(self, name, x):
        """`x` as input `name` has it."""
        return channels_last(x) if f"Input `{name}`" in self.notes else x

    def oracle(self):
        """What is bound (`bound`, `along`), by what derivatives are (`wrt`), and what comes of it (`wanted`)."""
        module, rng = self.module.double(), np.random.default_rng(0)
        double = [x.double() if x.is_floating_point() else x for x in self.inputs]
        params = {name: p.detach().requires_grad_() for name, p in module.named_parameters()}
        of = sorted({of for of, _ in self.named.values()})
        floats = [k for k, x in enumerate(double) if x.is_floating_point()]
        leaves = [double[k].detach().requires_grad_() for k in floats] + [params[name] for name in of]
        inputs = list(double)
        for k, x in zip(floats, leaves):
            inputs[k] = x
        state = dict(params, **dict(zip(of, leaves[len(floats):])))
        # Attention as products and a softmax: fused, it has no second derivative.
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            out = torch.func.functional_call(module, state, tuple(inputs))
        turn = channels_last if self.turned else (lambda x: x)
        result = out.movedim(1, -1) if self.turned else out
        if module.loss == "mse":
            labels = rng.standard_normal(result.shape)
            loss = ((result - torch.from_numpy(labels)) ** 2).mean()
        else:
            classes = result.shape[-1]
            labels = rng.integers(0, classes, tuple(result.shape[:-1]))
            logits = torch.log(result) if module.distribution else result
            loss = torch.nn.functional.cross_entropy(logits.reshape(-1, classes), torch.from_numpy(labels).reshape(-1))
        grads = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True)
        grads = [torch.zeros_like(x) if g is None else g for g, x in zip(grads, leaves)]
        directions = [torch.from_numpy(rng.standard_normal(x.shape)) for x in leaves]
        tangent = jvp(out, leaves, directions)

        names = [self.given[k] for k in floats] + sorted(self.named)
        self.wrt = names
        single = lambda x: x.astype(np.float32 if x.dtype.kind == "f" else np.int32)
        self.bound_arrays = {name: single(self.bound(name, x.numpy())) for name, x in zip(self.given, self.inputs)}
        self.bound_arrays["y"] = single(labels)
        self.along, self.wanted = {}, {self.output: turn(out.detach().numpy()), "loss": loss.detach().numpy()}
        self.wanted[f"{self.output}.tangent"] = turn(tangent.numpy())
        position = {name: len(floats) + k for k, name in enumerate(of)}
        for j, k in enumerate(floats):
            name = self.given[k]
            self.along[f"{name}.tangent"] = single(self.bound(name, directions[j].numpy()))
            self.wanted[f"{name}.grad"] = self.bound(name, grads[j].numpy())
        for name, (source, how) in self.named.items():
            self.along[f"{name}.tangent"] = single(moved(directions[position[source]].numpy(), how))
            self.wanted[f"{name}.grad"] = moved(grads[position[source]].numpy(), how)

    def run(self, mode, *wrt):
        save_file({**self.arrays, **self.bound_arrays, **(self.along if mode == "jvp" else {})},
                  self.folder / "in.safetensors")
        fgc("run", self.model, "--mode", mode, "--eval", "--batch", len(self.inputs[0]),
            "--inputs", self.folder / "in.safetensors", "--outputs", self.folder / "out.safetensors", *wrt)
        return load_file(self.folder / "out.safetensors")

    def measure(self):
        """The largest errors."""
        wrt = ["--wrt", ",".join(self.wrt)]
        errors = {"params": len(self.named), "lines": self.text.count("\n")}
        errors["output"] = error(self.run("primal")[self.output], self.wanted[self.output])
        tangent = f"{self.output}.tangent"
        errors["jvp"] = error(self.run("jvp", *wrt)[tangent], self.wanted[tangent])
        grads = {name: x for name, x in self.wanted.items() if name.endswith(".grad")}
        largest = max((np.abs(x).max() for x in grads.values()), default=1)
        # A gradient that is 0 but for rounding, as that of a bias before batch norm, has no relative error.
        told = {name: x for name, x in grads.items() if np.abs(x).max() > 1e-6 * largest}
        results = self.run("grad", *wrt)
        errors["grad"] = max((error(results[name], x) for name, x in told.items()), default=0)
        return errors


def jvp(out, leaves, directions):
    """The tangent of `out`: the reverse pass differentiated by its cotangent, as some operations have no forward mode."""
    dummy = torch.zeros_like(out, requires_grad=True)
    pulled = torch.autograd.grad(out, leaves, dummy, create_graph=True, allow_unused=True)
    terms = [(g * d).sum() for g, d in zip(pulled, directions) if g is not None and g.requires_grad]
    return torch.autograd.grad(sum(terms), dummy)[0].detach()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="those with one of these in their name; all if not given")
    parser.add_argument("--keep", help="keep the files of the models in this folder")
    args = parser.parse_args()
    print("| model | exporter | parameters compared | lines | output | jvp | grad |\n|---|---|--:|--:|--:|--:|--:|")
    failed = 0
    for name, make in MODELS.items():
        for kind in ("torchscript", "dynamo"):
            if args.names and not any(part in f"{name}_{kind}" for part in args.names):
                continue
            torch.manual_seed(0)
            module, inputs = make()
            if kind in module.without:
                continue
            with tempfile.TemporaryDirectory() as folder:
                if args.keep:
                    folder = pathlib.Path(args.keep) / f"{name}_{kind}"
                    folder.mkdir(parents=True, exist_ok=True)
                try:
                    e = Case(folder, randomised(module).eval(), inputs, kind).measure()
                except (SystemExit, Exception) as stop:
                    print(f"{name} {kind}: {type(stop).__name__}: {str(stop)[-1500:]}", file=sys.stderr, flush=True)
                    failed += 1
                    continue
            within = e["output"] <= 1e-5 and max(e["jvp"], e["grad"]) <= 1e-4
            failed += not within
            print(f"| {name} | {kind} | {e['params']} | {e['lines']} | {e['output']:.1e} | {e['jvp']:.1e} | "
                  f"{e['grad']:.1e} |{'' if within else ' TOO LARGE'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
