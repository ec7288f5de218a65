"""Wrong calls of the public functions: one clear error each, and nothing changes.

The calls come from the signatures: every parameter is given every odd value but those
that it takes, which the tables below name.
"""

import functools
import inspect
import traceback
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl

import nestrade_lib
from nestrade_lib import (
    Batches,
    Budget,
    ChannelOptimizer,
    Distillation,
    GroupLasso,
    Nestrade,
    Schedule,
    count_costs,
    create_loss,
    create_model,
    create_nestrade_model,
    create_optimizer,
    create_resnet,
    export,
    load_export,
    load_fashion_mnist,
    load_mnist,
    register_rule,
    restructure,
    tf_batches,
    trace,
    verify,
    weight_reuse,
)
from nestrade_lib.cluster import Cluster, rendezvous
from nestrade_lib.cluster.digest import digest
from nestrade_lib.cluster.launch import launch
from nestrade_lib.engines import logical_devices, start
from nestrade_lib.training import Checkpoints, noise_scale

pytestmark = pytest.mark.any_backend
LIBRARY = str(Path(nestrade_lib.__file__).parent)
ODD = {
    "object": object(),
    "text": "text",
    "": "",
    "[]": [],
    "{}": {"a": 1},
    "nan": float("nan"),
    "inf": float("inf"),
    "-1": -1,
    "0": 0,
    "1": 1,
    "0.5": 0.5,
    "True": True,
    "None": None,
    "array": np.ones((2, 3)),
    "bytes": b"x",
}
X, Y = np.random.default_rng(0).random((32, 6), "float32"), np.arange(32) % 3
# Keras' own to check, or as true or false as Python has it.
LEFT_OUT = (
    "other",
    "name",
    "kernel_regularizer",
    "engine",
    "verbose",
    "shuffle",
    "strict",
)


@functools.cache
def network():
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((6,)), kl.Dense(5, "relu"), kl.Dense(3)])
    made.compile("adam", create_loss(), metrics=["accuracy"])
    return made


@functools.cache
def trainer(budget=0.5):
    made = keras.models.clone_model(network())
    made.compile("adam", create_loss(), metrics=["accuracy"])
    return Nestrade(made, budget)


def mask():
    return np.ones(5, bool)


def fitting(budget):
    def fit(**options):
        return trainer(budget).fit(**options)

    fit.__signature__ = inspect.signature(trainer(budget).fit)
    return fit


