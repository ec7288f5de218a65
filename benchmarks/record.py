"""Keep what a benchmark measured, with all that is needed to judge it.

    record = Record("getting_started")
    for seed in record.missing(range(5)):
        record.add(seed, {"accuracy": 0.99})

A record is a JSON file in ``benchmarks/results/``: the machine, the versions, and for
each seed its figures, the date, the commit and the load of the machine. It is written whole after each seed, so
that an interrupted benchmark goes on with the seeds that are missing. A record from
another machine or other versions is not continued: figures must be comparable. Where no
figure is a time, other machines may go on with it, and each seed names its machine.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
HARDWARE = ("processor", "cores")
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy")


class Record:
    """The record called ``name``, read from its file if it has one.

    Raises
    ------
    ValueError
        If the file comes from other versions, or from another machine: one without times
        may, and then each seed names its own.
    """

    def __init__(self, name, folder=RESULTS, has_times=True):
        self.path = Path(folder) / f"{name}.json"
        here = environment()
        self.machine = {} if has_times else {key: here.pop(key) for key in HARDWARE}
        self.content = {"environment": here, "seeds": {}}
        if self.path.is_file():
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            if stored["environment"] != self.content["environment"]:
                raise ValueError(
                    f"{self.path} was measured elsewhere: expected {self.content['environment']}, "
                    f"got {stored['environment']}. Remove the file to measure anew."
                )
            self.content = stored

    def missing(self, seeds):
        """Yield the seeds that have no figures yet."""
        return [seed for seed in seeds if str(seed) not in self.content["seeds"]]

    def add(self, seed, figures, told=None):
        """Store the figures of one seed and what else is told of it; write the file."""
        moment = {"date": today(), "commit": commit(), "load": load()}
        row = {**figures, **(told or {}), **moment, **self.machine}
        self.content["seeds"][str(seed)] = row
        rows = self.content["seeds"].values()
        self.content["summary"] = {
            name: summary([row[name] for row in rows]) for name in figures
        }
        self.write(json.dumps(self.content, indent=2) + "\n")

    def write(self, text):
        """Write the file at once: no reader sees half of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".part")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.path)


def summary(values):
    """The mean, standard deviation, least and greatest of some numbers."""
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
        "min": min(values),
        "max": max(values),
    }


def environment():
    """What figures depend on and stays the same while a benchmark runs."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        **accelerator(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if version(name)},
    }


def accelerator():
    """Name and driver of NVIDIA's GPU; empty where there is none."""
    asked = "--query-gpu=name,driver_version"
    command = ["nvidia-smi", asked, "--format=csv,noheader"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"accelerator": run.stdout.strip()}


def cores():
    """Those that this process may use: ``taskset`` or a container allow fewer."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()


def processor():
    """The processor's model, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return models[0] if models else platform.processor()


def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def today():
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def commit():
    """The commit that was measured; "+" where files differ from it. None without git."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        run = subprocess.run(
            command, cwd=RESULTS.parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def load():
    """How many processes wanted a core in the last minute; above `cores`, times are long."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
