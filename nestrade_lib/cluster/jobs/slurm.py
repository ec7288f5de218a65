"""A batch script for Slurm, whose variables (``SLURM_*``) name all workers to each."""

import shlex
from collections.abc import Sequence

from nestrade_lib.checks import require
from nestrade_lib.cluster.environment import SECRET
from nestrade_lib.cluster.jobs.settings import BACKUP_DIR, check, template

BACKENDS = "tensorflow", "jax"


def slurm_script(
    command: Sequence[str],
    nodes: int,
    *,
    backup_dir: str,
    gpus: int = 0,
    cpus: int = 8,
    hours: float = 24,
    restarts: int = 3,
    name: str = "nestrade",
    backend: str = "tensorflow",
) -> str:
    """Write a batch script for Slurm.

    What else a site asks for, such as a partition or an account, ``sbatch`` takes on
    its command line.

    Parameters
    ----------
    command : sequence of str
        Program and arguments, as :func:`nestrade_lib.cluster.launch.launch` takes them.
    nodes : int
        Machines, with a worker on each.
    backup_dir : str
        A folder that all machines see, absolute; the script reads it from the
        environment variable ``NESTRADE_BACKUP_DIR``.
    gpus, cpus : int
        Of each machine. Without GPUs the processors compute.
    hours : float
        Time limit. A minute before, the job goes back into the queue.
    restarts : int
        How often all workers are started again after one of them has failed, and how
        often the job goes back into the queue.
    name : str
        Lower-case letters, digits and hyphens, at most 40.
    backend : str
        "tensorflow" or "jax".

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it.

    Examples
    --------
    >>> script = slurm_script(["python", "train.py"], 4, backup_dir="/shared/1", gpus=8)
    >>> for line in script.splitlines()[2:7]:
    ...     print(line)
    #SBATCH --nodes=4
    #SBATCH --ntasks-per-node=1
    #SBATCH --cpus-per-task=8
    #SBATCH --gpus-per-node=8
    #SBATCH --time=24:00:00
    """
    check(command, nodes, backup_dir, gpus, cpus, hours, restarts, name)
    expected = f"one of {', '.join(map(repr, BACKENDS))}"
    require(backend in BACKENDS, "backend", expected, backend)
    minutes, seconds = divmod(round(hours * 3600), 60)
    return template("slurm").format(
        name=name,
        nodes=nodes,
        cpus=cpus,
        gpus=f"#SBATCH --gpus-per-node={gpus}\n" if gpus else "",
        time=f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}",
        backend=backend,
        variable=BACKUP_DIR,
        secret=SECRET,
        backup_dir=shlex.quote(backup_dir),
        restarts=restarts,
        command=shlex.join(command),
    )
