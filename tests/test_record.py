"""A benchmark's record can be interrupted and continued, and never mixes machines."""

import json

import pytest

from benchmarks.record import RESULTS, Record, cores, summary


def test_an_interrupted_benchmark_goes_on_where_it_stopped(tmp_path):
    record = Record("speed", tmp_path)
    assert record.missing(range(3)) == [0, 1, 2]
    record.add(1, {"accuracy": 0.5})

    record = Record("speed", tmp_path)
    assert record.missing(range(3)) == [0, 2]
    for seed in record.missing(range(3)):
        record.add(seed, {"accuracy": 0.25 * seed})
    content = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert content["summary"]["accuracy"] == summary([0.5, 0.0, 0.5])
    assert [path.name for path in tmp_path.iterdir()] == ["speed.json"]


def test_a_failed_write_leaves_the_last_record(tmp_path):
    record = Record("speed", tmp_path)
    record.add(0, {"accuracy": 0.5})
    before = record.path.read_bytes()
    with pytest.raises(TypeError):
        record.add(1, {"accuracy": object()})
    assert record.path.read_bytes() == before


def test_figures_of_another_machine_are_refused(tmp_path):
    record = Record("speed", tmp_path)
    record.content["environment"]["cores"] = 1000
    record.add(0, {"accuracy": 0.5})
    before = record.path.read_bytes()
    with pytest.raises(ValueError, match="measured elsewhere"):
        Record("speed", tmp_path)
    assert record.path.read_bytes() == before


def test_another_machine_goes_on_with_a_record_without_times(tmp_path):
    record = Record("faults", tmp_path, has_times=False)
    record.machine = {"processor": "another", "cores": 1000}
    record.add(0, {"survived": 1})
    record = Record("faults", tmp_path, has_times=False)
    assert record.missing(range(2)) == [1]
    record.add(1, {"survived": 1})
    rows = record.content["seeds"].values()
    assert [row["cores"] for row in rows] == [1000, cores()]


def is_record(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    return {"environment", "seeds", "summary"} <= content.keys()


@pytest.mark.parametrize(
    "path",
    sorted(filter(is_record, RESULTS.rglob("*.json"))),
    ids=lambda path: path.relative_to(RESULTS).with_suffix("").as_posix(),
)
def test_stored_summaries_are_those_of_their_seeds(path):
    content = json.loads(path.read_text(encoding="utf-8"))
    for name, stored in content["summary"].items():
        values = [row[name] for row in content["seeds"].values()]
        assert stored == pytest.approx(summary(values))
