"""What an optimizer has to do where several replicas run the same step.

JAX sees one global computation, and a single device is one: there is nothing to do.
``tf.distribute`` runs the step once per replica, each on its shard of the batch: sums over
the batch have to be added up, and variables assigned on all of them at once.
"""

import keras


def sum_over_replicas(tensor):
    """Add up what each replica has computed on its shard of the batch.

    >>> float(sum_over_replicas(keras.ops.ones(())))  # one replica
    1.0
    """
    context = _replica_context()
    return tensor if context is None else context.all_reduce("SUM", tensor)


def assign_on_replicas(pairs):
    """Assign values, which all replicas have computed alike, to their variables.

    >>> count = keras.Variable(1.0)
    >>> assign_on_replicas([(count, count + 1.0)])
    >>> float(count)
    2.0
    """
    context = _replica_context()
    if context is None:
        for variable, value in pairs:
            variable.assign(value)
        return
    variables, values = zip(*pairs)

    def everywhere(strategy, values):
        for variable, value in zip(variables, values):
            strategy.extended.update(
                variable.value, lambda v, new: v.assign(new), (value,), group=False
            )

    context.merge_call(everywhere, args=(values,))


def as_one_device(step):
    """Call an optimizer's step without its sum over replicas where there is one device.

    Keras sums on TensorFlow even there. The operation's gradient is registered at each
    tracing, and TensorFlow keeps it for good, and with it the whole graph of the
    training step: some megabytes per network.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if not tf.distribute.has_strategy():
            tf.distribute.get_replica_context().merge_call(lambda strategy: step())
            return
    step()


def _replica_context():
    """TensorFlow's, where this code is one of several replicas of a step."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context
