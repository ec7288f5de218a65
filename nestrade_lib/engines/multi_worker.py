"""TensorFlow on the devices of several machines: ``tf.distribute`` once more."""

import tensorflow as tf

from nestrade_lib.engines.mirrored import Mirrored
from nestrade_lib.tensorflow_internals import all_processors


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
        with all_processors():
            self._use(tf.distribute.MultiWorkerMirroredStrategy())
