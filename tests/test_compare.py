"""The harness of the comparison: resumed, refused, with peers missing; and its arithmetic."""

import json
import re
import sys

import numpy as np
import pytest

from benchmarks.compare import environments, with_keras
from benchmarks.compare.__main__ import Runs, parse, plan, settings_of
from benchmarks.compare.cuts import keep_globally, keep_uniformly, macs_of
from benchmarks.compare.environments import Environment, NotInstalled
from benchmarks.compare.peers import PEERS
from benchmarks.compare.record import Comparison
from benchmarks.compare.summary import summarize
from benchmarks.compare.work import Work
from benchmarks.compare.worker import row
from benchmarks.record import RESULTS
from nestrade_lib import count_costs, load_mnist, trace
from nestrade_lib.importance import magnitude

ROOT = RESULTS.parents[1]
FIGURES = {
    "test_error_percent": 2.0, "macs": 100, "nonzero_macs": 100, "params": 10,
    "seconds": 4.0, "processor_seconds": 2.0, "latency_ms_1": 1.0, "latency_ms_256": 2.0,
    "file_kb": 1.0, "file_gzip_kb": 1.0, "lines": 3, "is_plain": True,
    "largest_difference": None, "widths": {"dense1": 3},
}  # fmt: skip


class FakeWorker:
    """Answers at once; notes what it was given."""

    jobs = []

    def __init__(self, name, threads):
        if name == "torch":
            raise NotInstalled("torch.txt does not install: no network")
        self.name = name

    def answer(self, job):
        FakeWorker.jobs.append(job)
        if len(FakeWorker.jobs) == self.dies_at:
            raise KeyboardInterrupt
        return {"figures": FIGURES | {"versions": {"numpy": "2"}}}

    dies_at = None

    def end(self):
        pass


@pytest.fixture
def options(tmp_path):
    (tmp_path / "mnist.npz").touch()  # no worker reads it
    FakeWorker.jobs, FakeWorker.dies_at = [], None
    return parse(
        ["--network", "mlp", "--budgets", "0.25", "--seeds", "2"]
        + ["--record", str(tmp_path / "record.json")]
    )


def runs(options):
    record = Comparison(options.record)
    record.start("mlp", settings_of(options))
    return Runs(record, settings_of(options), options.record.parent, FakeWorker)


def test_a_killed_run_goes_on_where_it_stopped(options):
    FakeWorker.dies_at = 5
    with pytest.raises(KeyboardInterrupt):
        runs(options).go(plan(options))
    assert len(Comparison(options.record).rows("mlp")) == 4
    runs(options).go(plan(options))
    runs(options).go(plan(options))
    measured = Comparison(options.record).rows("mlp")
    expected = [key for key in plan(options) if not key["peer"].startswith("torch")]
    assert [{x: r[x] for x in expected[0]} for r in measured] == expected
    assert len(FakeWorker.jobs) == len(expected) + 1


def test_an_environment_that_does_not_install_takes_only_its_rows_along(options):
    problems = runs(options).go(plan(options))
    left_out = [key for key in plan(options) if key["peer"].startswith("torch")]
    assert len(problems) == len(left_out) > 0
    assert all("torch.txt does not install: no network" in text for text in problems)
    scratch = [job for job in FakeWorker.jobs if job["peer"] == "scratch"]
    assert scratch and all(job["widths"] == {"dense1": 3} for job in scratch)


def test_a_failed_installation_is_named(tmp_path, monkeypatch):
    requirements = environments.PINNED / "torch.txt"
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no network >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(environments.shutil, "which", lambda name: str(broken))
    environment = Environment(requirements, "with_torch", "torch_dense")
    with pytest.raises(NotInstalled, match="torch.txt does not install: no network"):
        environments.python_of(environment, tmp_path)
    assert not (tmp_path / "torch/made-of").exists()


def test_a_record_of_other_settings_or_machines_is_refused_by_name(options):
    runs(options).go(plan(options)[:1])
    other = settings_of(options) | {"epochs": 7}
    with pytest.raises(ValueError, match="mlp: settings: epochs 4, not 7"):
        Comparison(options.record).start("mlp", other)
    content = json.loads(options.record.read_text())
    content["machine"]["cores"] = 1000
    options.record.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="the machine: cores 1000, not"):
        Comparison(options.record)


