"""What the library needs of TensorFlow that has no public name."""

import contextlib

from nestrade_lib.internals import replaced


@contextlib.contextmanager
def all_processors():
    """A worker's strategy takes all its logical processors, as it takes all its GPUs."""
    import tensorflow as tf
    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    def finding_all(find):
        def find_all(self, cluster_resolver, worker_device):
            devices, kind = find(self, cluster_resolver, worker_device)
            if kind == "CPU":
                processor = tf.config.list_physical_devices("CPU")[0]
                logical = tf.config.get_logical_device_configuration(processor)
                count = len(logical or [None])
                devices = tuple(f"{worker_device}/device:CPU:{n}" for n in range(count))
            return devices, kind

        return find_all

    extended = module.CollectiveAllReduceExtended
    with replaced(extended, "_initialize_local_devices", finding_all):
        yield


@contextlib.contextmanager
def dispatched(handle):
    """A TensorFlow function that refuses its arguments is what ``handle`` makes of them.

    ``handle(function, args, kwargs)`` returns ``NotImplemented`` where it makes nothing.
    """
    from tensorflow.python.util import dispatch as module

    class Dispatcher(module.GlobalOpDispatcher):
        def handle(self, op, args, kwargs):
            made = handle(op, args, kwargs)
            return self.NOT_SUPPORTED if made is NotImplemented else made

    dispatcher = Dispatcher()
    dispatcher.register()
    try:
        yield
    finally:
        module._GLOBAL_DISPATCHERS.remove(dispatcher)
