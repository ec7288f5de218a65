"""The widths that Nestrade ended with, from scratch, at twice the learning rate.

A control: after its cuts Nestrade itself doubles the rate of optimizers such as Adam.
"""

import dataclasses

from benchmarks.compare.peers import scratch
from benchmarks.compare.with_keras import compiled, fit


def train(work):
    network = scratch.narrow(work)
    raised = dataclasses.replace(work, learning_rate=2 * work.learning_rate)
    return fit(compiled(network, raised, work.epochs), work, work.epochs)