def test_the_summary_is_that_of_a_calculator():
    def rows(peer, budget, errors, seconds):
        pairs = enumerate(zip(errors, seconds, strict=True))
        return [
            FIGURES
            | {"peer": peer, "budget": budget, "seed": n}
            | {
                "test_error_percent": e,
                "processor_seconds": s,
                "largest_difference": 1e-6,
            }
            for n, (e, s) in pairs
        ]

    measured = [
        *rows("dense", 1.0, [1.0, 2.0, 3.0], [2.0, 2.0, 4.0]),
        *rows("nestrade", 0.25, [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]),
        *rows("random", 0.25, [3.0, 4.0, 5.0], [1.0, 1.0, 2.0]),
    ]
    summary = summarize({"mlp": {"rows": measured}})["mlp"]["25%"]
    assert list(summary) == ["dense", "nestrade", "random"]
    assert summary["dense"]["test_error_percent"] == {"mean": 2.0, "sd": 1.0}
    assert summary["nestrade"]["processor_seconds_share"]["mean"] == pytest.approx(
        1.25 / 3
    )
    assert summary["nestrade"]["latency_ms_256"] == {"median": 2.0}
    behind = summary["random"]["behind"]
    assert (behind["mean"], behind["pairs"]) == (2.0, 3)
    assert behind["high"] - 2.0 == pytest.approx(4.303 / 3**0.5)
    assert summary["nestrade"]["behind"]["high"] == 0.0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells the peak")
def test_peak_memory_is_that_of_the_training_without_the_measuring_beside_it():
    data = (np.zeros((8, 2)), np.zeros(8))
    work = Work("mlp", 0.25, 0, 1, 8, 1e-3, data, data)
    trained = np.ones(3_000_000)  # 24 MB, given back before the end
    del trained
    with work.aside():
        measured = np.ones(30_000_000)
        del measured
    assert 20 < work.figures()["memory_mb"] < 100


@pytest.mark.parametrize(
    "name", ["compare", "compare_budgets", "compare_fashion", "compare_fashion_width"]
)
def test_the_summary_in_the_record_is_that_of_its_rows(name):
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert content["summary"] == summarize(content["networks"])


def test_the_chapter_says_what_less_and_more_than_a_tenth_cost():
    content = json.loads((RESULTS / "compare_budgets.json").read_text(encoding="utf-8"))
    chapter = (ROOT / "chapters/comparison.ipynb").read_text(encoding="utf-8")
    (told,) = (line for line in chapter.splitlines() if "Less and more" in line)
    errors = {
        (budget, name): row["test_error_percent"]["mean"]
        for budget, rows in content["summary"]["lenet5"].items()
        for name, row in rows.items()
    }
    small = "scratch thinner magnitude slimming lasso torch-pruning tfmot".split()
    shown = [
        errors["5%", "nestrade"],
        errors["5%", "scratch-raised"],
        errors["5%", "random"],
        min(errors["5%", name] for name in [*small, "torch-pruning-sparse"]),
        errors["5%", "nestrade-torch"],
        errors["5%", "nestrade-jax"],
        errors["50%", "nestrade"],
        errors["50%", "dense"],
    ]
    assert re.findall(r"([\d.]+) %", told) == [f"{error:.2f}" for error in shown]
    assert {
        len(row["seeds"]) for row in content["summary"]["lenet5"]["5%"].values()
    } == {3}


@pytest.mark.any_backend
def test_the_chapter_trains_in_pytorch_where_it_is_installed():
    pytest.importorskip("torch")
    notebook = json.loads((ROOT / "chapters/comparison.ipynb").read_text("utf-8"))
    cells = {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"]}
    (x, y), (x_test, y_test) = load_mnist()
    names = {"np": np, "x": x[:6000], "y": y[:6000], "x_test": x_test, "y_test": y_test}
    exec(cells["cp-32-torch-1"], names)
    assert names["in_pytorch"]() < 10


def test_the_command_alone_goes_on_with_the_record():
    content = json.loads((RESULTS / "compare.json").read_text(encoding="utf-8"))
    settings = settings_of(parse([]))
    for network in content["networks"].values():
        assert network["settings"] == settings


@pytest.mark.parametrize("name", ["lenet5", "mlp", "separable", "resnet"])
def test_costs_are_those_of_the_library_and_budgets_are_met(name):
    network = with_keras.build(name)
    costs, known = with_keras.costs(network), count_costs(network)
    assert (costs["macs"], costs["params"]) == (known.macs, known.params)
    graph = trace(network)
    assert macs_of(graph) == known.macs
    for keep in (keep_uniformly, keep_globally):
        mask = keep(graph, magnitude(network, graph), 0.25 * known.macs)
        assert 0 < mask.sum() < graph.count
    with pytest.raises(
        ValueError, match="Expected a budget that some channels can meet"
    ):
        keep_uniformly(graph, np.zeros(graph.count), 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["magnitude", "slimming", "lasso", "thinner", "random"]
)
def test_peers_end_with_a_plain_network_within_the_budget(name):
    train, test = ((x[:256], y[:256]) for x, y in load_mnist())
    work = Work("mlp", 0.25, 0, 2, 64, 1e-3, train, test)
    figures = row(PEERS[name].module, with_keras, work, {})
    assert figures["macs"] <= 0.25 * 545_000
    assert figures["is_plain"]
    assert len(figures["epochs_seen"]) == 2
