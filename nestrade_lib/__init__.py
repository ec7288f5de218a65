"""Networks that become smaller while they learn, for Keras 3.

The public names below are imported when they are first used, so that
``import nestrade_lib`` loads neither Keras nor any of its backends.

>>> from nestrade_lib import load_mnist
>>> (x_train, y_train), (x_test, y_test) = load_mnist()
>>> x_train.shape, y_test.shape
((60000, 28, 28, 1), (10000,))
"""

from nestrade_lib.lazy import lazy_names

__version__ = "0.1.0"

_HOME = {
    "load_mnist": "data",
    "load_fashion_mnist": "data",
    "Batches": "batches",
    "tf_batches": "batches",
    "create_model": "models",
    "create_resnet": "models",
    "create_loss": "models",
    "create_optimizer": "models",
    "create_nestrade_model": "models",
    "count_costs": "costs",
    "CostTable": "costs",
    "trace": "dependency",
    "ChannelGraph": "dependency",
    "UnsupportedLayer": "dependency",
    "register_rule": "dependency",
    "restructure": "surgery",
    "verify": "surgery",
    "RefusedCut": "surgery",
    "Budget": "schedule",
    "Schedule": "schedule",
    "GroupLasso": "regularizers",
    "ChannelOptimizer": "regularizers",
    "Distillation": "distillation",
    "Nestrade": "trainer",
    "register_macs": "uses",
    "variable_uses": "uses",
}

__all__, __getattr__, __dir__ = lazy_names(__name__, _HOME)
