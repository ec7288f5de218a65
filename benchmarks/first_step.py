"""How long a run waits before its first training step, and a choice among many groups.

    python -m benchmarks.first_step            # minutes
    python -m benchmarks.first_step --quick    # a look at small images, writing nothing

The network is Keras' DenseNet121, of 10,240 channel groups, weights random, on images of
two sizes. Seconds are the processor's, from ``Nestrade(...)`` on: tracing, costs, and the
cuts that are tried before a run. The choice is among 12,000 groups of dense layers.
"""

import argparse
import tempfile
import time

import keras
import numpy as np

from benchmarks.record import RESULTS, Record
from nestrade_lib import Nestrade, trace
from nestrade_lib.choice import choose
from nestrade_lib.costs import ChannelCosts

SIDES = 64, 224  # of the images, in pixels
ROUNDS = 3
STEPS = 200  # of a run: its first choice comes later than its first step


class FirstStep(keras.callbacks.Callback):
    """Ends a run where its first step would begin."""

    class Reached(Exception):
        pass

    def on_train_batch_begin(self, batch, logs=None):
        raise self.Reached


def first_step(side):
    """Processor seconds of the constructor, and until the first step."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    shape = side, side, 3
    network = keras.applications.DenseNet121(
        weights=None, input_shape=shape, classes=10
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).random((STEPS, *shape), "float32")
    start = time.process_time()
    trainer = Nestrade(network, budget=0.5)
    made = time.process_time()
    try:
        trainer.fit(
            images, np.zeros(STEPS), batch_size=1, verbose=0, callbacks=[FirstStep()]
        )
    except FirstStep.Reached:
        reached = time.process_time()
    return {
        "groups": trace(network).count,
        "constructor_processor_seconds": round(made - start, 2),
        "first_step_processor_seconds": round(reached - start, 2),
    }


def choice(seed):
    """Processor seconds to choose a tenth of the MACs among dense layers, by any scores."""
    layers = [keras.layers.Dense(4000) for _ in range(3)]
    network = keras.Sequential([keras.Input((10,)), *layers, keras.layers.Dense(10)])
    graph = trace(network)
    start = time.process_time()
    costs = ChannelCosts(graph)
    limit = costs.total(np.ones(graph.count, bool))["macs"] / 10
    choose(
        graph, costs, np.random.default_rng(seed).random(graph.count), {"macs": limit}
    )
    taken = time.process_time() - start
    return {"groups": graph.count, "processor_seconds": round(taken, 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.quick else RESULTS
    parts = {f"first-step-{side}": (first_step, side) for side in SIDES}
    parts["choice"] = choice, None
    for name in list(parts)[:: 2 if options.quick else 1]:
        measure, side = parts[name]
        record = Record(f"structure/{name}", folder)
        for seed in record.missing(range(1 if options.quick else ROUNDS)):
            record.add(seed, measure(seed if side is None else side))
            print(name, record.content["seeds"][str(seed)], flush=True)


if __name__ == "__main__":
    main()
