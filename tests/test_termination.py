"""SIGTERM at any moment: a run with a backup ends, and goes on from the step that it had."""

import os
import signal
import subprocess
import sys
import threading
import warnings

import keras
import numpy as np
import pytest

from nestrade_lib.engines.engine import Engine
from nestrade_lib.surgery import restructure
from nestrade_lib.training import pruned_network
from nestrade_lib.training.termination import PAUSE, Termination
from tests.support import backups
from tests.support.backups import X, Y, train

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


def build(budget=0.4):
    return backups.build(budget, run_eagerly=True)


def ask(*_, **__):
    signal.raise_signal(signal.SIGTERM)


def once(function):
    """The same function, which is asked to end within its first call."""
    asked = []

    def asks(*args, **kwargs):
        if not asked:
            asked.append(ask())
        return function(*args, **kwargs)

    return asks


class AskOn(keras.callbacks.Callback):
    def __init__(self, moment):
        super().__init__()
        setattr(self, moment, ask)


PATCHES = {
    "as it cuts": (pruned_network, "restructure", restructure),
    "as it writes": (os, "replace", os.replace),
}
CALLBACKS = ["on_train_begin", "on_epoch_begin", "on_test_begin", "on_train_end"]


def test_asked_outside_of_steps_a_run_goes_on_to_the_same_weights(
    tmp_path, monkeypatch
):
    """One run, which is asked again and again."""
    whole = train(build(), backup_dir=tmp_path / "whole")
    options = {"backup_dir": tmp_path / "asked"}
    warnings.simplefilter("ignore")
    for place, name, function in PATCHES.values():
        with monkeypatch.context() as patched, pytest.raises(SystemExit, match="143"):
            patched.setattr(place, name, once(function))
            train(build(), **options)
    for moment in CALLBACKS:
        with pytest.raises(SystemExit, match="143"):
            train(build(), callbacks=[AskOn(moment)], **options)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    resumed = train(build(), **options)
    for a, b in zip(whole[0], resumed[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole[1:] == resumed[1:]


def test_an_epoch_whose_batches_do_not_come_again_begins_anew(tmp_path):
    """With the weights that it began with, and in other batches."""

    def other_each_time(seed):
        rng = np.random.default_rng(seed)
        while True:
            rows = rng.integers(0, len(X), 16)
            yield X[rows], Y[rows]

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            began[epoch] = self.model.get_weights()

        def on_train_batch_begin(self, batch, logs=None):
            steps.append(batch)
            if len(steps) == 10 and not began.get("asked"):
                began["asked"] = True
                ask()

    began, steps = {}, []

    def run(seed):
        trainer = build()
        trainer.fit(
            other_each_time(seed), epochs=3, steps_per_epoch=6, verbose=0,
            callbacks=[Watch()], backup_dir=tmp_path,
        )  # fmt: skip
        return trainer

    with (
        pytest.raises(SystemExit),
        pytest.warns(UserWarning, match="after 4 of 6 steps"),
    ):
        run(0)
    before = began[1]
    with pytest.warns(UserWarning) as told:
        run(1)
    assert any("within epoch 2, but the data do not" in str(w.message) for w in told)
    for a, b in zip(before, began[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert steps == [*range(6), *range(4), *range(6), *range(6)]


def test_a_generator_that_gives_the_same_again_goes_on_within_its_epoch(tmp_path):
    def again():
        while True:
            for start in range(0, len(X), 16):
                yield X[start : start + 16], Y[start : start + 16]

    def run(folder, **options):
        trainer = build()
        history = trainer.fit(
            again(), epochs=3, steps_per_epoch=5, verbose=0,
            backup_dir=tmp_path / folder, **options,
        ).history  # fmt: skip
        return [
            keras.ops.convert_to_numpy(v) for v in trainer.network.variables
        ], history

    class Ask(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 2:
                ask()

    warnings.simplefilter("ignore")
    whole = run("whole")
    with pytest.raises(SystemExit):
        run("asked", callbacks=[Ask()])
    resumed = run("asked")
    for a, b in zip(whole[0], resumed[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole[1] == resumed[1]


def test_without_a_backup_or_with_a_handler_sigterm_is_left_alone(tmp_path):
    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(signal.getsignal(signal.SIGTERM))

    seen, caught = [], []
    build().fit(X, Y, epochs=1, verbose=0, callbacks=[Look()])

    def own(*received):
        caught.append(received)

    signal.signal(signal.SIGTERM, own)
    try:
        train(build(1), callbacks=[Look(), AskOn("on_train_end")], backup_dir=tmp_path)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert seen[:2] == [signal.SIG_DFL, own] and len(caught) == 1
    with Termination(Engine(), is_awaited=False) as termination:
        assert not termination.is_agreed()


def test_outside_of_the_main_thread_no_handler_is_set():
    def enter():
        with Termination(Engine()):
            seen.append(signal.getsignal(signal.SIGTERM))

    seen = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


class Two(Engine):
    """One of two workers; what the other is asked and how long its steps take is given."""

    workers = 2

    def __init__(self, other):
        self.other, self.exchanges = other, 0

    def gather(self, numbers):
        self.exchanges += 1
        return np.array([numbers, self.other], "int32")


def test_workers_end_together_and_exchange_by_the_slowest_of_them():
    slow = Two([0, round(1000 * PAUSE / 5)])  # milliseconds per step
    termination = Termination(slow)
    assert not any(termination.is_agreed_after_step() for _ in range(21))
    assert slow.exchanges == 5  # after the first step, and each fifth from there
    assert Termination(Two([1, 1])).is_agreed()


FORKED = """
import os, signal, sys, time
from nestrade_lib.training.termination import Termination
reader, writer = os.pipe()
with Termination(None):
    child = os.fork()
    if not child:
        os.write(writer, b"!")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    os.kill(child, signal.SIGTERM)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) + 100)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of POSIX")
def test_forked_children_end_at_once():
    command = [sys.executable, "-c", FORKED]
    assert subprocess.run(command, check=False).returncode == 100 - signal.SIGTERM
