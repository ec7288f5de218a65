"""The learning rate of each step, whatever optimizer and loop take it."""

import functools
import math

import keras
import numpy as np
import pytest

from nestrade_lib import Nestrade, Schedule, count_costs
from nestrade_lib.optimizers import innermost
from nestrade_lib.training.annealing import AnnealedOptimizer
from nestrade_lib.training.timetable import Timetable
from tests.support import small
from tests.support.small import SOON, X, Y

mlp = functools.partial(small.mlp, run_eagerly=False)  # rates inside traced steps

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]
EPOCHS, STEPS = 3, 12  # batches of 16
START, PEAK = 7, 0.05
RATE = 2e-3  # of Adam


KINDS = "once", "twice"


def expected(step, start=START, steps=EPOCHS * STEPS, kind="twice"):
    """The cosines of the book, in NumPy's arithmetic."""
    first, lowest, length = (start, 0, steps - start)
    if step < start:
        first, lowest, length = 0, {"twice": 0.02, "once": 1.0}[kind], start
    progress = (step + 0.5 - first) / length
    return lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2


class Given(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule of Keras with the same values."""

    def __init__(self, kind="twice"):
        self.kind = kind

    def __call__(self, step):
        steps = range(EPOCHS * STEPS)
        values = [PEAK * expected(n, kind=self.kind) for n in steps]
        return keras.ops.take(np.array(values, "float32"), step)

    def get_config(self):
        return {}


class Rates(keras.callbacks.Callback):
    """The learning rate after each epoch."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_epoch_end(self, epoch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def optimizers(learning_rate):
    kinds = keras.optimizers
    return {
        "sgd": kinds.SGD(learning_rate, momentum=0.9),
        "adamw": kinds.AdamW(learning_rate, weight_decay=0.1),
        "scaled": kinds.LossScaleOptimizer(kinds.Adam(learning_rate)),
        "clipped": kinds.Adam(learning_rate, global_clipnorm=0.5),
        "accumulated": kinds.SGD(learning_rate, gradient_accumulation_steps=2),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", optimizers(0.1))
@pytest.mark.parametrize("steps_per_execution", [1, 5])
def test_each_step_has_the_rate_of_its_place(name, steps_per_execution, kind):
    if steps_per_execution > 1 and keras.backend.backend() == "torch":
        pytest.skip("PyTorch executes step by step")
    options = {"batch_size": 16, "epochs": EPOCHS, "shuffle": False, "verbose": 0}
    compiled = {"steps_per_execution": steps_per_execution}
    network = mlp(optimizers(PEAK)[name], **compiled)
    steps = EPOCHS * STEPS
    shares = (START - 2, START) if kind == "once" else (START, START + 2)
    schedule = Schedule(*(share / steps for share in shares), cuts=2)
    timetable = Timetable.of(schedule, steps)
    network.optimizer = AnnealedOptimizer(network.optimizer, kind)
    network.optimizer.build(network.trainable_variables)
    network.optimizer.follow(timetable, PEAK)
    network.fit(X, Y, callbacks=[watch := Rates()], **options)
    last = [PEAK * expected((n + 1) * STEPS - 1, kind=kind) for n in range(EPOCHS)]
    np.testing.assert_allclose(watch.rates, last, rtol=1e-5, atol=1e-9)
    if name != "accumulated":  # where a schedule of Keras sees every other step
        plain = mlp(optimizers(Given(kind))[name], **compiled)
        plain.fit(X, Y, **options)
        for ours, theirs in zip(
            network.get_weights(), plain.get_weights(), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("growth", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_follows_its_phases_and_gives_the_rate_back(growth, kind):
    trainer = Nestrade(
        mlp(keras.optimizers.Adam(RATE)),
        0.4,
        schedule=SOON,
        growth=growth,
        anneal=kind,
    )
    trainer.fit(X, Y, batch_size=16, epochs=5, verbose=0, callbacks=[watch := Rates()])
    assert trainer.met
    dense, small = (count_costs(each).macs for each in (mlp(), trainer.network))
    narrowing = dense / small
    steps = [12] * 5
    grown = math.ceil(trainer.cuts[-1].epoch) if growth > 1 else 5
    steps[grown:] = [6] * (5 - grown)
    for epoch, rate in enumerate(watch.rates):
        # In steps of the size that this epoch has.
        share = steps[epoch] / 12
        start = {"once": 42, "twice": 12}[kind] * share
        at = expected((epoch + 1) * steps[epoch] - 1, start, 60 * share, kind)
        root = 1.0 if epoch < grown else growth**0.5
        is_raised = kind == "once" and epoch + 1 > trainer.cuts[-1].epoch
        peak = RATE * root * (narrowing**0.5 if is_raised else 1)
        assert rate == pytest.approx(peak * at, rel=1e-4, abs=1e-8)
    optimizer = trainer.network.optimizer
    assert (
        isinstance(optimizer, keras.optimizers.Adam)
        and innermost(optimizer) is optimizer
    )
    assert float(optimizer.learning_rate) == pytest.approx(RATE)


@pytest.mark.parametrize("distill", [None, 0.5])
def test_a_step_is_traced_once_per_network(monkeypatch, distill):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch traces nothing")
    traced, step = [], keras.Model.train_step

    def counted(self, *args):
        traced.append(self)
        return step(self, *args)

    monkeypatch.setattr(keras.Model, "train_step", counted)
    trainer = Nestrade(mlp(), 0.3, schedule=SOON, distill=distill)
    trainer.fit(X, Y, batch_size=16, epochs=8, verbose=0)
    # A teacher comes into the loss of a network that was traced without one.
    assert len(traced) == len(trainer.cuts) + 1 + (distill is not None)
