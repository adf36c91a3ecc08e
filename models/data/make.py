"""Makes fashion-64.safetensors: the first 64 test images of Fashion-MNIST and their labels.

    python models/data/make.py DIR      DIR holds t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz

Pixels are scaled to 0...1 and normalised by the mean and standard deviation of the training set."""
import gzip
import sys

import numpy as np
from safetensors.numpy import save_file

MEAN, STD, COUNT = 0.2860, 0.3530, 64

folder = sys.argv[1]
with gzip.open(f"{folder}/t10k-images-idx3-ubyte.gz") as f:
    pixels = np.frombuffer(f.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)[:COUNT]
with gzip.open(f"{folder}/t10k-labels-idx1-ubyte.gz") as f:
    labels = np.frombuffer(f.read(), np.uint8, offset=8)[:COUNT]
x = ((pixels.astype(np.float32) / 255 - MEAN) / STD).astype(np.float32)
save_file({"x": x, "y": labels.astype(np.int32)}, "models/data/fashion-64.safetensors")