FIT = {
    "x": "",
    "y": "",
    "batch_size": "1 None",
    "epochs": "0 1",
    "verbose": "0 1 True",
    "callbacks": "[] None",
    "validation_split": "0 0.5",
    "validation_data": "None",
    "shuffle": "0 1 True",
    "class_weight": "None",
    "sample_weight": "None",
    "initial_epoch": "0 1",
    "steps_per_epoch": "1 None",
    "validation_steps": "1 None",
    "validation_batch_size": "1 None",
    "validation_freq": "1 []",
    "backup_dir": "text None",
}
DATA = {"x": X, "y": Y, "verbose": 0}
# A function, arguments that are right, and the odd values that each parameter takes.
CALLS = {
    "create_model": (create_model, {"input_shape": (8, 8, 1), "num_classes": 3}, {
        "kernel_regularizer": "None", "dropout": "0 0.5", "name": "text None"}),
    "create_resnet": (create_resnet, {"input_shape": (8, 8, 1), "num_classes": 3}, {
        "blocks": "1", "name": "text None"}),
    "create_optimizer": (create_optimizer, {}, {"learning_rate": "0.5 1"}),
    "create_nestrade_model": (
        create_nestrade_model, {"input_shape": (6,), "num_classes": 3},
        {"budget": "0.5 1", "learning_rate": "0.5 1", "l1": "0 0.5 1"}),
    "Budget": (Budget, {"macs": 0.5}, {
        "macs": "0.5 1", **dict.fromkeys(["params", "activation_bytes", "latency"], "0.5 1 None"),
        "max_accuracy_drop": "0.5 1 None", "measure": "None"}),
    "Schedule": (Schedule, {"stop": 0.9}, {
        "start": "0 0.5 None", "stop": "0.5 1 None", "cuts": "1 None", "shrink": "1",
        "max_pruning_ratio": "0.5 1 None", "min_width": "0 0.5 None", "round_to": "1"}),
    "Distillation": (Distillation, {}, {
        "weight": "0.5 1", "temperature": "0.5 1", "loss": "None"}),
    "GroupLasso": (GroupLasso, {}, {"strength": "0 0.5 1", "axis": "-1 0 1"}),
    "ChannelOptimizer": (
        lambda **options: ChannelOptimizer(graph=trace(network()), **options),
        {"inner_optimizer": keras.optimizers.SGD()}, {"memory": "0 0.5"}),
    "Batches": (Batches, {"x": X, "y": Y}, {
        "batch_size": "1", "seed": "0 1 None"}),
    "tf_batches": (tf_batches, {"x": X, "y": Y}, {
        "batch_size": "1", "seed": "0 1 None", "epoch": "0 1"}),
    "load_mnist": (load_mnist, {}, {}),
    "load_fashion_mnist": (load_fashion_mnist, {}, {}),
    "count_costs": (count_costs, {}, {"input_shape": "None"}),
    "weight_reuse": (weight_reuse, {}, {"input_shape": "None"}),
    "trace": (trace, {}, {"ignored_layers": "[]", "strict": "True"}),
    "register_rule": (register_rule, {}, {}),
    "restructure": (restructure, {"mask": mask()}, {"graph": "None", "probe": "None"}),
    "verify": (
        lambda **options: verify(network(), network(), **options), {"mask": mask()},
        {"graph": "None", "probe": "None"}),
    "Nestrade": (Nestrade, {"budget": 0.5}, {
        "budget": "0.5 1", "schedule": "None", "ignored_layers": "[] None",
        "anneal": "None", "growth": "1", "inputs": "None", "distill": "0 0.5 1 None", "engine": "None",
        "strict": "True"}),
    "fit": (fitting(0.5), DATA, FIT),
    "fit of Keras": (fitting(1), DATA, FIT),
    "noise_scale": (noise_scale, {"x": X, "y": Y, "small": 4, "large": 16, "draws": 2}, {
        "small": "1", "draws": "1", "seed": "0 1"}),
    "Checkpoints": (Checkpoints, {}, {"folder": "text"}),
    "launch": (launch, {"command": ["true"], "workers": 1}, {
        "workers": "1", "restarts": "0 1", "limit": "0 0.5 1 None", "port": "0 1", "out": "None"}),
    "rendezvous": (rendezvous, {"cluster": Cluster()}, {
        "fingerprint": "{} None", "limit": "0 0.5 1"}),
    "Cluster": (Cluster, {"addresses": ("a:1", "b:1")}, {"rank": "0 1"}),
    "start": (start, {}, {"devices": "1 None", "limit": "0 0.5 1"}),
    "logical_devices": (logical_devices, {}, {"count": "1"}),
    "Budget.of": (Budget.of, {}, {"budget": "0.5 1"}),
    "Budget.path": (Budget(macs=0.5).path, {}, {"progress": "0 0.5 1 inf"}),
    "Schedule.toward": (Schedule.toward, {}, {"budget": "0.5 1"}),
    "Schedule.window": (Schedule().window, {}, {"steps": "0 0.5 1 inf"}),
    "Schedule.cuts_within": (Schedule(cuts=2).cuts_within, {}, {"steps": "0 0.5 1 inf"}),
}  # fmt: skip
if keras.backend.backend() == "tensorflow":  # of which LiteRT's converter is a part
    CALLS["export"] = export, {"path": "x.tflite"}, {"calibration": "None"}
    CALLS["load_export"] = load_export, {}, {}


def wrong_calls(name):
    """Each parameter of a function, with each odd value that it does not take."""
    function, right, takes = CALLS[name]
    parameters = inspect.signature(function).parameters
    if "options" in parameters:  # in the place of those that are named here
        parameters = {**right, **takes}
    for parameter in parameters:
        if parameter not in LEFT_OUT:
            taken = takes.get(parameter, "").split(" ")
            yield from ((parameter, odd) for odd in ODD if odd not in taken)


def verdict(name, parameter, odd):
    """What is wrong with the answer to a wrong call, or None."""
    function, right, _ = CALLS[name]
    for own in inspect.signature(function).parameters:
        if own in ("network", "model"):
            right = {own: network(), **right}
    try:
        function(**right | {parameter: ODD[odd]})
    except (ValueError, TypeError) as error:
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        if not last.startswith(LIBRARY):
            return f"raised in {last}: {error}"
        is_clear = "expected" in str(error).lower() or "got" in str(error)
        return None if is_clear else f"unclear: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "taken in silence"


