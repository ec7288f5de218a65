"""How many images a second each way of making batches gives, alone and into `fit`.

python -m benchmarks.input            # some minutes
python -m benchmarks.input --quick    # a look, writing nothing

MNIST as bytes, 28 × 28, shuffled; two batch sizes. "Alone" iterates over the batches and
drops them. "fit" trains a model of one pixel, whose step costs next to nothing, so that
what is measured is how fast Keras' training step gets its data; "fit10" does so with ten
steps in one call (`steps_per_execution`). "one batch" feeds the same batch again and
again: what `fit` itself takes. LeNet-5 on one batch is the rate that a real network asks
for. Figures are thousands of images a second, in the best epoch.
"""

import argparse
import tempfile
import time

import keras
import tensorflow as tf

from benchmarks.record import RESULTS, Record
from benchmarks.training import lenet5
from nestrade_lib import Batches, create_loss, load_mnist, tf_batches

BATCH_SIZES = 128, 1024


def to_float(image, label):
    return tf.cast(image, tf.float32) * (1 / 255), label


def map_samples(x, y, batch_size):
    """What tutorials show: each image through `map`, then batches."""
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x))
    dataset = dataset.map(to_float, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def map_batches(x, y, batch_size):
    """Batches first, then `map`."""
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x))
    dataset = dataset.batch(batch_size)
    dataset = dataset.map(to_float, num_parallel_calls=tf.data.AUTOTUNE)
    return dataset.prefetch(tf.data.AUTOTUNE)


def numpy_batches(x, y, batch_size):
    return Batches(x, y, batch_size, seed=0)


def whole_batches(x, y, batch_size):
    return tf_batches(x, y, batch_size, seed=0)


def one_batch(x, y, batch_size):
    dataset = tf_batches(x, y, batch_size, seed=0)
    return dataset.take(1).cache().repeat(len(dataset))


WAYS = {
    "map_samples": map_samples,
    "map_batches": map_batches,
    "numpy_batches": numpy_batches,
    "whole_batches": whole_batches,
    "one_batch": one_batch,
}


def pixel_model(steps_per_execution=1):
    """A model that reads one pixel of each image."""
    corner = keras.layers.Cropping2D(((0, 27), (0, 27)))
    layers = [keras.Input((28, 28, 1)), corner, keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    model.compile("sgd", create_loss(), steps_per_execution=steps_per_execution)
    return model


def fitted(model):
    """A function that trains the model for an epoch."""
    return lambda data: model.fit(data, shuffle=False, verbose=0)


def drained(data):
    """Take all batches of an epoch and drop them."""
    if isinstance(data, keras.utils.PyDataset):
        for index in range(len(data)):
            data[index]
        data.on_epoch_end()
    else:
        for _ in data:
            pass


def rate(consume, data, samples):
    """Thousands of images a second, in the best of many epochs after the first.

    What else the machine does only ever slows an epoch down, so the best one is nearest
    to what the way itself takes.
    """
    consume(data)
    seconds = []
    while len(seconds) < 3 or sum(seconds) < 2:
        start = time.perf_counter()
        consume(data)
        seconds.append(time.perf_counter() - start)
    return round(samples / min(seconds) / 1000, 1)


def measure(x, y):
    """All ways in turn, so that what else the machine does falls on each alike."""
    figures = {}
    for batch_size in BATCH_SIZES:
        for name, way in WAYS.items():
            keras.utils.clear_session()
            data = way(x, y, batch_size)
            for kind, consume in (
                ("alone", drained),
                ("fit", fitted(pixel_model())),
                ("fit10", fitted(pixel_model(steps_per_execution=10))),
            ):
                figures[f"{name}_{batch_size}_{kind}"] = rate(consume, data, len(x))
    keras.utils.clear_session()
    network = lenet5()
    network.compile("adam", create_loss())
    few = 10 * 128
    data = one_batch(x[:few], y[:few], 128)
    figures["lenet_128_fit"] = rate(fitted(network), data, few)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    (x, y), _ = load_mnist(dtype="uint8")
    rounds, folder = 3, RESULTS
    if options.quick:
        x, y, rounds, folder = x[:6000], y[:6000], 1, tempfile.mkdtemp()
    record = Record("input", folder)
    for number in record.missing(range(rounds)):
        record.add(number, measure(x, y))
    for name, of in record.content["summary"].items():
        print(f"{name:24} {of['mean']:8.1f} ± {of['sd']:.1f} thousand images a second")


if __name__ == "__main__":
    main()
