"""Distillation: the network before its first cut teaches what is left of it.

A label names the right class. The answers of a trained network also show how near each
of the others came, and a small network learns from that what labels alone do not show
(Hinton et al. 2015). Here the teacher is the network itself: a copy from just before
the first cut. Nothing else has to be trained, and no data are needed beside its own.
"""

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from nestrade_lib.arrays import copy_mask
from nestrade_lib.checks import is_number, require
from nestrade_lib.internals import look_for_training
from nestrade_lib.surgery import cut
from nestrade_lib.variables import assign

_SOFTMAX = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}
_SIGMOID = {"binary_crossentropy": keras.losses.BinaryCrossentropy}
_SMALLEST = 1e-7  # of a probability, as in Keras


@dataclass(frozen=True)
class Distillation:
    """How much the teacher counts, and how its answers are compared.

    The defaults were chosen on MNIST's validation split; ``appendix/what-was-tried.md``
    lists the experiments.

    Attributes
    ----------
    weight : float
        Of the teacher in the loss, in (0, 1]. The compiled loss, penalties included,
        has the rest.
    temperature : float
        At least 1. Logits of teacher and student are divided by it, so that the less
        likely classes can be told apart.
    loss : keras.distillation.DistillationLoss, optional
        Compares the outputs in place of that, for networks of any task. Keras gives it
        no weights of samples: data with weights are refused.

    Raises
    ------
    ValueError
        If a number is out of range, or the loss is none of Keras'.

    References
    ----------
    Hinton, Vinyals, Dean (2015), "Distilling the knowledge in a neural network".

    Examples
    --------
    >>> Distillation(weight=0.9, temperature=4)
    Distillation(weight=0.9, temperature=4, loss=None)
    >>> features = keras.distillation.FeatureDistillation("mse")  # of the last layer
    >>> Distillation(loss=features).weight
    0.7
    """

    weight: float = 0.7
    temperature: float = 3.0
    loss: Any = None

    def __post_init__(self):
        for name, is_right, expected in (
            ("weight", lambda x: 0 < x <= 1, "a share in (0, 1]"),
            ("temperature", lambda x: 1 <= x < np.inf, "a number of at least 1"),
        ):
            value = getattr(self, name)
            holds = is_number(value) and is_right(value)
            require(holds, "Distillation", f"{name} to be {expected}", value)
        kinds = keras.distillation.DistillationLoss, type(None)
        names = "teacher_layer_name", "student_layer_name"
        inside = [name for name in names if getattr(self.loss, name, None)]
        if not isinstance(self.loss, kinds) or inside:
            raise ValueError(
                "Distillation: expected loss to be a keras.distillation.DistillationLoss of "
                f"the outputs, got {self.loss!r}"
                + f" with {inside}" * bool(inside)
                + "."
            )

    @classmethod
    def of(cls, distill):
        """Take a number for the weight, None or 0 for none, and a Distillation as it is."""
        if distill is None or isinstance(distill, cls):
            return distill
        return None if is_number(distill) and distill == 0 else cls(weight=distill)

    def comparison(self, network):
        """Give the loss ``(answers, predicted, sample_weight) -> scalar`` of a network.

        Without a `loss`, the Kullback-Leibler divergence of the answers at the temperature
        T, times T², so that its gradients stay of the size that they have at T = 1. It is
        zero where the student answers as the teacher does.

        Raises
        ------
        ValueError
            If there is no `loss`, and the network has several outputs or is not compiled
            with a cross-entropy.

        Examples
        --------
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> network.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        >>> sure = np.log([[0.5, 0.25, 0.25]])
        >>> unsure = np.zeros((1, 3))
        >>> compare = Distillation(temperature=1).comparison(network)
        >>> round(float(compare(sure, unsure)), 4)  # log 3 - 1.5 log 2
        0.0589
        >>> float(compare(sure, sure))
        0.0
        """
        return self._compare if self.loss else _Divergence(network, self.temperature)

    def _compare(self, answers, predicted, sample_weight=None):
        if sample_weight is not None:
            raise ValueError(
                f"distill: {type(self.loss).__name__} takes no weights of samples or "
                "classes. Leave them away, or leave the loss to Distillation."
            )
        self.loss.validate_outputs(answers, predicted)
        return self.loss.compute_loss(answers, predicted)


