"""What kind of data ``fit`` was given, and whether a network can be trained on them."""

import keras
import numpy as np

from nestrade_lib.arrays import map_arrays


def is_arrays(x):
    """Whether data are arrays, nested or not, of any backend.

    Examples
    --------
    >>> is_arrays({"a": np.ones(3)}), is_arrays([1.0])
    (True, False)
    """
    leaves = keras.tree.flatten(x)
    return bool(leaves) and all(
        hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in leaves
    )


def as_arrays(values):
    """Give the arrays in pandas' tables and series; all else stays as it is.

    Examples
    --------
    >>> as_arrays((np.ones(2), None))
    (array([1., 1.]), None)
    """
    return map_arrays(lambda a: a.to_numpy() if hasattr(a, "to_numpy") else a, values)


def unpacked(batch):
    """A batch of a data set as a tuple ``(x, y, sample_weight)``, as far as given.

    PyTorch's data loaders give lists, which Keras takes for tuples.

    Examples
    --------
    >>> unpacked([1, 2]), unpacked(3)
    ((1, 2), (3,))
    """
    return tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)


def check_nothing_beside(x, **given):
    """Refuse labels and weights beside a data set, which brings its own.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> check_nothing_beside(iter([]), y=None)
    >>> check_nothing_beside(iter([]), y=1)
    Traceback (most recent call last):
        ...
    ValueError: y: expected None beside a list_iterator, whose batches bring their own.
    """
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name}: expected None beside a {type(x).__name__}, whose batches bring "
                "their own."
            )


def is_reiterable(x):
    """Whether data can be gone through again, as generators cannot.

    Examples
    --------
    >>> is_reiterable([1]), is_reiterable(iter([1]))
    (True, False)
    """
    if isinstance(x, keras.utils.PyDataset):
        return True
    return hasattr(x, "__iter__") and not hasattr(x, "__next__")


def count_batches(x):
    """How many batches data have, or None where they do not tell.

    Examples
    --------
    >>> count_batches([1, 2]), count_batches(iter([1, 2]))
    (2, None)
    """
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches
    try:
        return len(x)
    except TypeError:
        return None


def require_length(x):
    """The number of batches of data.

    A `tf.data.Dataset` that knows only that it ends, such as one of files of records, is
    gone through once to count them. (Keras' ``fit`` learns it in its first epoch, but
    when to cut has to be known before.)

    Raises
    ------
    ValueError
        If they are empty or do not tell.

    Examples
    --------
    >>> require_length([1, 2])
    2
    """
    length = count_batches(x) or _counted(x) or -1
    if length <= 0:
        raise ValueError(
            f"The training data ({type(x).__name__}) is empty or does not tell how many "
            "batches it has. Pass steps_per_epoch=."
        )
    return length


def check_arrays(x, y, sample_weight):
    """The number of samples of arrays that belong together.

    Raises
    ------
    ValueError
        If there is none, their lengths differ, or numbers in them are not finite.

    Examples
    --------
    >>> check_arrays(np.ones((3, 2)), np.ones(3), None)
    3
    """
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    lengths = {}
    for name, values in named.items():
        if values is None:
            continue
        for leaf in keras.tree.flatten(values):
            lengths.setdefault(name, len(leaf))
            if len(leaf) != lengths["x"] or len(leaf) == 0:
                shapes = {
                    key: [tuple(a.shape) for a in keras.tree.flatten(value)]
                    for key, value in named.items()
                    if value is not None
                }
                raise ValueError(
                    "Expected arrays of the same, non-zero number of samples, got "
                    f"shapes {shapes}."
                )
            values_array = keras.ops.convert_to_numpy(leaf)
            if values_array.dtype.kind == "f" and not np.isfinite(values_array).all():
                raise ValueError(
                    f"{name} holds {int((~np.isfinite(values_array)).sum())} numbers "
                    "that are not finite. Remove or replace them before training."
                )
    return lengths["x"]


def _counted(x):
    unknown = -2  # tf.data.UNKNOWN_CARDINALITY; endless data have another number
    if hasattr(x, "cardinality") and int(x.cardinality()) == unknown:
        return int(x.reduce(np.int64(0), lambda count, _: count + 1))
    return None
