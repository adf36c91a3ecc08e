"""TensorFlow's side of the comparison: the MLP, compiled by XLA. Usage: tensorflow_peer.py THREADS, then as worker.py says."""

import sys

import worker

THREADS = worker.threads()

import tensorflow as tf  # after the cores have been chosen

tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(THREADS)


def linear(n_in, n_out):
    return [tf.Variable(tf.random.normal((n_in, n_out)) / n_in**0.5), tf.Variable(tf.zeros(n_out))]


def prepare(work):
    if work["model"] != "mlp":
        print(f"TensorFlow isn't timed with {work['model']}", file=sys.stderr)
        return {}
    tf.keras.utils.set_random_seed(0)
    x = tf.random.normal((work["batch"], *work["input"]))
    y = tf.random.uniform((work["batch"],), maxval=worker.CLASSES, dtype=tf.int32)
    sizes = [28 * 28, work["width"], work["width"], worker.CLASSES]
    params = sum((linear(*pair) for pair in zip(sizes, sizes[1:])), [])

    def loss(x, y):
        h = tf.reshape(x, (x.shape[0], -1))
        for k in range(0, len(params) - 2, 2):
            h = tf.nn.relu(h @ params[k] + params[k + 1])
        logits = h @ params[-2] + params[-1]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))

    def grad(x, y):
        with tf.GradientTape() as tape:
            value = loss(x, y)
        return value, tape.gradient(value, params)

    def backprop(x, y):
        value, gradient = grad(x, y)
        for p, g in zip(params, gradient):
            p.assign_sub(worker.RATE * g)
        return value

    def call(function):
        compiled = tf.function(function, jit_compile=True)
        return lambda: tf.nest.flatten(compiled(x, y))[0].numpy()

    rows = {"forward": call(loss), "grad": call(grad), "backprop": call(backprop)}
    return {row: {"tensorflow": call} for row, call in rows.items()}


worker.serve(prepare)
