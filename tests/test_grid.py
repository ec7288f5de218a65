"""The grid of untuned settings: balanced rounds, a bar that counts, a record that goes on."""

import itertools
from collections import Counter

from benchmarks import grid
from benchmarks.record import Record


def test_rounds_are_balanced_and_have_each_cell_once():
    everything = grid.OPTIMIZERS, grid.BATCHES, grid.EPOCHS, grid.SAMPLES
    found = [tuple(settings.values()) for _, settings in grid.cells(grid.ROUNDS)]
    assert sorted(found) == sorted(itertools.product(*everything))
    optimizers, *others = zip(*found[:18], strict=True)  # the first round
    assert set(Counter(zip(optimizers, others[0], strict=True)).values()) == {1}
    assert [set(Counter(values).values()) for values in others] == [{6}] * 3


def rows(cell, **errors):
    settings = dict.fromkeys(("optimizer", "batch_size", "epochs", "samples"), cell)
    for method, error in errors.items():
        yield {"cell": cell, "method": method, "test_error": error, **settings}


def test_the_bar_counts_cells_that_train_dense_to_98_percent():
    summary = grid.summarize([
        *rows("near", **{"dense": 1.9, "nestrade": 2.1, "scratch": 3, "scratch-raised": 2}),
        *rows("far", **{"dense": 1.5, "nestrade": 1.9, "scratch": 3, "scratch-raised": 2}),
        *rows("poor", **{"dense": 2.1, "nestrade": 5, "scratch": 6, "scratch-raised": 4}),
        *rows("beaten", **{"dense": 2.1, "nestrade": 2, "scratch": 1, "scratch-raised": 1}),
        *rows("unfinished", dense=1.0),
    ])  # fmt: skip
    counts = {name: summary[name] for name in ("count", "in_bar", "near_dense")}
    assert counts == {"count": 4, "in_bar": 2, "near_dense": 1}
    assert summary["best_of_small"] == 3
    assert abs(summary["mean_difference"] - 0.3) < 1e-9
    held = {name: cell["holds"] for name, cell in summary["cells"].items()}
    assert held == {"near": True, "far": False, "poor": True, "beaten": False}


def test_a_killed_grid_goes_on_with_the_widths_that_it_had_found(tmp_path, monkeypatch):
    asked = []

    def measure(method, settings, seed, data, widths):
        if len(asked) == 2 and not is_second:
            raise KeyboardInterrupt
        asked.append((method, widths))
        return {"test_error": 1.0, "widths": [3, 20, 90]}

    monkeypatch.setattr(grid, "measure", measure)
    chosen = list(grid.cells(1))[:1]
    for is_second in (False, True):
        record = Record("grid", tmp_path, has_times=False)
        record.content.setdefault("rows", [])
        try:
            grid.run(record, [0], chosen, data=None)
        except KeyboardInterrupt:
            assert not is_second
    found = [3, 20, 90]
    of_scratch = [("scratch", found), ("scratch-raised", found)]
    assert asked == [("dense", None), ("nestrade", None), *of_scratch]
    kept = Record("grid", tmp_path, has_times=False).content
    assert kept["summary"]["count"] == 1
    assert all(row["processor"] for row in kept["rows"])  # any machine may go on
