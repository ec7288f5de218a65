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


def file_sizes(save, ending):
    """Kilobytes of the weights' file, as it is and compressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"weights{ending}"
        save(str(path))
        content = path.read_bytes()
    sizes = {"file_kb": len(content), "file_gzip_kb": len(gzip.compress(content))}
    return {name: round(size / 1000, 1) for name, size in sizes.items()}
