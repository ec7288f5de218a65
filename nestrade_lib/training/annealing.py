"""The learning rate of a run: along one cosine before the first cut, one after it."""

import math

from keras import ops

from nestrade_lib.engines.replicas import assign_on_replicas
from nestrade_lib.optimizer_wrapper import OptimizerWrapper

LOWEST = 0.02  # share of the learning rate at the end of the dense phase


def annealed(step, start, steps):
    """The learning rate in a step, as a share of the user's.

    Parameters
    ----------
    step : float or tensor
        From 0; the cosine is taken in the middle of the step.
    start, steps : float or tensor
        Steps of the dense phase, and of the whole run.

    Returns
    -------
    float32 tensor

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with warm restarts".

    Examples
    --------
    >>> [round(float(annealed(step, 100, 200)), 2) for step in (0, 50, 99, 100, 199)]
    [1.0, 0.5, 0.02, 1.0, 0.0]
    """
    step, start, steps = (ops.cast(x, "float32") for x in (step, start, steps))
    is_dense = step < start
    first = ops.where(is_dense, 0.0, start)
    lowest = LOWEST * ops.cast(is_dense, "float32")
    length = ops.maximum(ops.where(is_dense, start, steps - start), 1.0)
    progress = ops.minimum((step + 0.5 - first) / length, 1.0)
    return lowest + (1 - lowest) * (1 + ops.cos(math.pi * progress)) / 2


class AnnealedOptimizer(OptimizerWrapper):
    """Sets the learning rate of the optimizer that it wraps, in each step.

    The steps are counted here, since other optimizers skip some (loss scaling) or count
    several as one (accumulated gradients).
    """

    def build(self, variables):
        self.steps_done = self.add_variable((), "zeros", "int", name="steps_done")
        self.phases = self.add_variable((3,), "zeros", "float32", name="phases")
        super().build(variables)

    def follow(self, timetable, learning_rate):
        """Go on as this timetable says, from this learning rate down."""
        self.steps_done.assign(timetable.step)
        self.phases.assign([learning_rate, timetable.start, timetable.steps])

    def before_step(self, grads, variables):
        learning_rate, start, steps = ops.unstack(ops.convert_to_tensor(self.phases))
        step, variable = ops.convert_to_tensor(self.steps_done), self.learning_rate
        value = learning_rate * annealed(step, start, steps)
        value = ops.cast(value, variable.dtype)
        assign_on_replicas([(variable, value), (self.steps_done, step + 1)])
