"""Which networks are cut, how equal they stay, and what of them is never cut.

    python -m benchmarks.structures                  # every table
    python -m benchmarks.structures operations       # one of them

A row per network: its name and kind, the share of its MACs that a cut of half of its
channels leaves, the largest relative difference of its outputs from those of the original
with these channels at zero, and what keeps other channels. The rows of a kind are written
together to ``benchmarks/results/structures.json``.
"""
