"""Networks that become smaller while they learn, for Keras 3.

The public names below are imported when they are first used, so that
``import nestrade_lib`` loads neither Keras nor any of its backends.

>>> from nestrade_lib import load_mnist
>>> (x_train, y_train), (x_test, y_test) = load_mnist()
>>> x_train.shape, y_test.shape
((60000, 28, 28, 1), (10000,))
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
