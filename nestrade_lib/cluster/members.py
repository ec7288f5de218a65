"""The members of a cluster: every worker's address, and which of them this process is.

>>> Cluster.from_environment({})
Cluster(addresses=('127.0.0.1:0',), rank=0)
>>> Cluster.from_environment(
...     {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_ID": "7",
...      "SLURM_STEP_NODELIST": "n[08-09]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
... )
Cluster(addresses=('n08:20007', 'n09:20007'), rank=1)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from nestrade_lib.checks import is_list_of, is_whole, require
from nestrade_lib.cluster.environment import members_of


@dataclass(frozen=True)
class Cluster:
    """Addresses of all workers, and this one's place among them.

    Attributes
    ----------
    addresses : tuple of str
        ``host:port``, in order of rank. The first is the chief's.
    rank : int

    Raises
    ------
    ValueError
        If there are no addresses, or the rank is not one of theirs.

    Examples
    --------
    >>> cluster = Cluster(("10.0.0.1:2222", "10.0.0.2:2222"), 1)
    >>> cluster.workers, cluster.chief
    (2, '10.0.0.1:2222')
    """

    addresses: tuple = ("127.0.0.1:0",)
    rank: int = 0

    def __post_init__(self):
        is_list = isinstance(self.addresses, tuple) and is_list_of(str, self.addresses)
        expected = "a tuple of host:port"
        require(is_list and self.addresses, "addresses", expected, self.addresses)
        holds = is_whole(self.rank, 0) and self.rank < len(self.addresses)
        require(holds, "rank", f"one below {len(self.addresses)}", self.rank)

    @property
    def workers(self) -> int:
        """Number of workers."""
        return len(self.addresses)

    @property
    def chief(self) -> str:
        """Address of the worker of rank 0, which all others can reach."""
        return self.addresses[0]

    @property
    def tf_config(self) -> str:
        """The cluster in TensorFlow's format (str of JSON)."""
        task = {"type": "worker", "index": self.rank}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Cluster:
        """Read the members from what started this process.

        That is ``nestrade_lib.cluster.launch``, TensorFlow's ``TF_CONFIG``, Slurm, or
        Kubeflow Trainer on Kubernetes; without any of them the process is alone.

        Parameters
        ----------
        environment : mapping of str to str, optional
            ``os.environ`` by default.

        Returns
        -------
        Cluster

        Raises
        ------
        ValueError
            If a variable is malformed. The message names it.
        """
        members = members_of(os.environ if environment is None else environment)
        return cls() if members is None else cls(*members)
