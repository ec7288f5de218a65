"""A run that was stopped anywhere goes on to the same weights, and bad files are known."""

import functools

import keras
import numpy as np
import pytest

from nestrade_lib import Budget, Schedule
from tests.support.backups import (
    CASES,
    EPOCHS,
    AskAt,
    KillAt,
    Killed,
    Shuffled,
    X,
    Y,
    build,
    train,
)

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


# Of six batches an epoch, one of the third, and then one of the fourth.
KILLS = 13, 9
# In the second step of the second epoch, and then in the last one of the third.
REQUESTS = 8, 10


@pytest.mark.parametrize("name", CASES)
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(name, tmp_path):
    trainer, data = CASES[name]()
    whole = train(trainer, data, backup_dir=tmp_path / "whole")
    for batch in KILLS:
        trainer, data = CASES[name]()
        with pytest.raises(Killed):
            train(trainer, data, callbacks=[KillAt(batch)], backup_dir=tmp_path / "cut")
    for number, batch in enumerate(REQUESTS):
        trainer, data = CASES[name]()
        with pytest.warns(
            UserWarning, match="was asked to end .SIGTERM. and does, after"
        ):
            with pytest.raises(SystemExit, match="143"):
                train(
                    trainer,
                    data,
                    callbacks=[AskAt(batch)],
                    backup_dir=tmp_path / "asked",
                )
        within = list((tmp_path / "asked").glob("*-step-*"))
        assert len(within) == 1, number
    for ended in ("cut", "asked"):
        trainer, data = CASES[name]()
        keras.utils.set_random_seed(9)  # as where the user sets none
        resumed = train(trainer, data, backup_dir=tmp_path / ended)
        assert len(resumed[1]["loss"]) == EPOCHS
        for a, b in zip(whole[0], resumed[0], strict=True):
            np.testing.assert_array_equal(a, b)
        assert whole[1:] == resumed[1:]


def test_a_finished_run_is_not_trained_again_and_another_one_is_refused(tmp_path):
    whole = train(build(0.4), backup_dir=tmp_path)
    again = build(0.4)
    with pytest.warns(UserWarning, match=f"{tmp_path.name} holds .*nothing is trained"):
        assert train(again, backup_dir=tmp_path)[1:] == whole[1:]
    for other, options, part in (
        (build(0.5), {}, "the budget"),
        (build(0.4, growth=4), {}, "growth"),
        (build(0.4, distill=0.5), {}, "distill"),
        (build(0.4, importance=scores), {}, "the importance"),
        (build(0.4), {"batch_size": 8}, "the steps of an epoch, batch_size"),
        (build(0.4), {"class_weight": {0: 2.0}}, "class_weight"),
        (build(0.4), {"shuffle": False}, "shuffle"),
        (build(0.4), {"initial_epoch": 1}, "the epochs"),
    ):
        with pytest.raises(ValueError, match=f"another run, .* in {part}\\."):
            train(other, backup_dir=tmp_path, **options)


def test_a_checkpoint_of_another_version_of_the_library_is_refused(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as earlier, pytest.raises(Killed):
        earlier.setattr("nestrade_lib.training.backup.FORMAT", "0")
        train(build(0.4), callbacks=[KillAt(9)], backup_dir=tmp_path)
    with pytest.raises(ValueError, match="in the format of checkpoints"):
        train(build(0.4), backup_dir=tmp_path)


def scores(network, graph, power=1):
    return np.arange(graph.count, dtype=float) ** power


class Scores:
    def __call__(self, network, graph):
        return scores(network, graph)


@pytest.mark.parametrize(
    "made", [lambda: scores, lambda: functools.partial(scores, power=2), Scores]
)
def test_a_run_is_known_by_its_importance_whatever_its_address(tmp_path, made):
    kept = made()  # so that the next has another address
    with pytest.raises(Killed):
        train(build(0.4, importance=kept), callbacks=[KillAt(9)], backup_dir=tmp_path)
    train(build(0.4, importance=made()), backup_dir=tmp_path)
    other = functools.partial(scores, power=3)
    with pytest.raises(ValueError, match="another run, .* in the importance"):
        train(build(0.4, importance=other), backup_dir=tmp_path)


def test_a_run_from_other_weights_is_another_run(tmp_path):
    def begin(seed):
        trainer = build(1)
        kernel = trainer.network.layers[0].kernel
        kernel.assign(np.random.default_rng(seed).normal(size=kernel.shape))
        return trainer

    with pytest.raises(Killed):
        train(begin(0), callbacks=[KillAt(9)], backup_dir=tmp_path)
    with pytest.raises(ValueError, match="another run, .* in the initial weights"):
        train(begin(1), backup_dir=tmp_path)
    trainer = begin(1)
    keras.utils.clear_session()  # as where nobody has set a seed
    with pytest.warns(UserWarning, match="initial weights: other ones are drawn"):
        train(trainer, backup_dir=tmp_path)


def test_data_that_cannot_be_compared_are_named(tmp_path):
    def generator():
        while True:
            yield X[:16], Y[:16]

    class Other(Shuffled):
        order = np.arange(96)[::-1]

    for first, second, what in (
        (Shuffled(), Other(), "the first batch: it is another one"),
        (generator(), generator(), "training data: a generator"),
    ):
        backup_dir = tmp_path / what[:5]
        with pytest.raises(Killed):
            train_steps(first, callbacks=[KillAt(9)], backup_dir=backup_dir)
        with pytest.warns(UserWarning, match=f"cannot be said for .*{what}"):
            train_steps(second, backup_dir=backup_dir)


def train_steps(x, **options):
    return build(1).fit(x, epochs=2, steps_per_epoch=6, verbose=0, **options)


def weights_after(epochs, *, of, **options):
    trainer = build(**of)
    trainer.fit(X, Y, 16, epochs=epochs, verbose=0, **options)
    return [keras.ops.convert_to_numpy(v) for v in trainer.network.variables]


LATE = Schedule(start=0.5, stop=0.9, cuts=2, shrink=2)


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize(
    "of, differs",
    [
        ({"budget": 1, "anneal": None}, None),
        ({"budget": 0.5, "anneal": None, "schedule": LATE}, "cuts so far"),
        ({"budget": 0.5, "schedule": LATE}, "learning rate and its cuts so far"),
    ],
)
def test_a_run_goes_on_to_more_epochs(of, differs, is_killed, tmp_path):
    if is_killed:  # in the second of four epochs, before anything is cut
        with pytest.raises(Killed):
            weights_after(4, of=of, backup_dir=tmp_path, callbacks=[KillAt(9)])
        differs = differs and "learning rate so far" * ("anneal" not in of)
    else:
        weights_after(4, of=of, backup_dir=tmp_path)
    if differs:
        with pytest.warns(UserWarning, match=f"from 4 epochs to 6. Its {differs}"):
            weights_after(6, of=of, backup_dir=tmp_path)
    else:
        longer = weights_after(6, of=of, backup_dir=tmp_path / "longer")
        for a, b in zip(longer, weights_after(6, of=of, backup_dir=tmp_path)):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="in the epochs"):
        weights_after(5, of=of, backup_dir=tmp_path)


