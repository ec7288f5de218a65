"""An epoch in pieces: cuts fall anywhere, data and callbacks see whole epochs.

Keras trains by ``fit``. A cut needs a new network in the middle of an epoch, so the
trainer calls ``fit`` once a piece. A source hands out each piece's batches, so that an
epoch sees every sample once whatever its pieces. Arrays (:class:`ArrayAdapter`) can be
looked up in any order. All other data (:class:`StreamAdapter`) come as they come.
"""

from nestrade_lib.training.data.adapter import Source
from nestrade_lib.training.data.array_adapter import ArrayAdapter
from nestrade_lib.training.data.stream_adapter import StreamAdapter
from nestrade_lib.training.inputs import check_nothing_beside, is_arrays

__all__ = ["ArrayAdapter", "Source", "StreamAdapter", "data_adapter"]


def data_adapter(x, y=None, sample_weight=None, batch_size=None, **options):
    """Give the source of training data of any kind that Keras' ``fit`` takes.

    Parameters
    ----------
    x, y, sample_weight
        As for ``fit``: arrays (nested too), `tf.data`, `PyDataset`, PyTorch's
        `DataLoader`, a generator.
    batch_size : int, optional
        For arrays; 32 by default, as in Keras.
    shuffle : bool
        Draw a new order of the arrays, or of a `PyDataset`, each epoch: by default.
    steps_per_epoch : int, optional
        Needed for data that do not tell their length. With fewer than the data have,
        each epoch goes on where the one before it ended, and the data begin again where
        they end.
    class_weight : dict of int to float, optional
        Loss weight of each class; 1 where one is missing.
    engine : nestrade_lib.engines.Engine, optional
        One device by default. Replicas share each batch equally.

    Returns
    -------
    Source

    Raises
    ------
    ValueError
        If the data are empty, their lengths differ or are unknown, or numbers in
        them are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> source = data_adapter(np.arange(10.0), np.arange(10), batch_size=4, shuffle=False)
    >>> source.steps
    3
    >>> source.start_epoch(0)
    >>> [y.tolist() for x, y in source.take(2)["x"]]
    [[0, 1, 2, 3], [4, 5, 6, 7]]
    >>> [y.tolist() for x, y in source.take(1)["x"]]
    [[8, 9]]
    """
    if is_arrays(x):
        return ArrayAdapter(x, y, sample_weight, batch_size, **options)
    check_nothing_beside(x, y=y, sample_weight=sample_weight)
    return StreamAdapter(x, **options)
