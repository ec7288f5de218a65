"""What the network knew before its first cut, taught to what is left of it.

A label names the right class. The answers of a trained network also tell how near each
of the others came, and a small network learns from that what labels alone do not show
(Hinton et al. 2015). Here the teacher is the network itself: a copy from just before
the first cut. Nothing else has to be trained, and no data are needed beside its own.

>>> taught = Distillation(weight=0.5)
>>> taught.weight, taught.temperature
(0.5, 3.0)
"""

import contextlib
import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from nestrade_lib.checks import is_number
from nestrade_lib.surgery import cut

_SOFTMAX = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}
_SIGMOID = {"binary_crossentropy": keras.losses.BinaryCrossentropy}
_SMALLEST = 1e-7  # of a probability, as in Keras


@dataclass(frozen=True)
class Distillation:
    """How much the teacher counts, and how soft its answers are.

    The defaults were chosen on MNIST's validation split; ``benchmarks/README.md``
    keeps the experiments.

    Attributes
    ----------
    weight : float
        Of the teacher in the loss, in (0, 1]. The compiled loss, penalties included,
        has the rest.
    temperature : float
        At least 1. Logits of teacher and student are divided by it, so that the less
        likely classes can be told apart.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Hinton, Vinyals, Dean (2015), "Distilling the knowledge in a neural network".

    Examples
    --------
    >>> Distillation(weight=0.9, temperature=4)
    Distillation(weight=0.9, temperature=4)
    """

    weight: float = 0.7
    temperature: float = 3.0

    def __post_init__(self):
        for name, is_right, expected in (
            ("weight", lambda x: 0 < x <= 1, "a share in (0, 1]"),
            ("temperature", lambda x: 1 <= x < np.inf, "a number of at least 1"),
        ):
            given = getattr(self, name)
            if not (is_number(given) and is_right(given)):
                raise ValueError(
                    f"Distillation: expected {name} to be {expected}, got {given!r}."
                )

    @classmethod
    def of(cls, distill):
        """Take a number for the weight, None or 0 for none, and a Distillation as it is.

        Examples
        --------
        >>> Distillation.of(0.5)
        Distillation(weight=0.5, temperature=3.0)
        """
        if distill is None or isinstance(distill, cls):
            return distill
        return None if is_number(distill) and distill == 0 else cls(weight=distill)

    def loss(self, network):
        """Give the loss between the teacher's outputs and the student's.

        Parameters
        ----------
        network : keras.Model
            Compiled with a cross-entropy; one output.

        Returns
        -------
        callable
            ``(taught, predicted, sample_weight) -> loss``, on outputs of any shape that
            the network's own loss takes: the Kullback-Leibler divergence of the answers
            at the temperature T, times T², so that its gradients stay of the size that
            they have at T = 1. It is zero where the student answers as the teacher does.

        Raises
        ------
        ValueError
            If the network has another loss, or several outputs.

        Examples
        --------
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        >>> network.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
        >>> sure = np.log([[0.5, 0.25, 0.25]])
        >>> unsure = np.zeros((1, 3))
        >>> loss = Distillation(temperature=1).loss(network)
        >>> round(float(loss(sure, unsure)), 4)  # log 3 - 1.5 log 2
        0.0589
        >>> float(loss(sure, sure))
        0.0
        """
        own = network.loss
        if isinstance(own, (list, tuple, dict)) and len(own) == 1:
            own = next(iter(own.values() if isinstance(own, dict) else own))
        softmax, sigmoid = _is_one(own, _SOFTMAX), _is_one(own, _SIGMOID)
        if len(network.outputs) != 1 or not (softmax or sigmoid):
            raise ValueError(
                f"distill: expected a network with one output and a cross-entropy, got "
                f"{len(network.outputs)} with the loss {own!r}. A teacher softens classes: "
                "leave distill away for other tasks."
            )
        given = getattr(own, "get_config", dict)()
        from_logits, axis = given.get("from_logits", False), given.get("axis", -1)
        if softmax:
            soften = functools.partial(ops.softmax, axis=axis)
            compare = keras.losses.CategoricalCrossentropy(from_logits=True, axis=axis)
        else:
            soften = ops.sigmoid
            compare = keras.losses.BinaryCrossentropy(from_logits=True, axis=axis)

        def logits(outputs):
            (outputs,) = keras.tree.flatten(outputs)  # one, but it may have a name
            outputs = ops.cast(
                outputs, keras.backend.result_type(outputs.dtype, "float32")
            )
            if from_logits:
                return outputs
            outputs = ops.clip(outputs, _SMALLEST, 1 - _SMALLEST)
            odds = ops.log(outputs)
            return odds if softmax else odds - ops.log(1 - outputs)

        def difference(taught, predicted, sample_weight=None):
            known, learned = (logits(x) / self.temperature for x in (taught, predicted))
            soft = soften(known)
            entropy = compare(soft, known, sample_weight)
            crossed = compare(soft, learned, sample_weight)
            return self.temperature**2 * (crossed - entropy)

        return difference