def test_other_optimizers_losses_and_data_are_other_runs(tmp_path):
    train(build(0.4), backup_dir=tmp_path)
    for trainer, data in (
        (build(0.4, keras.optimizers.Adam(0.01)), (X, Y)),
        (build(0.4, "adam"), (X, Y)),
        (build(0.4), (X + 1, Y)),
    ):
        with pytest.raises(ValueError, match="another run"):
            train(trainer, data, backup_dir=tmp_path)


def test_a_run_that_stopped_early_stays_stopped_and_says_so_to_callbacks(tmp_path):
    class Last(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.seen = self.model.count_params(), sorted(logs)

    seen, lengths = [], []
    for _ in range(3):
        stop = keras.callbacks.EarlyStopping(
            "val_loss", patience=0, min_delta=100, start_from_epoch=2
        )
        last = Last()
        trainer = build(0.4)
        options = {"callbacks": [stop, last], "backup_dir": tmp_path}
        logs = train(trainer, epochs=6, **options)[1]
        lengths.append(len(logs["loss"]))
        seen.append(last.seen)
        assert seen[-1][0] == trainer.network.count_params()
    assert len(set(lengths)) == 1 and lengths[0] < 6 and len(set(map(str, seen))) == 1


def test_a_round_that_a_killed_run_was_in_can_still_be_taken_back(tmp_path):
    class Watch(KillAt):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights())
            super().on_train_batch_end(batch, logs)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    seen = []
    schedule = Schedule(start=0.375, stop=0.9, cuts=1, shrink=12)  # from step 9 to 21
    with pytest.raises(Killed):
        train(build(0.4, schedule=schedule), callbacks=[Watch(13)], backup_dir=tmp_path)
    for _ in range(2):  # and it stays so
        trainer = build(0.4, schedule=schedule)
        train(trainer, callbacks=[Stop()], backup_dir=tmp_path)
        assert not trainer.cuts
        for ours, before in zip(trainer.network.get_weights(), seen[8], strict=True):
            np.testing.assert_array_equal(ours, before)


def test_a_budget_of_seconds_goes_on_with_what_was_measured(tmp_path, monkeypatch):
    def clock(scale):
        def measure(network, shapes=None):
            return 1.0 + scale * network.count_params()

        monkeypatch.setattr(
            "nestrade_lib.training.budgeted_costs.measure_latency", measure
        )

    clock(1.0)
    whole = train(build(Budget(latency=0.5)), backup_dir=tmp_path / "whole")
    with pytest.raises(Killed):
        train(
            build(Budget(latency=0.5)),
            callbacks=[KillAt(19)],
            backup_dir=tmp_path / "cut",
        )
    clock(0.0)  # all networks take as long now, so that no cut would save time
    with monkeypatch.context() as patched:
        patched.setattr(
            "nestrade_lib.training.pruned_network.PrunedNetwork.require_reachable",
            lambda self: None,
        )
        trainer = build(Budget(latency=0.5))
    resumed = train(trainer, backup_dir=tmp_path / "cut")
    assert whole[2] and trainer.met and whole[1:] == resumed[1:]
    for a, b in zip(whole[0], resumed[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_low_precision_is_written_and_read(tmp_path):
    weights = []
    for batch in (None, 20, None):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy("bfloat16")
        try:
            trainer = build(0.4)
        finally:
            keras.config.set_dtype_policy("float32")
        folder = tmp_path / ("whole" if not weights else "cut")
        kill = [KillAt(batch)] if batch else []
        try:
            train(trainer, callbacks=kill, backup_dir=folder)
        except Killed:
            continue
        arrays = map(keras.ops.convert_to_numpy, trainer.network.variables)
        weights.append([np.asarray(a, "float32") for a in arrays])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
