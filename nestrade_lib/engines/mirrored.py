"""TensorFlow on several devices of one machine: ``tf.distribute``.

The strategy holds a mirror of each variable on each device and adds up gradients. The
loop around it is our own, since that of Keras fails on several workers (keras#20585),
which ``multi_worker.py`` adds.
What would differ from one device is repaired here:

* clipping happens after the gradients are added up, not before, on each replica's own;
* random layers draw on each replica from another stream;
* batch norms take the statistics of the global batch;
* ``steps_per_execution`` is one: the loop is not Keras';
* a loss of which replicas would add up to another one is refused, see ``additive.py``;
* a network with a bias in front of a batch norm is warned about.
"""

import warnings

import keras
import numpy as np
import tensorflow as tf

from nestrade_lib.arrays import arrays_of, map_arrays, rows_of
from nestrade_lib.engines.additive import require_additive
from nestrade_lib.engines.engine import Engine
from nestrade_lib.engines.feeding import global_batches, spread, spread_batches
from nestrade_lib.engines.repairs import (
    ADAPTIVE,
    batch_norms,
    biased_sources,
    clip_the_sum,
    clips,
    draw_apart,
    refuse,
)
from nestrade_lib.internals import (
    build_metrics,
    compute_loss,
    loss_tracker,
    restore_clipping,
    restore_draws,
)
from nestrade_lib.optimizers import innermost
from nestrade_lib.seeds import seed_generators


