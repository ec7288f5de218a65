"""A run meets its budget, and users see nothing but their own epochs."""

import keras
import numpy as np
import pytest

from nestrade_lib import Budget, Nestrade, Schedule, count_costs
from nestrade_lib.book.plots import plot_run
from nestrade_lib.importance import magnitude
from tests.support.small import SOON, Batched, X, Y, mlp, residual

pytestmark = pytest.mark.any_backend


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs, self.batches, self.sizes = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.append([])

    def on_train_batch_end(self, batch, logs=None):
        self.batches[-1].append(batch)
        self.sizes.append(self.model.count_params())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.logs = logs


@pytest.mark.parametrize("network", [mlp, residual])
@pytest.mark.parametrize(
    "budget",
    [
        0.5,
        Budget(macs=0.3, params=0.2),
        Budget(activation_bytes=0.4),
        Budget(params=0.05),
    ],
)
def test_the_budget_is_met_by_a_plain_network(network, budget, tmp_path):
    trainer = Nestrade(network(), budget, schedule=SOON)
    dense = trainer.dense_costs
    watch = Watch()
    history = trainer.fit(
        X, Y, epochs=4, verbose=0, validation_data=(X, Y), callbacks=[watch]
    )
    assert trainer.met and trainer.cuts
    for cost, share in Budget.of(budget).shares.items():
        assert getattr(trainer.costs, cost) <= share * getattr(dense, cost) * 1.0001
    # Whole epochs and all batches, whatever happened inside.
    assert watch.epochs == history.epoch == [0, 1, 2, 3]
    assert all(batches == list(range(len(batches))) for batches in watch.batches)
    assert len(watch.batches[0]) == 6 and len(history.history["val_loss"]) == 4
    assert (
        watch.sizes == sorted(watch.sizes, reverse=True)
        and watch.sizes[0] > watch.sizes[-1]
    )
    # Plain: saved, loaded by Keras alone, trained on.
    assert isinstance(trainer.network.optimizer, keras.optimizers.Adam)
    trainer.network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0),
        trainer.predict(X, verbose=0),
        rtol=1e-5,
        atol=1e-6,
    )
    loaded.fit(X, Y, verbose=0)


def test_it_learns_what_the_dense_network_learns():
    network = mlp(keras.optimizers.Adam(0.01), run_eagerly=False)
    trainer = Nestrade(network, 0.3, schedule=SOON)
    trainer.fit(X, Y, epochs=12, batch_size=16, verbose=0)
    assert trainer.evaluate(X, Y, verbose=0)[1] > 0.95


def test_a_budget_of_one_is_keras_fit_to_the_last_bit():
    plain, trainer = mlp(run_eagerly=False), Nestrade(mlp(run_eagerly=False), 1)
    keras.utils.set_random_seed(7)
    plain.fit(X, Y, epochs=2, verbose=0)
    keras.utils.set_random_seed(7)
    trainer.fit(X, Y, epochs=2, verbose=0)
    for ours, theirs in zip(trainer.network.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))


def test_one_epoch_is_enough():
    trainer = Nestrade(mlp(run_eagerly=False), 0.4)
    trainer.fit(X, Y, batch_size=4, epochs=1, verbose=0)
    assert trainer.met and len(trainer.history.epoch) == 1


@pytest.mark.parametrize("points", [0.5, 30])
def test_as_small_as_possible_within_points_of_accuracy(points):
    schedule = Schedule(start=0.4, stop=0.9, cuts=6, shrink=4)
    trainer = Nestrade(
        mlp(keras.optimizers.Adam(0.01), run_eagerly=False),
        Budget(max_accuracy_drop=points),
        schedule=schedule,
    )
    seen = Watch()
    trainer.fit(X, Y, epochs=20, verbose=0, validation_data=(X, Y), callbacks=[seen])
    dense = max(trainer.history.history["val_accuracy"][:8])
    assert (
        trainer.met
        and trainer.evaluate(X, Y, verbose=0)[1] >= dense - points / 100 - 0.02
    )
    sizes = [cut.costs["macs"] for cut in trainer.cuts]
    assert sizes == sorted(sizes, reverse=True)
    is_usable(trainer, rate=0.01)


def test_a_search_needs_validation_and_an_accuracy():
    with pytest.raises(ValueError, match="needs validation_data"):
        Nestrade(mlp(), Budget(max_accuracy_drop=1)).fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="max_accuracy_drop to be points"):
        Budget(max_accuracy_drop=0)


def test_latency_is_measured_and_the_unreachable_is_said():
    trainer = Nestrade(mlp(), Budget(latency=1.0))
    assert trainer.dense_totals["latency"] > 0 and trainer.met
    with pytest.raises(ValueError, match="latency=0.0001 is below the least"):
        Nestrade(mlp(), Budget(latency=0.0001))


