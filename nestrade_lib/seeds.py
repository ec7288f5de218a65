"""What random layers draw their numbers from."""

import keras

from nestrade_lib.internals import all_layers


def seed_generators(layer):
    """The generators of a layer and of those inside it."""
    values = (v for x in all_layers(layer) for v in vars(x).values())
    return [v for v in values if isinstance(v, keras.random.SeedGenerator)]
