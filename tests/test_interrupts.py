"""Ctrl-C at any moment of a run leaves a usable network."""

import inspect
import signal
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import nestrade_lib
from nestrade_lib import Nestrade, Schedule
from nestrade_lib.internals import open_scopes
from tests.support.small import X, Y, mlp

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]

# Calls of functions in these are the moments.
PLACES = [
    str(Path(nestrade_lib.__file__).parent),
    str(Path(keras.__file__).parent / "src" / "trainers"),
    str(Path(keras.__file__).parent / "src" / "backend" / keras.backend.backend()),
]


class Calls:
    """Counts the calls of a run, and presses Ctrl-C at one of them."""

    def __init__(self, interrupt_at=None):
        self.count, self.interrupt_at = 0, interrupt_at

    def __call__(self, frame, event, argument):
        code = frame.f_code
        if code.co_flags & inspect.CO_GENERATOR:
            return  # as it is thrown away: Python ignores what is raised then
        if frame.f_back is not None and frame.f_back.f_code.co_name == "pythonify_logs":
            return  # in which Keras ignores whatever is raised
        if event == "call" and code.co_filename.startswith(tuple(PLACES)):
            self.count += 1
            if self.count == self.interrupt_at:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGINT)


def trained(trainer, calls):
    sys.setprofile(calls)
    try:
        trainer.fit(X, Y, batch_size=96, epochs=3, validation_data=(X, Y), verbose=0)
    finally:
        sys.setprofile(None)


def test_ctrl_c_at_twenty_moments_leaves_usable_networks(monkeypatch):
    def new():
        schedule = Schedule(start=0.3, stop=0.9, cuts=1, shrink=2)
        return Nestrade(mlp(run_eagerly=True), 0.5, schedule=schedule)

    trained(new(), Calls())  # the first run of a process makes a few calls more
    trained(new(), calls := Calls())
    for moment in np.linspace(1, calls.count - 10, 20).astype(int):
        trainer = new()
        network = trainer.network
        with pytest.raises(KeyboardInterrupt):
            trained(trainer, Calls(moment))
        assert type(trainer.optimizer) is type(keras.optimizers.Adam())
        assert float(trainer.optimizer.learning_rate) == pytest.approx(1e-3)
        for each in (network, trainer.network):  # before and after a cut
            assert np.isfinite(keras.ops.convert_to_numpy(each(X))).all()
        assert all(
            np.isfinite(keras.ops.convert_to_numpy(v)).all()
            for v in trainer.optimizer.variables
        )
    trainer.network.fit(X, Y, verbose=0)
    assert np.isfinite(trainer.evaluate(X, Y, verbose=0)).all()


class InterruptedInScope(keras.callbacks.Callback):
    """Ctrl-C between the moment that a name scope is open and that it would be closed."""

    def on_epoch_begin(self, epoch, logs=None):
        keras.name_scope("open").__enter__()
        raise KeyboardInterrupt


def test_no_name_scope_stays_open():
    trainer = Nestrade(mlp(), 0.5)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, verbose=0, callbacks=[InterruptedInScope()])
    assert not open_scopes()
