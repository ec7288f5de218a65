"""Figures that are measured alike in every framework."""

import gzip
import statistics
import tempfile
import time
from pathlib import Path


def latency(predict, x, times=30):
    """Milliseconds of one prediction: the median."""
    predict(x)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        predict(x)
        taken.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(taken), 3)


class PeakMemory:
    """Megabytes at the peak of parts of a process, above those at its start.

    `megabytes` is None where the system, not being Linux, does not tell.
    """

    def __init__(self):
        self.peak = self.start = None
        self.begin()

    def begin(self):
        """Measure from here."""
        try:
            Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        except OSError:
            return
        if self.start is None:
            self.start = self.peak = _kilobytes("VmRSS")

    def end(self):
        """Measure up to here."""
        if self.start is not None:
            self.peak = max(self.peak, _kilobytes("VmHWM"))

    @property
    def megabytes(self):
        return None if self.start is None else round((self.peak - self.start) / 1000, 1)


def _kilobytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(f"{name}:"))


def file_sizes(save, ending):
    """Kilobytes of the weights' file, as it is and compressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"weights{ending}"
        save(str(path))
        content = path.read_bytes()
    sizes = {"file_kb": len(content), "file_gzip_kb": len(gzip.compress(content))}
    return {name: round(size / 1000, 1) for name, size in sizes.items()}
