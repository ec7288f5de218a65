"""The kinds of faults: what is done, how often, and what it is to survive."""

import contextlib
import functools
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import keras

from benchmarks.faults import runs
from nestrade_lib.cluster import Cluster, rendezvous
from tests.support.ports import free_port
from tests.support.strangers import STRANGE, knock
from tests.support.stubborn import STUBBORN, is_alive

CODES = {"KILL": -signal.SIGKILL, "TERM": 143, "INT": 130}
# Each a launcher's end: one signal, or a request to end and what comes after it.
ENDS = [
    *(["KILL"], ["ABRT"], ["SEGV"], ["BUS"], ["ILL"], ["FPE"], ["QUIT"], ["TRAP"]),
    *(["SYS"], ["USR1"], ["USR2"], ["ALRM"], ["XCPU"], ["VTALRM"], ["TERM", "TERM"]),
    *(
        ["HUP", "HUP"],
        ["INT", "INT"],
        ["TERM", "KILL"],
        ["HUP", "TERM"],
        ["INT", "KILL"],
    ),
]


@contextlib.contextmanager
def _folder():
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@functools.cache
def _whole():
    """The weights of the run that nobody disturbs."""
    with _folder() as folder:
        assert runs.wait(runs.begin(folder / "run", out=folder / "whole.npz")) == 0
        return runs.weights(folder / "whole.npz")


@functools.cache
def _whole_of_workers():
    with _folder() as folder:
        is_done, log = runs.workers(folder)
        assert is_done, log
        return runs.weights(folder / "weights.npz")


def ended(name, places, seeds):
    """A run gets a signal; started again, it ends with the weights of one that did not."""
    whole = _whole()
    for seed in seeds:
        at = runs.moment(seed, places)
        with _folder() as folder:
            code = runs.wait(runs.begin(folder / "run", name, at))
            left = sorted(path.name for path in (folder / "run").glob("*.checkpoint"))
            again = runs.wait(runs.begin(folder / "run", out=folder / "weights.npz"))
            survived = code == CODES[name] and again == 0
            survived = survived and runs.are_equal(
                whole, runs.weights(folder / "weights.npz")
            )
        told = {"moment": list(at), "codes": [code, again], "left": left}
        yield seed, survived, told


def ended_workers(name, seeds):
    """One of two workers gets a signal, and later again; all end with the same weights."""
    for first in range(0, len(seeds), 5):
        chain = seeds[first : first + 5]
        moments = []
        for seed in chain:
            draw = random.Random(seed)
            place = ("step", "step", "cut", "name")[draw.randrange(4)]
            rank = 0 if place == "name" else draw.randrange(2)
            times = draw.randrange(1, 5) if place == "step" else 1
            moments.append(f"{rank}:{place}:{times}")
        with _folder() as folder:
            is_done, log = runs.workers(folder, name, moments)
            hit = len(list(folder.glob("died-*")))
            survived = is_done and runs.are_equal(
                _whole_of_workers(), runs.weights(folder / "weights.npz")
            )
        how = "failed, code 143" if name == "TERM" else "was ended by signal 9"
        asked = log.count(f"{how}. Starting all again.")
        for number, seed in enumerate(chain):
            told = {
                "moment": moments[number],
                "moments of the run": moments,
                "ended": asked,
            }
            yield seed, survived and number < min(hit, asked), told
        if not survived:
            print(log)


def owners(seeds):
    """A second run begins in the folder of the first: it is refused, the first unharmed."""
    for seed in seeds:
        step = random.Random(seed).randrange(1, runs.EPOCHS * runs.STEPS)
        with _folder() as folder:

            def wait(folder=folder):
                (folder / "ready").touch()
                while not (folder / "go").exists():
                    time.sleep(0.01)

            out = folder / "weights.npz"
            first = runs.begin(folder / "run", out=out, hold=(step, wait))
            while not (folder / "ready").exists():
                time.sleep(0.01)
            second = runs.wait(runs.begin(folder / "run"))
            (folder / "go").touch()
            code = runs.wait(first)
            survived = code == 0 and second == runs.REFUSED
            survived = survived and runs.are_equal(_whole(), runs.weights(out))
        yield seed, survived, {"step": step, "codes": [code, second]}


def strangers(seeds):
    """Somebody sends the chief something odd; after that, it meets its worker."""
    os.environ["NESTRADE_SECRET"] = "known to the group"
    names = list(STRANGE)
    for seed in seeds:
        port, met = free_port(), []
        addresses = f"127.0.0.1:{port}", "127.0.0.1:1"

        def meet(rank, addresses=addresses, met=met):
            rendezvous(Cluster(addresses, rank), {"Keras": "3"}, 30.0)
            met.append(rank)

        chief = threading.Thread(target=meet, args=[0])
        chief.start()
        knock(port, STRANGE[names[seed]])
        alive = chief.is_alive()
        meet(1)
        chief.join(30)
        yield seed, alive and sorted(met) == [0, 1], {"message": names[seed]}


def orphans(seeds):
    """A launcher ends: nothing that it has started is left, though it asks not to end."""
    for seed in seeds:
        with _folder() as folder:
            script = folder / "stubborn.py"
            script.write_text(STUBBORN)
            launcher = subprocess.Popen(
                [sys.executable, "-m", "nestrade_lib.cluster.launch", "--workers", "2",
                 str(script), str(folder)],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            while len(list(folder.glob("*.pid"))) < 4:
                time.sleep(0.02)
            workers = [int(path.stem) for path in folder.glob("*.pid")]
            for name in ENDS[seed]:
                launcher.send_signal(getattr(signal, f"SIG{name}"))
                time.sleep(0.3)
            code, end = launcher.wait(60), time.monotonic() + 30
            while any(map(is_alive, workers)) and time.monotonic() < end:
                time.sleep(0.05)
            left = sum(map(is_alive, workers))
        yield seed, left == 0, {"signals": ENDS[seed], "code": code, "left": left}


BACKEND = keras.backend.backend()
# By the names of TEXTS: how often, and how.
KINDS = {
    "kill-step": (20, functools.partial(ended, "KILL", ("step",))),
    "kill-cut": (20, functools.partial(ended, "KILL", ("cut",))),
    "kill-write": (20, functools.partial(ended, "KILL", ("write", "name"))),
    "term": (20, functools.partial(ended, "TERM", runs.PLACES)),
    "ctrl-c": (20, functools.partial(ended, "INT", runs.PLACES)),
    "owners": (10, owners),
    "killed-worker": (20, functools.partial(ended_workers, "KILL")),
    "term-workers": (20, functools.partial(ended_workers, "TERM")),
    "strangers": (len(STRANGE), strangers),
    "orphans": (len(ENDS), orphans),
}
WITHOUT_BACKEND = "strangers", "orphans"
OF_WORKERS = "killed-worker", "term-workers"
