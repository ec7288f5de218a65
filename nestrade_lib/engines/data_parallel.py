"""JAX on several devices of one machine, or of many: ``keras.distribution``.

JAX compiles one global computation and splits it by the batch axis. Batch norms,
dropout, clipping and accumulation therefore are those of one device, to rounding, and
Keras' own loop can be used as it is.
"""

import contextlib

import keras
import numpy as np

from nestrade_lib.engines.engine import Engine


class DataParallel(Engine):
    """Devices of this process, or of all processes of a cluster.

    Parameters
    ----------
    devices : sequence of str, optional
        Keras' names, such as ``"cpu:0"``; all devices of all processes by default.
    cluster : nestrade_lib.cluster.Cluster, optional
        Where ``keras.distribution.initialize`` has been called for it.
    """

    name = "data-parallel"

    def __init__(self, devices=None, cluster=None):
        devices = list(devices or keras.distribution.list_devices())
        self.replicas = len(devices)
        if cluster is not None:
            self.workers, self.rank = cluster.workers, cluster.rank
        mesh = keras.distribution.DeviceMesh((self.replicas,), ("batch",), devices)
        # Each worker gives its shard of a batch.
        self.distribution = keras.distribution.DataParallel(
            device_mesh=mesh, auto_shard_dataset=False
        )

    def scope(self):
        return self.distribution.scope()

    def cut_scope(self):
        return self.scope()

    def prepare(self, network):
        variables = [*network.variables, *network.optimizer.variables]
        outside = [v.path for v in variables if not _is_everywhere(v, self.replicas)]
        if outside:
            raise ValueError(
                f"Network {network.name!r} was built or compiled outside this engine's "
                f"scope: {outside[0]!r} is on one device only. Build and compile it inside "
                "`with engine.scope():`."
            )

    def fit(self, network, callback, epoch, **data):
        if data.get("batch_size"):
            data["batch_size"] //= self.workers
        with self.scope():
            super().fit(network, callback, epoch, **data)

    def evaluate(self, network, callbacks=None, **data):
        with _unsharded():
            return super().evaluate(network, callbacks, **data)

    def predict(self, network, x, **options):
        with _unsharded():
            return super().predict(network, x, **options)

    def gather(self, numbers):
        if self.workers == 1:
            return super().gather(numbers)
        from jax.experimental import multihost_utils

        return np.asarray(
            multihost_utils.process_allgather(np.asarray(numbers, "int32"))
        )


@contextlib.contextmanager
def _unsharded():
    """All devices compute the same, so that batches of every size will do."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def _is_everywhere(variable, replicas):
    return len(variable.value.sharding.device_set) == replicas
