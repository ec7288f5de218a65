"""The teacher is the network before its first cut, and counts as much as it is told to."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import losses

from nestrade_lib import Distillation, Nestrade, Schedule, trace
from nestrade_lib.distillation import Teacher
from nestrade_lib.training.data import data_adapter
from tests.support.small import EAGER

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 192)
X = (RNG.normal(size=(192, 8)) + Y[:, None]).astype("float32")
CUTS = Schedule(start=0.3, stop=0.6, cuts=2, shrink=4)


def classifier(loss, last="linear", outputs=3, shape=(8,), optimizer="adam"):
    keras.utils.set_random_seed(1)
    stack = [kl.Dense(24, activation="relu"), kl.Dropout(0.2), kl.Dense(outputs)]
    network = keras.Sequential([keras.Input(shape), *stack, kl.Activation(last)])
    network.compile(optimizer, loss, metrics=["accuracy"], run_eagerly=EAGER)
    return network


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def divergence(p, q):
    return (p * np.log(p / q)).sum(-1)


def binary_divergence(p, q):
    return (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(-1)


CASES = {
    "sparse logits": (losses.SparseCategoricalCrossentropy(from_logits=True), "linear"),
    "sparse by name": ("sparse_categorical_crossentropy", "softmax"),
    "one-hot logits": (losses.CategoricalCrossentropy(from_logits=True), "linear"),
    "in a list": ([losses.CategoricalCrossentropy()], "softmax"),
    "binary logits": (losses.BinaryCrossentropy(from_logits=True), "linear"),
    "binary by name": ("binary_crossentropy", "sigmoid"),
    "sequences": (losses.SparseCategoricalCrossentropy(), "softmax"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("temperature", [1.0, 3.5])
def test_the_loss_is_the_formula_of_the_paper(name, temperature):
    loss, last = CASES[name]
    network = classifier(loss, last, shape=(5, 8) if name == "sequences" else (8,))
    taught, student = RNG.normal(size=(2, 6, *network.output_shape[1:]))
    rows = RNG.random(6)
    is_binary = "binary" in name
    soften = sigmoid if is_binary else softmax
    compare = binary_divergence if is_binary else divergence
    expected = compare(soften(taught / temperature), soften(student / temperature))
    expected = temperature**2 * (expected.reshape(6, -1).mean(1) * rows).mean()
    final = (lambda x: x) if last == "linear" else soften
    difference = Distillation(0.7, temperature).comparison(network)
    shaped = rows[:, None] * np.ones(expected.shape + network.output_shape[1:-1])
    weights = shaped if name == "sequences" else rows
    given = (final(taught).astype("float32"), final(student).astype("float32"))
    found = difference(*given, weights.astype("float32"))
    assert float(found) == pytest.approx(expected, rel=1e-4)
    named = ({"answer": outputs} for outputs in given)
    assert float(difference(*named, weights.astype("float32"))) == float(found)


def test_losses_of_keras_take_the_place_of_the_formula():
    network = classifier(CASES["sparse logits"][0])
    answers, student = RNG.normal(size=(2, 6, 3)).astype("float32")
    ours = Distillation(temperature=2).comparison(network)
    # By name, "kl_divergence" is a function in Keras 3.15, which gets bare logits.
    divergence = keras.losses.KLDivergence()
    theirs = keras.distillation.LogitsDistillation(2.0, loss=divergence)
    theirs = Distillation(loss=theirs).comparison(network)
    assert float(theirs(answers, student)) == pytest.approx(
        float(ours(answers, student)), rel=1e-5
    )
    with pytest.raises(ValueError, match="LogitsDistillation takes no weights"):
        theirs(answers, student, np.ones(6))
    # And so other tasks can be taught.
    regression = two_outputs()
    regression.compile("adam", ["mse", "mse"])
    features = keras.distillation.FeatureDistillation(["mse", "mse"])
    taught = Distillation(1, loss=features)
    trainer = Nestrade(regression, 0.5, schedule=CUTS, distill=taught)
    trainer.fit(X, [np.eye(3)[Y]] * 2, batch_size=32, epochs=4, verbose=0)
    assert trainer.met and trainer.teacher is not None


@pytest.mark.parametrize(
    "loss", ["mse", keras.distillation.FeatureDistillation("mse", "a", "a")]
)
def test_losses_of_other_libraries_and_of_inner_layers_are_refused(loss):
    with pytest.raises(ValueError, match="DistillationLoss of the outputs, got"):
        Distillation(loss=loss)


def test_a_taught_network_has_a_mix_of_the_two_losses_and_only_while_it_trains():
    network = classifier(CASES["sparse logits"][0])
    teacher = Teacher(network, trace(network), Distillation(0.6, 2.0))
    network.set_weights([w + 0.3 for w in network.get_weights()])
    own = float(network.compute_loss(X, Y, network(X)))
    taught = teacher.compare(teacher.network(X), network(X))
    teacher.attach(network)
    mixed = float(network.compute_loss(X, Y, network(X)))
    assert mixed == pytest.approx(0.4 * own + 0.6 * float(taught), rel=1e-5)
    assert float(network.compute_loss(X, Y, network(X), training=False)) == own
    assert network.evaluate(X, Y, verbose=0)[0] == pytest.approx(own, rel=1e-5)
    teacher.detach(network)
    assert float(network.compute_loss(X, Y, network(X))) == own


class Remember(keras.callbacks.Callback):
    """The network's answers as each epoch begins."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer, self.answers, self.had_teacher = trainer, [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.answers.append(self.trainer.network.predict(X, verbose=0))
        self.had_teacher.append(self.trainer.teacher is not None)


