"""Several devices train the network that one does, or say why they do not."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import optimizers

from nestrade_lib import Nestrade, Schedule, create_loss
from nestrade_lib.cluster import Disagreement
from nestrade_lib.cluster.digest import digest
from nestrade_lib.engines import Engine, logical_devices, start
from nestrade_lib.training.checkpoints import Checkpoints
from nestrade_lib.training.data import data_adapter
from nestrade_lib.training.noise import noise_scale
from nestrade_lib.training.run import Run

pytestmark = pytest.mark.any_backend
BACKEND = keras.backend.backend()
if BACKEND == "torch":
    pytest.skip("Keras 3.15 trains on one device with PyTorch", allow_module_level=True)
only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")

BATCH, STEPS, EPOCHS = 32, 10, 10
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, BATCH * STEPS)
X = RNG.normal(size=(len(Y), 6, 6, 2)).astype("float32") + Y[:, None, None, None]
FLAT = X.reshape(len(Y), -1)[:, :12]
CUTS = Schedule(start=0.2, stop=0.6, cuts=2, shrink=6)


def plain():
    return [keras.Input((12,)), L.Dense(16, activation="relu"),
            L.Dense(12, activation="tanh", kernel_regularizer="l2"), L.Dense(3)]  # fmt: skip


def normed():
    return [keras.Input((6, 6, 2)), L.Conv2D(8, 3, use_bias=False), L.BatchNormalization(),
            L.ReLU(), L.Conv2D(8, 3, use_bias=False), L.BatchNormalization(), L.ReLU(),
            L.GlobalAveragePooling2D(), L.Dense(3)]  # fmt: skip


def dropped():
    return [*plain()[:2], L.Dropout(0.3), *plain()[2:]]


def build(engine, stack=plain, optimizer="adam", loss=None, **options):
    keras.utils.set_random_seed(0)
    with engine.scope():
        network = keras.Sequential(stack())
        optimizer = optimizer() if callable(optimizer) else optimizer
        loss = loss or create_loss()
        network.compile(optimizer, loss, metrics=["accuracy"], **options)
    return network


def train(engine, stack, optimizer, budget, distill=None, **options):
    network = build(engine, stack, optimizer)
    how = {"schedule": CUTS, "growth": 1, "distill": distill}
    trainer = Nestrade(network, budget, **how, engine=engine)
    x = X if stack is normed else FLAT
    settings = {
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "validation_data": (x[:37], Y[:37]),
    }
    settings |= {"class_weight": {0: 1.0, 1: 2.0}, "verbose": 0}
    history = trainer.fit(x, Y, **settings | options)
    weights = [keras.ops.convert_to_numpy(v) for v in trainer.network.weights]
    return weights, history.history, list(trainer.widths.values())


def difference(one, many):
    """The largest one, relative in arrays that hold numbers above 1 (variances)."""
    pairs = zip(one, many, strict=True)
    return max(float((np.abs(a - b)).max() / max(1, np.abs(a).max())) for a, b in pairs)


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
    "normed adam": 1e-4
}  # Adam divides rounding by rounding where gradients vanish
if BACKEND == "jax":  # one global computation: the same coins, and Keras' own loop
    CASES["dropped"] = (dropped, lambda: optimizers.Adam(0.01))
    CASES["accumulated"] = (
        plain,
        lambda: optimizers.SGD(0.05, gradient_accumulation_steps=2),
    )
# One of them without a cut, as Keras' own fit would train.
ALL = [(name, 1 if name == "global_clipnorm" else 0.4, 2) for name in CASES]
ALL += [("normed adam", 0.4, 4)]
if BACKEND == "jax":  # compiles each anew, and nothing of these is ours there
    spared = "sgd", "adamw", "averaged", "global_clipnorm", "normed sgd"
    ALL = [case for case in ALL if case[0] not in spared]


@pytest.mark.parametrize("name, budget, devices", ALL)
def test_devices_train_the_network_that_one_does(name, budget, devices):
    one = train(start("single"), *CASES[name], budget)
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


def batches(drop=True):
    class Batched(keras.utils.PyDataset):
        def __len__(self):
            return len(FLAT) // 30 + (not drop)

        def __getitem__(self, index):
            rows = slice(30 * index, 30 * index + 30)
            return FLAT[rows], Y[rows]

    return Batched()


def test_data_that_come_in_batches_are_shared_too():
    found = []
    for engine in (start("single"), start(devices=2)):
        trainer = Nestrade(build(engine), 0.4, schedule=CUTS, growth=1, engine=engine)
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
        trainer = Nestrade(network, 0.5, schedule=CUTS, growth=1, engine=engine)
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
            how = {"schedule": CUTS, "growth": 1, "engine": engine}
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
def test_what_was_made_right_is_undone_when_training_ends():
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


# Refused ------------------------------------------------------------------------------


class OwnStep(keras.Sequential):
    def train_step(self, *args):
        return super().train_step(*args)


def masked():
    return [keras.Input((12,), dtype="int32"), L.Embedding(9, 4, mask_zero=True),
            L.Dense(3)]  # fmt: skip


REFUSED = {
    "jit_compile=True": {"jit_compile": True},
    "gradient_accumulation_steps=2": {
        "optimizer": lambda: optimizers.Adam(gradient_accumulation_steps=2)
    },
}


@only_tensorflow
@pytest.mark.parametrize("what", REFUSED)
def test_what_tensorflow_gets_wrong_is_refused_with_the_reason(what):
    engine = start(devices=2)
    network = build(engine, **REFUSED[what])
    with pytest.raises(ValueError, match=f"{what}.*(keras#|XLA)"):
        Nestrade(network, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)


@only_tensorflow
def test_losses_that_replicas_cannot_average_are_refused():
    engine = start(devices=2)
    keras.utils.set_random_seed(0)
    with engine.scope():
        network = keras.Sequential(plain())
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction="mean_with_sample_weight"
        )
        network.compile("adam", loss)
        own = OwnStep(plain())
        own.compile("adam", create_loss())
        words = keras.Sequential(masked())
        words.compile("adam", create_loss())
    for refused, message in (
        (network, "mean_with_sample_weight"),
        (own, "train_step"),
        (words, "masked outputs"),
    ):
        with pytest.raises(ValueError, match=message):
            engine.prepare(refused)


def own_loss(divide):
    class OwnLoss(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            found = keras.losses.categorical_crossentropy(y, y_pred)
            return keras.ops.mean(found) / (replicas_here() if divide else 1)

    return OwnLoss


def replicas_here():
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def scalar(y, predicted):
    return keras.ops.mean((y - predicted) ** 2)


def coupled(y, predicted):
    """One number a row, each divided by how many rows are of the first class."""
    rows = keras.ops.mean((y - predicted) ** 2, axis=-1)
    return rows / (1 + keras.ops.sum(y[:, 0]))


class Soft(L.Layer):
    """Draws random numbers in inference too: its losses cannot be compared."""

    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)


LOSSES = {  # what is refused and why, or None where all is well
    "scalar": (scalar, keras.Sequential, "2 times in all"),
    "compute_loss": (None, own_loss(divide=False), "2 times in all"),
    "divided": (None, own_loss(divide=True), None),
    "Dice": (keras.losses.Dice(), keras.Sequential, "2 times in all"),
    "Tversky": (keras.losses.Tversky(), keras.Sequential, "2 times in all"),
    "Dice of each row": (keras.losses.Dice(axis=-1), keras.Sequential, None),
    "coupled": (coupled, keras.Sequential, "depends on the others"),
    "sum": (keras.losses.MeanSquaredError("sum"), keras.Sequential, None),
}


@only_tensorflow
@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_do_not_add_up_over_replicas_are_refused(name):
    loss, kind, message = LOSSES[name]
    one_hot = np.eye(3, dtype="float32")[Y]
    found = []
    for engine in (start("single"), start(devices=2)):
        keras.utils.set_random_seed(0)
        with engine.scope():
            last = L.Dense(3, activation="softmax")
            network = kind([*plain()[:2], L.Dropout(0.0), last])
            network.compile(optimizers.SGD(0.001), loss)
        trainer = Nestrade(network, 1, engine=engine)
        before = [keras.ops.convert_to_numpy(v) for v in network.variables]
        if message and engine.replicas > 1:
            given = (
                (FLAT, one_hot),
                ((row for row in [(FLAT[:32], one_hot[:32])]), None),
            )
            for (x, y), how in zip(given, ({"batch_size": 32}, {"steps_per_epoch": 1})):
                with pytest.raises(
                    ValueError, match=f"32 rows .* 2 replicas; .*{message}"
                ):
                    trainer.fit(x, y, verbose=0, **how)
            after = [keras.ops.convert_to_numpy(v) for v in network.variables]
            assert difference(before, after) == 0
            return
        logs = trainer.fit(FLAT, one_hot, batch_size=32, epochs=2, verbose=0).history
        found.append([*network.get_weights(), np.array(logs["loss"])])
    assert difference(*found) < 1e-6


@only_tensorflow
def test_checking_a_loss_leaves_everything_as_it_was_and_random_ones_alone():
    engine = start(devices=2)
    with engine.scope():
        network = keras.Sequential([*plain()[:2], Soft(), L.Dense(3)])
        network.compile("sgd", create_loss(), weighted_metrics=["accuracy"])
    network.evaluate(FLAT[:32], Y[:32], verbose=0)
    held = [*network.variables, *network.metrics_variables]
    before = [keras.ops.convert_to_numpy(v) for v in held]
    engine.check_loss(network, (FLAT[:33], Y[:33], np.arange(33.0)))
    after = [keras.ops.convert_to_numpy(v) for v in held]
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


@only_tensorflow
def test_weights_overwritten_by_their_averages_are_refused():
    engine = start(devices=2)
    often = {"use_ema": True, "ema_overwrite_frequency": 3}
    network = build(engine, optimizer=lambda: optimizers.SGD(0.1, **often))
    with pytest.raises(ValueError, match="ema_overwrite_frequency=3.*Leave .* away"):
        Nestrade(network, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)


def test_networks_and_batches_that_do_not_fit_the_devices_are_refused():
    engine = start(devices=2)
    outside = build(start("single"))
    with pytest.raises(ValueError, match="outside this engine's scope"):
        Nestrade(outside, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)
    with engine.scope():
        half = keras.Sequential(plain())
    half.compile("adam", create_loss())
    with pytest.raises(ValueError, match="compiled outside this engine's scope"):
        Nestrade(half, 0.4, engine=engine).fit(FLAT, Y, batch_size=32, verbose=0)
    trainer = Nestrade(build(engine), 0.4, engine=engine)
    before = trainer.network.get_weights()
    for x, y, size, message in (
        (FLAT, Y, 31, "batch_size: .* expected a multiple of 2, got 31. Take 30 or 32"),
        (FLAT[:9], Y[:9], 32, "9 samples are fewer than a global batch of 32"),
        (batches(drop=False), None, None, None),
    ):
        size = {} if size is None else {"batch_size": size}
        if message is None:  # the last batch has 20 rows: it is shared as well
            trainer.fit(x, epochs=1, verbose=0)
            continue
        with pytest.raises(ValueError, match=message):
            trainer.fit(x, y, verbose=0, **size)
        for a, b in zip(before, trainer.network.get_weights()):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"devices": 9}, ValueError, "9 were asked for, and the .* backend has 4"),
        (
            {"devices": 0},
            ValueError,
            "devices: expected a whole number of at least 1, got 0",
        ),
        ({"name": "horovod"}, ValueError, "expected 'auto' or one of 'single'"),
        ({"name": "single", "devices": 2}, ValueError, "'single' uses one, got 2"),
    ],
)
def test_devices_that_are_not_there_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        start(**given)


def test_devices_of_several_workers_are_not_counted(monkeypatch):
    monkeypatch.setenv("NESTRADE_ADDRESSES", "127.0.0.1:1,127.0.0.1:2")
    monkeypatch.setenv("NESTRADE_RANK", "1")
    with pytest.raises(
        ValueError, match="devices: .* names 2 workers, .* got 2. Leave"
    ):
        start(devices=2, limit=0.1)


def test_logical_devices_come_first():
    build(start("single"))
    with pytest.raises(RuntimeError, match="has started and has 4 CPU devices"):
        logical_devices(2)


# Made right ---------------------------------------------------------------------------


@only_tensorflow
def test_random_layers_draw_apart_on_each_replica_and_all_else_is_left():
    import tensorflow as tf

    engine = start(devices=2)
    with engine.scope():
        network = keras.Sequential([keras.Input((64,)), L.Dropout(0.5), L.Dense(3)])
        network.compile("adam", create_loss())
    dropped = lambda: tf.function(  # noqa: E731
        lambda: network.layers[0](tf.ones((1, 64)), training=True)
    )

    def masks():
        results = engine.strategy.run(dropped())
        return [m.numpy() for m in engine.strategy.experimental_local_results(results)]

    one, other = masks()
    np.testing.assert_array_equal(one, other)  # what Keras does
    engine.prepare(network)
    first, second = masks(), masks()
    assert (first[0] != first[1]).any() and (first[0] != second[0]).any()


@only_tensorflow
def test_a_bias_before_a_batch_norm_is_warned_of_where_it_matters():
    engine = start(devices=2)
    stack = lambda: [keras.Input((12,)), L.Dense(8, name="biased"),  # noqa: E731
                     L.BatchNormalization(), L.Dense(3)]  # fmt: skip
    with pytest.warns(
        UserWarning, match="'biased' has a bias in front of a batch norm"
    ):
        engine.prepare(build(engine, stack))


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
        run = Run(trainer, data_adapter(FLAT, Y), range(1), False, None)
        with pytest.raises(Disagreement, match=f"{what}: worker 1 .*an all-reduce"):
            run.open(keras.callbacks.CallbackList())


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


def test_words_are_told_apart_too():
    words = [np.array(["some", word], object) for word in ("words", "words", "more")]
    assert digest(words[0]) == digest(words[1]) != digest(words[2])


def test_a_folder_that_is_not_the_chiefs_is_told(tmp_path):
    with pytest.raises(ValueError, match="is not the one that the chief writes to"):
        Checkpoints(tmp_path, Two(alike=3))


def test_the_noise_scale_is_that_of_a_problem_whose_noise_is_known():
    # y = w·x + noise at w = 0, mean squared error: |G|² and tr Σ have closed forms.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 4)).astype("float32")
    y = (x @ [1.0, 1, 1, 1] + 3 * rng.normal(size=len(x))).astype("float32")[:, None]
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(1, use_bias=False, kernel_initializer="zeros")]
    )
    network.compile("sgd", "mse")
    each = -2 * y * x
    signal = (each.mean(0) ** 2).sum()
    expected = each.var(0).sum() / signal
    found = noise_scale(network, x, y, small=16, large=512, draws=40)
    assert found == pytest.approx(expected, rel=0.25)
    with pytest.raises(ValueError, match="expected at least large=512"):
        noise_scale(network, x[:100], y[:100], small=16, large=512)


# What Keras itself gets wrong: when one of these passes, a workaround can go. ----------


def with_keras_fit(
    count, stack=plain, optimizer=lambda: optimizers.SGD(0.05), **options
):
    """Weights that Keras' own fit gives under MirroredStrategy, and on one device."""
    found = []
    for engine in (start("single"), start(devices=count)):
        rows = options.get("rows", 96)
        network = build(engine, stack, optimizer, **options.get("compiled", {}))
        x = X if stack is normed else FLAT
        network.fit(
            x[:rows], Y[:rows], batch_size=32, epochs=3, shuffle=False, verbose=0
        )
        found.append(network.get_weights())
    return difference(*found)