def test_latency_is_what_the_user_measures():
    def measure(network):
        return 1e-9 * count_costs(network).macs

    dense = mlp()
    trainer = Nestrade(dense, Budget(latency=0.5, measure=measure), schedule=SOON)
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.met and measure(trainer.network) <= 0.5 * measure(dense)
    with pytest.raises(ValueError, match="measure to be a function.*latency="):
        Budget(macs=0.5, measure=measure)
    for seconds in (0.0, -1.0, np.nan, np.inf, None, "1", True, [1.0]):
        with pytest.raises(ValueError, match="measure: expected .* seconds above 0"):
            Nestrade(dense, Budget(latency=0.5, measure=lambda _: seconds))  # noqa: B023


@pytest.mark.parametrize("multiple", [2, 8])
def test_widths_stay_multiples(multiple):
    schedule = Schedule(
        start=0.2, stop=0.6, cuts=2, shrink=4, round_to=multiple, max_pruning_ratio=1
    )
    trainer = Nestrade(mlp(), 0.5, schedule=schedule)
    trainer.fit(X, Y, epochs=3, verbose=0)
    assert all(width % multiple == 0 for width in trainer.widths.values())


def test_own_importance_kept_layers_and_schedules():
    rate = keras.optimizers.schedules.CosineDecay(1e-2, 100)
    network = mlp(keras.optimizers.SGD(rate, momentum=0.9))
    kept = network.layers[0].name
    trainer = Nestrade(
        network, 0.6, importance=magnitude, ignored_layers=[kept], schedule=SOON
    )
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.met and trainer.network.get_layer(kept).units == 24
    assert int(trainer.network.optimizer.iterations) > 18


def test_averaged_weights_arrive_at_the_end():
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    trainer = Nestrade(mlp(optimizer), 0.5, schedule=SOON)
    trainer.fit(X, Y, epochs=6, verbose=0)
    assert trainer.met and trainer.evaluate(X, Y, verbose=0)[1] > 0.8


def is_usable(trainer, rate=1e-3):
    assert np.isfinite(trainer.predict(X, verbose=0)).all()
    assert isinstance(trainer.network.optimizer, keras.optimizers.Adam)
    assert np.isclose(float(trainer.network.optimizer.learning_rate), rate)
    trainer.network.fit(X, Y, verbose=0)


@pytest.mark.parametrize("batch", range(1, 18, 3))
def test_an_interrupt_leaves_a_usable_network(batch):
    class Interrupt(keras.callbacks.Callback):
        left = batch

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    trainer = Nestrade(mlp(), 0.3, schedule=SOON)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[Interrupt()])
    is_usable(trainer)


def test_a_loss_that_becomes_nan_stops_at_the_last_good_state():
    class Spoil(Batched):
        calls = 0

        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            self.calls += 1
            return (x * np.nan if self.calls > 12 else x), y

    trainer = Nestrade(mlp(), 0.3, schedule=SOON)
    with pytest.raises(FloatingPointError, match="last good state"):
        trainer.fit(Spoil(), epochs=4, verbose=0)
    is_usable(trainer)


def test_early_stopping_and_checkpoints_see_the_network_of_the_moment(tmp_path):
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=100)
    save = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    trainer = Nestrade(
        mlp(), 0.5, schedule=Schedule(start=0.05, stop=0.2, cuts=2, shrink=2)
    )
    history = trainer.fit(X, Y, epochs=9, verbose=0, callbacks=[stop, save])
    # The epoch of the last cut is the first one that counts.
    assert history.epoch[-1] == int(trainer.cuts[-1].epoch) + 1
    last = keras.saving.load_model(tmp_path / f"{len(history.epoch)}.keras")
    assert last.count_params() == trainer.network.count_params()


def test_callbacks_may_stop_at_once_and_keep_weights_of_before_a_cut():
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.stop_training = True

    Nestrade(mlp(), 0.5, schedule=SOON).fit(
        X, Y, epochs=2, verbose=0, callbacks=[Stop()]
    )

    class Worse(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["worse"] = float(epoch)

    best = keras.callbacks.EarlyStopping(
        "worse", mode="min", patience=9, restore_best_weights=True
    )
    trainer = Nestrade(mlp(), 0.5, schedule=SOON)
    trainer.fit(X, Y, epochs=6, verbose=0, callbacks=[Worse(), best])
    assert trainer.met


def test_the_least_that_can_be_reached_is_reached():
    with pytest.raises(ValueError) as refused:
        Nestrade(mlp(), 1e-3)
    least = float(str(refused.value).split("a layer: ")[1].split(". ")[0])
    trainer = Nestrade(
        mlp(), least * 1.05, schedule=Schedule(0.2, 0.7, 3, max_pruning_ratio=1.0)
    )
    trainer.fit(X, Y, epochs=4, verbose=0)
    assert trainer.met and set(trainer.widths.values()) <= {1}


def test_report_and_plot_tell_what_went():
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    with pytest.raises(ValueError, match="fit first"):
        plot_run(trainer)
    trainer.fit(X, Y, epochs=3, verbose=0)
    last = str(trainer.report()).splitlines()[-1]
    assert f"{trainer.dense_costs.macs:,} → {trainer.costs.macs:,}" in last
    assert len(plot_run(trainer).axes) == 3
