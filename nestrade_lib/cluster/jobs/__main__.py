"""The command line: ``python -m nestrade_lib.cluster.jobs``."""

import argparse

from nestrade_lib.cluster.jobs.kubeflow import kubeflow_train_job
from nestrade_lib.cluster.jobs.slurm import BACKENDS, slurm_script


def _parser():
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--nodes", type=int, required=True, help="machines")
    shared.add_argument("--gpus", type=int, default=0, help="of each machine")
    shared.add_argument("--cpus", type=int, default=8, help="of each machine")
    shared.add_argument("--hours", type=float, default=24, help="time limit")
    shared.add_argument("--restarts", type=int, default=3)
    shared.add_argument("--name", default="nestrade")
    parser = argparse.ArgumentParser(
        prog="python -m nestrade_lib.cluster.jobs",
        description="Write the file with which a cluster starts the workers.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    slurm = kinds.add_parser("slurm", parents=[shared], help="a script for sbatch")
    slurm.add_argument("--backup-dir", required=True, help="seen by all machines")
    slurm.add_argument("--backend", choices=BACKENDS, default="tensorflow")
    kubernetes = kinds.add_parser(
        "kubernetes", parents=[shared], help="objects for kubectl, on JAX"
    )
    kubernetes.add_argument("--image", required=True, help="container image")
    kubernetes.add_argument("--claim", required=True, help="volume for checkpoints")
    kubernetes.add_argument("--backup-dir", default="/backups", help="its place")
    kubernetes.add_argument("--memory", default="32Gi", help="of each machine")
    for kind in (slurm, kubernetes):
        kind.add_argument("script")
        kind.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def main(arguments=None):
    """Read the command line, and print the file."""
    parser = _parser()
    settings = vars(parser.parse_args(arguments))
    write = {"slurm": slurm_script, "kubernetes": kubeflow_train_job}
    write = write[settings.pop("kind")]
    command = ["python", settings.pop("script"), *settings.pop("arguments")]
    try:
        print(write(command, settings.pop("nodes"), **settings), end="")
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
