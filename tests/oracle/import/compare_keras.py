"""Imports Keras models that tf2onnx writes, and compares outputs, tangents and gradients with TensorFlow's.

    python3 -m venv /tmp/venv-keras
    /tmp/venv-keras/bin/pip install tensorflow-cpu tf-keras tf2onnx safetensors
    cargo build --release
    TF_USE_LEGACY_KERAS=1 /tmp/venv-keras/bin/python tests/oracle/import/compare_keras.py

Derivatives are by the input: weights have other names in the file than in Keras. TensorFlow computes in single precision.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tf2onnx
import tf_keras as keras
from safetensors.numpy import load_file, save_file
from tf_keras import layers

ROOT = pathlib.Path(__file__).resolve().parents[3]
FGC = os.environ.get("FGC", ROOT / "target/release/fgc")


def convolutional():
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(8, 3, padding="same", activation="relu"), layers.BatchNormalization(),
        layers.MaxPooling2D(2), layers.DepthwiseConv2D(3, activation="relu"), layers.SeparableConv2D(16, 3, strides=2, padding="same"),
        layers.Dropout(0.2), layers.Flatten(), layers.Dense(32, activation="tanh"), layers.Dense(10, activation="softmax"),
    ])


def residual():
    x = keras.Input((16, 16, 3))
    h = layers.Conv2D(8, 3, padding="same")(x)
    g = layers.Activation("swish")(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(h)))
    h = layers.GlobalAveragePooling2D()(layers.add([h, g]))
    return keras.Model(x, layers.Dense(10)(layers.LayerNormalization()(h)))


def attention():
    x = keras.Input((6, 16))
    h = layers.LayerNormalization(epsilon=1e-6)(x + layers.MultiHeadAttention(2, 8)(x, x))
    return keras.Model(x, layers.Dense(5)(layers.Dense(32, activation="elu")(h)[:, 0]))


def fgc(*args):
    done = subprocess.run([str(FGC), *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"fgc {' '.join(map(str, args))}\n{done.stderr}")


def error(got, wanted):
    return float(np.abs(got - wanted).max() / np.abs(wanted).max())


def measure(model, folder):
    shape = (4, *model.input_shape[1:])
    rng = np.random.default_rng(0)
    for layer in model.layers:
        # Neither zeros nor ones, which tf2onnx leaves out.
        layer.set_weights([w + rng.uniform(0, 0.1, w.shape) for w in layer.get_weights()])
    x, v = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    signature = [tf.TensorSpec((None, *shape[1:]), tf.float32, "x")]
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path=str(folder / "model.onnx"))
    text = folder / "model.fg"
    fgc("import", folder / "model.onnx", "-o", text, "--params", folder / "w.safetensors", "--loss", "mse")
    name = re.search(r"output (\w+) =", text.read_text()).group(1)

    point = tf.constant(x)
    with tf.autodiff.ForwardAccumulator(point, tf.constant(v)) as forward:
        out = model(point, training=False)
    y = rng.standard_normal(out.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(point)
        loss = tf.reduce_mean((model(point, training=False) - y) ** 2)
    wanted = {name: out.numpy(), f"{name}.tangent": forward.jvp(out).numpy(), "x.grad": tape.gradient(loss, point).numpy()}
    errors = []
    for (key, value), mode in zip(wanted.items(), ("primal", "jvp", "grad")):
        arrays = {**load_file(folder / "w.safetensors"), "x": x, "y": y}
        if mode == "jvp":
            arrays["x.tangent"] = v
        save_file(arrays, folder / "in.safetensors")
        wrt = [] if mode == "primal" else ["--wrt", "x"]
        fgc("run", text, "--mode", mode, "--eval", "--batch", 4, "--inputs", folder / "in.safetensors",
            "--outputs", folder / "out.safetensors", *wrt)
        errors.append(error(load_file(folder / "out.safetensors")[key], value))
    return errors, text.read_text()


def main():
    print("| model | exporter | lines | output | jvp | grad |\n|---|---|--:|--:|--:|--:|")
    failed = False
    for make in (convolutional, residual, attention):
        keras.utils.set_random_seed(0)
        with tempfile.TemporaryDirectory() as folder:
            errors, text = measure(make(), pathlib.Path(folder))
        if len(sys.argv) > 1:
            pathlib.Path(sys.argv[1], f"keras_{make.__name__}.fg").write_text(text)
        failed |= errors[0] > 1e-5 or max(errors[1:]) > 1e-4
        print(f"| {make.__name__} | tf2onnx | {text.count(chr(10))} | " + " | ".join(f"{e:.1e}" for e in errors) + " |", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