def taught(labels, budget=0.4, **options):
    network = classifier(CASES["sparse logits"][0])
    trainer = Nestrade(network, budget, schedule=CUTS, **options)
    watch = Remember(trainer)
    trainer.fit(X, labels, batch_size=32, epochs=10, verbose=0, callbacks=[watch])
    return trainer, watch


def test_the_teacher_is_the_network_from_before_its_first_cut():
    trainer, watch = taught(Y, distill=0.7)
    assert trainer.met
    assert watch.had_teacher == [False] * 4 + [True] * 6
    # The choice falls as the fourth epoch begins.
    answers = trainer.teacher.network.predict(X, verbose=0)
    np.testing.assert_allclose(answers, watch.answers[3], atol=1e-6)
    assert "compute_loss" not in vars(trainer.network)


def test_a_weight_of_one_leaves_nothing_to_the_labels():
    """Labels that change after the first choice: only what they teach may differ."""

    class Changing(keras.utils.PyDataset):
        def __init__(self, late):
            super().__init__()
            self.epoch, self.late = 0, late

        def __len__(self):
            return 6

        def __getitem__(self, index):
            rows = slice(32 * index, 32 * index + 32)
            return X[rows], (self.late if self.epoch >= 2 else Y)[rows]

        def on_epoch_end(self):
            self.epoch += 1

    half = Schedule(start=0.4, stop=0.8, cuts=1, shrink=4)
    for distill, alike in ((1, True), (0.9, False)):
        weights = []
        for late in (Y, (Y + 1) % 3):
            network = classifier(CASES["sparse logits"][0])
            how = {
                "schedule": half,
                "importance": "taylor",
            }  # which asks no later labels
            trainer = Nestrade(network, 0.4, distill=distill, **how)
            trainer.fit(Changing(late), epochs=5, verbose=0)
            weights.append(trainer.network.get_weights())
        same = all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))
        assert same == alike


