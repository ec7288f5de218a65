"""An optimizer around another one, which acts before and after its step."""

import functools

import keras

from nestrade_lib.engines.replicas import as_one_device
from nestrade_lib.internals import trained_variables
from nestrade_lib.optimizers import innermost


class OptimizerWrapper(keras.optimizers.Optimizer):
    """An optimizer around another one, which takes the step and is what is saved.

    As Keras' ``LossScaleOptimizer``, it adds variables to those of the inner one, so that
    they are optimizer state on every backend. Subclasses act before and after the step.
    Used alone, it holds averaged weights back, which Keras would otherwise take over at
    the end of each ``fit``.
    """

    def __init__(self, inner_optimizer, name=None):
        super().__init__(learning_rate=0.0, name=name)
        self.inner = inner_optimizer

    @property
    def inner_optimizer(self):
        """The one that trains: Keras' callbacks look one level down for it."""
        return innermost(self.inner)

    def before_step(self, grads, variables):
        """Act on gradients that are those of these variables."""

    def after_step(self, variables):
        """Act on variables that the inner optimizer has updated."""

    def build(self, variables):
        if not self.inner.built:
            self.inner.build(variables)
        super().build(variables)

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            self.build(trainable_variables)
        variables, inner = trained_variables(self), self.inner
        step = functools.partial(inner.apply, grads, trainable_variables)
        # A training step of one's own may leave some out, or have another order.
        of = zip(map(id, trainable_variables or variables), grads, strict=True)
        by_variable = dict(of)
        self.before_step([by_variable.get(id(v)) for v in variables], variables)
        if isinstance(inner, (OptimizerWrapper, keras.optimizers.LossScaleOptimizer)):
            step()  # it looks for replicas itself
        else:
            as_one_device(step)
        self.after_step(variables)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        own, variables = len(super().variables), trained_variables(self)

        def run(act, trained, state):
            mapping = [*zip(variables, trained), *zip(self.variables, state)]
            with keras.StatelessScope(state_mapping=mapping) as scope:
                act()
            held = [*variables, *self.variables]
            values = [scope.get_current_value(v) for v in held]
            return values[: len(variables)], values[len(variables) :]

        before = functools.partial(self.before_step, grads, variables)
        after = functools.partial(self.after_step, variables)
        weights, state = run(before, trainable_variables, optimizer_variables)
        apply = self.inner.stateless_apply
        weights, inner = apply(state[own:], grads, weights)
        return run(after, weights, state[:own] + inner)

    @property
    def variables(self):
        return super().variables + self.inner.variables

    @property
    def iterations(self):
        return self.inner.iterations

    @property
    def learning_rate(self):
        return self.inner.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner.learning_rate = learning_rate

    def scale_loss(self, loss):
        return self.inner.scale_loss(loss)

    # A file written meanwhile is to hold what plain Keras will look for.
    def save_own_variables(self, store):
        self.inner.save_own_variables(store)

    def load_own_variables(self, store):
        self.inner.load_own_variables(store)

    def finalize_variable_values(self, var_list):
        """Leave averaged weights aside: they are for the end of the run."""


def unwrapped(optimizer):
    """The user's optimizer, inside any wrappers of this library."""
    while isinstance(optimizer, OptimizerWrapper):
        optimizer = optimizer.inner
    return optimizer
