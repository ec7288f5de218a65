"""The learning rate of a run: one cosine to zero after the cuts, and what is before it."""

import math

from keras import ops

from nestrade_lib.engines.replicas import assign_on_replicas
from nestrade_lib.optimizer_wrapper import OptimizerWrapper

KINDS = ("once", "twice")
HIGHEST = 4e-3  # that a rate is raised to: in long runs, higher ones had more errors
LOWEST = 0.02  # share of the learning rate at the end of the first of two cosines


def annealed(step, start, steps, lowest):
    """The learning rate in a step, as a share of the user's.

    Parameters
    ----------
    step : float or tensor
        From 0; the cosine is taken in the middle of the step.
    start, steps : float or tensor
        Steps before the cosine to zero, and of the whole run.
    lowest : float or tensor
        The share that an earlier cosine falls to, up to `start`; 1 holds it.

    Returns
    -------
    float32 tensor

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with warm restarts".

    Examples
    --------
    >>> def shares(lowest):
    ...     steps = (0, 50, 99, 100, 150, 199)
    ...     return [round(float(annealed(n, 100, 200, lowest)), 2) for n in steps]
    >>> shares(lowest=1.0)
    [1.0, 1.0, 1.0, 1.0, 0.49, 0.0]
    >>> shares(lowest=0.02)
    [1.0, 0.5, 0.02, 1.0, 0.49, 0.0]
    """
    step, start, steps, lowest = (
        ops.cast(x, "float32") for x in (step, start, steps, lowest)
    )
    is_first = step < start
    first = ops.where(is_first, 0.0, start)
    lowest = ops.where(is_first, lowest, 0.0)
    length = ops.maximum(ops.where(is_first, start, steps - start), 1.0)
    progress = ops.clip((step + 0.5 - first) / length, 0.0, 1.0)
    return lowest + (1 - lowest) * (1 + ops.cos(math.pi * progress)) / 2


def raised(learning_rate, dense_macs, macs):
    """The learning rate after the cuts, for an optimizer that is adaptive.

    The best rate of Adam is inverse to the width of the layers. The MACs of a layer are
    its inputs times its outputs, so their root stands for the width of a network.

    References
    ----------
    Yang, Hu et al. (2022), "Tensor programs V: tuning large neural networks via
    zero-shot hyperparameter transfer", table 3: Adam's rate is inverse to the width.

    Examples
    --------
    >>> [round(raised(rate, 2_293_000, 229_300), 5) for rate in (1e-3, 2e-3, 1e-2)]
    [0.00316, 0.004, 0.01]
    """
    wide = learning_rate * math.sqrt(dense_macs / macs)
    return max(learning_rate, min(wide, HIGHEST))


class AnnealedOptimizer(OptimizerWrapper):
    """Sets the learning rate of the optimizer that it wraps, in each step.

    The steps are counted here, since other optimizers skip some (loss scaling) or count
    several as one (accumulated gradients). Of kind "once" the learning rate is held until
    the cuts are over; of kind "twice" it falls before the first cut, and again after it.
    """

    def __init__(self, inner_optimizer, kind="once", name=None):
        super().__init__(inner_optimizer, name=name)
        self.kind = kind

    def build(self, variables):
        self.steps_done = self.add_variable((), "zeros", "int", name="steps_done")
        self.phases = self.add_variable((4,), "zeros", "float32", name="phases")
        super().build(variables)

    def follow(self, timetable, learning_rate):
        """Go on as this timetable says, from this learning rate down."""
        is_held = self.kind == "once"
        start = min(timetable.end, timetable.steps) if is_held else timetable.start
        lowest = 1.0 if is_held else LOWEST
        self.steps_done.assign(timetable.step)
        self.phases.assign([learning_rate, start, timetable.steps, lowest])

    def before_step(self, grads, variables):
        learning_rate, *phases = ops.unstack(ops.convert_to_tensor(self.phases))
        step, variable = ops.convert_to_tensor(self.steps_done), self.learning_rate
        value = learning_rate * annealed(step, *phases)
        value = ops.cast(value, variable.dtype)
        assign_on_replicas([(variable, value), (self.steps_done, step + 1)])
