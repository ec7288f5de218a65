"""Times: of work that is done once, and of calls that take turns."""

import time

import numpy as np


def timed(work):
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return {
        "seconds": time.perf_counter() - clock,
        "processor_seconds": time.process_time() - processor,
    }


def milliseconds(callers, x, rounds):
    """Of each caller its time per round, in turn: the median of some calls."""
    taken = {name: [] for name in callers}
    for caller in callers.values():
        caller(x)
    for _ in range(rounds):
        for name, caller in callers.items():
            times = []
            while len(times) < 3 or (sum(times) < 0.02 and len(times) < 50):
                start = time.perf_counter()
                caller(x)
                times.append(time.perf_counter() - start)
            taken[name].append(round(1000 * float(np.median(times)), 4))
    return taken