class DistillationTargets(NamedTuple):
    """Labels of a batch, and the teacher's answers to the same samples."""

    labels: Any
    answers: Any


class Teacher:
    """A copy of a network, whose answers count in the loss of those it is given to.

    Parameters
    ----------
    network : keras.Model
        Compiled with a cross-entropy; one output.
    graph : nestrade_lib.ChannelGraph
        Of `network`.
    distillation : Distillation

    Raises
    ------
    ValueError
        As of :meth:`nestrade_lib.Distillation.loss`.

    Examples
    --------
    >>> from nestrade_lib import create_loss, create_model, trace
    >>> network = create_model((8, 8, 1), 3)
    >>> network.compile("adam", create_loss())
    >>> teacher = Teacher(network, trace(network), Distillation())
    >>> teacher.teach(network)
    >>> teacher.leave(network)
    """

    def __init__(self, network, graph, distillation):
        self.distillation = distillation
        self.difference = distillation.loss(network)
        everything = np.ones(graph.count, bool)
        self.network = cut(network, everything, graph, compiled=False)
        self._arrays = None

    def load(self, arrays):
        """Take other weights, one array a variable."""
        for variable, array in zip(self.network.variables, arrays, strict=True):
            variable.assign(array)
        self._arrays = None

    def teach(self, network):
        """Let the answers count in this network's loss, while it trains.

        Where the labels of a batch are :class:`DistillationTargets`, they bring the answers along;
        else the teacher answers in each step.
        """
        self.leave(network)
        loss_of, metrics_of = network.compute_loss, network.compute_metrics
        weight = self.distillation.weight

        def compute_loss(
            x=None, y=None, y_pred=None, sample_weight=None, training=True
        ):
            labels, answers = y if isinstance(y, DistillationTargets) else (y, None)
            loss = loss_of(x, labels, y_pred, sample_weight, training)
            if not training:
                return loss
            answers = self.answer(x) if answers is None else answers
            answers = keras.tree.map_structure(ops.stop_gradient, answers)
            difference = self.difference(answers, y_pred, sample_weight)
            return (1 - weight) * loss + weight * ops.cast(difference, loss.dtype)

        def compute_metrics(x, y, y_pred, sample_weight=None):
            labels = y.labels if isinstance(y, DistillationTargets) else y
            return metrics_of(x, labels, y_pred, sample_weight)

        network.compute_loss, network.compute_metrics = compute_loss, compute_metrics
        network.train_function = None  # it holds the loss that it was made with

    def leave(self, network):
        """Give the network back the loss that the user chose."""
        own = vars(network)
        own.pop("compute_metrics", None)
        if own.pop("compute_loss", None) is not None:
            network.train_function = None

    def answers_to(self, x, batch_size):
        """The outputs for all samples of some arrays, worked out once; None if too many.

        They may be as many numbers as the inputs. Networks with a training step of
        their own, which may look at the labels, are left to the answers of each step.
        """
        (output,) = self.network.outputs
        samples = len(keras.tree.flatten(x)[0])
        if None in output.shape[1:] or _has_own_step(self.network):
            return None
        size = samples * math.prod(output.shape[1:])
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
            parts = (
                self.network.trainable_variables,
                self.network.non_trainable_variables,
            )
            self._arrays = [[ops.convert_to_numpy(v) for v in part] for part in parts]
        return self.network.stateless_call(*self._arrays, x, training=False)[0]


def _drawing_nothing():
    """PyTorch's data loaders draw a random number each; later ones are to stay."""
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.random.fork_rng(devices=[])


def _has_own_step(network):
    return type(network).train_step is not keras.Model.train_step


def _is_one(loss, known):
    """Whether a loss is one of these, by name or by class."""
    named = loss if isinstance(loss, str) else getattr(loss, "__name__", None)
    return named in known or isinstance(loss, tuple(known.values()))
