"""Files with which Slurm and Kubernetes start the workers, and start them again.

    python -m nestrade_lib.cluster.jobs slurm --nodes 4 --gpus 8 \\
        --backup-dir /shared/run-1 train.py --epochs 90 > train.sbatch
    python -m nestrade_lib.cluster.jobs kubernetes --nodes 4 --gpus 8 \\
        --image registry.example.org/train:1 --claim backups train.py > train.yaml

Both run one worker a machine, with all its GPUs, and do what
:mod:`nestrade_lib.cluster.launch` does at home: where one worker ends, all are stopped
and started again. The script finds the others with :func:`nestrade_lib.engines.start`
and goes on from its last checkpoint, if it says so:

    trainer.fit(..., backup_dir=os.environ.get("NESTRADE_BACKUP_DIR"))

Both clusters send SIGTERM before they kill what is left, 30 s later by default (``KillWait``
of Slurm, ``terminationGracePeriodSeconds`` of Kubernetes). A run with a backup then ends
after its step, with code 143; if its steps, or its validation, take longer than that, it
goes on from the end of the epoch before.
"""

from nestrade_lib.cluster.jobs.kubeflow import kubeflow_train_job
from nestrade_lib.cluster.jobs.slurm import slurm_script

__all__ = ["kubeflow_train_job", "slurm_script"]
