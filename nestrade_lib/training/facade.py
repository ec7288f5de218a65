"""A trainer stands for its network: it answers as the network of the moment would."""

from operator import attrgetter

import keras

from nestrade_lib.costs import count_costs
from nestrade_lib.internals import results_in_order


def _of(name, meaning):
    """A property that is an attribute of a part."""
    return property(attrgetter(name), doc=meaning)


class NetworkFacade:
    """What is known and asked of the network as it is now, with an engine."""

    network = _of("pruned.network", "The network as it is now (keras.Model).")
    budget = _of("pruned.costs.budget", "What it is trained toward (Budget).")
    schedule = _of("pruned.schedule", "When the cuts fall (Schedule).")
    ignored_layers = _of("pruned.ignored_layers", "Layers left as they are, by name.")
    widths = _of("pruned.widths", "Channels left of each layer that can be cut.")
    dense_costs = _of("pruned.dense_table", "Costs at first (CostTable).")
    dense_widths = _of("pruned.dense_widths", "Channels of each layer at first.")
    dense_totals = _of("pruned.costs.dense", "Costs by name at first.")
    teacher = _of("pruned.teacher", "The network before its first cut (Teacher).")
    cuts = _of("state.cuts", "What was cut, and when (list of Cut).")
    rescale = _of("state.rescale", "What ``growth='auto'`` has measured (Rescale).")

    @property
    def costs(self):
        """Costs of the network as it is now (CostTable)."""
        return count_costs(self.network, self.pruned.costs.shapes)

    def __getattr__(self, name):
        # What is asked of the trainer and is the network's own: layers, losses, save.
        if name.startswith("_") or name in ("network", "pruned", "state"):
            raise AttributeError(name)
        return getattr(self.network, name)

    def __call__(self, *args, **kwargs):
        """Call the network as it is now."""
        return self.network(*args, **kwargs)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """As Keras' ``evaluate``, of the network as it is now."""
        if self.engine.replicas == 1:
            return self.network.evaluate(
                x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict
            )
        data = {"x": x, "y": y, "sample_weight": sample_weight}
        options = {"batch_size": batch_size, "steps": steps}
        callbacks = keras.callbacks.CallbackList(callbacks, model=self.network)
        logs = self.engine.evaluate(self.network, callbacks, **data, **options)
        return logs if return_dict else results_in_order(self.network, logs)

    def train_on_batch(self, *args, **kwargs):
        """As Keras' ``train_on_batch``, once the budget is met: it makes no cut."""
        if not self.met:
            raise ValueError(
                "train_on_batch: expected fit until the budget is met, for cuts need to "
                "know how many steps there will be. Pass fit a generator of your batches "
                "and steps_per_epoch=, or train .network if it is not to be cut."
            )
        return self.network.train_on_batch(*args, **kwargs)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """As Keras' ``predict``, of the network as it is now."""
        options = {"verbose": verbose, "steps": steps, "callbacks": callbacks}
        return self.engine.predict(self.network, x, batch_size=batch_size, **options)
