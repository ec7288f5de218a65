"""How long layers take: the measured side of a budget on latency."""

import time

import keras
import numpy as np


def layer_seconds(network, repeats=20):
    """Measure each layer's time for one sample, as the least of several runs."""
    seconds = {}
    for layer in network.layers:
        if not layer.weights:
            continue
        inputs = keras.tree.map_structure(
            lambda x: np.zeros((1, *x.shape[1:]), "float32"), layer.input
        )
        alone = keras.Model(layer.input, layer.output)
        alone.predict_on_batch(inputs)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            alone.predict_on_batch(inputs)
            times.append(time.perf_counter() - start)
        seconds[layer.name] = min(times)
    return seconds
