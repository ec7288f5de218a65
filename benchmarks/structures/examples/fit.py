"""An example's fit, to half of its MACs."""

import tempfile
from pathlib import Path

import keras
import numpy as np
from keras import ops

from benchmarks.structures.examples.images import Sampling
from benchmarks.structures.rows import Row, row_of, what_stays
from nestrade_lib import Nestrade, Schedule
from nestrade_lib.dependency import group_channels


def train(name, kind, build, seed=1):
    """The row of an example: fitted to half of its MACs, saved, and loaded by Keras alone."""
    return row_of(name, kind, lambda: _trained(name, kind, *build()), seed)


def outputs(network, x):
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(network(x))]


def _trained(name, kind, network, x, y):
    network.run_eagerly = keras.backend.backend() == "tensorflow"
    schedule = Schedule(start=0.25, stop=0.5, cuts=1, shrink=2, max_pruning_ratio=1)
    trainer = Nestrade(network, 0.5, schedule=schedule)
    trainer.fit(x, y, batch_size=16, epochs=3, verbose=0)
    share = trainer.costs.macs / trainer.dense_costs.macs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "smaller.keras"
        trainer.save(path)
        loaded = keras.models.load_model(path, custom_objects={"Sampling": Sampling})
    before, again, after = (outputs(made, x) for made in (trainer, trainer, loaded))
    repeated = [n for n, y in enumerate(before) if np.array_equal(y, again[n])]
    scale = max(np.abs(before[n]).max() for n in repeated)
    difference = max(np.abs(before[n] - after[n]).max() for n in repeated) / scale
    stays = what_stays(group_channels(trainer.network))
    outcome = "cut" if trainer.met else "budget missed"
    return Row(name, kind, outcome, round(share, 3), float(f"{difference:.1e}"), stays)
