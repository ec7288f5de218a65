"""Several devices train the network that one does, or say why they do not."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import optimizers

from nestrade_lib import Nestrade, Schedule, create_loss
from nestrade_lib.run import Run
from nestrade_lib.scaling import (
    Checkpoints,
    Disagreement,
    Engine,
    logical_devices,
    noise_scale,
    start,
)
from nestrade_lib.segments import Source

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


def build(engine, stack=plain, optimizer="adam", **options):
    keras.utils.set_random_seed(0)
    with engine.scope():
        network = keras.Sequential(stack())
        optimizer = optimizer() if callable(optimizer) else optimizer
        network.compile(optimizer, create_loss(), metrics=["accuracy"], **options)
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
ALL = [(name, 0.4, 2) for name in CASES]
ALL += [("adam", 1, 2), ("normed sgd", 1, 2), ("normed adam", 0.4, 4)]
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


@pytest.mark.parametrize("rows", [1, 2, 7, 32, 37])
def test_every_row_is_evaluated_and_predicted_once(rows):
    found, answers = [], []
    for engine in (start("single"), start(devices=4)):
        trainer = Nestrade(build(engine), 1, engine=engine)
        trainer.fit(FLAT, Y, batch_size=32, verbose=0)
        data = {"x": FLAT[:rows], "batch_size": 8, "verbose": 0}
        found.append(trainer.evaluate(y=Y[:rows], **data, return_dict=True))
        answers.append(trainer.predict(**data))
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        assert found[1][name] == pytest.approx(value, abs=1e-5)
    assert answers[0].shape == (rows, 3)
    np.testing.assert_allclose(*answers, atol=1e-5)


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
    with pytest.raises(ValueError, match="data ended before their last epoch did"):
        Nestrade(build(two), 1, engine=two).fit(
            rows, epochs=3, steps_per_epoch=4, verbose=0
        )
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
        ({"devices": 0}, ValueError, "a whole number above 0, got 0"),
        ({"name": "horovod"}, ValueError, "expected 'auto' or one of 'single'"),
        ({"name": "single", "devices": 2}, ValueError, "'single' uses one, got 2"),
    ],
)
def test_devices_that_are_not_there_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        start(**given)


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
        with pytest.raises(Disagreement, match=f"{what}: worker 1 .*an all-reduce"):
            Run(trainer, Source(FLAT, Y), 1, False, None)


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


WRONG = {
    "batch norms take each replica's own statistics": {"stack": normed},
    "gradients are clipped before they are added up": {
        "optimizer": lambda: optimizers.SGD(0.05, global_clipnorm=0.01)
    },
    "replicas of unequal batches count alike": {"rows": 32 + 7},
    "jit_compile (keras#20582)": {"compiled": {"jit_compile": True}},
    "gradient accumulation (keras#20582)": {
        "optimizer": lambda: optimizers.SGD(0.05, gradient_accumulation_steps=2)
    },
}


@only_tensorflow
@pytest.mark.parametrize("bug", WRONG)
def test_keras_under_a_strategy(bug):
    try:
        wrong = with_keras_fit(2, **WRONG[bug]) > 1e-6
    except Exception:  # some crash, in ways of their own
        wrong = True
    if wrong:
        pytest.xfail(bug)
    pytest.fail(f"Keras trains this as one device would: {bug}. Drop the workaround.")
