"""What the library needs of Keras' data adapters, which have no public names."""

import keras


def array_inputs(x, y=None, sample_weight=None, class_weight=None):
    """Arrays as ``fit`` takes or refuses them, class weights among those of samples.

    Any rows can be taken of each, of sparse ones and of text too.
    """
    from keras.src.trainers.data_adapters import array_data_adapter, array_slicing

    made = array_data_adapter.ArrayDataAdapter(
        x, y, sample_weight, class_weight=class_weight
    )
    parts = keras.utils.unpack_x_y_sample_weight(made._inputs)
    return array_slicing.convert_to_sliceable(parts)


def batch_of(array, rows):
    """Rows of one of the arrays that :func:`array_inputs` gives, as its backend takes them."""
    backend, taken = keras.backend.backend(), array[rows]
    if backend == "tensorflow":
        return taken
    return getattr(array, f"convert_to_{backend}_compatible")(taken)


def dataset_of(batches):
    """The ``tf.data.Dataset`` that Keras' ``fit`` makes of a generator of batches."""
    from keras.src.trainers.data_adapters.generator_data_adapter import (
        GeneratorDataAdapter,
    )

    return GeneratorDataAdapter(batches).get_tf_dataset()
