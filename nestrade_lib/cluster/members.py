"""Who takes part: every worker's address, and which of them this process is.

A cluster is told by the environment, in the words of whoever started the process:
``nestrade_lib.cluster.launch``, TensorFlow's ``TF_CONFIG``, Slurm, or Kubernetes by
Kubeflow Trainer. Without any of them the process is alone.

>>> Cluster.from_environment({})
Cluster(addresses=('127.0.0.1:0',), rank=0)
>>> Cluster.from_environment(
...     {"SLURM_NTASKS": "2", "SLURM_PROCID": "1", "SLURM_JOB_ID": "7",
...      "SLURM_STEP_NODELIST": "n[08-09]", "SLURM_STEP_TASKS_PER_NODE": "1(x2)"}
... )
Cluster(addresses=('n08:20007', 'n09:20007'), rank=1)
"""

import json
import os
import re
from dataclasses import dataclass

from nestrade_lib.checks import is_whole

ADDRESSES, RANK = "NESTRADE_ADDRESSES", "NESTRADE_RANK"
# A host by name or number, or in brackets, with nothing before it.
_ADDRESS = re.compile(r"(?:[^\s/:@\[\]]+|\[[^\s/@\[\]]+\]):([0-9]{1,5})")


@dataclass(frozen=True)
class Cluster:
    """Addresses of all workers, and this one's place among them.

    Attributes
    ----------
    addresses : tuple of str
        ``host:port``, in order of rank. The first is the chief's.
    rank : int

    Examples
    --------
    >>> cluster = Cluster(("10.0.0.1:2222", "10.0.0.2:2222"), 1)
    >>> cluster.workers, cluster.chief
    (2, '10.0.0.1:2222')
    """

    addresses: tuple = ("127.0.0.1:0",)
    rank: int = 0

    @property
    def workers(self):
        """How many there are."""
        return len(self.addresses)

    @property
    def chief(self):
        """Address of the worker of rank 0, which all others can reach."""
        return self.addresses[0]

    @property
    def tf_config(self):
        """The same as TensorFlow wants it (str of JSON)."""
        task = {"type": "worker", "index": self.rank}
        return json.dumps({"cluster": {"worker": list(self.addresses)}, "task": task})

    @classmethod
    def from_environment(cls, environment=None):
        """Read who takes part from the environment.

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
            If what is there is malformed. The message names the variable.
        """
        environment = os.environ if environment is None else environment
        for name, read in _READERS.items():
            if name in environment:
                return _checked(*read(environment), name)
        return cls()


def _from_launcher(environment):
    addresses = environment[ADDRESSES].split(",")
    return addresses, _number(environment, RANK)


