"""Several devices train the network that one does, or say why they do not."""

import functools

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import optimizers

from nestrade_lib import Nestrade, create_loss
from nestrade_lib.engines import start
from tests.support.replicas import (
    BACKEND,
    BATCH,
    CUTS,
    FLAT,
    X,
    Y,
    batches,
    build,
    difference,
    dropped,
    masked,
    normed,
    only_tensorflow,
    plain,
    train,
)

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]

CASES = {
    "sgd": (plain, lambda: optimizers.SGD(0.05, momentum=0.9)),
    "adam": (plain, lambda: optimizers.Adam(0.01)),
    "adamw": (plain, lambda: optimizers.AdamW(0.01, weight_decay=0.01)),
    "averaged": (plain, lambda: optimizers.Adam(0.01, use_ema=True)),
    "clipnorm": (plain, lambda: optimizers.SGD(0.05, clipnorm=0.05)),
    "global_clipnorm": (plain, lambda: optimizers.Adam(0.01, global_clipnorm=0.05)),
    "normed sgd": (normed, lambda: optimizers.SGD(0.02, momentum=0.9)),
    "normed adam": (normed, lambda: optimizers.Adam(0.01)),
}
BOUNDS = {
    "normed adam": 1e-4,  # it divides rounding by rounding where gradients vanish
    "normed sgd": 1e-13,  # in double precision: what its norms make of rounding is more
}
if BACKEND == "jax":  # one global computation: the same coins, and Keras' own loop
    CASES["dropped"] = (dropped, lambda: optimizers.Adam(0.01))
    CASES["accumulated"] = (
        plain,
        lambda: optimizers.SGD(0.05, gradient_accumulation_steps=2),
    )
# Some without a cut, as Keras' own fit would train: they differ from the others in what
# the optimizer does in a step.
UNCUT = "adamw", "clipnorm", "global_clipnorm"
ALL = [(name, 1 if name in UNCUT else 0.4, 2) for name in CASES]
ALL.remove(("normed adam", 0.4, 2))
ALL += [("normed adam", 0.4, 4)]
if BACKEND == "jax":  # compiles each anew, and nothing of these is ours there
    spared = "sgd", "adamw", "averaged", "global_clipnorm", "normed sgd"
    ALL = [case for case in ALL if case[0] not in spared]


@functools.cache
def alone(name, budget):
    """What one device makes of a case: trained once for all numbers of devices."""
    return train(start("single"), *CASES[name], budget)


@pytest.mark.parametrize("name, budget, devices", ALL)
def test_devices_train_the_network_that_one_does(name, budget, devices, request):
    if BOUNDS.get(name, 1) < 1e-12:
        request.getfixturevalue("precise")
    one = alone(name, budget)
    engine = start(devices=devices)
    assert engine.replicas == devices
    many = train(engine, *CASES[name], budget)
    assert one[2] == many[2] and (budget == 1 or sum(one[2]) < 16)
    assert difference(one[0], many[0]) < BOUNDS.get(name, 1e-6)
    logs = (np.array(list(result[1].values())) for result in (one, many))
    assert difference(*([log] for log in logs)) < 1e-4


