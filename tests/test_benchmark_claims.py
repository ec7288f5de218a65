"""What the book says of a benchmark is what the benchmark's record says."""

import json
import re
import statistics

import nbformat
import pytest

from benchmarks.record import RESULTS
from benchmarks.training import lenet5
from nestrade_lib import count_costs
from scripts.notebooks import ROOT
from scripts.toml import read_toml

CLAIMS = read_toml(ROOT / "tests/claims.toml")["claims"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["record"])
def test_the_page_quotes_the_record(claim):
    content = json.loads((RESULTS / f"{claim['record']}.json").read_text("utf-8"))
    expected = claim["sentence"].format(**content.get("summary", content))
    page = (ROOT / claim["page"]).read_text("utf-8")
    assert re.sub(r"(?<=\S)%", " %", expected) in page


def test_the_rows_of_the_readme_are_of_five_seeds():
    rows = json.loads((RESULTS / "mnist.json").read_text(encoding="utf-8"))
    for name in ("dense", "small-grown", "small-and-light-taught"):
        assert len(rows[name]["seeds"]) == 5


WAYS = ("nestrade", "magnitude", "scratch", "thinner", "lasso")
BUDGETS = ("0.5", "0.25", "0.1", "0.067", "0.03")
SEEDS = ["5", "6", "7"]


def test_the_curve_over_budgets_is_that_of_the_records():
    notebook = nbformat.read(ROOT / "chapters/training-mnist.ipynb", 4)
    sources = [cell.source for cell in notebook.cells]
    text = "".join(sources)
    (cell,) = (source for source in sources if "plots.plot_curve" in source)
    assert "means of three seeds" in cell
    assert "in eight epochs, on three seeds" in text
    told = {}
    exec(cell.split("plots.plot_curve")[0], told)

    def figures(name):
        path = RESULTS / f"mnist/{name}.json"
        rows = json.loads(path.read_text(encoding="utf-8"))["seeds"]
        chosen = [rows[seed] for seed in SEEDS]
        return [row["test_error_percent"] for row in chosen], chosen

    assert (
        f"{statistics.fmean(figures('curve-dense')[0]):.2f}" == f"{told['dense']:.2f}"
    )
    assert told["shares"] == [100 * float(budget) for budget in BUDGETS]
    for label, way in zip(told["errors"], WAYS, strict=True):
        for n, budget in enumerate(BUDGETS):
            errors, rows = figures(f"curve-{budget}-{way}")
            assert (
                f"{statistics.fmean(errors):.2f}" == f"{told['errors'][label][n]:.2f}"
            )
            deviation = told["deviations"][label][n]
            assert f"{statistics.stdev(errors):.2f}" == f"{deviation:.2f}"
            assert all(row["macs_percent"] <= 100 * float(budget) for row in rows)
    means, spread = (list(told[of].values()) for of in ("errors", "deviations"))
    assert "ahead of Nestrade there, by less than the spread" in text
    assert means[0][0] - min(mean[0] for mean in means) < spread[0][0]
    assert "From a quarter of the work down, Nestrade has the lowest mean" in text
    assert all(min(column) == column[0] for column in list(zip(*means))[1:])


def test_a_published_row_is_smaller_than_it_was_counted():
    first, second, hidden, inputs = 3, 12, 500, 12 * 4 * 4
    small = count_costs(lenet5((first, second, hidden)))
    dense = count_costs(lenet5())
    macs, params = small.macs / dense.macs, small.params / dense.params
    sentence = (
        f"a plain network of 3-12-{inputs}-500 would have {100 * macs:.1f} % of the MACs "
        f"and {100 * params:.1f} % of the parameters"
    )
    page = ROOT / "chapters/training-mnist.ipynb"
    assert sentence in page.read_text(encoding="utf-8")


