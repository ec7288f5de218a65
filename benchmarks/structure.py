"""How long a trace and a cut take, and how equal they are, for the networks of Keras.

    python -m benchmarks.structure            # minutes
    python -m benchmarks.structure --quick    # two networks, writing nothing

A row for each of twelve networks of ``keras.applications``, weights random: seconds of
the trace and of a random cut to half of the MACs, and the largest relative difference
between the smaller network and the original with those channels at zero. The networks
and the cut are those of ``tests/support/applications.py``.
"""

import argparse
import tempfile
import time

import keras
import numpy as np

from benchmarks.record import RESULTS, Record
from nestrade_lib import trace, verify
from nestrade_lib.surgery import cut
from tests.support.applications import ALL, build, half_of_the_macs


def timed(function, *arguments):
    start = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return result, time.perf_counter() - start[0], time.process_time() - start[1]


def application(name):
    network = build(name)
    graph, seconds, processor = timed(trace, network)
    mask, macs = half_of_the_macs(network, graph)
    smaller, cutting, _ = timed(cut, network, mask, graph)
    probe = np.random.default_rng(0).normal(size=(2, *network.input_shape[1:]))
    errors = verify(network, smaller, mask, probe.astype("float32"), graph)
    return {
        "groups": graph.count,
        "trace_seconds": round(seconds, 3),
        "trace_processor_seconds": round(processor, 3),
        "cut_seconds": round(cutting, 3),
        "macs_percent": 100 * macs,
        "largest_difference": max(errors.values()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    folder = tempfile.mkdtemp() if options.quick else RESULTS
    record = Record(f"structure/applications-{keras.backend.backend()}", folder)
    for name in record.missing(ALL[:2] if options.quick else ALL):
        record.add(name, application(name))
        print(name, record.content["seeds"][name], flush=True)


if __name__ == "__main__":
    main()
