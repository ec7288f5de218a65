"""What the environment says of a cluster, in the formats of those that start workers."""

import itertools
import json
import re

from nestrade_lib.checks import is_whole, require

ADDRESSES, RANK = "NESTRADE_ADDRESSES", "NESTRADE_RANK"
SECRET = (
    "NESTRADE_SECRET"  # random text, the same for all workers and known to no other
)
# A host by name or number, or in brackets, with nothing before it.
_ADDRESS = re.compile(r"(?:[^\s/:@\[\]]+|\[[^\s/@\[\]]+\]):([0-9]{1,5})")


def members_of(environment):
    """Addresses of all workers (tuple) and this one's rank; None where it is alone."""
    for name, read in _READERS.items():
        if name in environment and (found := read(environment)):
            addresses, rank = found
            _require_members(addresses, rank, name)
            return tuple(addresses), rank
    return None


def _from_launcher(environment):
    return environment[ADDRESSES].split(","), _number(environment, RANK)


def _from_tf_config(environment):
    text = environment["TF_CONFIG"]

    def refuse(reason="", cause=None):
        raise ValueError(
            'TF_CONFIG: expected JSON such as {"cluster": {"worker": ["host:port", ...]}, '
            f'"task": {{"type": "worker", "index": 0}}}}{reason}, got {text!r}.'
        ) from cause

    try:
        config = json.loads(text or "{}")
        if isinstance(config, dict) and "cluster" not in config:
            return None  # of one machine, as managed platforms set it
        tasks = dict(config["cluster"].items())
        kind, index = config["task"]["type"], config["task"]["index"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        refuse(cause=error)
    if not all(map(_is_list_of_texts, tasks.values())):
        refuse(", with a list of addresses a task type")
    if not isinstance(kind, str):
        refuse(", with a text for the task's type")
    if not (is_whole(index, 0) or _is_digits(index)):
        refuse(", with a whole number for its index")
    if set(tasks) - {"chief", "worker"} or kind not in tasks:
        refuse(
            ", its tasks 'chief' and 'worker' (Keras 3 supports no parameter servers "
            "and evaluators)"
        )
    chiefs, index = tasks.get("chief", []), int(index)
    if len(chiefs) > 1:
        refuse(", with one chief at most")
    if index >= len(tasks[kind]):
        refuse(f" (of {len(tasks[kind])} tasks {kind!r}, so no index {index})")
    rank = index if kind == "chief" else len(chiefs) + index
    return chiefs + tasks.get("worker", []), rank


def _from_slurm(environment):
    names = "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_NPROCS"
    told = [name for name in names if name in environment]
    # A script that sbatch runs, and not srun, has no number unless one was asked for.
    tasks = _number(environment, told[0]) if told else 1
    if tasks == 1:
        return ["127.0.0.1:0"], 0
    name, text = _first(
        environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST"
    )
    try:
        nodes = _expand_nodes(text)
    except ValueError as error:
        raise ValueError(
            f"{name}: expected nodes as Slurm lists them, such as n[08-09],m1, got "
            f"{text!r}."
        ) from error
    _, text = _first(environment, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    counts = _expand_counts(text)
    if len(nodes) != len(counts) or sum(counts) != tasks:
        raise ValueError(
            f"Slurm: expected {tasks} tasks (SLURM_NTASKS) on the nodes that it lists, "
            f"got {counts} tasks on {nodes}. Start workers with srun."
        )
    # Jobs that share a node get ports of their own.
    port = 20000 + _number(environment, "SLURM_JOB_ID") % 20000
    places = [
        (node, local) for node, count in zip(nodes, counts) for local in range(count)
    ]
    # Ranks go node by node, or in turn: one to each node, or some (srun --distribution).
    in_turn = _tasks_in_turn(environment) or tasks
    places.sort(key=lambda place: place[1] // in_turn)
    addresses = [f"{node}:{port + local}" for node, local in places]
    return addresses, _number(environment, "SLURM_PROCID")


def _tasks_in_turn(environment):
    """How many tasks a node gets before the next one has its turn; 0 for all of them."""
    kind, _, size = environment.get("SLURM_DISTRIBUTION", "").partition("=")
    if kind == "plane":
        return (
            int(size)
            if _is_digits(size)
            else _number(environment, "SLURM_DIST_PLANESIZE")
        )
    return int(kind.split(":")[0] == "cyclic")


def _from_kubeflow(environment):
    workers = _number(environment, "JAX_NUM_PROCESSES")
    chief = environment.get("JAX_COORDINATOR_ADDRESS", "")
    port = environment.get("JAX_COORDINATOR_PORT", "")
    chief = f"{chief}:{port}" if port and ":" not in chief else chief
    expected = "the chief's host:port, or its host beside a JAX_COORDINATOR_PORT"
    require(_ADDRESS.fullmatch(chief), "JAX_COORDINATOR_ADDRESS", expected, chief)
    # JAX needs the chief's address alone; the others' places are their ranks.
    others = [f"worker-{rank}:0" for rank in range(1, workers)]
    return [chief, *others], _number(environment, "JAX_PROCESS_ID")


_READERS = {
    ADDRESSES: _from_launcher,
    "TF_CONFIG": _from_tf_config,
    "JAX_NUM_PROCESSES": _from_kubeflow,
    "SLURM_PROCID": _from_slurm,
}


def _require_members(addresses, rank, name):
    """Refuse addresses that cannot be reached or told apart, and a rank outside."""
    reached = addresses
    if name == "JAX_NUM_PROCESSES" or len(addresses) == 1:
        reached = [x for x in addresses if not x.endswith(":0")]
    for address in reached:
        match = _ADDRESS.fullmatch(address)
        if not match or not 0 < int(match[1]) < 65536:
            raise ValueError(
                f"{name}: expected addresses host:port, the port from 1 to 65535, got "
                f"{address!r} among {', '.join(map(repr, addresses))}."
            )
    repeated = {a for a in addresses if addresses.count(a) > 1}
    if repeated:
        raise ValueError(
            f"{name}: expected an address of its own for each worker, got "
            f"{', '.join(sorted(repeated))} more than once."
        )
    if not 0 <= rank < len(addresses):
        raise ValueError(
            f"{name}: expected a rank below the number of workers, {len(addresses)}, "
            f"got {rank}."
        )


def _number(environment, name):
    text = environment.get(name, "")
    require(_is_digits(text), name, "a whole number", text)
    return int(text)


def _is_digits(text):
    return isinstance(text, str) and text.isascii() and text.isdigit()


def _is_list_of_texts(values):
    return isinstance(values, list) and all(isinstance(x, str) for x in values)


def _first(environment, *names):
    """The first of several variables that is there: its name and value."""
    name = next((name for name in names if name in environment), names[0])
    return name, environment.get(name, "")


def _expand_nodes(text):
    """``a[1-2,07],b`` in Slurm's notation: a1, a2, a07, b."""
    nodes = []
    for entry in re.findall(r"[^,\[]+(?:\[[^\]]*\][^,\[]*)*", text):
        pieces = [
            [plain]
            if plain
            else [n for part in ranges.split(",") for n in _range(part)]
            for plain, ranges in re.findall(r"([^\[\]]+)|\[([^\]]*)\]", entry)
        ]
        nodes += map("".join, itertools.product(*pieces))
    return nodes


def _range(text):
    first, _, last = text.partition("-")
    return [str(n).zfill(len(first)) for n in range(int(first), int(last or first) + 1)]


def _expand_counts(text):
    """``2(x3),1`` in Slurm's notation: 2, 2, 2, 1."""
    counts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(tasks) for tasks, times in counts for _ in range(int(times or 1))]
