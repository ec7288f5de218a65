"""The widths that Nestrade ended with, from scratch, at its learning rate after the cuts.

A control: after its cuts Nestrade itself raises the rate of optimizers such as Adam.
"""

import dataclasses

from benchmarks.compare.peers import scratch
from benchmarks.compare.with_keras import build, compiled, fit
from nestrade_lib import count_costs
from nestrade_lib.training.annealing import raised


def train(work):
    network = scratch.narrow(work)
    sizes = (count_costs(each).macs for each in (build(work.network), network))
    rate = raised(work.learning_rate, *sizes)
    faster = dataclasses.replace(work, learning_rate=rate)
    return fit(compiled(network, faster, work.epochs), work, work.epochs)
