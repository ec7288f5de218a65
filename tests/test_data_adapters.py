"""Data come in the order and the numbers in which Keras' own ``fit`` takes them."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from nestrade_lib import Nestrade, Schedule
from nestrade_lib.engines import Engine
from nestrade_lib.training.data import data_adapter
from tests.support.small import EAGER

pytestmark = pytest.mark.any_backend


class Numbered(keras.utils.PyDataset):
    """Batches 0, 1, 2, ... of two equal rows, and what was told of its epochs."""

    def __init__(self, count):
        super().__init__()
        self.count, self.begun, self.ended = count, 0, 0

    @property
    def num_batches(self):
        return self.count

    def __getitem__(self, i):
        return np.full((2, 1), i, "float32"), np.full((2, 1), i, "float32")

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


class Again:
    """A data set that is no PyDataset: it can be gone through again."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def numbers(count):
    return [(np.full((2, 1), i), np.full((2, 1), i)) for i in range(count)]


def taken(source, epochs, steps=1):
    """The first number of each batch of some epochs."""
    for epoch in range(epochs):
        source.start_epoch(epoch)
        left = source.steps
        while left > 0:
            piece = source.take(min(steps, left))
            if source.is_arrays:
                yield from (row for x, *_ in piece["x"] for row in x.ravel().tolist())
            else:
                yield from (int(batch[0][0, 0]) for batch in piece["x"])
            left -= steps
        source.end_epoch()


