"""Makes the embedded data set: the first images of each class of Fashion-MNIST, in their order,
500 a class for training and 100 a class for testing; and the text.

    python train/data/make.py DIR      DIR holds the four *-ubyte.gz files of Fashion-MNIST, and alice29.txt"""
import gzip
import struct
import sys
from pathlib import Path

import numpy as np

folder, here = Path(sys.argv[1]), Path(__file__).parent


def balanced(part, a_class):
    labels = np.frombuffer(gzip.open(folder / f"{part}-labels-idx1-ubyte.gz").read(), np.uint8, offset=8)
    pixels = np.frombuffer(gzip.open(folder / f"{part}-images-idx3-ubyte.gz").read(), np.uint8, offset=16)
    pixels = pixels.reshape(-1, 28, 28)
    kept = np.sort(np.concatenate([np.flatnonzero(labels == c)[:a_class] for c in range(10)]))
    write(f"{part}-images-idx3-ubyte.gz", pixels[kept])
    write(f"{part}-labels-idx1-ubyte.gz", labels[kept])


def write(name, array):
    header = struct.pack(f">I{array.ndim}I", 0x0800 + array.ndim, *array.shape)
    (here / name).write_bytes(gzip.compress(header + array.tobytes(), 9, mtime=0))


balanced("train", 500)
balanced("t10k", 100)

text = (folder / "alice29.txt").read_bytes().replace(b"\r\n", b"\n").replace(b"\x1a", b"")
(here / "alice.txt.gz").write_bytes(gzip.compress(text.strip(b"\n ") + b"\n", 9, mtime=0))
