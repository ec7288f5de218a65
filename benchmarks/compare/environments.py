"""One environment per peer that needs its own, with pinned versions; and its workers."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-compare"
PINNED = Path(__file__).parent / "requirements"


@dataclass(frozen=True)
class Environment:
    """What a peer runs in: a file of requirements (None is this Python), and variables."""

    requirements: Path | None
    side: str
    first: str
    variables: tuple = ()


BACKENDS = ROOT / "requirements/backends.txt"
ENVIRONMENTS = {
    "tensorflow": Environment(
        None, "with_keras", "dense", (("KERAS_BACKEND", "tensorflow"),)
    ),
    "keras-torch": Environment(
        BACKENDS, "with_keras", "dense", (("KERAS_BACKEND", "torch"),)
    ),
    "jax": Environment(BACKENDS, "with_keras", "dense", (("KERAS_BACKEND", "jax"),)),
    "torch": Environment(PINNED / "torch.txt", "with_torch", "torch_dense"),
    "tfmot": Environment(
        PINNED / "tfmot.txt", "with_keras", "dense", (("TF_USE_LEGACY_KERAS", "1"),)
    ),
}


class NotInstalled(Exception):
    """An environment that could not be made: its rows are left out."""


def python_of(environment, folder=FOLDER):
    """Make an environment, unless it is there as its requirements are now; give its Python.

    Raises
    ------
    NotInstalled
        If a package cannot be had: its name is wrong, or there is no network.
    """
    requirements = environment.requirements
    if requirements is None:
        return sys.executable
    place = folder / requirements.stem
    python, stamp = place / "bin/python", place / "made-of"
    content = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == content:
        return str(python)
    shutil.rmtree(place, ignore_errors=True)
    print(f"Making {place} of {requirements.relative_to(ROOT)} ...", flush=True)
    if uv := shutil.which("uv"):
        create = [uv, "venv", "--python", sys.executable, str(place)]
        install = [uv, "pip", "install", "--python", str(python)]
    else:
        create = [sys.executable, "-m", "venv", str(place)]
        install = [str(python), "-m", "pip", "install", "--quiet"]
    for command in (create, [*install, "-r", str(requirements)]):
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            last = run.stderr.strip().splitlines()[-1:] or ["no message"]
            raise NotInstalled(f"{requirements.name} does not install: {last[0]}")
    stamp.write_text(content)
    return str(python)


class Worker:
    """A process in an environment, which measures the row that it is given."""

    def __init__(self, name, threads, folder=FOLDER):
        self.name, environment = name, ENVIRONMENTS[name]
        python = python_of(environment, folder)
        folder.mkdir(exist_ok=True)
        self.log = folder / f"{name}.log"
        variables = dict(environment.variables) | _limits(threads)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [python, "-m", "benchmarks.compare.worker",
                 environment.side, environment.first],
                cwd=ROOT, env=os.environ | variables, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def answer(self, job):
        """The answer to a row: its figures, or an error in words."""
        try:
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        return {"error": f"The worker {self.name} ended: see {self.log}."}

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def _limits(threads):
    """Variables that hold each framework to so many threads; none for 0."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    if not threads:
        return quiet
    names = "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"
    flags = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    return quiet | dict.fromkeys(names, str(threads)) | {"XLA_FLAGS": flags}