@settings(max_examples=40)
@given(
    samples=st.integers(1, 30),
    batch=st.integers(1, 8),
    steps=st.integers(1, 12),
    epochs=st.integers(1, 4),
)
def test_epochs_of_given_length_go_on_through_the_data(samples, batch, steps, epochs):
    source = data_adapter(
        np.arange(samples), None, None, batch, shuffle=False, steps_per_epoch=steps
    )
    assert source.steps == min(steps, -(-samples // batch))
    rows = min(steps * batch, samples)
    expected = itertools.islice(itertools.cycle(range(samples)), epochs * rows)
    assert list(taken(source, epochs)) == list(expected)


@settings(max_examples=20)
@given(
    samples=st.integers(1, 12), steps=st.integers(1, 9), seed=st.integers(0, 2**31 - 1)
)
def test_shuffled_epochs_of_given_length_see_each_sample_once_a_pass(
    samples, steps, seed
):
    source = data_adapter(np.arange(samples), None, None, 2, steps_per_epoch=steps)
    source.seed = seed
    seen = list(taken(source, 5))
    for first in range(0, len(seen) - samples + 1, samples):
        assert sorted(seen[first : first + samples]) == list(range(samples))


KINDS = {
    "iterable": lambda: Again(numbers(5)),
    "generator": lambda: itertools.cycle(numbers(5)),
    "PyDataset": lambda: Numbered(5),
    "shuffled": lambda: Numbered(5),
}


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_other_data_go_on_too(kind):
    def source():
        given = data_adapter(
            KINDS[kind](), steps_per_epoch=3, shuffle=kind == "shuffled"
        )
        given.seed = 1
        return given

    whole = source()
    seen = list(taken(whole, 5, steps=2))
    if kind == "shuffled":
        passes = [tuple(seen[n : n + 5]) for n in (0, 5, 10)]
        assert len(set(passes)) > 1
        assert all(sorted(each) == [0, 1, 2, 3, 4] for each in passes)
    else:
        assert seen == [0, 1, 2, 3, 4] * 3
    if isinstance(whole.x, Numbered):
        assert (whole.x.begun, whole.x.ended) == (3, 5)
    # A run that goes on after two epochs sees what the whole one saw.
    again = source()
    again.skip(2)
    assert list(taken(again, 3, steps=2)) == seen[6:]


def test_a_dataset_without_end_needs_only_the_length_of_an_epoch():
    source = data_adapter(Numbered(None), steps_per_epoch=4)
    assert list(taken(source, 2)) == list(range(8))
    with pytest.raises(ValueError, match="steps_per_epoch"):
        data_adapter(Numbered(None))


@pytest.mark.parametrize("batches", [5, 6, 7])
def test_a_generator_that_ends_stops_the_run_and_says_so(batches):
    network = keras.Sequential(
        [keras.Input((1,)), kl.Dense(6, activation="relu"), kl.Dense(1)]
    )
    network.compile("adam", "mse", run_eagerly=EAGER)
    schedule = Schedule(start=0.1, stop=0.9, cuts=3, shrink=1)
    trainer = Nestrade(network, 0.5, schedule=schedule)
    with pytest.warns(UserWarning, match="data ended in epoch 2"):
        trainer.fit(iter(numbers(batches)), epochs=9, steps_per_epoch=4, verbose=0)
    assert trainer.history.epoch == [0, 1]
    assert np.isfinite(trainer.history.history["loss"]).all()
    assert isinstance(trainer.network.optimizer, keras.optimizers.Adam)


class Table:
    """What pandas' tables and series have in common."""

    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return self.values


def pairs(kind):
    x, y = np.arange(24.0).reshape(24, 1), np.arange(24.0)
    if kind == "lists":  # as PyTorch's data loaders collate
        return [Again([[x[i : i + 6], y[i : i + 6]] for i in range(0, 24, 6)])]
    if kind == "DataLoader":
        torch = pytest.importorskip("torch")
        rows = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
        return [torch.utils.data.DataLoader(rows, batch_size=6)]
    return [Table(x), Table(y)]


@pytest.mark.parametrize("kind", ["lists", "DataLoader", "tables"])
def test_a_run_takes_data_as_other_libraries_have_them(kind):
    if kind == "DataLoader" and keras.backend.backend() != "torch":
        pytest.skip("Keras on PyTorch takes them")
    network = keras.Sequential(
        [keras.Input((1,)), kl.Dense(6, activation="relu"), kl.Dense(1)]
    )
    network.compile("adam", "mse", run_eagerly=EAGER)
    trainer = Nestrade(network, 0.5, schedule=Schedule(0.1, 0.8, 2, shrink=1))
    options = {} if kind == "tables" else {"class_weight": {0: 2.0}}
    if kind == "lists":
        options["steps_per_epoch"] = 4
    trainer.fit(*pairs(kind), epochs=6, batch_size=6, verbose=0, **options)
    assert trainer.met and np.isfinite(trainer.history.history["loss"]).all()


@pytest.mark.parametrize("beside", ["y", "sample_weight"])
def test_labels_beside_a_data_set_are_refused(beside):
    with pytest.raises(ValueError, match=f"{beside}: expected None"):
        data_adapter(Again(numbers(3)), **{beside: np.zeros(6)})


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_datasets_that_only_end_are_counted_and_endless_ones_refused():
    import tensorflow as tf

    numbered = tf.data.Dataset.range(20).filter(lambda n: n % 3 > 0)
    batches = numbered.map(lambda n: (n[None, None], n[None, None])).batch(2)
    assert data_adapter(batches).steps == 7
    with pytest.raises(ValueError, match="steps_per_epoch"):
        data_adapter(batches.repeat())
    with pytest.raises(ValueError, match="steps_per_epoch"):
        data_adapter(batches.filter(lambda x, y: False))


@pytest.mark.any_backend
def test_a_batch_of_arrays_is_made_when_its_turn_comes():
    x = np.zeros(8, keras.config.floatx())
    source = data_adapter(x, x, batch_size=4, shuffle=False)
    source.start_epoch(0)
    batches = source.take(2)["x"]
    first = next(batches)
    x[:] = 1
    assert [batch[0].tolist() for batch in (first, *batches)] == [[0] * 4, [1] * 4]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data alone")
def test_no_piece_of_a_run_waits_for_the_tuner_of_its_batches(monkeypatch):
    # Its thread sleeps up to a second before an iterator can be closed.
    given, fit = [], keras.Model.fit
    monkeypatch.setattr(
        keras.Model, "fit", lambda self, x, **kw: given.append(x) or fit(self, x, **kw)
    )
    network = keras.Sequential([keras.Input((4,)), kl.Dense(6), kl.Dense(2)])
    network.compile("sgd", "mse")
    trainer = Nestrade(network, 0.5)
    trainer.fit(np.ones((32, 4)), np.ones((32, 2)), batch_size=2, epochs=4, verbose=0)
    assert trainer.cuts and len(given) > 4
    assert not any(piece.options().autotune.enabled for piece in given)


class Two(Engine):
    """Stands for two devices."""

    replicas = 2


@pytest.mark.parametrize("samples, left", [(330, 10), (320, 0)])
def test_samples_that_devices_leave_out_are_counted_once(samples, left, recwarn):
    data = data_adapter(np.zeros((samples, 1)), batch_size=32, engine=Two())
    data.start_epoch(0)
    data.batch_size = 64
    said = [str(w.message) for w in recwarn if "leaves" in str(w.message)]
    assert len(said) == bool(left)
    assert all(
        f"{samples} samples" in text and f"{left} of them" in text for text in said
    )
