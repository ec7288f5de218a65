"""A round from a choice to its cut: taken back where it does not come to it; and searches."""

import keras
import numpy as np
import pytest

from nestrade_lib import Budget, Nestrade, Schedule
from nestrade_lib.training.validation import Validation
from tests.support.small import Stop, X, Y, mlp

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


@pytest.mark.parametrize(
    ("stop", "stops_after"),
    [(1.0, None), (0.6, 4), (0.9, None)],
    ids=["no check after it", "stopped before its check", "an epoch before its check"],
)
def test_the_last_cut_too_is_held_to_its_accuracy(monkeypatch, stop, stops_after):
    # The fourth cut is one too many.
    def logs(self, engine, network, callbacks=None):
        return {"val_accuracy": float(len(trainer.cuts) < 4)}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.4, stop, 4, shrink=2)
    trainer = Nestrade(mlp(), Budget(max_accuracy_drop=0.5), schedule=schedule)
    # Upside down, so that the best weights are those of the cut that is taken back.
    stopping = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="min", patience=100, restore_best_weights=True
    )
    callbacks = [stopping]
    if stops_after:
        callbacks.append(Stop(lambda _: len(trainer.cuts) >= stops_after))
    trainer.fit(X, Y, epochs=10, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    assert trainer.state.is_search_over and len(trainer.cuts) == 3
    assert trainer.widths == trainer.cuts[-1].widths
    assert isinstance(trainer.optimizer, keras.optimizers.Adam)


class Record(keras.callbacks.Callback):
    """The weights after each batch, and the network that callbacks have at the end."""

    def on_train_begin(self, logs=None):
        self.weights = [self.model.get_weights()]

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())

    def on_train_end(self, logs=None):
        self.last = self.model


@pytest.mark.parametrize("how", ["callback", "interrupt"])
@pytest.mark.parametrize("stop", [5, 9, 10, 11])
def test_a_round_that_does_not_come_to_its_cut_is_taken_back(stop, how):
    def end(batches):
        if batches == stop and how == "interrupt":
            raise KeyboardInterrupt
        return batches == stop

    schedule = Schedule(start=1 / 6, stop=0.9, cuts=1, shrink=6)  # 30 steps: 5 to 11
    trainer = Nestrade(mlp(), 0.4, schedule=schedule)
    seen = Record()
    try:
        trainer.fit(X, Y, epochs=5, verbose=0, callbacks=[seen, Stop(end)])
    except KeyboardInterrupt:
        assert how == "interrupt"
    assert len(seen.weights) == stop + 1
    assert len(trainer.cuts) == (stop == 11 and how == "callback")
    if stop < 11:
        for ours, before in zip(trainer.network.get_weights(), seen.weights[5]):
            np.testing.assert_array_equal(ours, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize(
    "broken",
    [
        "pruned_network.restructure",
        "pruned_network.group_channels",
        "budgeted_costs.ChannelCosts",
    ],
)
def test_a_cut_that_fails_takes_its_round_back(monkeypatch, broken, error):
    def fail(*arguments, **options):
        raise error

    schedule = Schedule(start=1 / 6, stop=0.9, cuts=1, shrink=6)  # 30 steps: 5 to 11
    trainer = Nestrade(mlp(run_eagerly=True), 0.4, schedule=schedule, distill=0.5)
    network = trainer.network
    monkeypatch.setattr(f"nestrade_lib.training.{broken}", fail)
    seen = Record()
    with pytest.raises(type(error)):
        trainer.fit(X, Y, epochs=5, verbose=0, callbacks=[seen])
    assert len(seen.weights) == 11 + 1 and not trainer.cuts
    assert trainer.network is network and "compute_loss" not in vars(network)
    for ours, before in zip(network.get_weights(), seen.weights[5]):
        np.testing.assert_array_equal(ours, before)
    optimizer = network.optimizer
    assert (
        type(optimizer) is type(keras.optimizers.Adam())
        and int(optimizer.iterations) == 5
    )
    assert float(optimizer.learning_rate) == pytest.approx(1e-3)


def test_callbacks_end_with_the_network_that_is_left(monkeypatch):
    def logs(self, engine, network, callbacks=None):
        return {"val_accuracy": float(len(trainer.cuts) < 4)}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.4, 0.6, 4, shrink=2)
    trainer = Nestrade(mlp(), Budget(max_accuracy_drop=0.5), schedule=schedule)
    callbacks = [seen := Record(), Stop(lambda _: len(trainer.cuts) >= 4)]
    options = {"verbose": 0, "validation_data": (X, Y), "callbacks": callbacks}
    trainer.fit(X, Y, epochs=10, **options)
    assert len(trainer.cuts) == 3
    assert seen.last is trainer.network is trainer.history.model


