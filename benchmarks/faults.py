"""Kill one of two workers at twenty moments: is the run the same in the end?

    python -m benchmarks.faults                       # TensorFlow; KERAS_BACKEND=jax: JAX
    python -m benchmarks.faults --quick               # two moments, writing nothing

Each time two workers of two logical devices each train through two cuts. One of them is
killed (SIGKILL) inside a training step, inside a cut, between the writing of a checkpoint
and its renaming, or after some seconds, whatever it does then. The launcher has to see
it and start both again, and the last weights have to be those of the run that nobody
disturbed, to the last bit. ``seconds`` is the whole run, with the restart.
"""

import argparse
import io
import random
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from benchmarks.record import RESULTS, Record
from nestrade_lib.cluster.launch import launch

WORKER = Path(__file__).parent.parent / "tests" / "support" / "worker.py"
EPOCHS, STEPS = 6, 5


def moment(seed, whole_seconds):
    """Which worker is killed, and when: ``RANK:PLACE:TIMES``, as the worker reads it."""
    draw = random.Random(seed)
    place = ("step", "cut", "write", "name", "clock")[seed % 5]
    rank = 0 if place in ("write", "name") else draw.randrange(2)  # the chief writes
    times = {
        "step": draw.randrange(1, EPOCHS * STEPS + 1),
        "cut": draw.randrange(1, 3),
        "write": draw.randrange(1, 2 * EPOCHS + 1),  # the file, then its folder
        "name": draw.randrange(1, EPOCHS + 1),
        "clock": round(draw.uniform(1, 0.9 * whole_seconds), 1),
    }[place]
    return f"{rank}:{place}:{times}"


def train(die=None):
    """Weights, the launcher's log and seconds of one run."""
    with tempfile.TemporaryDirectory() as out:
        log, start = io.StringIO(), time.perf_counter()
        command = [sys.executable, str(WORKER), out, "--devices", "2"]
        command += ["--die", die] if die else []
        code = launch(command, 2, restarts=1, limit=600, out=log)
        seconds = time.perf_counter() - start
        if code:
            return None, log.getvalue(), seconds
        with np.load(Path(out) / "weights.npz") as held:
            return [held[name] for name in held.files], log.getvalue(), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.quick else RESULTS
    record = Record(f"faults/{keras.backend.backend()}", folder)
    seeds = record.missing(range(2 if options.quick else options.moments))
    if not seeds:
        return
    whole, log, seconds = train()
    if whole is None:
        raise SystemExit(f"The run fails without being disturbed:\n{log}")
    for seed in seeds:
        die = moment(seed, seconds)
        weights, log, taken = train(die)
        row = {
            "detected": int("was ended by signal 9. Starting all again" in log),
            "finished": int(weights is not None),
            "identical": int(
                weights is not None and all(map(np.array_equal, whole, weights))
            ),
            "seconds": round(taken, 1),
            "undisturbed_seconds": round(seconds, 1),
        }
        record.add(seed, row, {"killed": die})
        print(f"[{seed + 1}/{options.moments}] {die}: {row}", flush=True)
        if not row["identical"]:
            print(log)


if __name__ == "__main__":
    main()