def _from_tf_config(environment):
    expected = (
        'TF_CONFIG: expected JSON such as {"cluster": {"worker": ["host:port", ...]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    text = environment["TF_CONFIG"]
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        kinds = dict(cluster.items())
        index, kind = task["index"], task["type"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{expected}, got {text!r}.") from error
    for what, holds in (
        ("a list of addresses a task type", all(map(_is_texts, kinds.values()))),
        ("a text for the task's type", isinstance(kind, str)),
        ("a whole number for its index", is_whole(index, 0) or _is_number(index)),
        ("one chief at most", len(kinds.get("chief", [])) < 2),
    ):
        if not holds:
            raise ValueError(f"{expected}, with {what}, got {text!r}.")
    index = int(index)
    unknown = set(kinds) - {"chief", "worker"}
    if unknown or kind not in kinds:
        raise ValueError(
            f"{expected}, got {text!r}. Its tasks may be 'chief' and 'worker': parameter "
            "servers and evaluators are not supported by Keras 3."
        )
    chiefs = kinds.get("chief", [])
    rank = index if kind == "chief" else len(chiefs) + index
    if index >= len(kinds[kind]):
        raise ValueError(
            f"{expected}, got {text!r}: there are {len(kinds[kind])} tasks {kind!r}, so "
            f"no index {index}."
        )
    return chiefs + kinds.get("worker", []), rank


def _from_slurm(environment):
    tasks = _number(environment, "SLURM_NTASKS")
    if tasks == 1:
        return ["127.0.0.1:0"], 0
    names = "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"
    name = next((n for n in names if n in environment), names[0])
    try:
        nodes = _expanded(environment.get(name, ""))
    except ValueError as error:
        raise ValueError(
            f"{name}: expected nodes as Slurm lists them, such as n[08-09],m1, got "
            f"{environment[name]!r}."
        ) from error
    names = "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"
    counts = _counts(next((environment[n] for n in names if n in environment), ""))
    if len(nodes) != len(counts) or sum(counts) != tasks:
        raise ValueError(
            f"Slurm: expected {tasks} tasks (SLURM_NTASKS) on the nodes that it lists, "
            f"got {counts} tasks on {nodes}. Start workers with srun."
        )
    # Jobs that share a node get ports of their own.
    port = 20000 + _number(environment, "SLURM_JOB_ID") % 20000
    addresses = [
        f"{node}:{port + local}"
        for node, count in zip(nodes, counts)
        for local in range(count)
    ]
    return addresses, _number(environment, "SLURM_PROCID")


def _from_kubeflow(environment):
    workers = _number(environment, "JAX_NUM_PROCESSES")
    chief, port = (
        environment.get(f"JAX_COORDINATOR_{what}", "") for what in ("ADDRESS", "PORT")
    )
    chief = f"{chief}:{port}" if port and ":" not in chief else chief
    if not _ADDRESS.fullmatch(chief):
        raise ValueError(
            "JAX_COORDINATOR_ADDRESS: expected the chief's host:port, or its host beside "
            f"a JAX_COORDINATOR_PORT, got {chief!r}."
        )
    # JAX needs to know the chief alone; the others' places are their ranks.
    others = [f"worker-{rank}:0" for rank in range(1, workers)]
    return [chief, *others], _number(environment, "JAX_PROCESS_ID")


_READERS = {
    ADDRESSES: _from_launcher,
    "TF_CONFIG": _from_tf_config,
    "JAX_NUM_PROCESSES": _from_kubeflow,
    "SLURM_PROCID": _from_slurm,
}


def _checked(addresses, rank, name):
    told = addresses
    if name == "JAX_NUM_PROCESSES" or len(addresses) == 1:
        told = [x for x in addresses if not x.endswith(":0")]  # nobody goes there
    for address in told:
        found = _ADDRESS.fullmatch(address)
        if not found or not 0 < int(found[1]) < 65536:
            raise ValueError(
                f"{name}: expected addresses host:port, the port from 1 to 65535, got "
                f"{address!r} among {', '.join(map(repr, addresses))}."
            )
    twice = {a for a in addresses if addresses.count(a) > 1}
    if twice:
        raise ValueError(
            f"{name}: expected an address of its own for each worker, got "
            f"{', '.join(sorted(twice))} more than once."
        )
    if not 0 <= rank < len(addresses):
        raise ValueError(
            f"{name}: expected a rank below the number of workers, {len(addresses)}, "
            f"got {rank}."
        )
    return Cluster(tuple(addresses), rank)


def _number(environment, name):
    text = environment.get(name, "")
    if not _is_number(text):
        raise ValueError(f"{name}: expected a whole number, got {text!r}.")
    return int(text)


def _is_number(text):
    return isinstance(text, str) and text.isascii() and text.isdigit()


def _is_texts(values):
    return isinstance(values, list) and all(isinstance(x, str) for x in values)


def _expanded(nodes):
    """``a[1-2,07],b`` as Slurm writes it: a1, a2, a07, b."""
    found = []
    for part in re.findall(r"[^,\[]+(?:\[[^\]]*\][^,\[]*)*", nodes):
        names = [""]
        for text, ranges in re.findall(r"([^\[\]]+)|\[([^\]]*)\]", part):
            ends = [text] if text else [n for r in ranges.split(",") for n in _range(r)]
            names = [name + end for name in names for end in ends]
        found += names
    return found


def _range(text):
    first, _, last = text.partition("-")
    return [str(n).zfill(len(first)) for n in range(int(first), int(last or first) + 1)]


def _counts(text):
    """``2(x3),1`` as Slurm writes it: 2, 2, 2, 1."""
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(tasks) for tasks, times in found for _ in range(int(times or 1))]
