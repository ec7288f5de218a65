"""Objects for Kubernetes, where Kubeflow Trainer names all workers to each.

Trainer's own runtime, ``jax-distributed``, has a worker that fails started again by
itself, and gives up at the sixth such start of all workers together: a group of six is
lost with its first failure. Hence a runtime beside the job, which stops and starts all.
Written for Trainer 2.2, whose JAX runtime sets ``JAX_COORDINATOR_ADDRESS``,
``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``.
"""

import json
from collections.abc import Sequence

from nestrade_lib.cluster.environment import SECRET
from nestrade_lib.cluster.jobs.settings import BACKUP_DIR, check, require_form, template

# DNS subdomains (RFC 1123), quantities without a sign or an exponent, and the grammar of
# github.com/distribution/reference.
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_CLAIM = rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*"
_MEMORY = r"[1-9][0-9]{0,17}([kMGTPE]|[KMGTPE]i)?"
_HOST = r"[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?"
_PART = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_IMAGE = (
    rf"(?=[^@]{{1,255}}(@|\Z))({_HOST}(\.{_HOST})*(:[0-9]+)?/)?{_PART}(/{_PART})*"
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?"
)


def kubeflow_train_job(
    command: Sequence[str],
    nodes: int,
    *,
    image: str,
    claim: str,
    backup_dir: str = "/backups",
    gpus: int = 0,
    cpus: int = 8,
    memory: str = "32Gi",
    hours: float = 24,
    restarts: int = 3,
    name: str = "nestrade",
) -> str:
    """Write a job for Kubernetes with Kubeflow Trainer 2.2 or newer, on JAX.

    Three objects, for ``kubectl apply -f``: a ``NetworkPolicy`` that lets none but the
    workers reach the workers, a ``TrainingRuntime`` that says how they are started,
    mounted and restarted, and the ``TrainJob`` that runs on it. The secret by which
    workers know each other is created once, by the command in the first lines.

    Parameters
    ----------
    command, nodes, gpus, cpus, restarts, name
        As for :func:`slurm_script`.
    image : str
        A container image that holds the script, Nestrade and JAX.
    claim : str
        The persistent volume claim for the checkpoints; all machines write to it, so
        its access mode is ReadWriteMany.
    backup_dir : str
        Where it is mounted. The script reads the path from the environment variable
        ``NESTRADE_BACKUP_DIR``.
    memory : str
        Of each machine, as Kubernetes writes it.
    hours : float
        After which the job is ended for good.

    Returns
    -------
    str
        YAML.

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Examples
    --------
    >>> text = kubeflow_train_job(["python", "train.py"], 4, image="train:1", claim="runs")
    >>> [line for line in text.splitlines() if line.startswith("kind:")]
    ['kind: NetworkPolicy', 'kind: TrainingRuntime', 'kind: TrainJob']
    """
    check(command, nodes, backup_dir, gpus, cpus, hours, restarts, name)
    require_form("backup_dir", backup_dir, "[^:]*", "a path without a colon")
    require_form(
        "image",
        image,
        _IMAGE,
        "a container image such as 'registry.example.org/train:1'",
    )
    require_form("claim", claim, _CLAIM, "the name of a claim")
    require_form("memory", memory, _MEMORY, "a quantity such as '32Gi'")
    return template("kubeflow").format(
        plain_name=name,
        name=_yaml(name),
        nodes=nodes,
        restarts=restarts,
        image=_yaml(image),
        mount_path=_yaml(backup_dir),
        claim=_yaml(claim),
        seconds=round(hours * 3600),
        command=_yaml([_literal(part) for part in command]),
        variable=BACKUP_DIR,
        secret=SECRET,
        backup_dir=_yaml(_literal(backup_dir)),
        cpus=cpus,
        memory=_yaml(memory),
        gpus=f"        nvidia.com/gpu: {gpus}\n" if gpus else "",
    )


def _yaml(value):
    """A string or a list of strings as JSON, which YAML reads."""
    return json.dumps(value, ensure_ascii=False)


def _literal(text):
    """Text that Kubernetes leaves as it is: it would replace ``$(NAME)`` by a value."""
    return text.replace("$", "$$")
