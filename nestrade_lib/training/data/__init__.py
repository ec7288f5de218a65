"""An epoch in pieces: cuts fall anywhere, and data and callbacks see whole epochs.

Keras trains by ``fit``. A cut needs a new network in the middle of an epoch, so the
trainer calls ``fit`` once per piece. A data adapter hands out the batches of each piece,
so that an epoch sees every sample once, whatever its pieces. Arrays
(:class:`ArrayAdapter`) can be looked up in any order; all other data
(:class:`StreamAdapter`) come as they come.
"""

import keras

from nestrade_lib.arrays import arrays_of
from nestrade_lib.training.data.adapter import DataAdapter
from nestrade_lib.training.data.array_adapter import ArrayAdapter
from nestrade_lib.training.data.stream_adapter import StreamAdapter

__all__ = ["ArrayAdapter", "DataAdapter", "StreamAdapter", "data_adapter"]


def data_adapter(x, y=None, sample_weight=None, batch_size=None, **options):
    """Adapt training data of any kind that Keras' ``fit`` takes.

    Parameters
    ----------
    x, y, sample_weight
        As for ``fit``: arrays (nested too), pandas' tables, `tf.data`, `PyDataset`,
        PyTorch's `DataLoader`, a generator.
    batch_size : int, optional
        For arrays; 32 by default, as in Keras.
    shuffle : bool
        Draw a new order of the arrays, or of a `PyDataset`, in each epoch: by default.
    steps_per_epoch : int, optional
        Needed for data that do not state their length. With fewer than the data have,
        each epoch goes on where the one before it ended, and the data begin again where
        they end.
    validation_split : float
        Share of arrays, their last part, that is held out (``.held_out``).
    class_weight : dict of int to float, optional
        Loss weight of each class; 1 where one is missing.
    engine : nestrade_lib.engines.Engine, optional
        One device by default. Replicas share each batch equally.

    Returns
    -------
    DataAdapter

    Raises
    ------
    ValueError
        If the data are empty, their lengths differ or are unknown, labels are no
        numbers, or Keras' ``fit`` refuses them.

    Examples
    --------
    >>> import numpy as np
    >>> data = data_adapter(np.arange(10.0), np.arange(10), batch_size=4, shuffle=False)
    >>> data.steps
    3
    >>> data.start_epoch(0)
    >>> [y.tolist() for x, y in data.take(2)["x"]]
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    >>> [y.tolist() for x, y in data.take(1)["x"]]
    [[8, 9]]
    """
    x, y, sample_weight = keras.tree.map_structure(
        lambda a: a.to_numpy() if hasattr(a, "to_numpy") else a,
        (x, y, sample_weight),
        none_is_leaf=True,
    )
    leaves = arrays_of((x, y, sample_weight))
    if leaves and all(hasattr(a, "shape") and hasattr(a, "dtype") for a in leaves):
        return ArrayAdapter(x, y, sample_weight, batch_size, **options)
    for name, value in {"y": y, "sample_weight": sample_weight}.items():
        if value is not None:
            raise ValueError(
                f"{name}: expected None beside a {type(x).__name__}, whose batches bring "
                "their own."
            )
    return StreamAdapter(x, **options)
