"""Seed faults in the library, one at a time: each must turn one of its tests red.

    python -m scripts.mutation_check                # all, two at a time: `make mutants`
    python -m scripts.mutation_check bias slots     # those whose names hold a word

``tests/mutations.toml`` lists the faults: a file of the library, the text that stands
there, what is put in its place, and the tests that must notice. The tests first run as
they are and must pass. A fault is caught where they then fail, not where they cannot run.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.notebooks import ROOT
from scripts.toml import read_toml

PARTS = "nestrade_lib", "tests", "benchmarks", "scripts", "pyproject.toml"
PASSED, FAILED = 0, 1  # pytest's exit codes
AT_ONCE = 2


def mutations():
    """All faults, by name."""
    return read_toml(ROOT / "tests/mutations.toml")


def run_tests(folder, tests):
    """Run tests in a copy of the repository, to the first that fails."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-x", "-q"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def try_mutation(mutation):
    """Run the tests of one fault in a copy that has it."""
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        copy_repository(folder)
        path = folder / mutation["file"]
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace(mutation["old"], mutation["new"]), encoding="utf-8"
        )
        return run_tests(folder, mutation["tests"])


def copy_repository(folder):
    """Copy what the tests need."""
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder / part)


def main(words):
    """Try the faults whose names hold one of the words; 0 where all are caught."""
    chosen = {
        name: mutation
        for name, mutation in mutations().items()
        if not words or any(word in name for word in words)
    }
    tests = sorted({test for mutation in chosen.values() for test in mutation["tests"]})
    before = run_tests(ROOT, tests)
    if before.returncode != PASSED:
        print(before.stdout, "The tests fail without a fault.", sep="\n")
        return 1
    caught = 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        started = time.perf_counter()
        for name, run in zip(chosen, pool.map(try_mutation, chosen.values())):
            seconds = time.perf_counter() - started
            outcome = {PASSED: "SURVIVED", FAILED: "caught"}.get(run.returncode)
            caught += outcome == "caught"
            print(f"{seconds:4.0f} s  {outcome or 'CANNOT RUN':10} {name}", flush=True)
            if outcome is None:
                print(run.stdout[-2000:])
    print(f"{caught} of {len(chosen)} seeded faults are caught.")
    return int(caught < len(chosen))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
