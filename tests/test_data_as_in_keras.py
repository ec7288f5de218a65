"""Data that scripts have beside arrays are gone through as Keras does."""

import keras
import numpy as np
import pytest

from nestrade_lib import Nestrade
from nestrade_lib.training.data import data_adapter
from nestrade_lib.training.data.stream_adapter import fetched
from tests.support.small import SOON, X, Y, mlp

pytestmark = pytest.mark.any_backend


def batches(endless=True):
    while True:
        for start in range(0, 192, 32):
            yield X[start : start + 32], Y[start : start + 32]
        if not endless:
            return


def test_validation_goes_through_a_generator_as_in_keras():
    def lengths(network):
        options = {"epochs": 3, "validation_steps": 2, "verbose": 0}
        validation = batches(endless=False)  # six batches: two of each epoch
        history = network.fit(X, Y, validation_data=validation, **options)
        return len(history.history["val_loss"])

    assert lengths(Nestrade(mlp(), 0.4, schedule=SOON)) == lengths(mlp()) == 3
    for steps, epochs in ((2, 3), (None, 1)):  # that the data last
        trainer = Nestrade(mlp(), 0.4, schedule=SOON)
        with pytest.warns(UserWarning, match="validation data have ended"):
            history = trainer.fit(
                X, Y, epochs=4, verbose=0, validation_steps=steps,
                validation_data=batches(endless=False),
            ).history  # fmt: skip
        assert trainer.met and len(history["val_loss"]) == epochs


def test_steps_without_a_batch_size_share_all_samples_as_in_keras():
    data = data_adapter(X, Y, steps_per_epoch=4)
    assert (data.batch_size, data.steps, data.rows) == (48, 4, 192)
    assert data_adapter(X, Y).batch_size == 32


def test_class_weights_of_streams_are_those_of_arrays():
    y, weight = np.array([0.05, 0.95, 0.95, 0.05], "float32"), {0: 1.0, 1: 9.0}

    def stream():
        yield X[:4], y[:, None]

    options = {"class_weight": weight, "shuffle": False}
    data = data_adapter(stream(), steps_per_epoch=1, **options)
    data.start_epoch(0)
    assert data.peek()[2].tolist() == [1, 9, 9, 1]
    arrays = data_adapter(X[:4], y, batch_size=4, **options)
    arrays.start_epoch(0)
    assert np.ravel(arrays.peek()[2]).tolist() == [1, 9, 9, 1]
    for batch, message in (
        ((X[:4], np.ones((4, 2, 1))), "one label per sample, got labels of shape"),
        ((X[:4],), "expected labels in each batch"),
    ):
        data = data_adapter(iter([batch]), steps_per_epoch=1, class_weight=weight)
        data.start_epoch(0)
        with pytest.raises(ValueError, match=f"class_weight: .*{message}"):
            data.peek()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_sparse_tensors_in_a_data_set():
    import tensorflow as tf

    sparse = tf.sparse.from_dense(np.where(X > 0.5, X, 0))
    data = tf.data.Dataset.from_tensor_slices((sparse, Y)).batch(32)
    trainer = Nestrade(mlp(), 0.4, schedule=SOON)
    trainer.fit(data, epochs=4, verbose=0)
    assert trainer.met


class Pickled(keras.utils.PyDataset):
    """Notes in a file each time that it is sent to another process."""

    def __init__(self, file, **options):
        super().__init__(**options)
        self.file = str(file)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return X[rows], Y[rows]

    def __reduce__(self):
        with open(self.file, "a") as file:
            file.write("x")
        return super().__reduce__()


def test_processes_that_make_batches_are_given_the_data_once(tmp_path):
    data = Pickled(tmp_path / "sent", workers=2, use_multiprocessing=True)
    found = list(fetched(data, range(6)))
    for (x, y), expected in zip(found, map(data.__getitem__, range(6)), strict=True):
        np.testing.assert_array_equal(x, expected[0])
        np.testing.assert_array_equal(y, expected[1])
    sent = tmp_path / "sent"
    assert not sent.exists() or len(sent.read_text()) <= 2
