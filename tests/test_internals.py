"""What the library uses of Keras' private parts is still where it was, and nowhere else.

Each test uses one function of ``nestrade_lib.internals`` and fails when a new version of
Keras moves what it needs.
"""

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import internals, keras_data, tensorflow_internals
from nestrade_lib.configuration import blank_variables

pytestmark = pytest.mark.any_backend

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow"
)


def network(**compiled):
    made = keras.Sequential([keras.Input((4,)), kl.Dense(3, name="a"), kl.Dense(2)])
    if compiled:
        made.compile(**compiled)
    return made


def batch(rows=8):
    return np.ones((rows, 4), "float32"), np.zeros((rows, 2), "float32")


def test_open_name_scopes():
    with keras.name_scope("outer"):
        assert [scope.name for scope in internals.open_scopes()] == ["outer"]
        internals.open_scopes().clear()
        assert keras.Variable(0.0, name="free").path == "free"
    assert internals.open_scopes() == []


def test_classes_without_public_names():
    x = keras.Input((4,))
    assert internals.from_keras(kl.Dense) and internals.from_keras(keras.Model.call)
    assert not internals.from_keras(type("Mine", (kl.Dense,), {}))
    assert not internals.from_keras(eval("lambda x: x", {}))  # of no module
    assert internals.is_functional(keras.Model(x, kl.Dense(2)(x)))
    assert not internals.is_functional(network())
    assert not internals.is_functional(kl.Dense(2))
    for name in ("LayerScale", "StochasticDepth"):
        made = internals.class_beside(keras.applications.ConvNeXtTiny, name)
        assert issubclass(made, keras.Layer)


