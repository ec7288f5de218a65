"""What fit takes as data, and in which order it takes it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestrade_lib import Nestrade
from nestrade_lib.training.data import data_adapter
from tests.support.small import SOON, Batched, X, Y, endless, mlp

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


@settings(max_examples=30)
@given(samples=st.integers(1, 50), batch=st.integers(1, 20), data=st.data())
def test_the_pieces_of_an_epoch_are_a_permutation(samples, batch, data):
    source = data_adapter(
        {"a": np.arange(samples)}, np.arange(samples) * 2, batch_size=batch
    )
    for _ in range(2):
        source.start_epoch(0)
        seen, left = [], source.steps
        while left:
            steps = data.draw(st.integers(1, left))
            batches = list(source.take(steps)["x"])
            assert len(batches) == steps and all(
                len(y) == batch for _, y in batches[:-1]
            )
            for x, y in batches:
                np.testing.assert_array_equal(y, x["a"] * 2)
                seen.append(x["a"])
            left -= steps
        np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(samples))


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ((X, Y), {"validation_split": 0.25, "class_weight": {0: 1.0, 1: 2.0, 2: 1.0}}),
        ((X, Y), {"sample_weight": np.ones(192, "float32"), "shuffle": False}),
        ((X, Y), {"steps_per_epoch": 4, "initial_epoch": 1}),
        ((Batched(),), {"validation_data": Batched(), "class_weight": {0: 2.0}}),
        ((endless(),), {"steps_per_epoch": 6}),
    ],
)
def test_fit_takes_what_keras_takes(data, options):
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    history = trainer.fit(*data, epochs=4, verbose=0, **options)
    assert trainer.met and history.epoch == list(
        range(options.get("initial_epoch", 0), 4)
    )
    assert np.isfinite(history.history["loss"]).all()
    if "validation_split" in options:
        assert len(history.history["val_accuracy"]) == 4


def test_tf_data_is_taken_too():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(32)
    trainer = Nestrade(mlp(run_eagerly=False), 0.4, schedule=SOON)
    trainer.fit(dataset, epochs=3, verbose=0, validation_data=dataset)
    assert trainer.met
