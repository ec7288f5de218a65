"""Choose the engine for what this machine, or this cluster, has."""

import os

import keras

from nestrade_lib.checks import require_seconds, require_whole
from nestrade_lib.cluster.handshake import LIMIT, bind_address, rendezvous
from nestrade_lib.cluster.members import Cluster
from nestrade_lib.engines.engine import Engine

ENGINES = {
    "tensorflow": {"single": "one device", "mirrored": "devices of this machine",
                   "multi-worker": "devices of all workers"},
    "jax": {"single": "one device", "data-parallel": "devices of all workers"},
    "torch": {"single": "one device"},
}  # fmt: skip

_joined = {}  # cluster to the engine that this process has in it: there is one


def start(
    name: str = "auto", devices: int | None = None, limit: float = LIMIT
) -> Engine:
    """Start the engine that networks will be built and trained on.

    Call it before anything else of Keras: backends fix their devices at first use.

    Parameters
    ----------
    name : str
        ``"auto"`` takes all there is: all workers that the environment names (see
        :class:`Cluster`), and all GPUs, or logical devices made by
        :func:`logical_devices`. By name: ``"single"``; on TensorFlow ``"mirrored"``
        and ``"multi-worker"``; on JAX ``"data-parallel"``.
    devices : int, optional
        How many of this machine's devices to use. Each of several workers uses all
        that it sees.
    limit : float
        Seconds to wait for other workers.

    Returns
    -------
    Engine

    Raises
    ------
    ValueError
        If the backend has no such engine or the machine not as many devices, or
        devices are counted where there are several workers.
    Absent, Disagreement
        If a worker does not come, or is to do something else.

    Examples
    --------
    >>> start("single")
    <single: 1 replica>
    """
    backend = keras.backend.backend()
    engines = ENGINES[backend]
    require_seconds("limit", limit)
    if not isinstance(name, str) or name != "auto" and name not in engines:
        raise ValueError(
            f"name: on the {backend} backend expected 'auto' or one of "
            f"{', '.join(map(repr, engines))}, got {name!r}."
        )
    cluster = (
        Cluster() if name in ("single", "mirrored") else Cluster.from_environment()
    )
    if cluster.workers > 1:
        # Backends fix their devices when they join: they cannot be counted before.
        _require(
            devices is None,
            f"devices: the environment names {cluster.workers} workers, each of which "
            f"uses all devices that it sees, got {devices!r}. Leave it out, and hide GPUs "
            "with CUDA_VISIBLE_DEVICES; call logical_devices first to practise.",
        )
        return _join(backend, cluster, limit)
    if name == "multi-worker":
        raise ValueError(
            "name: 'multi-worker' needs other workers, and the environment names none. "
            "Start the script with python -m nestrade_lib.cluster.launch."
        )
    if name == "single":
        _require(devices in (None, 1), f"devices: 'single' uses one, got {devices}.")
        return Engine()
    names = _devices(backend)
    count = len(names) if devices is None else devices
    require_whole("devices", count)
    if count > len(names):
        raise ValueError(
            f"devices: {count} were asked for, and the {backend} backend has "
            f"{len(names)}: {', '.join(names)}. To practise without more, call "
            f"logical_devices({count}) first."
        )
    if count == 1 and name == "auto":
        return Engine()
    if backend == "tensorflow":
        from nestrade_lib.engines.mirrored import Mirrored

        return Mirrored(names[:count])
    from nestrade_lib.engines.data_parallel import DataParallel

    return DataParallel(names[:count])


def logical_devices(count: int) -> None:
    """Split this machine's processor into several devices, to practise on.

    They share its cores: results are those of so many devices, speed is not. GPUs are
    left out of use in this process.

    Parameters
    ----------
    count : int

    Raises
    ------
    RuntimeError
        If the backend has already fixed its devices. Restart Python then.
    ValueError
        If the backend, like PyTorch, has none.
    """
    require_whole("count", count)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        try:
            tf.config.set_visible_devices([], "GPU")
            tf.config.set_logical_device_configuration(
                cpu, [tf.config.LogicalDeviceConfiguration()] * count
            )
        except RuntimeError as error:
            raise _too_late(
                backend, len(tf.config.list_logical_devices("CPU"))
            ) from error
    elif backend == "jax":
        import jax

        try:
            jax.config.update("jax_num_cpu_devices", count)
            jax.config.update("jax_platforms", "cpu")
        except RuntimeError as error:
            raise _too_late(backend, jax.device_count("cpu")) from error
    else:
        raise ValueError(f"The {backend} backend has no logical devices.")


def _too_late(backend, count):
    return RuntimeError(
        f"The {backend} backend has started and has {count} CPU devices. Call "
        "logical_devices before anything is computed or built: restart Python, and make "
        "it the first call."
    )


def _devices(backend):
    """Names of this machine's devices: its accelerators, or else its processor's."""
    if backend == "tensorflow":
        import tensorflow as tf

        for kind in ("GPU", "CPU"):
            devices = tf.config.list_logical_devices(kind)
            if devices:
                return [device.name for device in devices]
    if backend == "jax":
        return keras.distribution.list_devices()
    return [f"{backend}:0"]


def _join(backend, cluster, limit):
    if cluster in _joined:
        return _joined[cluster]
    if backend == "torch":
        raise ValueError(
            f"The environment names {cluster.workers} workers. Keras {keras.__version__} "
            "trains on several only with TensorFlow or JAX: set KERAS_BACKEND."
        )
    rendezvous(cluster, limit=limit)
    if backend == "tensorflow":
        _require(
            all(not address.endswith(":0") for address in cluster.addresses),
            "TensorFlow needs every worker's address, and Kubeflow's JAX runtime names "
            "the chief's only. Use the JAX backend there.",
        )
        os.environ["TF_CONFIG"] = cluster.tf_config
        from nestrade_lib.engines.multi_worker import MultiWorker

        engine = MultiWorker(cluster)
    else:
        import jax

        from nestrade_lib.engines.data_parallel import DataParallel

        if os.environ.get("JAX_PLATFORMS", "") in ("", "cpu"):
            jax.config.update("jax_cpu_collectives_implementation", "gloo")
        # JAX's coordinator would always listen on all of the machine's interfaces.
        os.environ.setdefault("JAX_COORDINATOR_BIND_ADDRESS", bind_address(cluster))
        keras.distribution.initialize(cluster.chief, cluster.workers, cluster.rank)
        engine = DataParallel(cluster=cluster)
    _joined[cluster] = engine
    return engine


def _require(holds, message):
    if not holds:
        raise ValueError(message)
