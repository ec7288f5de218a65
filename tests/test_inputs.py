"""What Keras' ``fit`` takes, a run takes, and what it refuses is refused."""

import threading

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import Budget, Nestrade, Schedule, count_costs
from nestrade_lib.internals import is_functional
from nestrade_lib.training.data import data_adapter
from tests.support.small import EAGER

pytestmark = pytest.mark.any_backend

TENSORFLOW = keras.backend.backend() == "tensorflow"
ROWS = 24
NUMBERS = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
TARGETS = NUMBERS[:, 0] + 1
WORDS = np.array(["red", "green", "blue"])[np.arange(ROWS) % 3].astype(object)


def head(inputs, x, **compiled):
    network = keras.Model(inputs, kl.Dense(1)(kl.Dense(8, activation="relu")(x)))
    compiled = {"optimizer": "adam", "loss": "mse", "run_eagerly": EAGER} | compiled
    network.compile(**compiled)
    return network


def plain(**compiled):
    inputs = keras.Input((4,))
    return head(inputs, inputs, **compiled)


def of_words():
    inputs = keras.Input((1,), dtype="string")
    lookup = kl.StringLookup(vocabulary=["red", "green"], output_mode="one_hot")
    return head(inputs, lookup(inputs))


def of_texts():
    inputs = keras.Input((1,), dtype="string")
    ids = kl.TextVectorization(vocabulary=["red", "green"], output_sequence_length=3)
    x = kl.Flatten()(kl.Embedding(5, 4)(ids(inputs)))
    return head(inputs, x)


def of_columns():
    inputs = {name: keras.Input((1,), name=name) for name in ("a", "b")}
    return head(inputs, kl.Concatenate()(list(inputs.values())))


def of_two_outputs():
    inputs = keras.Input((4,))
    hidden = kl.Dense(8, activation="relu")(inputs)
    outputs = kl.Dense(1, name="one")(hidden), kl.Dense(1, name="two")(hidden)
    network = keras.Model(inputs, outputs)
    network.compile("adam", ["mse", "mse"], run_eagerly=EAGER)
    return network


class OwnStep(keras.Model):
    """A training step of one's own, and no compiled loss."""

    def compute_loss(self, x=None, y=None, y_pred=None, **options):
        return keras.ops.mean((keras.ops.squeeze(y_pred, -1) - y) ** 2)


def of_own_step():
    inputs = keras.Input((4,))
    network = OwnStep(inputs, kl.Dense(1)(kl.Dense(8, activation="relu")(inputs)))
    network.compile("adam", run_eagerly=EAGER)
    return network


def without_nan():
    inputs = keras.Input((4,))
    x = keras.ops.where(keras.ops.isnan(inputs), 0.0, inputs)
    return head(inputs, x)


def masked(y, predicted):
    known = keras.ops.isfinite(y)
    error = keras.ops.where(known, keras.ops.squeeze(predicted, -1) - y, 0.0)
    return keras.ops.mean(error**2)


def with_gaps(values):
    return np.where(np.arange(values.size).reshape(values.shape) % 7, values, np.nan)


def columns():
    return {"a": NUMBERS[:, 0], "b": NUMBERS[:, 1]}


def scipy_sparse():
    return pytest.importorskip("scipy.sparse").csr_matrix(NUMBERS)


def tf_sparse():
    return pytest.importorskip("tensorflow").sparse.from_dense(NUMBERS)


class Slow(keras.utils.PyDataset):
    def __init__(self, workers):
        super().__init__(workers=workers, max_queue_size=4)

    def __len__(self):
        return 4

    def __getitem__(self, i):
        rows = slice(6 * i, 6 * i + 6)
        return NUMBERS[rows], TARGETS[rows]


# The network, its data, and arguments of fit.
CASES = {
    "float64": (plain, lambda: (NUMBERS.astype("float64"), TARGETS), {}),
    "whole numbers": (plain, lambda: (NUMBERS.astype("int64"), TARGETS), {}),
    "booleans": (plain, lambda: (NUMBERS > 0, TARGETS > 1), {}),
    "half floats": (plain, lambda: (NUMBERS.astype("float16"), TARGETS), {}),
    "columns": (of_columns, lambda: (columns(), TARGETS), {}),
    "a column too many": (
        of_columns,
        lambda: (columns() | {"c": NUMBERS[:, 2]}, TARGETS),
        {},
    ),
    "scipy": (plain, lambda: (scipy_sparse(), TARGETS), {}),
    "a list of numbers": (plain, lambda: (NUMBERS.tolist(), TARGETS.tolist()), {}),
    "a list of labels": (plain, lambda: (NUMBERS, TARGETS.tolist()), {}),
    "text as labels": (plain, lambda: (NUMBERS, WORDS), {}),
    "text as numbers": (plain, lambda: (WORDS, TARGETS), {}),
    "objects": (plain, lambda: (NUMBERS.astype(object), TARGETS), {}),
    "too few labels": (plain, lambda: (NUMBERS, TARGETS[:-1]), {}),
    "too few columns": (plain, lambda: (NUMBERS[:, :3], TARGETS), {}),
    "gaps that the network fills": (
        without_nan,
        lambda: (with_gaps(NUMBERS), TARGETS),
        {},
    ),
    "gaps that the loss leaves out": (
        lambda: plain(loss=masked),
        lambda: (NUMBERS, with_gaps(TARGETS)),
        {},
    ),
    "a training step": (of_own_step, lambda: (NUMBERS, TARGETS), {}),
    "class weights": (
        plain,
        lambda: (NUMBERS, TARGETS > 1),
        {"class_weight": {0: 2.0}},
    ),
    "class weights of two outputs": (
        of_two_outputs,
        lambda: (NUMBERS, (TARGETS > 1, TARGETS > 0)),
        {"class_weight": {0: 2.0}},
    ),
    "class weights beside weights": (
        plain,
        lambda: (NUMBERS, TARGETS > 1),
        {"class_weight": {0: 2.0}, "sample_weight": np.ones(ROWS)},
    ),
    "one weight for two outputs": (
        of_two_outputs,
        lambda: (NUMBERS, (TARGETS, TARGETS)),
        {"sample_weight": np.ones(ROWS)},
    ),
    "a data set with a queue": (plain, lambda: (Slow(4),), {}),
    "a data set without": (plain, lambda: (Slow(1),), {}),
}
if TENSORFLOW:
    CASES |= {
        "words": (of_words, lambda: (WORDS, TARGETS), {}),
        "texts": (of_texts, lambda: (WORDS, TARGETS), {}),
        "tf.SparseTensor": (plain, lambda: (tf_sparse(), TARGETS), {}),
        "held out": (plain, lambda: (tf_sparse(), TARGETS), {"validation_split": 0.25}),
    }