class _Divergence:
    """As ``keras.distillation.LogitsDistillation``, for more kinds of outputs.

    It takes weights of samples, sigmoids, probabilities and classes on any axis, and has a
    gradient where Keras clips probabilities, below 1e-7.
    """

    def __init__(self, network, temperature):
        own = network.loss
        if isinstance(own, (list, tuple, dict)) and len(own) == 1:
            (own,) = keras.tree.flatten(own)
        is_softmax, is_sigmoid = _is_one(own, _SOFTMAX), _is_one(own, _SIGMOID)
        if len(network.outputs) != 1 or not (is_softmax or is_sigmoid):
            raise ValueError(
                f"distill: expected a network with one output and a cross-entropy, got "
                f"{len(network.outputs)} with the loss {own!r}. Give Distillation(loss=) "
                "one of keras.distillation for other tasks."
            )
        options = getattr(own, "get_config", dict)()
        axis = options.get("axis", -1)
        self.temperature, self.is_softmax = temperature, is_softmax
        self.from_logits = options.get("from_logits", False)
        softmax = functools.partial(ops.softmax, axis=axis)
        self.soften = softmax if is_softmax else ops.sigmoid
        kinds = keras.losses.BinaryCrossentropy, keras.losses.CategoricalCrossentropy
        self.compare = kinds[is_softmax](from_logits=True, axis=axis)

    def __call__(self, answers, predicted, sample_weight=None):
        known, learned = (self._logits(x) for x in (answers, predicted))
        copy_mask(keras.tree.flatten(predicted)[0], known, learned)
        soft = self.soften(known)
        entropy = self.compare(soft, known, sample_weight)
        crossed = self.compare(soft, learned, sample_weight)
        return self.temperature**2 * (crossed - entropy)

    def _logits(self, outputs):
        (outputs,) = keras.tree.flatten(outputs)  # one, but it may have a name
        outputs = ops.cast(outputs, keras.backend.result_type(outputs.dtype, "float32"))
        if not self.from_logits:
            outputs = ops.clip(outputs, _SMALLEST, 1 - _SMALLEST)
            others = 0.0 if self.is_softmax else ops.log(1 - outputs)
            outputs = ops.log(outputs) - others
        return outputs / self.temperature


class DistillationTargets(NamedTuple):
    """Labels of a batch, and the teacher's answers to the same samples."""

    labels: Any
    answers: Any


class Teacher:
    """A copy of a network, whose answers count in the loss of those it is attached to.

    It is made of a compiled network, its channel graph, and a :class:`Distillation`.

    Examples
    --------
    >>> from nestrade_lib import create_loss, create_model, trace
    >>> network = create_model((8, 8, 1), 3)
    >>> network.compile("adam", create_loss())
    >>> teacher = Teacher(network, trace(network), Distillation())
    >>> teacher.attach(network)
    >>> teacher.detach(network)
    """

    def __init__(self, network, graph, distillation):
        self.weight = distillation.weight
        self.compare = distillation.comparison(network)
        everything = np.ones(graph.count, bool)
        self.network = cut(network, everything, graph, compiled=False)
        self._arrays = None

    def load(self, arrays):
        """Take other weights, one array per variable."""
        assign(self.network.variables, arrays)
        self._arrays = None

    def attach(self, network: keras.Model) -> None:
        """Let the answers count in this network's loss, while it trains.

        Labels of a batch that are :class:`DistillationTargets` bring the answers along;
        else the teacher answers in each step.
        """
        self.detach(network)
        is_told = look_for_training(network)
        loss_of, metrics_of = network.compute_loss, network.compute_metrics

        def compute_loss(
            x=None, y=None, y_pred=None, sample_weight=None, training=True
        ):
            labels, answers = y if isinstance(y, DistillationTargets) else (y, None)
            told = {"training": training} if is_told else {}
            loss = loss_of(x, labels, y_pred, sample_weight, **told)
            if not training:
                return loss
            answers = self.answer(x) if answers is None else answers
            answers = keras.tree.map_structure(ops.stop_gradient, answers)
            distilled = self.compare(answers, y_pred, sample_weight)
            distilled = ops.cast(distilled, loss.dtype)
            return (1 - self.weight) * loss + self.weight * distilled

        def compute_metrics(x, y, y_pred, sample_weight=None):
            labels = y.labels if isinstance(y, DistillationTargets) else y
            return metrics_of(x, labels, y_pred, sample_weight)

        network.compute_loss, network.compute_metrics = compute_loss, compute_metrics
        look_for_training(network)
        network.train_function = None  # it holds the loss that it was made with

    def detach(self, network: keras.Model) -> None:
        """Give the network back the loss that the user chose."""
        own = vars(network)
        own.pop("compute_metrics", None)
        if own.pop("compute_loss", None) is not None:
            look_for_training(network)
            network.train_function = None

    def answers_to(self, x, batch_size):
        """The outputs for all samples of some arrays, worked out once; None if too many.

        They may be as many numbers as the inputs. Networks with a training step of
        their own, which may look at the labels, are left to the answers of each step.
        """
        output, *others = self.network.outputs
        if others or None in output.shape[1:] or has_own_step(self.network):
            return None
        size = keras.tree.flatten(x)[0].shape[0] * math.prod(output.shape[1:])
        if size > sum(math.prod(a.shape) for a in keras.tree.flatten(x)):
            return None
        with _drawing_nothing():
            return self.network.predict(x, batch_size=batch_size, verbose=0)

    def answer(self, x):
        """The teacher's outputs, in inference mode."""
        if keras.backend.backend() != "jax":
            return self.network(x, training=False)
        # A step may not close over arrays that are on the devices of several processes.
        if self._arrays is None:
            network = self.network
            parts = network.trainable_variables, network.non_trainable_variables
            self._arrays = [[ops.convert_to_numpy(v) for v in part] for part in parts]
        return self.network.stateless_call(*self._arrays, x, training=False)[0]


def _drawing_nothing():
    """PyTorch's data loaders draw a random number each; later ones are to stay."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng(devices=[])


def has_own_step(network):
    """Whether a network trains by a step of its own, which may make labels of its inputs."""
    return type(network).train_step is not keras.Model.train_step


def _is_one(loss, known):
    """Whether a loss is one of these, by name or by class."""
    named = loss if isinstance(loss, str) else getattr(loss, "__name__", None)
    return named in known or isinstance(loss, tuple(known.values()))