class Mirrored(Engine):
    """The devices of this machine, under ``MirroredStrategy``.

    Parameters
    ----------
    devices : sequence of str
        TensorFlow's names, such as ``"GPU:0"``.

    Examples
    --------
    >>> Mirrored(["CPU:0"])
    <mirrored: 1 replica>
    """

    name = "mirrored"

    def __init__(self, devices):
        devices = list(devices)
        # Collectives of processors allow one set of devices a process; a sum on one of
        # them does as well where they share the memory.
        ways = tf.distribute.ReductionToOneDevice() if "CPU" in devices[0] else None
        self._use(tf.distribute.MirroredStrategy(devices, cross_device_ops=ways))

    def _use(self, strategy):
        self.strategy = strategy
        self.replicas = strategy.num_replicas_in_sync
        self.local_replicas = self.replicas // self.workers

        def of_all(numbers):
            return tf.distribute.get_replica_context().all_gather(numbers[None], 0)

        # Traced once per length: without that, each call would trace anew.
        self._gathered = tf.function(
            lambda numbers: strategy.run(of_all, args=(numbers,)), autograph=False
        )
        self._forget()
        self._synchronized = set()  # names of batch norms

    def scope(self):
        return self.strategy.scope()

    # Repaired, or refused -----------------------------------------------------

    def prepare(self, network):
        if network.distribute_strategy is not self.strategy:
            raise ValueError(
                f"Network {network.name!r} was built outside this engine's scope: its "
                "weights are on one device only. Build and compile it inside "
                "`with engine.scope():`."
            )
        optimizer = network.optimizer
        if not isinstance(
            optimizer.variables[0].value, tf.distribute.DistributedValues
        ):
            raise ValueError(
                f"Network {network.name!r} was compiled outside this engine's scope: its "
                "optimizer is on one device only. Make it and compile the network inside "
                "`with engine.scope():`."
            )
        refuse(network)
        inner = innermost(optimizer)
        self._forget()
        if clips(inner):
            clip_the_sum(inner, self.replicas)
        for generator in seed_generators(network):
            draw_apart(generator)
        biased = []
        for norm in batch_norms(network):
            if not norm.synchronized:
                norm.synchronized = True
                self._synchronized.add(norm.name)
            biased += [source.name for source in biased_sources(norm)]
        if biased and type(inner).__name__ in ADAPTIVE:
            warnings.warn(
                f"Layer {biased[0]!r} has a bias in front of a batch norm. Its gradient is "
                "zero but for rounding, which the optimizer turns into full steps: they "
                "change no output, but this weight will differ between one device and "
                "many. Build the layer with use_bias=False.",
                stacklevel=2,
            )

    def check_loss(self, network, batch):
        require_additive(self, network, batch)

    def release(self, network):
        for norm in batch_norms(network):
            if norm.name in self._synchronized:
                norm.synchronized = False
        for generator in seed_generators(network):
            restore_draws(generator)
        restore_clipping(innermost(network.optimizer))
        self._forget()

    def _forget(self):
        self._traces: dict = {}  # by purpose: what was traced, and the traced function

    # Training -----------------------------------------------------------------

    def fit(self, network, callback, epoch, **data):
        callback.set_model(network)
        network.reset_metrics()
        callback.on_epoch_begin(epoch)
        for number, batch in enumerate(spread_batches(self, **data)):
            callback.on_train_batch_begin(number)
            step = self._training_step(network, batch)
            logs = self.strategy.experimental_local_results(step(batch))[0]
            callback.on_train_batch_end(number, logs)
            if network.stop_training and self.workers == 1:
                break  # several have to stop together: after this piece
            if getattr(callback, "is_ending", False):  # as they have agreed
                break
        callback.on_epoch_end(epoch, _numbers(network.get_metrics_result()))

    def evaluate(
        self,
        network,
        callbacks=None,
        *,
        x,
        y=None,
        sample_weight=None,
        batch_size=None,
        steps=None,
    ):
        # Metrics are added up over replicas, so each row has to be seen once.
        network.reset_metrics()
        key = network, network.test_step, network.compute_loss, loss_tracker(network)
        shared, on_the_first = self._traced_once(
            "test", key, lambda: self._tested(network.test_step)
        )
        callbacks = keras.callbacks.CallbackList() if callbacks is None else callbacks
        callbacks.on_test_begin()
        batches = global_batches(x, y, sample_weight, batch_size, steps)
        for number, batch in enumerate(batches):
            callbacks.on_test_batch_begin(number)
            self.build_metrics(network, batch)
            rows = len(arrays_of(batch)[0])
            whole = rows - rows % self.replicas
            if whole:
                mine = map_arrays(self.shard, rows_of(batch, slice(0, whole)))
                shared(spread(self, mine))
            if whole < rows:
                on_the_first(rows_of(batch, slice(whole, rows)))
            if callbacks.callbacks:
                callbacks.on_test_batch_end(number, network.get_metrics_result())
        logs = _numbers(network.get_metrics_result())
        callbacks.on_test_end(logs)
        return logs

    def predict(self, network, x, batch_size=None, steps=None, **_):
        # One device is enough to look, and takes batches of every size.
        answer = self._traced_once(
            "predict", network, lambda: _traced(lambda a: network(a, training=False))
        )
        answers = [
            answer(batch[0])
            for batch in global_batches(x, None, None, batch_size, steps)
        ]
        return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *answers)

    def _traced_once(self, purpose, key, trace):
        """What was traced for a purpose, traced anew where its key is another."""
        traced_key, traced = self._traces.get(purpose, (None, None))
        if key != traced_key:
            traced = trace()
            self._traces[purpose] = key, traced
        return traced

    def build_metrics(self, network, batch):
        """Make the metrics' variables here, and not inside a traced step."""
        local = self.strategy.experimental_local_results
        first = map_arrays(lambda a: local(a)[0], batch)
        with self.scope():
            build_metrics(network, first)

    def _tested(self, test):
        """A step for rows that replicas share, and one for rows that are left over."""

        @_traced
        def shared(batch):
            self.strategy.run(test, args=(batch,))

        @_traced
        def on_the_first(batch):
            def look():
                context = tf.distribute.get_replica_context()
                first = tf.equal(context.replica_id_in_sync_group, 0)
                tf.cond(first, lambda: _nothing(test(batch)), lambda: _nothing())

            self.strategy.run(look)

        return shared, on_the_first

    def _training_step(self, network, batch):
        def trace():
            self.build_metrics(network, batch)
            return self._trained(network)

        key = network, network.optimizer, network.compute_loss, loss_tracker(network)
        return self._traced_once("train", key, trace)

    def _trained(self, network):
        def train(data):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
            with tf.GradientTape() as tape:
                predicted = network(x, training=True)
                # Divided by the number of replicas: see `check_loss`.
                loss = compute_loss(network, x, y, predicted, sample_weight)
                scaled = network.optimizer.scale_loss(loss)
            rows = tf.shape(keras.tree.flatten(x)[0])[0]
            mean = loss_tracker(network)
            mean.update_state(loss * self.replicas, sample_weight=rows)
            weights = network.trainable_weights
            network.optimizer.apply(tape.gradient(scaled, weights), weights)
            return network.compute_metrics(x, y, predicted, sample_weight)

        @_traced
        def step(batch):
            return self.strategy.run(train, args=(batch,))

        return step

    def gather(self, numbers):
        if self.workers == 1:
            return super().gather(numbers)
        gathered = self._gathered(tf.constant(np.asarray(numbers, "int32")))
        gathered = self.strategy.experimental_local_results(gathered)[0]
        return gathered.numpy()[:: self.local_replicas]


def _traced(function):
    # As Keras traces its own: what it calls is made of operations already.
    return tf.function(function, reduce_retracing=True, autograph=False)


def _nothing(_=None):
    return tf.zeros(())


def _numbers(logs):
    values = {name: np.asarray(value) for name, value in logs.items()}
    return {name: float(v) if v.ndim == 0 else v for name, v in values.items()}