def losses(fit, data, options):
    """What each epoch logs, or None where the data are refused."""
    try:
        history = fit(
            *data, batch_size=6, epochs=3, verbose=0, shuffle=False, **options
        )
    except Exception as error:  # of TensorFlow some are its own
        assert len(str(error)) > 10
        return None
    return history.history


@pytest.mark.parametrize("name", CASES)
def test_a_run_takes_and_refuses_what_keras_does(name):
    make, data, options = CASES[name]
    keras.utils.set_random_seed(0)
    network = make()
    keras.utils.set_random_seed(0)
    expected = losses(make().fit, data(), options)
    schedule = Schedule(0.4, 0.9, cuts=1, shrink=1)
    trainer = Nestrade(network, 0.7, schedule=schedule, anneal=None)
    found = losses(trainer.fit, data(), options)
    assert (found is None) == (expected is None), (found, expected)
    if found is not None:
        assert trainer.met and is_functional(trainer.network)
        assert found.keys() == expected.keys()
        exact = 1e-2 if "queue" in name else 1e-4  # Keras may begin with another batch
        for log in found:  # of the epoch before the cut
            np.testing.assert_allclose(found[log][0], expected[log][0], rtol=exact)


def test_the_workers_of_a_data_set_make_batches_side_by_side():
    """Four wait for each other: one alone would wait in vain."""
    together = threading.Barrier(4)

    class Waiting(Slow):
        def __getitem__(self, i):
            together.wait(timeout=60)
            return super().__getitem__(i)

    source = data_adapter(Waiting(4), shuffle=False)
    for epoch in range(2):
        source.start_epoch(epoch)
        batches = [x for _ in range(2) for x, _ in source.take(2)["x"]]
        np.testing.assert_array_equal(np.concatenate(batches), NUMBERS)


def test_a_loss_that_is_not_finite_names_the_data():
    trainer = Nestrade(plain(), 0.7)
    with pytest.raises(FloatingPointError, match=r"x holds \d+ numbers that are not"):
        trainer.fit(with_gaps(NUMBERS), TARGETS, epochs=2, verbose=0)


def of_open_images():
    inputs = keras.Input((None, None, 3))
    x = kl.Conv2D(6, 3, activation="relu")(inputs)
    return head(inputs, kl.GlobalAveragePooling2D()(x))


def of_open_sequences():
    inputs = keras.Input((None,), dtype="int32")
    x = kl.Conv1D(6, 3, activation="relu")(kl.Embedding(5, 8)(inputs))
    return head(inputs, kl.GlobalMaxPooling1D()(x))


IMAGES = np.random.default_rng(0).normal(size=(ROWS, 7, 9, 3)).astype("float32")


@pytest.mark.parametrize(
    "make, x, budget",
    [
        (of_open_images, IMAGES, Budget(macs=0.5)),
        (of_open_sequences, (IMAGES[:, 0, :, 0] > 0) * 1, Budget(params=0.5)),
    ],
)
def test_open_shapes_cost_what_the_data_make_them_cost(make, x, budget):
    trainer = Nestrade(make(), budget)
    with pytest.raises(ValueError, match="open shape.*input_shape="):
        trainer.report()
    trainer.fit(x, TARGETS, batch_size=4, epochs=2, verbose=0)
    first = count_costs(make(), x.shape[1:])
    assert trainer.dense_costs.macs == first.macs and trainer.cuts
    assert trainer.met and trainer.costs.macs == trainer.pruned.costs.totals()["macs"]
    (cost,) = budget.shares
    assert getattr(trainer.costs, cost) <= 0.5 * getattr(first, cost)
    # They stay open, and the budget met: fit is Keras' own, at any size.
    trainer.fit(x[:, 2:], TARGETS, verbose=0)
    with pytest.raises(ValueError, match="input_shape: expected what fits"):
        count_costs(make(), (7, 9, 3, 1))


@pytest.mark.skipif(not TENSORFLOW, reason="nothing in it is the backend's")
def test_open_shapes_of_data_that_come_once():
    def batches():
        while True:
            yield IMAGES[:4], TARGETS[:4]

    options = {"steps_per_epoch": 5, "epochs": 2, "verbose": 0}
    with pytest.raises(ValueError, match=r"macs=0.5.*None, None, 3.*inputs=.*params"):
        Nestrade(of_open_images(), 0.5).fit(batches(), **options)
    for budget, inputs in ((Budget(params=0.5), None), (0.5, IMAGES[:2])):
        trainer = Nestrade(of_open_images(), budget, inputs=inputs)
        trainer.fit(batches(), **options)
        assert trainer.met and trainer.cuts
