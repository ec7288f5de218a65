"""Nestrade without a least width of its layers."""

from benchmarks.compare.peers import nestrade
from nestrade_lib import Schedule


def train(work):
    return nestrade.train(work, schedule=Schedule(min_width=0))
