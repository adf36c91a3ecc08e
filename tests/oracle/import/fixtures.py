"""Writes the fixtures of `tests/suite/import.rs`: small ONNX files, and what PyTorch computes.

    FGC=target/release/fgc /tmp/venv/bin/python tests/oracle/import/fixtures.py

in the environment of `compare.py`. `NAME.onnx` is the model, imported with the loss that the metadata of `NAME.safetensors`
name; its arrays are what is bound beside the parameters, by fgc's names: inputs, and tangents (`NAME.tangent`). What comes of
them begins with `wanted:`. Parameters are the file's own.
"""

import pathlib
import tempfile

import numpy as np
import onnx
import torch
from safetensors.numpy import save_file
from torch import nn

from compare import Case
from models import Net, randomised

HERE = pathlib.Path(__file__).parent


class Cnn(Net):
    """Convolutions in groups too, batch norm, pooling, dropout."""

    optimize = False

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.drop = nn.Conv2d(4, 4, 3, groups=2), nn.Dropout(0.25)
        self.fc = nn.Linear(36, 3)

    def forward(self, x):
        h = nn.functional.avg_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        h = torch.max_pool2d(nn.functional.silu(self.conv2(h)) - 0.1, 2, 1)
        return self.fc(torch.flatten(self.drop(h), 1))


class Block(Net):
    """Embeddings, and a block of attention; the last layer has the weights of the first."""

    optimize = False

    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(7, 8), nn.Parameter(0.1 * torch.randn(1, 5, 8))
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.up, self.down, self.last = nn.Linear(8, 16), nn.Linear(16, 8), nn.LayerNorm(8)

    def forward(self, ids):
        h = self.tokens(ids) + self.places
        q, k, v = self.qkv(self.norm(h)).reshape(ids.shape[0], 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        mask = torch.ones(5, 5, dtype=torch.bool).tril()
        a = torch.softmax((q @ k.transpose(-1, -2) / 2).masked_fill(~mask, -torch.inf), -1)
        h = h + self.out((a @ v).transpose(1, 2).reshape(ids.shape[0], 5, 8))
        h = h + self.down(nn.functional.gelu(self.up(h)))
        return self.last(h) @ self.tokens.weight.T


class Images(Net):
    """An image made smaller and larger."""

    loss = "mse"

    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.GroupNorm(2, 4)
        self.up, self.end = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1), nn.Conv2d(5, 4, 1)

    def forward(self, x):
        h = nn.functional.leaky_relu(self.norm(self.down(x)), 0.2)
        wide = nn.functional.interpolate(h[:, :2], scale_factor=2, mode="bilinear")
        return nn.functional.pixel_shuffle(self.end(torch.cat([self.up(h), wide], 1)), 2)


class Recurrent(Net):
    """Two recurrent layers."""

    fold = True

    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(3, 4, batch_first=True, bidirectional=True), nn.GRU(8, 3, batch_first=True)

    def forward(self, x):
        return self.gru(self.lstm(x)[0])[0][:, -1]


FIXTURES = {
    "cnn": (Cnn, (2, 1, 12, 12), "dynamo"),
    "cnn_ts": (Cnn, (2, 1, 12, 12), "torchscript"),
    "block": (Block, 7, "dynamo"),
    "block_ts": (Block, 7, "torchscript"),
    "images": (Images, (2, 2, 6, 6), "dynamo"),
    "recurrent": (Recurrent, (2, 4, 3), "torchscript"),
}


def stripped(model):
    """`model` without what an exporter notes about its own sources."""
    graph = model.graph
    del model.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    return model


def main():
    for name, (make, shape, kind) in FIXTURES.items():
        torch.manual_seed(0)
        module = randomised(make()).eval()
        x = torch.randint(0, shape, (2, 5)) if isinstance(shape, int) else torch.randn(shape)
        with tempfile.TemporaryDirectory() as folder:
            case = Case(folder, module, (x,), kind)
            print(name, case.measure())
            onnx.save(stripped(onnx.load(case.onnx)), HERE / f"{name}.onnx")
        arrays = {**case.bound_arrays, **case.along}
        arrays |= {f"wanted:{key}": value.astype(np.float32) for key, value in case.wanted.items()}
        metadata = {"loss": module.loss, "batch": str(len(x))}
        save_file({key: np.ascontiguousarray(x) for key, x in arrays.items()}, HERE / f"{name}.safetensors", metadata)


if __name__ == "__main__":
    main()
