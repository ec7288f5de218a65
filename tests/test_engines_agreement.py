"""Workers that are to do different things are told so before they do them."""

import keras
import numpy as np
import pytest
from keras import optimizers

from nestrade_lib import Nestrade
from nestrade_lib.cluster import Disagreement
from nestrade_lib.cluster.digest import digest
from nestrade_lib.engines import Engine
from nestrade_lib.training.checkpoints import Checkpoints
from nestrade_lib.training.data import data_adapter
from nestrade_lib.training.run import Run
from tests.support.replicas import (
    FLAT,
    Y,
    build,
)

pytestmark = pytest.mark.any_backend


class Two(Engine):
    """The second of two workers, whose chief has other numbers after a while."""

    workers, rank = 2, 1

    def __init__(self, alike=0):
        self.alike = alike

    def gather(self, numbers):
        mine = np.asarray(numbers, "int32")
        self.alike -= 1
        return np.stack([mine if self.alike >= 0 else mine + 1, mine])


def test_workers_whose_weights_have_drifted_apart_are_told():
    # As a loop of one's own leaves them that does not add up gradients.
    for alike, what in ((0, "structure"), (1, "weights")):
        trainer = Nestrade(build(Engine()), 0.4, engine=Two(alike))
        data, callbacks = data_adapter(FLAT, Y), keras.callbacks.CallbackList()
        run = Run(trainer, data, range(1), callbacks)
        with pytest.raises(Disagreement, match=f"{what}: worker 1 .*an all-reduce"):
            run.begin()


class Beside(Engine):
    """One of two workers, the chief, or the second beside what the chief has said."""

    workers = 2

    def __init__(self, said=None):
        self.said, self.rank = [], 0 if said is None else 1
        self.heard = iter(said or ())

    def gather(self, numbers):
        mine = np.asarray(numbers, "int32")
        self.said.append(mine)
        return np.stack([mine if self.rank == 0 else next(self.heard), mine])

    def shard(self, batch):
        return batch[: len(batch) // 2]  # the same: nobody adds up their gradients


def side_by_side(chief, other):
    """Train as two workers would, each with its own data and arguments of `fit`."""
    said = None
    for (data, compiled), settings in (chief, other):
        engine = Beside(said)
        network = build(engine, **compiled)
        how = {"epochs": 2, "verbose": 0, **settings}
        x, y = data()
        trainer = Nestrade(network, 1, engine=engine)
        if engine.rank and "drift" in how:
            how["callbacks"] = [how.pop("drift")]
        how.pop("drift", None)
        trainer.fit(x, y, **how)
        said = engine.said


class Drift(keras.callbacks.Callback):
    """Changes a weight on its own worker."""

    def on_epoch_end(self, epoch, logs=None):
        weight = self.model.trainable_variables[0]
        weight.assign(weight + 1)


class Reordered(keras.utils.PyDataset):
    """An order that each worker draws by itself."""

    def __init__(self, seed):
        super().__init__()
        self.order = np.random.default_rng(seed).permutation(len(Y))

    def __len__(self):
        return 5

    def __getitem__(self, index):
        rows = self.order[32 * index : 32 * index + 32]
        return FLAT[rows], Y[rows]


def whole():
    return FLAT, Y


PLAIN = (whole, {}), {"batch_size": 32}
OTHERS = {  # settings of the chief, of the other worker, what the error names
    "momentum": (PLAIN, ((whole, {"optimizer": lambda: optimizers.SGD(0.1)}), PLAIN[1]),
                 "the optimizer, loss or metrics"),
    "class_weight": (PLAIN, (PLAIN[0], {"batch_size": 32, "class_weight": {0: 2.0}}),
                     "class_weight"),
    "batch_size": (PLAIN, (PLAIN[0], {"batch_size": 16}), "the steps .*, batch_size"),
    "epochs": (PLAIN, (PLAIN[0], {"batch_size": 32, "epochs": 3}), "the epochs"),
    "shuffle": (PLAIN, (PLAIN[0], {"batch_size": 32, "shuffle": False}), "shuffle"),
    "data": (PLAIN, ((lambda: (FLAT + 1, Y), {}), PLAIN[1]), "the training data"),
    "weights": (PLAIN, (PLAIN[0], {"batch_size": 32, "drift": Drift()}),
                "the network's weights"),
    "order": (((lambda: (Reordered(0), None), {}), {}),
              ((lambda: (Reordered(1), None), {}), {}), "a batch of the training data"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_workers_that_are_to_do_something_else_are_told_before_they_do(name):
    chief, other, what = OTHERS[name]
    if name in ("momentum", "order"):  # who does the same is not held up
        side_by_side(chief, chief)
    with pytest.raises(Disagreement, match=f"Workers differ in {what}: worker 1 from"):
        side_by_side(chief, other)


def test_types_shapes_and_words_are_told_apart():
    words = [np.array(["some", word], object) for word in ("words", "words", "more")]
    assert digest(words[0]) == digest(words[1]) != digest(words[2])
    zeros = [np.zeros(4, kind) for kind in ("float32", "int32")]
    alike = [*zeros, zeros[0].reshape(2, 2), zeros[0].reshape(1, 4)]
    assert len({digest(each) for each in alike}) == len(alike)


def test_a_folder_that_is_not_the_chiefs_is_told(tmp_path):
    with pytest.raises(ValueError, match="is not the one that the chief writes to"):
        Checkpoints(tmp_path, Two(alike=3))