def state():
    """All values that wrong calls might change."""
    trainers = [trainer(0.5), trainer(1)]
    networks = [network(), *(each.network for each in trainers)]
    variables = [(n.variables, n.optimizer.variables) for n in networks]
    return digest(variables), [each.cuts for each in trainers]


@pytest.mark.parametrize("name", CALLS)
def test_a_wrong_call_gets_one_clear_error_and_changes_nothing(name):
    before = state()
    calls = list(wrong_calls(name))
    verdicts = {call: verdict(name, *call) for call in calls}
    assert {call: said for call, said in verdicts.items() if said} == {}
    assert len(calls) >= 10 and state() == before


def fit(budget=0.5, **options):
    return lambda: trainer(budget).fit(**{"x": X, "y": Y, "verbose": 0} | options)


def scored(*scores):
    made = keras.models.clone_model(network())
    made.compile("adam", create_loss())
    schedule = Schedule(start=0, stop=0.5, cuts=1)
    own = Nestrade(made, 0.5, importance=lambda *_: np.array(scores), schedule=schedule)
    return lambda: own.fit(X, Y, epochs=2, verbose=0)


@pytest.mark.parametrize("budget", [0.5, 1])
@pytest.mark.parametrize(
    "options, message",
    [
        ({"class_weight": {"0": 50.0}}, "class_weight: expected a dict from class"),
        ({"class_weight": {0: float("nan")}}, "class_weight: .* a finite one"),
        ({"class_weight": {0: -1.0}}, "class_weight: .* got {0: -1.0}"),
        ({"y": Y + 1}, "y: expected integer labels from 0 to 2 .* got 1 to 3"),
        ({"y": Y + 0.5}, "y: expected integer labels .* got numbers such as"),
        ({"y": np.eye(3)[Y]}, "y: expected integer labels .* looks one-hot"),
        ({"y": Y[:5]}, "same, non-zero number of samples"),
        ({"x": X[:, :5]}, r"x: expected samples of shape \(6,\), got \(5,\)"),
        ({"x": X[:, None, :, None]}, r"x: expected samples .* got \(1, 6, 1\)"),
        ({"x": X.astype(str)}, "x: expected numbers, got <U32"),
        ({"x": X + 1j}, "x: expected numbers, got complex64"),
        ({"y": Y + 1j}, "y: expected numbers, got complex128"),
        ({"sample_weight": np.ones(5)}, "same, non-zero number of samples"),
        ({"sample_weight": np.full(32, np.nan)}, "sample_weight: expected finite"),
        ({"sample_weight": -np.ones(32)}, r"sample_weight: .* got array\(\[-1.\]\)"),
        ({"sample_weight": np.full(32, "1")}, "sample_weight: expected numbers"),
        ({"validation_data": (X.astype(str), Y)}, "validation_data: x: expected num"),
        ({"validation_data": (X, Y, -np.ones(32))}, "validation_data: sample_weight"),
        ({"validation_data": (X, Y + 5)}, "validation_data: y: .* from 0 to 2"),
        ({"validation_data": (X[:, :3], Y)}, "validation_data: x: expected samples"),
        ({"validation_data": (X, Y[:3])}, "validation_data: .* number of samples"),
        ({"validation_data": (X,)}, "validation_data: y: expected labels"),
    ],
)
def test_wrong_data_are_refused_before_they_train(budget, options, message):
    before = state()
    with pytest.raises(ValueError, match=message):
        fit(budget, **options)()
    assert state() == before


@pytest.mark.parametrize("scores", [[np.inf] * 5, [np.nan] * 5, [1.0] * 4, ["a"] * 5])
def test_wrong_scores_are_refused(scores):
    with pytest.raises(ValueError, match="importance: expected"):
        scored(*scores)()


def test_what_is_right_is_taken():
    for budget in (0.5, 1):
        fresh = keras.models.clone_model(network())
        fresh.compile("adam", create_loss())
        Nestrade(fresh, budget).fit(
            X, Y, 8, epochs=2, verbose=0, validation_data=(X, Y), class_weight={0: 2.0},
            callbacks=[keras.callbacks.Callback()], validation_batch_size=4,
        )  # fmt: skip