class AsBatches(keras.utils.PyDataset):
    """The arrays in their order: a data set, whose samples a teacher cannot know."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        return X[rows], Y[rows], WEIGHTS[rows]


WEIGHTS = RNG.random(192).astype("float32")


def test_a_teacher_answers_once_to_arrays_and_teaches_the_same(monkeypatch):
    asked, answer = [], Teacher.answer
    monkeypatch.setattr(
        Teacher, "answer", lambda self, x: asked.append(1) or answer(self, x)
    )
    weights, counts, metrics = [], [], []
    for data in ((X, Y, 32), (AsBatches(), None, None)):
        network = classifier(CASES["sparse logits"][0])
        trainer = Nestrade(network, 0.4, schedule=CUTS, distill=0.7)
        beside = WEIGHTS if data[1] is not None else None
        history = trainer.fit(
            *data, sample_weight=beside, shuffle=False, epochs=6, verbose=0
        )
        assert trainer.met
        weights.append(trainer.network.get_weights())
        counts.append(len(asked))
        metrics.append(history.history)
        trainer.network.fit(*data, sample_weight=beside, verbose=0)  # plain again
    assert counts[0] == 0 < counts[1]
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    for name in metrics[0]:
        np.testing.assert_allclose(metrics[0][name], metrics[1][name], atol=1e-5)


def test_answers_stay_with_their_samples_when_these_are_shuffled():
    network = classifier(CASES["sparse logits"][0])
    teacher = Teacher(network, trace(network), Distillation())
    batches = data_adapter(X, Y, batch_size=32)
    batches.learn_from(teacher)
    batches.start_epoch(0)
    for x, targets in batches.take(batches.steps)["x"]:
        answers = keras.ops.convert_to_numpy(network(x))
        np.testing.assert_allclose(targets.answers, answers, atol=1e-6)


class WithStep(keras.Model):
    """Looks at the labels in a training step of its own."""

    def train_step(self, *given):
        labels = given[-1][1]
        assert tuple(labels.shape[1:]) == ()
        return super().train_step(*given)


@pytest.mark.parametrize(
    "network, knows",
    [
        (lambda x, h: keras.Model(x, kl.Dense(3)(h)), True),
        (lambda x, h: WithStep(x, kl.Dense(3)(h)), False),  # its labels stay labels
        (lambda x, h: keras.Model(x, kl.Dense(9)(h)), False),  # more than the inputs
    ],
)
def test_answers_go_beside_labels_where_that_is_safe_and_small(network, knows):
    x = keras.Input((8,))
    network = network(x, kl.Dense(12)(x))
    network.compile("adam", CASES["sparse logits"][0])
    trainer = Nestrade(network, 0.5, schedule=CUTS, distill=0.7)
    trainer.fit(X, Y, batch_size=32, epochs=4, verbose=0)
    assert trainer.met
    assert (trainer.teacher.answers_to(X, 32) is not None) == knows


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda: classifier("mse"), "cross-entropy.*'mse'"),
        (lambda: classifier(lambda y, p: 0.0 * p), "cross-entropy"),
        (lambda: two_outputs(), "one output"),
    ],
)
def test_what_has_no_classes_to_soften_is_refused_before_training(make, expected):
    with pytest.raises(ValueError, match=f"distill: .*{expected}"):
        Nestrade(make(), 0.4, distill=0.7)


def two_outputs():
    x = keras.Input((8,))
    h = kl.Dense(12)(x)
    network = keras.Model(x, [kl.Dense(3, name="a")(h), kl.Dense(3, name="b")(h)])
    network.compile("adam", ["categorical_crossentropy"] * 2)
    return network


def test_an_output_with_a_name_is_taught_too():
    x = keras.Input((8,))
    answer = kl.Dense(3, name="answer")(kl.Dense(12)(x))
    network = keras.Model(x, {"answer": answer})
    network.compile("adam", {"answer": CASES["sparse logits"][0]})
    trainer = Nestrade(network, 0.5, schedule=CUTS, distill=0.7)
    trainer.fit(X, {"answer": Y}, batch_size=32, epochs=4, verbose=0)
    assert trainer.met and trainer.teacher is not None