def test_losses_are_told_whether_they_are_for_training():
    class Untold(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return 0.0

    x = keras.Input((4,))
    made = Untold(x, x)
    assert internals.look_for_training(network())
    assert not internals.look_for_training(made)
    made.compute_loss = lambda x, y, y_pred, sample_weight, training: float(training)
    assert internals.look_for_training(made)
    assert internals.compute_loss(made, None, None, None, None) == 1.0


def test_configurations_without_the_function_of_their_rate():
    def rate():
        return 0.5

    optimizer = keras.optimizers.SGD(rate)
    config, function = internals.configuration_and_rate(optimizer)
    assert function is rate and not callable(config["learning_rate"])
    assert optimizer.learning_rate == 0.5
    config, function = internals.configuration_and_rate(keras.optimizers.SGD(0.25))
    assert function is None and config["learning_rate"] == 0.25


def test_functional_models_have_a_class_that_takes_inputs_and_outputs():
    x = keras.Input((4,))
    assert type(keras.Model(x, x)) is internals.functional_class()

    class Sized(keras.Model):
        def __init__(self, size):
            super().__init__(x, kl.Dense(size)(x))

    assert internals.is_functional(Sized(2)) and not internals.is_made_of_tensors(Sized)
    assert internals.is_made_of_tensors(internals.functional_class())


def test_a_copy_has_variables_of_its_own_and_no_place_in_a_graph():
    original = keras.Sequential([kl.Dense(3), kl.BatchNormalization(), kl.Dropout(0.5)])
    original.layers[0].numbers = np  # a module is no part of it
    original(keras.Input((4,)))
    mean = keras.metrics.Mean()
    mean.update_state(3.0)
    for one in (original, mean):
        made = internals.copied(one)
        for x, y in zip(one.variables, made.variables, strict=True):
            assert x is not y and x.path == y.path
            before = keras.ops.convert_to_numpy(x)
            np.testing.assert_array_equal(before, keras.ops.convert_to_numpy(y))
            y.assign(y + 1)
            np.testing.assert_array_equal(before, keras.ops.convert_to_numpy(x))
    x = keras.Input((4,))
    assert internals.inputs_of(internals.copied(original)) == []
    assert internals.copied(original)(x).shape == (None, 3)


def test_an_operation_of_a_graph_is_of_the_class_of_its_function():
    x = keras.Input((4, 1))
    for outputs, function in (
        (keras.ops.expand_dims(x, -1), keras.ops.expand_dims),
        (x[:, 1:], keras.ops.get_item),
        (x + x, keras.ops.add),
        (keras.ops.log_softmax(x), keras.ops.log_softmax),
        (keras.ops.stop_gradient(x), keras.ops.stop_gradient),
        (keras.ops.erf(x), keras.ops.erf),
    ):
        made = internals.producer_of(outputs)
        assert type(made) is internals.operation_class(function)


def test_calls_of_a_functional_model_have_their_arguments_alive():
    layer, x, table = kl.Dense(4), keras.Input((4,)), np.arange(4.0)
    y = layer(layer(x)) * table
    layer(y)  # not in the network
    network = keras.Model(x, y)
    calls = internals.calls_in(network, layer)
    assert [args for args, _, _ in calls] == [(x,), tuple(calls[0][2])]
    ((args, kwargs, outputs),) = internals.calls_in(network, internals.producer_of(y))
    assert args[1] is table and kwargs == {} and outputs[0] is y
    assert internals.calls_in(network, internals.producer_of(x)) == []


def test_layers_within_layers():
    inner = network()
    outer = keras.Sequential([keras.Input((3, 4)), kl.TimeDistributed(inner)])
    assert inner.layers[0] in internals.all_layers(outer)
    wrapper = outer.layers[0]
    assert internals.inner_layers(wrapper) == [inner]
    attention = kl.MultiHeadAttention(2, 3, dropout=0.5)
    attention.build((None, 4, 6), (None, 4, 6))
    kinds = [type(layer) for layer in internals.inner_layers(attention)]
    assert kinds.count(kl.Softmax) == kinds.count(kl.Dropout) == 1


def test_the_graph_of_calls():
    x = keras.Input((5,), dtype="int32")
    embedded = kl.Embedding(9, 4, mask_zero=True, name="embedding")(x)
    dense = kl.Dense(4)
    dense(dense(embedded))
    assert len(internals.inputs_of(dense)) == 2
    assert internals.producer_of(embedded).name == "embedding"
    assert internals.is_masked(embedded) and not internals.is_masked(x)
    assert internals.is_consumed(x) and not internals.is_consumed(keras.Input((5,)))


def test_a_graph_is_run_on_symbolic_tensors_as_they_are():
    x, y = keras.Input((4,)), keras.Input((4,))
    made = keras.Model(x, kl.Dense(2, name="a")(keras.ops.tanh(x)))
    outputs = internals.run_graph(made, [y])
    names = [each.name for each in keras.Model(y, outputs).operations]
    assert names[1:] == [made.operations[1].name, "a"]


def test_masks_are_attached_to_tensors():
    x, mask = keras.ops.ones((2, 3)), keras.ops.ones((2, 3), "bool")
    assert internals.mask_of(x) is None
    internals.set_mask(x, mask)
    assert internals.mask_of(x) is mask


def test_calls_are_watched_and_then_no_longer():
    made, names = network(), []

    def watch(call, layer, *args, **kwargs):
        names.append(layer.name)
        return call(layer, *args, **kwargs)

    before = keras.Operation.__call__
    with internals.watched_calls(watch):
        made(batch()[0])
    assert made.name in names and "a" in names
    assert keras.Operation.__call__ is before


def test_blank_variables_draw_nothing():
    state = np.random.get_state()[1].copy()
    with blank_variables():
        blank = network()
    assert not any(v.any() for v in blank.get_weights())
    assert network().get_weights()[0].any()
    assert (np.random.get_state()[1] == state).all()


def test_what_compile_made():
    def error(y, predicted):
        return keras.ops.abs(y - predicted)

    made = network(optimizer="sgd", loss="mse", metrics=["mae", error])
    arguments = internals.compile_arguments(made)
    assert arguments["loss"] == "mse" and arguments["metrics"] == ["mae", error]
    first = internals.loss_tracker(made)
    assert first is made.metrics[0] and first.name == "loss"
    x, y = batch()
    internals.build_metrics(made, (x, y))
    assert {"loss", "mae", "error"} <= set(made.get_metrics_result())
    loss = internals.compute_loss(made, x, y, made(x), None)
    logs = made.evaluate(x, y, verbose=0, return_dict=True)
    assert float(loss) == pytest.approx(logs["loss"], rel=1e-5)
    logs = {name: logs[name] for name in sorted(logs)}
    assert internals.results_in_order(made, logs) == made.evaluate(x, y, verbose=0)
    made.compile("sgd", "mse")
    assert internals.loss_tracker(made) is not first


def test_functions_in_wrappers():
    def scaled(y, predicted, by=1):
        return by * keras.ops.abs(y - predicted)

    metric = keras.metrics.MeanMetricWrapper(scaled, by=3)
    assert internals.wrapped_function(metric) is scaled
    assert internals.function_arguments(metric) == {"by": 3}
    loss = keras.losses.SparseCategoricalCrossentropy(axis=1)
    assert internals.function_arguments(loss)["axis"] == 1
    assert internals.function_arguments("mse") == {}


def test_what_optimizers_keep():
    made = network()
    kernel, bias = made.layers[0].trainable_variables
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_list=[bias])
    references = {}
    with internals.recorded_slots(optimizer, references):
        optimizer.build([kernel, bias])
    assert "add_variable_from_reference" not in vars(optimizer)
    slots = [v for v in optimizer.variables if id(v) in references]
    assert sum(references[id(v)] is kernel for v in slots) == 2
    assert internals.is_decayed(optimizer, kernel)
    assert not internals.is_decayed(optimizer, bias)
    trained = internals.trained_variables(optimizer)
    assert [id(v) for v in trained] == [id(kernel), id(bias)]


