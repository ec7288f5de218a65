"""The identity of a run: digests of all that decides which weights it ends with."""

import re

from nestrade_lib.cluster.digest import digest
from nestrade_lib.internals import all_layers

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def identity_of(trainer, data, epochs, anneal):
    """All that decides which weights a run ends with: digests by the parts' names.

    The network is as the user gave it, not yet prepared by an engine.

    >>> import numpy as np
    >>> from nestrade_lib import create_nestrade_model
    >>> from nestrade_lib.training.data import data_adapter
    >>> trainer = create_nestrade_model((8, 8, 1), 3)
    >>> data = data_adapter(np.ones((4, 8, 8, 1)), np.zeros(4))
    >>> one = identity_of(trainer, data, range(1), True)
    >>> other = identity_of(trainer, data, range(2), True)
    >>> [part for part in one if one[part] != other[part]]
    ['the epochs']
    """
    network, weights = trainer.network, data.class_weight or {}
    parts = {
        "the network": (
            [(type(x).__name__, _config_of(x)) for x in all_layers(network)],
            [tuple(v.shape) for v in network.variables],
        ),
        "the optimizer, loss or metrics": _compiled_with(network),
        "the budget": trainer.budget,
        "the schedule": trainer.schedule,
        "the importance": trainer.importance,
        "ignored_layers": trainer.ignored_layers,
        "growth": trainer.growth,
        "anneal": (trainer.anneal, anneal),
        "distill": (
            trainer.distill,
            _config_of(trainer.distill and trainer.distill.loss),
        ),
        "the epochs": epochs,
        "the steps of an epoch": data.steps,
        "batch_size": data.batch_size,
        "shuffle": bool(data.shuffle),
        "class_weight": sorted((str(k), float(w)) for k, w in weights.items()),
    }
    digests = {name: digest(described(part)).hex() for name, part in parts.items()}
    arrays = (data.x, data.y, data.sample_weight) if data.is_arrays else ()
    return digests | {"the training data": digest(*arrays).hex()}


def described(value):
    """Describe a value by what it is, and not by when and where it was made.

    Names that Keras counts on and addresses in memory are left out: a function is its
    name, one with arguments its name and arguments, another object its class.

    >>> import functools
    >>> described({"name": "dense_7", "units": 3})
    "{'units': '3'}"
    >>> described(functools.partial(described, value=1))
    'functools.partial(<function described>, value=1)'
    """
    return str(_nameless(value))


def _nameless(value):
    if isinstance(value, dict):
        return {k: _nameless(v) for k, v in value.items() if k != "name"}
    if isinstance(value, (set, frozenset)):  # in no order
        return sorted(described(part) for part in value)
    if isinstance(value, (list, tuple)):
        return [_nameless(part) for part in value]
    return _ADDRESS.sub("", repr(value))


def _compiled_with(network):
    try:
        return network.get_compile_config()
    except (TypeError, NotImplementedError):  # callables that cannot be saved
        return network.optimizer.get_config(), network.loss


def _config_of(part):
    try:
        return part.get_config()
    except (AttributeError, NotImplementedError):  # of one's own, that cannot be saved
        return None
