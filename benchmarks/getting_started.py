"""Train the model of the chapter "Getting started" from five seeds.

    python -m benchmarks.getting_started

The chapter quotes `results/getting_started.json`; a test compares the two.
"""

import time

import keras

from benchmarks.record import Record
from nestrade_lib import Batches, create_nestrade_model, load_mnist

SEEDS = range(5)
EPOCHS = 4


def train(seed, data):
    """Train as the chapter does; return the test accuracy and the time it took.

    Seconds on the clock depend on what else the machine does (see `load`); seconds of
    the processor, summed over its cores, hardly do.
    """
    (x_train, y_train), (x_test, y_test) = data
    keras.utils.set_random_seed(seed)
    batches = Batches(x_train, y_train, batch_size=128, seed=seed)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, EPOCHS * len(batches))
    model = create_nestrade_model((28, 28, 1), 10, learning_rate=rate, l1=1e-5)
    test = Batches(x_test, y_test, batch_size=1000)

    clock, processor = time.perf_counter(), time.process_time()
    model.fit(batches, epochs=EPOCHS, validation_data=test, verbose=0)
    figures = {
        "seconds": round(time.perf_counter() - clock, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
    _, accuracy = model.evaluate(test, verbose=0)
    return {"accuracy": round(float(accuracy), 4), **figures}


def main():
    record = Record("getting_started")
    data = load_mnist(dtype="uint8")
    for seed in record.missing(SEEDS):
        figures = train(seed, data)
        record.add(seed, figures)
        print(f"seed {seed}: {figures}")


if __name__ == "__main__":
    main()