def test_clipping_is_replaced_and_restored():
    optimizer = keras.optimizers.SGD(1.0, clipvalue=1.0)
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer.build([variable])

    def take(gradient):
        optimizer.apply([keras.ops.array([gradient])])
        return float(variable.value[0])

    internals.replace_clipping(optimizer, lambda clip: lambda gradients: gradients)
    assert take(5.0) == -5
    internals.restore_clipping(optimizer)
    assert take(5.0) == -6


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX")
def test_a_variable_whose_array_was_given_away_has_no_value():
    import jax

    variable = keras.Variable([1.0, 2.0])
    assert internals.has_value(variable)
    jax.jit(lambda x: x + 1, donate_argnums=0)(variable.value)
    assert not internals.has_value(variable)
    model = network(optimizer="sgd", loss="mse")
    model.fit(*batch(), verbose=0)
    assert all(map(internals.has_value, model.variables))
    model._purge_model_variables(trainable_variables=True)
    assert not any(map(internals.has_value, model.trainable_variables))


@tensorflow_only
def test_draws_are_replaced_and_restored():
    dropout = kl.Dropout(0.5)
    generator = dropout.seed_generator
    for _ in range(2):  # replaced once, however often it is asked
        internals.replace_draws(generator, lambda draw: lambda *_: draw() * 0 + 7)
    ones = np.ones((2, 50), "float32")
    masks = [keras.ops.convert_to_numpy(dropout(ones, training=True)) for _ in "ab"]
    assert (masks[0] == masks[1]).all()  # a layer draws by `next`
    internals.restore_draws(generator)
    masks = [keras.ops.convert_to_numpy(dropout(ones, training=True)) for _ in "ab"]
    assert (masks[0] != masks[1]).any()


@tensorflow_only
def test_whether_a_seed_was_set():
    keras.utils.clear_session()
    assert not internals.is_seeded()
    keras.utils.set_random_seed(0)
    assert internals.is_seeded()


@tensorflow_only
def test_a_generator_becomes_the_data_set_that_keras_makes():
    batches = [(np.ones((n, 4), "float32"), None) for n in (3, 3, 1)]
    found = list(keras_data.dataset_of(iter(batches)))
    assert [len(x) for x, _ in found] == [3, 3, 1]


def test_arrays_become_such_as_any_rows_can_be_taken_of():
    labels = np.array([0, 1, 1])
    x, y, weight = keras_data.array_inputs(np.eye(3), labels, class_weight={1: 2.0})
    rows = [keras_data.batch_of(array, np.array([2, 0])) for array in (x, y, weight)]
    assert [row.tolist() for row in rows] == [[[0, 0, 1], [1, 0, 0]], [1, 0], [2, 1]]
    assert rows[0].dtype == keras.config.floatx()


@tensorflow_only
def test_where_a_strategy_looks_for_devices():
    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    extended = module.CollectiveAllReduceExtended
    before = extended._initialize_local_devices
    with tensorflow_internals.all_processors():
        assert extended._initialize_local_devices is not before
    assert extended._initialize_local_devices is before


@tensorflow_only
def test_functions_that_refuse_symbolic_tensors_are_dispatched():
    import tensorflow as tf

    def handle(function, args, kwargs):
        return function.__name__ if function.__name__ != "tanh" else NotImplemented

    x = keras.Input((4,))
    with tensorflow_internals.dispatched(handle):
        assert tf.nn.relu(x) == "relu" and tf.reduce_mean(x, 1) == "reduce_mean"
        with pytest.raises(ValueError):
            tf.tanh(x)
    with pytest.raises(ValueError):
        tf.nn.relu(x)
