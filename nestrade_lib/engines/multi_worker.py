"""TensorFlow on the devices of several machines: ``tf.distribute`` once more."""

import contextlib

import tensorflow as tf

from nestrade_lib.engines.mirrored import Mirrored


class MultiWorker(Mirrored):
    """The devices of several machines, under ``MultiWorkerMirroredStrategy``.

    Parameters
    ----------
    cluster : nestrade_lib.cluster.Cluster
        Its ``tf_config`` has to be in the environment.
    """

    name = "multi-worker"

    def __init__(self, cluster):
        self.workers, self.rank = cluster.workers, cluster.rank
        with _all_processors():
            self._use(tf.distribute.MultiWorkerMirroredStrategy())


@contextlib.contextmanager
def _all_processors():
    """TensorFlow takes all GPUs of a worker, but of its logical processors one."""
    from tensorflow.python.distribute import collective_all_reduce_strategy as module

    extended = module.CollectiveAllReduceExtended
    find = extended._initialize_local_devices

    def find_all(self, cluster_resolver, worker_device):
        devices, kind = find(self, cluster_resolver, worker_device)
        if kind == "CPU":
            count = len(tf.config.get_logical_device_configuration(_processor()) or [0])
            devices = tuple(f"{worker_device}/device:CPU:{n}" for n in range(count))
        return devices, kind

    extended._initialize_local_devices = find_all
    try:
        yield
    finally:
        extended._initialize_local_devices = find


def _processor():
    return tf.config.list_physical_devices("CPU")[0]
