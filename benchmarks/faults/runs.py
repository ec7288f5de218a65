"""Small runs in processes that a signal ends, and what they end with.

A run of one process is forked from one that has imported the backend and computed nothing:
most of the time of so small a run would be the import. On JAX most of the rest would be
compiling, so runs share what they have compiled.
"""

import io
import os
import random
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import keras
import numpy as np

from nestrade_lib.cluster.launch import launch
from nestrade_lib.surgery import restructure
from nestrade_lib.training import pruned_network
from tests.support import worker
from tests.support.backups import X, Y, build

EPOCHS, STEPS, CUTS = 5, 6, 2
REFUSED = 3  # exit code of a run whose folder another one has
PLACES = "step", "cut", "write", "name"
IS_JAX = keras.backend.backend() == "jax"
if IS_JAX:
    import jax

    COMPILED = tempfile.TemporaryDirectory()
    jax.config.update("jax_compilation_cache_dir", COMPILED.name)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def moment(seed, places=PLACES):
    """Where and when a run is ended: a place, and which time that it comes there."""
    draw = random.Random(seed)
    place = places[seed % len(places)]
    most = {"step": EPOCHS * STEPS, "cut": CUTS, "write": 2 * EPOCHS, "name": EPOCHS}
    return place, draw.randrange(1, most[place] + 1)


def begin(folder, name=None, at=None, out=None, hold=None):
    """Start a run with this backup, which gets a signal at a moment; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = _train(folder, name, at, out, hold)
    except SystemExit as error:
        code = error.code
    except ValueError as error:
        code = REFUSED if "in use by process" in str(error) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(child):
    """The exit code of a run, negative for the signal that has ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _train(folder, name, at, out, hold):
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pruned_network.rehearse = lambda *arguments: None  # which changes nothing
    callbacks = [] if hold is None else [worker.Steps(*hold)]
    if name is not None:
        callbacks += _prepare(getattr(signal, f"SIG{name}"), *at)
    trainer = build(0.4, run_eagerly=not IS_JAX)
    try:
        trainer.fit(
            X, Y, 16, epochs=EPOCHS, verbose=0, callbacks=callbacks,
            validation_data=(X, Y), backup_dir=folder,
        )  # fmt: skip
    except KeyboardInterrupt:
        trainer.network.fit(X, Y, 48, verbose=0)  # is it usable?
        outputs = keras.ops.convert_to_numpy(trainer.network(X))
        return 130 if np.isfinite(outputs).all() else 1
    if out is not None:
        np.savez(out, *map(keras.ops.convert_to_numpy, trainer.network.variables))
    return 0


def _prepare(number, place, times):
    """Let a signal come at a moment; callbacks that the run needs for that."""

    def end():
        os.kill(os.getpid(), number)

    def soon():  # anywhere in the step, or after it
        threading.Timer(random.uniform(0, 0.02), end).start()

    if place == "step":
        return [worker.Steps(times, soon)]
    if place == "cut":
        pruned_network.restructure = worker.at_the(times, restructure, end)
    elif place == "write":  # the bytes are in the file, its name is not the right one
        os.fsync = worker.at_the(times, os.fsync, end)
    else:
        os.replace = worker.at_the(times, os.replace, end)
    return []


def workers(out, name=None, moments=()):
    """Whether two workers, ended at these moments in turn, finish; and their log."""
    log = io.StringIO()
    command = [sys.executable, worker.__file__, str(out), "--signal", name or "KILL"]
    if moments:
        command += ["--die", *moments]
    code = launch(command, 2, restarts=len(moments), limit=1800, out=log)
    return code == 0, log.getvalue()


def weights(path):
    """The weights that a run has ended with."""
    with np.load(Path(path)) as held:
        return [held[name] for name in held.files]


def are_equal(one, other):
    """Whether two lists of weights are equal, to the last bit."""
    return len(one) == len(other) and all(map(np.array_equal, one, other))
