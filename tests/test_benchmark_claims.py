"""What the book says of a benchmark is what the benchmark's record says."""

import json
import statistics

import nbformat
import pytest

from benchmarks.record import RESULTS
from benchmarks.training import lenet5
from nestrade_lib import count_costs
from scripts.notebooks import ROOT

# Page -> the record it quotes, and the sentence, to be filled with the record's summary.
CLAIMS = [
    (
        "chapters/getting-started.ipynb",
        "getting_started",
        "{accuracy[mean]:.2%} on average, {accuracy[min]:.2%} at the least, "
        "with a standard deviation of {accuracy[sd]:.2%}",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small",
        "{test_error_percent[mean]:.2f}% error on average, with a standard deviation of "
        "{test_error_percent[sd]:.2f} points, at {macs_percent[mean]:.2f}% of the MACs",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small",
        "| Nestrade, five seeds | {test_error_percent[mean]:.2f} | about "
        "{width_conv1[mean]:.0f}-{width_conv2[mean]:.0f}-147-{width_dense1[mean]:.0f} | "
        "{macs_percent[mean]:.2f} | {params_percent[mean]:.1f} |",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small",
        "took {processor_seconds[mean]:.0f} seconds of processor time each",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/dense",
        "the dense ones {processor_seconds[mean]:.0f}. With",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/dense",
        "{test_error_percent[mean]:.2f}% on the same five seeds.",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small-grown",
        "the same five seeds ended at {test_error_percent[mean]:.2f}% and took "
        "{processor_seconds[mean]:.0f} seconds",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/tenth-late",
        "Nestrade comes to {test_error_percent[mean]:.2f}%:",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small-and-light",
        "it ended at {test_error_percent[mean]:.2f}% error on the one seed that we ran",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small-and-light-taught",
        "it comes to {test_error_percent[mean]:.2f}% with a standard deviation of "
        "{test_error_percent[sd]:.2f} points, on five seeds",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small-and-light-taught",
        "{test_error_percent[mean]:.2f} | about {width_conv1[mean]:.0f}-"
        "{width_conv2[mean]:.0f}",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/curve-0.1-nestrade",
        "all five end at {test_error_percent[mean]:.2f}% on average, between "
        "{test_error_percent[min]:.2f} and {test_error_percent[max]:.2f}%.",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small-swift",
        "ended at {test_error_percent[mean]:.2f}% on five seeds",
    ),
    (
        "chapters/getting-started.ipynb",
        "getting_started",
        "{processor_seconds[mean]:.0f} seconds of processor time",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/small-and-light-taught",
        "thirty epochs of which eight are dense, took {processor_seconds[mean]:.0f}:",
    ),
    (
        "chapters/training-mnist.ipynb",
        "overhead/pieces",
        "take {tuned_seconds[mean]:.2f} seconds with the tuner and "
        "{untuned_seconds[mean]:.2f} without",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/curve-0.03-magnitude",
        "What was kept is a little less: {macs_percent[mean]:.1f}% of the MACs at a budget",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/curve-0.03-nestrade",
        "thinner networks, {macs_percent[mean]:.1f} for Nestrade",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/curve-0.03-lasso",
        "for Nestrade, {macs_percent[mean]:.1f} for the lasso",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/curve-0.1-lasso",
        "the lasso keeps {params_percent[mean]:.1f}% of the parameters",
    ),
    (
        "chapters/training-mnist.ipynb",
        "mnist/curve-0.1-nestrade",
        "of the parameters, Nestrade {params_percent[mean]:.0f}%.",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "promised {tables[DGX-1, P100][held_out_worst_error_percent]:.1f} and "
        "{tables[DGX-1, P100][rows][7][error_percent]:.1f}% too much",
    ),
    (
        "chapters/structure-optimization.ipynb",
        "overhead/masks",
        "took {masked_share[mean]:.2f} of the dense one's time, and cut to a tenth of the "
        "MACs {cut_share[mean]:.2f}, on two cores",
    ),
    (
        "chapters/structure-optimization.ipynb",
        "overhead/masks",
        "left **{cut_share[mean]:.2f}** of the time",
    ),
    (
        "chapters/input-pipelines.ipynb",
        "input",
        "{map_samples_1024_alone[mean]:.0f} thousand images a second one by one, {map_batches_1024_alone[mean]:.0f} thousand with `batch` first, {numpy_batches_1024_alone[mean]:,.0f} thousand from `Batches` and {whole_batches_1024_alone[mean]:,.0f} thousand from `tf_batches`",
    ),
    (
        "chapters/input-pipelines.ipynb",
        "input",
        "asks for {lenet_128_fit[mean]:.0f} thousand images a second, and each image through `map` gives {map_samples_128_alone[mean]:.0f} thousand",
    ),
    (
        "chapters/input-pipelines.ipynb",
        "input",
        "`tf_batches` brings {whole_batches_1024_alone[mean]:,.0f} thousand images a second, and {whole_batches_1024_fit[mean]:,.0f} thousand into `fit`",
    ),
    (
        "chapters/input-pipelines.ipynb",
        "input",
        "The same batch again and again, which costs nothing to make, gets {one_batch_1024_fit[mean]:,.0f} thousand",
    ),
    (
        "chapters/input-pipelines.ipynb",
        "input",
        "`steps_per_execution=10` it is {whole_batches_1024_fit10[mean]:,.0f} thousand",
    ),
    (
        "chapters/input-pipelines.ipynb",
        "input",
        "makes {numpy_batches_128_alone[mean]:,.0f} thousand images a second in batches of 128, four times what `tf_batches` makes in such batches. Of these {numpy_batches_128_fit[mean]:,.0f} thousand arrive, fewer than the {whole_batches_128_fit[mean]:,.0f} thousand of `tf_batches`",
    ),
    (
        "benchmarks/README.md",
        "fashion/dense-8",
        "Dense {test_error_percent[mean]:.2f} ± {test_error_percent[sd]:.2f}% error",
    ),
    (
        "benchmarks/README.md",
        "fashion/nestrade-8",
        "Nestrade {test_error_percent[mean]:.2f} ± {test_error_percent[sd]:.2f}% at "
        "{macs_percent[mean]:.1f}% of the MACs",
    ),
    (
        "benchmarks/README.md",
        "mnist/tenth",
        "five seeds at the default schedule, {test_error_percent[mean]:.2f} ± "
        "{test_error_percent[sd]:.2f}%",
    ),
    (
        "benchmarks/README.md",
        "mnist/tenth-late",
        "the later cuts of `tenth-late` have {test_error_percent[mean]:.2f} ± "
        "{test_error_percent[sd]:.2f}%",
    ),
    (
        "benchmarks/README.md",
        "fashion-h200/dense-20",
        "Dense {test_error_percent[mean]:.2f} ± {test_error_percent[sd]:.2f}% error, "
        "Nestrade",
    ),
    (
        "benchmarks/README.md",
        "fashion-h200/nestrade-20",
        "Nestrade {test_error_percent[mean]:.2f} ± {test_error_percent[sd]:.2f}% at "
        "the same MACs",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "On average the simulator is off by {tables[EC2, K80][held_out_mean_absolute_error_percent]:.1f}% where it has not looked, and the rival by {tables[EC2, K80][constant_step_mean_absolute_error_percent]:.1f}%",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "on a DGX-1 it is off by {tables[DGX-1, P100][held_out_mean_absolute_error_percent]:.1f}% at eight GPUs, the rival by {tables[DGX-1, P100][constant_step_mean_absolute_error_percent]:.1f}%",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "too long by {mlperf[2][error_percent]:.0f}%, {mlperf[3][error_percent]:.0f}% and {mlperf[4][error_percent]:.0f}%",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "The simulator is off by **{tables[EC2, K80][held_out_mean_absolute_error_percent]:.1f}%** on average",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "for their efficiency is {simulated_plans[3][efficiency]:.0%}",
    ),
    (
        "chapters/many-machines.ipynb",
        "simulate",
        "The small network's efficiency is therefore lower, {simulated_plans[3][small_efficiency]:.0%}",
    ),
]


