"""One interface for one device, several, and several machines.

    engine = start()                          # what this machine, or this cluster, has
    with engine.scope():
        network = create_model((28, 28, 1), 10)
        network.compile("adam", create_loss())
    Nestrade(network, 0.1, engine=engine).fit(x, y, batch_size=256)

A batch size is always that of the *global* batch, which the replicas share: the same
numbers train the same network, to rounding, unless rounding flips a decision. An
:class:`Engine` alone is one device. Those for many are in ``mirrored.py`` (TensorFlow)
and ``data_parallel.py`` (JAX); what Keras does not get right there, each repairs or
refuses.
"""

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager

import keras
import numpy as np
from numpy.typing import ArrayLike

from nestrade_lib.cluster.digest import digest
from nestrade_lib.cluster.handshake import Disagreement


class Engine:
    """One device.

    Attributes
    ----------
    name : str
    replicas : int
        Devices, on all machines, that each train on their shard of every batch.
    workers, rank : int
        Processes, and this one's place among them; 0 is the chief's.

    Examples
    --------
    >>> engine = Engine()
    >>> engine.name, engine.replicas, engine.is_chief
    ('single', 1, True)
    """

    name = "single"
    replicas = 1
    workers = 1
    rank = 0

    def __repr__(self) -> str:
        machines = f", worker {self.rank} of {self.workers}" * (self.workers > 1)
        several = "s" * (self.replicas > 1)
        return f"<{self.name}: {self.replicas} replica{several}{machines}>"

    @property
    def is_chief(self) -> bool:
        """Whether this worker writes what one alone must write."""
        return self.rank == 0

    def scope(self) -> AbstractContextManager:
        """Build and compile networks inside ``with engine.scope():``."""
        return contextlib.nullcontext()

    def cut_scope(self) -> AbstractContextManager:
        """Cut networks inside it. Surgery itself enters the scope of a strategy."""
        return contextlib.nullcontext()

    def prepare(self, network: keras.Model) -> None:
        """Repair, or refuse, what this engine would compute differently from one device.

        Parameters
        ----------
        network : keras.Model

        Raises
        ------
        ValueError
            With the reason and the way out.
        """

    def check_loss(self, network: keras.Model, batch: tuple) -> None:
        """Refuse a loss whose sum over this engine's replicas is not its value on one device.

        Parameters
        ----------
        network : keras.Model
            Prepared; left as it was.
        batch : tuple
            ``(x, y, sample_weight)`` as far as given: a global batch.

        Raises
        ------
        ValueError
            With the reason and the ways out.
        """

    def release(self, network: keras.Model) -> None:
        """Leave a network as one device knows it, when its training has ended."""

    def check_batch(self, batch_size: int) -> None:
        """Refuse a global batch that the replicas cannot share equally.

        Raises
        ------
        ValueError
        """
        if batch_size % self.replicas:
            below = batch_size // self.replicas * self.replicas
            near = f"{below} or {below + self.replicas}" if below else self.replicas
            raise ValueError(
                f"batch_size: {self.replicas} replicas share each global batch equally, "
                f"so expected a multiple of {self.replicas}, got {batch_size}. Take {near}."
            )

    def shard(self, batch: np.ndarray) -> np.ndarray:
        """This worker's shard of an array that holds a global batch."""
        size = len(batch) // self.workers
        return batch[self.rank * size : (self.rank + 1) * size]

    def fit(
        self,
        network: keras.Model,
        callback: keras.callbacks.Callback,
        epoch: int,
        **data,
    ) -> None:
        """Train on these batches, as part of an epoch.

        Parameters
        ----------
        network : keras.Model
        callback : keras.callbacks.Callback
        epoch : int
        **data
            As ``Source.take`` gives it.
        """
        if keras.backend.backend() == "tensorflow" and "batch_size" not in data:
            from nestrade_lib.engines.feeding import as_dataset

            data["x"] = as_dataset(data["x"])
        network.fit(
            **data,
            epochs=epoch + 1,
            initial_epoch=epoch,
            verbose=0,
            callbacks=[callback],
        )

    def evaluate(self, network: keras.Model, callbacks=None, **data) -> dict:
        """As Keras' ``evaluate``, all data being given to each worker (dict)."""
        return network.evaluate(
            **data, callbacks=callbacks, verbose=0, return_dict=True
        )

    def predict(self, network: keras.Model, x, **options) -> np.ndarray:
        """As Keras' ``predict``, all data being given to each worker."""
        return network.predict(x, **options)

    # Between workers ----------------------------------------------------------

    def gather(self, numbers: ArrayLike) -> np.ndarray:
        """Give every worker's numbers to every worker.

        Parameters
        ----------
        numbers : ndarray of int32, shape (n,)

        Returns
        -------
        ndarray of int32, shape (workers, n)
        """
        return np.asarray(numbers, "int32")[None]

    def assert_equal(self, what: str, *values) -> None:
        """Make sure that all workers have the same.

        Parameters
        ----------
        what : str
            Named in the error.
        *values : array, str or number

        Raises
        ------
        Disagreement
        """
        self.assert_all_equal({what: values})

    def assert_all_equal(self, parts: Mapping[str, object]) -> None:
        """Make sure that all workers have the same of each of several parts.

        Parameters
        ----------
        parts : dict of str to nested arrays, str or numbers
            By the names that the error lists; the same names on all workers.

        Raises
        ------
        Disagreement
        """
        if self.workers == 1:
            return
        mine = np.frombuffer(b"".join(map(digest, parts.values())), "int32")
        digests = self.gather(mine).reshape(self.workers, len(parts), -1)
        differs = (digests != digests[0]).any(axis=-1)
        if differs.any():
            what = [name for name, one in zip(parts, differs.any(axis=0)) if one]
            others = map(str, np.flatnonzero(differs.any(axis=1)))
            raise Disagreement(
                f"Workers differ in {', '.join(what)}: worker {', '.join(others)} from the "
                "chief. Give all of them the same code, settings, data and seed, also for "
                "what data sets shuffle by themselves; a training loop of one's own needs "
                "an all-reduce of the gradients."
            )

    def broadcast(self, numbers: ArrayLike) -> np.ndarray:
        """The chief's numbers, on every worker (ndarray of int32)."""
        return self.gather(numbers)[0]
