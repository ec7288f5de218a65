"""Validation: on which data a network is measured, and after which epochs."""

import itertools
import warnings

from nestrade_lib.checks import is_whole


class Validation:
    """Validation data, given to ``fit`` or held out, and how often they are used."""

    def __init__(self, data, frequency=1, **options):
        is_tuple = isinstance(data, (tuple, list))
        names = "x", "y", "sample_weight"
        self.data = dict(zip(names, data if is_tuple else (data,), strict=False))
        self.frequency = frequency
        self.options = options
        # As in Keras, each look takes the next batches of a generator.
        self._batches = self.data["x"] if hasattr(self.data["x"], "__next__") else None

    def is_due(self, epoch):
        """Whether the network is measured after this epoch, counted from 0."""
        if is_whole(self.frequency):
            return (epoch + 1) % self.frequency == 0
        return epoch + 1 in self.frequency

    def logs(self, engine, network, callbacks=None):
        """What the network scores on the data, named as Keras names it."""
        data = self.data
        if self._batches is not None:
            first = next(self._batches, None)
            if first is None:
                warnings.warn(
                    "The validation data have ended: nothing is measured. Let the "
                    "generator go on for all epochs.",
                    stacklevel=2,
                )
                return {}
            steps = self.options["steps"]
            others = itertools.islice(self._batches, steps and steps - 1)
            # Keras takes a generator, and no other iterator.
            data = {"x": (batch for batch in itertools.chain([first], others))}
        logs = engine.evaluate(network, callbacks, **data, **self.options)
        return {f"val_{name}": value for name, value in logs.items()}

    def accuracy(self, engine, network):
        """The accuracy among them, which a search for the smallest network goes by."""
        logs = self.logs(engine, network)
        for name, value in logs.items():
            if "acc" in name and not name.endswith("loss"):
                return value
        raise ValueError(
            "A budget within points of accuracy needs an accuracy among the metrics, got "
            f"{', '.join(logs)}. Compile the network with metrics=['accuracy']."
        )