def test_a_search_that_finds_nothing_to_cut_takes_no_earlier_cut_back(monkeypatch):
    checks = []

    def logs(self, engine, network, callbacks=None):
        checks.append(len(trainer.cuts))
        return {"val_accuracy": float(checks[-1] == 0 or checks.count(checks[-1]) < 6)}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.1, 0.9, cuts=16, round_to=8, max_pruning_ratio=1, shrink=1)
    trainer = Nestrade(mlp(), Budget(macs=0.5, max_accuracy_drop=1), schedule=schedule)
    trainer.fit(X, Y, epochs=10, verbose=0, validation_data=(X, Y))
    assert trainer.met and checks.count(checks[-1]) >= 6
    assert trainer.cuts and trainer.widths == trainer.cuts[-1].widths


def test_a_search_goes_on_from_the_accuracy_before_its_first_cut(monkeypatch):
    def logs(self, engine, network, callbacks=None):
        return {"val_accuracy": (0.9, 0.895, 0.887)[min(len(trainer.cuts), 2)]}

    monkeypatch.setattr(Validation, "logs", logs)
    schedule = Schedule(0.1, 0.9, cuts=8, shrink=1)
    trainer = Nestrade(mlp(), Budget(max_accuracy_drop=1), schedule=schedule)
    stop = Stop(lambda _: len(trainer.cuts) == 1)
    options = {"epochs": 10, "verbose": 0, "validation_data": (X, Y)}
    trainer.fit(X, Y, callbacks=[stop], **options)
    trainer.fit(X, Y, **options)
    assert len(trainer.cuts) == 1 and trainer.met


def twins():
    """A network whose second layer K-FAC can do without: its channels are all equal."""
    x = keras.Input((8,))
    h = keras.layers.Dense(16, activation="tanh", name="first")(x)
    h = keras.layers.Dense(16, activation="tanh", name="second")(h)
    network = keras.Model(x, keras.layers.Dense(1)(h))
    kernel, bias = network.get_layer("second").get_weights()
    network.get_layer("second").set_weights([np.repeat(kernel[:, :1], 16, 1), bias])
    network.compile(keras.optimizers.SGD(0.0), "mse")
    return network


@pytest.mark.parametrize("importance", ["kfac", "taylor"])
def test_scores_of_the_loss_starve_no_layer(importance):
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    widths = {}
    for min_width in (None, 0, 0.9):
        keras.utils.set_random_seed(0)
        schedule = Schedule(0.2, 0.6, 2, 1, max_pruning_ratio=1, min_width=min_width)
        options = {"importance": importance, "schedule": schedule}
        trainer = Nestrade(twins(), 0.3, **options)
        trainer.fit(x, x[:, :1], batch_size=16, epochs=4, verbose=0)
        assert trainer.met
        widths[min_width] = trainer.widths["second"]
    even = 16 * trainer.pruned.costs.first.even_share({"macs": 0.3 * 400})
    assert int(0.9 * even) <= widths[0.9]
    if importance == "kfac":
        assert widths[0] < int(0.5 * even) <= widths[None] < int(0.9 * even)
    else:
        assert widths[None] == widths[0]  # no limit by default