@pytest.fixture
def precise():
    """Rounding of the 53rd bit: what differs by more was computed otherwise."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@only_tensorflow
@pytest.mark.parametrize("name", ["normed sgd", "averaged"])
def test_a_teacher_teaches_all_devices_alike(name, precise):
    how = *CASES[name], 0.4, 0.7
    one, many = (train(engine, *how) for engine in (start("single"), start(devices=2)))
    assert one[2] == many[2] and sum(one[2]) < 16
    assert difference(one[0], many[0]) < 1e-12


@pytest.mark.skipif(BACKEND != "jax", reason="JAX is given float64 by another switch")
def test_a_teacher_teaches_all_devices_alike_on_jax():
    how = *CASES["sgd"], 0.4, 0.7
    one, many = (train(engine, *how) for engine in (start("single"), start(devices=2)))
    assert one[2] == many[2] and sum(one[2]) < 16
    assert difference(one[0], many[0]) < 1e-6


@pytest.fixture(scope="module")
def trained():
    """The same network, trained on one device and on four."""
    trainers = []
    for engine in (start("single"), start(devices=4)):
        trainer = Nestrade(build(engine), 1, engine=engine)
        trainer.fit(FLAT, Y, batch_size=32, verbose=0)
        trainers.append(trainer)
    return trainers


@pytest.mark.parametrize("rows", [1, 2, 7, 32, 37])
def test_every_row_is_evaluated_and_predicted_once(trained, rows):
    data = {"x": FLAT[:rows], "batch_size": 8, "verbose": 0}
    one, many = (t.evaluate(y=Y[:rows], **data, return_dict=True) for t in trained)
    assert one.keys() == many.keys()
    for name, value in one.items():
        assert many[name] == pytest.approx(value, abs=1e-5)
    answers = [trainer.predict(**data) for trainer in trained]
    assert answers[0].shape == (rows, 3)
    np.testing.assert_allclose(*answers, atol=1e-5)


@only_tensorflow
def test_evaluation_and_prediction_are_traced_once_for_a_network():
    engine, traced = start(devices=2), []
    network = build(engine)
    own = network.test_step

    def counted(data):
        traced.append(data)
        return own(data)

    network.test_step = counted
    answered, call = [], network.call
    trainer = Nestrade(network, 1, engine=engine)
    data = {"x": FLAT[:37], "y": Y[:37], "batch_size": 16, "verbose": 0}
    first = trainer.evaluate(**data)
    once = len(traced)
    assert once and trainer.evaluate(**data) == pytest.approx(first, abs=1e-5)
    assert len(traced) == once
    network.call = lambda *args, **kw: answered.append(1) or call(*args, **kw)
    answers = np.argsort(trainer.predict(FLAT[:37]))[:, -2:]
    once = len(answered)
    assert once and trainer.predict(FLAT[:37]).shape == (37, 3)
    assert len(answered) == once
    del network.call
    top = keras.metrics.SparseTopKCategoricalAccuracy(2)
    network.compile("sgd", create_loss(), metrics=[top])
    among = (answers == Y[:37, None]).any(axis=1).mean()
    assert trainer.evaluate(**data)[1] == pytest.approx(among)


def test_data_that_come_in_batches_are_shared_too():
    found = []
    for engine in (start("single"), start(devices=2)):
        trainer = Nestrade(build(engine), 0.4, schedule=CUTS, engine=engine)
        trainer.fit(batches(), epochs=4, verbose=0)
        found.append([keras.ops.convert_to_numpy(v) for v in trainer.network.weights])
    assert difference(*found) < 1e-6


def test_epochs_of_one_batch_leave_no_room_for_larger_ones():
    engine = start(devices=2)
    trainer = Nestrade(build(engine), 0.4, schedule=CUTS, engine=engine)
    options = {"batch_size": BATCH, "steps_per_epoch": 1, "verbose": 0}
    history = trainer.fit(FLAT, Y, epochs=30, **options).history
    assert trainer.met and len(history["loss"]) == 30


def several_inputs():
    a, b = keras.Input((12,), name="a"), keras.Input((12,), name="b")
    hidden = L.Dense(16, activation="relu")(L.Concatenate()([a, b]))
    return keras.Model(
        [a, b], [L.Dense(3, name="kind")(hidden), L.Dense(1, name="size")(hidden)]
    )


def test_lists_vector_metrics_and_embeddings_go_the_same_way():
    found = []
    for engine in (start("single"), start(devices=2)):
        keras.utils.set_random_seed(0)
        with engine.scope():
            network = several_inputs()
            network.compile(
                "adam", [create_loss(), "mse"], metrics=[["accuracy"], ["mae"]]
            )
        trainer = Nestrade(network, 0.5, schedule=CUTS, engine=engine)
        y = [Y, FLAT[:, :1]]
        trainer.fit([FLAT, FLAT], y, batch_size=32, epochs=4, verbose=0)
        weights = [keras.ops.convert_to_numpy(v) for v in trainer.network.weights]
        found.append((weights, trainer.evaluate([FLAT, FLAT], y, verbose=0)))
    assert difference(found[0][0], found[1][0]) < 1e-6
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)

    words = np.abs(FLAT).astype("int32") % 9
    one_hot = np.eye(3, dtype="float32")[Y]
    found = []
    for engine in (start("single"), start(devices=2)):
        keras.utils.set_random_seed(0)
        with engine.scope():
            network = keras.Sequential(
                [keras.Input((12,), dtype="int32"), L.Embedding(9, 4), L.Flatten(),
                 L.Dense(8, activation="relu"), L.Dense(3, activation="softmax")]
            )  # fmt: skip
            network.compile(
                optimizers.SGD(0.1),
                "categorical_crossentropy",
                metrics=[keras.metrics.F1Score()],
            )
        trainer = Nestrade(network, 1, engine=engine)
        logs = trainer.fit(words, one_hot, batch_size=32, epochs=2, verbose=0).history
        found.append([*network.get_weights(), np.array(logs["f1_score"])])
    assert difference(*found) < 1e-6


def test_averaged_weights_arrive_where_nothing_is_cut():
    weights = []
    for engine in (None, start("single"), start(devices=2)):
        network = build(engine or start("single"), plain, CASES["averaged"][1])
        trainer = Nestrade(network, 1, **({"engine": engine} if engine else {}))
        trainer.fit(FLAT, Y, batch_size=32, epochs=3, shuffle=False, verbose=0)
        weights.append(network.get_weights())
    assert difference(weights[0], weights[1]) < 1e-6
    assert difference(weights[0], weights[2]) < 1e-6


class Killed(Exception):
    """Stands for a process that ends."""


class KillIn(keras.callbacks.Callback):
    """Ends in an epoch of this number, and writes down where it starts."""

    def __init__(self, epoch=None):
        super().__init__()
        self.last, self.seen = epoch, []

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(epoch)
        if epoch == self.last:
            raise Killed


def test_a_run_goes_on_on_another_number_of_devices(tmp_path):
    found = []
    one, two = start("single"), start(devices=2)
    for folder, kills in (("whole", [(one, None)]), ("moved", [(two, 3), (one, None)])):
        for engine, last in kills:
            kill = KillIn(last)
            network = build(engine, normed, lambda: optimizers.SGD(0.02))
            how = {"schedule": CUTS, "engine": engine}
            fit = {"batch_size": 32, "epochs": 5, "verbose": 0, "callbacks": [kill]}
            trainer = Nestrade(network, 0.4, **how)
            try:
                trainer.fit(X, Y, **fit, backup_dir=tmp_path / folder)
            except Killed:
                continue
        found.append([keras.ops.convert_to_numpy(v) for v in trainer.network.weights])
    assert kill.seen == [3, 4]
    assert difference(*found) < 1e-5


@only_tensorflow
def test_repairs_are_undone_when_training_ends():
    engine = start(devices=2)
    network = build(engine, normed, lambda: optimizers.SGD(0.02, clipnorm=1.0))
    trainer = Nestrade(network, 0.4, schedule=CUTS, engine=engine)
    trainer.fit(X, Y, batch_size=32, epochs=3, verbose=0)
    norms = [x for x in trainer.network.layers if isinstance(x, L.BatchNormalization)]
    assert norms and not any(x.synchronized for x in norms)
    assert "_clip_gradients" not in vars(trainer.network.optimizer)


@only_tensorflow
def test_one_device_by_name_and_data_that_end_too_soon():
    one = start("mirrored", devices=1)
    trainer = Nestrade(build(one), 0.4, schedule=CUTS, engine=one)
    trainer.fit(FLAT[:50], Y[:50], batch_size=16, epochs=4, verbose=0)
    two = start(devices=2)
    rows = ((FLAT[:16], Y[:16]) for _ in range(6))
    trainer = Nestrade(build(two), 1, engine=two)
    with pytest.warns(UserWarning, match="data ended in epoch 2"):
        trainer.fit(rows, epochs=3, steps_per_epoch=4, verbose=0)
    assert int(keras.ops.convert_to_numpy(trainer.optimizer.iterations)) == 6
    masked_norm = lambda: [*masked()[:2], L.BatchNormalization(), L.LSTM(4), L.Dense(3)]  # noqa: E731
    with pytest.raises(ValueError, match="batch norm of masked inputs"):
        two.prepare(build(two, masked_norm))
