"""Do a run harm in many ways: does it survive?

    python -m benchmarks.faults                       # TensorFlow; KERAS_BACKEND=jax or torch
    python -m benchmarks.faults --tries 5 --kinds term ctrl-c
    python -m benchmarks.faults --quick               # one try each, writing nothing
    python -m benchmarks.faults.page                  # writes appendix/faults.md

Each try is a row of a record, ``results/faults/BACKEND/KIND.json``, and a killed command
goes on with the tries that are missing.
"""

import argparse
import tempfile

from benchmarks.faults.kinds import BACKEND, KINDS, OF_WORKERS, WITHOUT_BACKEND
from benchmarks.record import RESULTS, Record


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=100, help="at most, of each kind")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=[*KINDS])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.quick else RESULTS
    for name in options.kinds:
        if name in OF_WORKERS and BACKEND == "torch":  # which Keras has on one device
            continue
        most, tries = KINDS[name]
        place = "any" if name in WITHOUT_BACKEND else BACKEND
        record = Record(f"faults/{place}/{name}", folder, has_times=False)
        count = 1 if options.quick else min(most, options.tries)
        missing = record.missing(range(count))
        for seed, survived, told in tries(missing):
            record.add(seed, {"survived": int(survived)}, told)
            print(
                f"{place}, {name} [{seed + 1}/{count}]: {survived} {told}", flush=True
            )


if __name__ == "__main__":
    main()