def mean_by_itself(y, predicted):
    found = keras.losses.sparse_categorical_crossentropy(y, predicted, from_logits=True)
    return keras.ops.mean(found)


# Several steps an execution crashed once (keras#19246), and are right in Keras 3.15.
WRONG = {  # trained to other weights
    "batch norms take each replica's own statistics": {"stack": normed},
    "gradients are clipped before they are added up": {
        "optimizer": lambda: optimizers.SGD(0.05, global_clipnorm=0.01)
    },
    "replicas of unequal batches count alike": {"rows": 32 + 7},
    "a replica without rows counts as one with": {"rows": 32 + 1},
    "a loss that is one number is not divided": {"compiled": {"loss": mean_by_itself}},
}
CRASHES = {  # the error that means the bug, and no other
    "jit_compile (keras#20582)": (
        {"compiled": {"jit_compile": True}},
        "InvalidArgumentError",
        "known_issues#tfvariable_on_a_different_device",
    ),
    "gradient accumulation (keras#20582)": (
        {"optimizer": lambda: optimizers.SGD(0.05, gradient_accumulation_steps=2)},
        "RuntimeError",
        "`merge_call` called while defining a new graph",
    ),
    "averages that overwrite weights": (
        {
            "optimizer": lambda: optimizers.SGD(
                0.05, use_ema=True, ema_overwrite_frequency=2
            )
        },
        "RuntimeError",
        "`merge_call` called while defining a new graph",
    ),
}


@only_tensorflow
@pytest.mark.parametrize("bug", WRONG)
def test_keras_under_a_strategy(bug):
    if with_keras_fit(2, **WRONG[bug]) > 1e-6:
        pytest.xfail(bug)
    pytest.fail(f"Keras trains this as one device would: {bug}. Drop the workaround.")


@only_tensorflow
@pytest.mark.parametrize("bug", CRASHES)
def test_keras_crashes_under_a_strategy(bug):
    options, kind, message = CRASHES[bug]
    try:
        with_keras_fit(2, **options)
    except Exception as error:
        if type(error).__name__ != kind or message not in str(error):
            raise
        pytest.xfail(bug)
    pytest.fail(f"Keras trains this: {bug}. Drop the workaround, if it is right.")
