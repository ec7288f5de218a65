"""What a trainer refuses: networks, arguments and data, each with one message."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import Budget, Nestrade, Schedule, create_loss
from tests.support.small import X, Y, endless, mlp

pytestmark = pytest.mark.any_backend


BAD_FIT = [
    ((X[:0], Y[:0]), "non-zero number of samples"),
    ((X, Y[:100]), "same, non-zero"),
    ((X, np.array(["a", "b", "c"])[Y]), "y: expected numbers, got <U1"),
    ((X, np.eye(3)[Y]), "looks one-hot"),
    ((X, Y + 1), "from 0 to 2 for 3 outputs, got 1 to 3"),
    ((X, Y + 0.5), "expected integer labels"),
    ((endless(),), "steps_per_epoch"),
]


@pytest.mark.parametrize(("data", "message"), BAD_FIT)
def test_bad_data_is_refused_and_nothing_has_changed(data, message):
    trainer = Nestrade(mlp(), 0.3)
    before = [keras.ops.convert_to_numpy(v).copy() for v in trainer.network.variables]
    optimizer = trainer.network.optimizer
    with pytest.raises(ValueError, match=message):
        trainer.fit(*data, epochs=2, verbose=0)
    assert trainer.network.optimizer is optimizer
    for old, variable in zip(before, trainer.network.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))


def test_the_least_that_is_named_may_be_asked_for():
    with pytest.raises(ValueError, match="a layer: .* What keeps") as error:
        Nestrade(mlp(), 0.001)
    least = float(str(error.value).split("a layer: ")[1].split(". ")[0])
    assert Nestrade(mlp(), least).budget.shares["macs"] == least < 0.1


def unbuilt():
    network = keras.Sequential([kl.Dense(2)])
    network.compile("sgd", "mse")
    return network


def uncompiled():
    return keras.Sequential([keras.Input((8,)), kl.Dense(4), kl.Dense(3)])


def no_hidden_layer():
    network = keras.Sequential([keras.Input((8,)), kl.Dense(3)])
    network.compile("adam", create_loss())
    return network


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        (mlp, {"budget": 0}, "share in"),
        (mlp, {"budget": -0.1}, "share in"),
        (mlp, {"budget": 1.5}, "share in"),
        (mlp, {"budget": float("nan")}, "share in"),
        (mlp, {"budget": "small"}, "share in"),
        (mlp, {"budget": 0.001}, "least that .* can reach"),
        (mlp, {"budget": 0.5, "schedule": "fast"}, "expected a Schedule"),
        (
            mlp,
            {"budget": 0.5, "importance": "fisher"},
            "importance: expected 'kfac' or 'taylor', or a function",
        ),
        (mlp, {"budget": 0.5, "anneal": True}, "anneal: expected 'once' or 'twice'"),
        (mlp, {"budget": 0.5, "growth": 0}, "growth: expected"),
        (
            mlp,
            {"budget": 0.5, "ignored_layers": "dense"},
            r"Pass ignored_layers=\['dense'\]",
        ),
        (mlp, {"budget": 0.5, "engine": "single"}, "engine: expected"),
        (
            mlp,
            {"budget": 0.2, "schedule": Schedule(round_to=16)},
            "least that .* can reach with 16 channels",
        ),
        (uncompiled, {"budget": 0.5}, "is not compiled"),
        (no_hidden_layer, {"budget": 0.5}, "no layer that may be cut"),
        (unbuilt, {"budget": 0.5}, "built"),
    ],
)
def test_bad_trainers_are_refused(network, options, message):
    with pytest.raises(ValueError, match=message):
        Nestrade(network(), **options)


def test_an_unknown_cost_is_named():
    with pytest.raises(ValueError, match="unknown cost 'flops'.*macs, params"):
        Budget(flops=0.1)


@pytest.mark.parametrize("distill", [-0.1, 1.1, float("nan"), True, "soft"])
def test_a_weight_that_is_no_share_is_refused(distill):
    with pytest.raises(ValueError, match="weight to be a share"):
        Nestrade(mlp(), 0.4, distill=distill)


@pytest.mark.parametrize("inputs", [X[:, :5], X[:0], X[0], X.astype(str), X + 1j])
def test_samples_that_do_not_fit_are_refused(inputs):
    with pytest.raises(ValueError, match="inputs: expected"):
        Nestrade(mlp(), 0.5, inputs=inputs)