def test_the_residual_network_is_behind_by_what_the_readme_says():
    dense, small = (
        json.loads((RESULTS / f"fashion-h200/{name}-20.json").read_text("utf-8"))
        for name in ("dense", "nestrade")
    )
    behind = [
        small["seeds"][seed]["test_error_percent"] - row["test_error_percent"]
        for seed, row in dense["seeds"].items()
    ]
    sentence = (
        f"Over all five seeds it is {statistics.fmean(behind):.2f} points behind, over "
        f"the three that the command runs by default {statistics.fmean(behind[:3]):.2f}."
    )
    assert sentence in (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")


def test_the_teacher_and_the_labels_alone_are_compared_on_one_seed():
    errors = []
    for name in ("small-and-light-taught", "small-and-light"):
        rows = json.loads((RESULTS / f"mnist/{name}.json").read_text())["seeds"]
        errors.append(f"{rows['5']['test_error_percent']:.2f} %")
    sentence = f"{errors[0]} in place of {errors[1]} on the seed that has both"
    assert sentence in (ROOT / "chapters/training-mnist.ipynb").read_text("utf-8")


def test_what_validation_said_of_the_teacher_is_in_the_experiments():
    text = (RESULTS / "experiments.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    control = [
        row for row in rows if (row["group"], row.get("name")) == ("taught", "control")
    ]
    sentence = (
        "its training errors were {0[training_error]:.2f} and {1[training_error]:.2f} %, "
        "its validation errors {0[validation_error]:.2f} and {1[validation_error]:.2f} %"
    ).format(*control)
    page = ROOT / "chapters/training-mnist.ipynb"
    assert sentence in page.read_text(encoding="utf-8")


def test_the_grain_of_a_gpu_is_that_of_the_record():
    text = (RESULTS / "accelerator/resnet-32px.json").read_text(encoding="utf-8")
    rows = json.loads(text)["seeds"]
    page = (ROOT / "chapters/structure-optimization.ipynb").read_text(encoding="utf-8")
    for name, row in rows.items():
        widths = list(dict.fromkeys(row["widths"]))
        in_eights = [width % 8 == 0 for width in widths]
        assert not any(in_eights) if name == "free" else all(in_eights)
        sentence = (
            "{0} | {macs_percent:.1f} % | {step_ms:.1f} | {images_per_second:,.0f} | "
            "{peak_memory_gb:.1f} GB |"
        ).format(", ".join(map(str, widths)), **row)
        assert sentence in page
    dense, free, eights = (rows[name] for name in ("dense", "free", "eights"))
    shares = [row["step_ms"] / dense["step_ms"] for row in (free, eights)]
    assert f"took **{shares[0]:.2f}** of the dense step's time" in page
    assert f"**{shares[1]:.2f}** at multiples of 8" in page
    assert f"it takes {shares[1]:.2f} of the time" in page
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    sentence = (
        f"took {shares[1]:.2f} of the time per step, but {shares[0]:.2f} at odd widths"
    )
    assert sentence in " ".join(readme.split())
    peaks = [row["share_of_product_percent"] for row in (dense, eights)]
    assert f"{peaks[0]:.0f} % of what one large matrix" in page
    assert f"the cut one's at {peaks[1]:.0f} %" in page
    fits = [row["fit_seconds"] for row in (eights, dense)]
    assert "took {:.0f} seconds, {:.0f} without".format(*fits) in page
    saved = dense["step_ms"] - eights["step_ms"]
    assert f"can save {saved:.0f} milliseconds" in page
    fed = [row["fit_last_epoch_images_per_second"] / 1000 for row in (eights, dense)]
    assert "saw {:.0f} thousand images per second, {:.0f} thousand".format(*fed) in page
    assert "after some 10,500 steps" in page
    assert 1000 * (fits[0] - fits[1]) / saved == pytest.approx(10_500, rel=0.01)


def test_every_error_in_what_was_tried_is_in_the_record_that_it_names():
    text = (RESULTS / "experiments.jsonl").read_text(encoding="utf-8")
    recorded = {}
    for row in map(json.loads, text.splitlines()):
        recorded.setdefault(row["group"], set()).update(two_decimals(row))
    for path in RESULTS.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        name = path.relative_to(RESULTS).with_suffix("").as_posix()
        values = set(two_decimals(content))
        recorded.setdefault(name.removeprefix("mnist/"), set()).update(values)
    page = (ROOT / "appendix/what-was-tried.md").read_text(encoding="utf-8")
    for paragraph in re.split(r"\n\n|\n- ", page):
        named = re.findall(r"`([\w/-]+)`", paragraph)
        values = set().union(*(recorded.get(name, ()) for name in named))
        quoted = set(re.findall(r"(?<![\d.])\d+\.\d\d(?!\d)", paragraph))
        assert quoted <= values, (quoted - values, paragraph)


def two_decimals(content):
    """Yield every number in nested JSON `content`, rounded as prose quotes it."""
    if isinstance(content, int | float):
        yield f"{content:.2f}"
    elif isinstance(content, dict | list):
        nested = content.values() if isinstance(content, dict) else content
        for value in nested:
            yield from two_decimals(value)