@pytest.mark.parametrize(("page", "name", "sentence"), CLAIMS)
def test_the_page_quotes_the_record(page, name, sentence):
    content = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    expected = sentence.format(**content.get("summary", content)).replace("%", " %")
    assert expected in (ROOT / page).read_text(encoding="utf-8")


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


def test_the_readme_says_what_to_expect_as_the_records_do():
    rows = json.loads((RESULTS / "mnist.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for way, name, clock in (
        ("Keras' own `fit`, 20 epochs", "dense", "1"),
        (
            "`budget=0.067, growth=4`, 20 epochs",
            "small-grown",
            "{seconds_share[mean]:.2f}",
        ),
        (
            "`Budget(macs=0.067, params=0.01)`, a teacher, 30 epochs",
            "small-and-light-taught",
            "–",
        ),
    ):
        row = rows[name]
        assert len(row["seeds"]) == 5
        cells = (
            "{test_error_percent[mean]:.2f} ± {test_error_percent[sd]:.2f}",
            "{macs_percent[mean]:.1f}",
            "{params_percent[mean]:.1f}",
            clock,
        )
        told = " | ".join(cell.format(**row) for cell in cells)
        assert f"| {way} | {told} |" in readme


def test_time_is_the_share_of_dense_that_the_pages_say():
    rows = json.loads((RESULTS / "mnist.json").read_text(encoding="utf-8"))
    clock, processor = (
        {
            name: f"{rows[name][f'{unit}_share']['mean']:.2f}"
            for name in ("small", "small-grown", "tenth", "tenth-late")
        }
        for unit in ("seconds", "processor_seconds")
    )
    told = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    assert (
        f"{clock['small-grown']} of the dense network's time by the clock with" in told
    )
    assert f"and {clock['small']} with the default of 2 (`small`)" in told
    assert (
        f"{processor['small-grown']} and {processor['small']} of the processor's"
        in told
    )
    assert f"% in {clock['tenth']} of dense's time by the clock" in told
    assert f"% in {clock['tenth-late']}: the later ones" in told
    chapter = (ROOT / "chapters/training-mnist.ipynb").read_text(encoding="utf-8")
    ratios = processor["small-grown"], clock["small-grown"]
    assert "a ratio of {}, or {} by the clock".format(*ratios) in chapter


def test_the_residual_network_is_faster_by_what_the_readme_says():
    rows = json.loads((RESULTS / "fashion.json").read_text(encoding="utf-8"))
    share = rows["nestrade-8"]["processor_seconds_share"]["mean"]
    sentence = f"in {share:.2f} of the processor time"
    assert sentence in (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")


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
    told = f"took {shares[1]:.2f} of the time for a step, and at odd widths {shares[0]:.2f}"
    assert told in " ".join(readme.split())
    peaks = [row["share_of_product_percent"] for row in (dense, eights)]
    assert f"{peaks[0]:.0f} % of what one large matrix" in page
    assert f"the cut one's at {peaks[1]:.0f} %" in page
    fits = [row["fit_seconds"] for row in (eights, dense)]
    assert "took {:.0f} seconds, {:.0f} without".format(*fits) in page
    saved = dense["step_ms"] - eights["step_ms"]
    assert f"can save {saved:.0f} milliseconds" in page
    fed = [row["fit_last_epoch_images_per_second"] / 1000 for row in (eights, dense)]
    assert "saw {:.0f} thousand images a second, {:.0f} thousand".format(*fed) in page
    assert "after some 10,500 steps" in page
    assert 1000 * (fits[0] - fits[1]) / saved == pytest.approx(10_500, rel=0.01)
