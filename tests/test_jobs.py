"""What is written for Slurm and Kubernetes is what they take, and starts the workers."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nestrade_lib.cluster import Cluster
from nestrade_lib.cluster.jobs import kubeflow_train_job, slurm_script
from nestrade_lib.cluster.jobs.__main__ import main
from tests.support.job_schemas import NETWORK_POLICY, RUNTIME, SBATCH, TRAIN_JOB

words = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20
)
common = dict(
    command=st.lists(words, min_size=1, max_size=5),
    nodes=st.integers(1, 2000),
    gpus=st.integers(0, 16),
    cpus=st.integers(1, 256),
    hours=st.floats(0.05, 8760),
    restarts=st.integers(0, 100),
    name=st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True),
    backup_dir=words.map(lambda word: "/runs" + word.replace(":", "")),
)


@settings(deadline=None, max_examples=60)
@given(
    st.fixed_dictionaries(
        common
        | {"claim": st.just("runs"), "image": st.sampled_from(["a", "r.e:5/t/x@sha256:" + "0a" * 32])}
    )
)  # fmt: skip
def test_kubernetes_takes_every_job(options):
    policy, runtime, job = yaml.safe_load_all(kubeflow_train_job(**options))
    jsonschema.validate(policy, NETWORK_POLICY)
    (rule,) = policy["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": policy["spec"]["podSelector"]}]
    (owner,) = policy["spec"]["podSelector"]["matchLabels"].values()
    assert owner == job["metadata"]["name"] == options["name"]
    jsonschema.validate(runtime, RUNTIME)
    jsonschema.validate(job, TRAIN_JOB)
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    pod = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
    (mount,) = pod["template"]["spec"]["containers"][0]["volumeMounts"]
    trainer = job["spec"]["trainer"]
    assert mount["mountPath"] == options["backup_dir"]
    # Kubernetes reads $$ as $.
    assert [part.replace("$$", "$") for part in trainer["command"]] == options[
        "command"
    ]
    told = {entry["name"]: entry.get("value") for entry in trainer["env"]}
    assert told["NESTRADE_SECRET"] is None  # it is no part of the file
    assert told["KERAS_BACKEND"] == "jax"
    assert told["NESTRADE_BACKUP_DIR"].replace("$$", "$") == options["backup_dir"]
    gpus = trainer["resourcesPerNode"]["limits"].get("nvidia.com/gpu", 0)
    assert gpus == options["gpus"]


def test_what_kubeflow_sets_for_it_gives_the_workers():
    # As kubeflow/trainer, pkg/runtime/framework/plugins/jax/jax.go, sets them.
    *_, job = yaml.safe_load_all(
        kubeflow_train_job(["x"], 3, image="i", claim="c", name="run-1")
    )
    name, workers = job["metadata"]["name"], job["spec"]["trainer"]["numNodes"]
    for rank in range(workers):
        cluster = Cluster.from_environment(
            {
                "JAX_NUM_PROCESSES": str(workers),
                "JAX_PROCESS_ID": str(rank),
                "JAX_COORDINATOR_ADDRESS": f"{name}-node-0-0.{name}:29500",
                "JAX_COORDINATOR_PORT": "29500",
            }
        )
        assert (cluster.workers, cluster.rank) == (3, rank)
        assert cluster.chief == "run-1-node-0-0.run-1:29500"


@settings(deadline=None, max_examples=60)
@given(
    st.fixed_dictionaries(common | {"backend": st.sampled_from(["tensorflow", "jax"])})
)
def test_slurm_takes_every_script(options):
    script = slurm_script(**options)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    found = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", script, re.M))
    assert len(found) == script.count("#SBATCH") and set(found) <= SBATCH
    assert int(found["nodes"]) == options["nodes"]
    assert int(found.get("gpus-per-node", 0)) == options["gpus"]
    h, m, s = map(int, found["time"].split(":"))
    assert abs(h * 3600 + m * 60 + s - options["hours"] * 3600) <= 0.5
    (line,) = (line for line in script.splitlines() if "srun" in line)
    assert shlex.split(line)[3:-1] == options["command"]


# Stands for srun: a process for each task, told what Slurm tells it; the end of one is
# the end of all. It fails as often as the file FAIL has lines.
SRUN = """\
#!{python}
import os, subprocess, sys
assert sys.argv[1:3] == ["--kill-on-bad-exit=1", "--label"], sys.argv
open("starts", "a").write("start\\n")
fail = open("fail").read().split() if os.path.exists("fail") else []
if fail:
    open("fail", "w").write("\\n".join(fail[1:]))
    sys.exit(137)
tasks = int(os.environ["SLURM_NTASKS"])
for rank in range(tasks):
    subprocess.run(sys.argv[3:], check=True, env=os.environ | {{
        "SLURM_PROCID": str(rank), "SLURM_STEP_NODELIST": f"gpu[08-{{7 + tasks:02}}]",
        "SLURM_STEP_TASKS_PER_NODE": f"1(x{{tasks}})"}})
"""
WORKER = """\
import os
from nestrade_lib.cluster import Cluster
print(*Cluster.from_environment().addresses, Cluster.from_environment().rank,
      os.environ["KERAS_BACKEND"], os.environ["NESTRADE_BACKUP_DIR"])
open("secrets", "a").write(os.environ["NESTRADE_SECRET"] + "\\n")
"""


def start(folder, script, **environment):
    for name, text in {
        "srun": SRUN.format(python=sys.executable),
        "scontrol": '#!/bin/bash\necho "scontrol $*"\n',
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    # What Slurm sets in the batch script itself.
    environment = {
        "SLURM_JOB_ID": "7", "SLURM_NTASKS": "3", "SLURM_CPUS_PER_TASK": "8",
        "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": os.getcwd(),
    } | environment  # fmt: skip
    return subprocess.Popen(
        ["bash", "-c", script],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_script_starts_workers_that_know_of_each_other(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "worker.py"]
    script = slurm_script(command, 3, backup_dir="/shared/a b", backend="jax")
    process = start(tmp_path, script)
    out, _ = process.communicate(timeout=60)
    addresses = "gpu08:20007 gpu09:20007 gpu10:20007"
    assert process.returncode == 0
    assert out.splitlines() == [f"{addresses} {n} jax /shared/a b" for n in range(3)]
    (secret,) = set((tmp_path / "secrets").read_text().split())
    assert re.fullmatch("[0-9a-f]{64}", secret)


@pytest.mark.parametrize(("failures", "starts", "code"), [(2, 3, 0), (9, 3, 1)])
def test_all_are_started_again_after_a_failure(tmp_path, failures, starts, code):
    (tmp_path / "fail").write_text("x\n" * failures)
    script = slurm_script(["true"], 2, backup_dir="/b", restarts=2)
    process = start(tmp_path, script)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert (tmp_path / "starts").read_text().count("start") == starts


@pytest.mark.parametrize(("restart", "queued"), [(0, True), (2, True), (3, False)])
def test_before_its_time_is_over_the_job_queues_again(tmp_path, restart, queued):
    script = slurm_script(["sleep", "2"], 1, backup_dir="/b", restarts=3)
    process = start(
        tmp_path, script, SLURM_NTASKS="1", SLURM_RESTART_COUNT=str(restart)
    )
    while not (tmp_path / "starts").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    out, _ = process.communicate(timeout=60)
    assert ("scontrol requeue 7" in out) == queued
    assert (tmp_path / "starts").read_text().count("start") == 1


def test_the_command_line_prints_the_same(capsys):
    main("slurm --nodes 2 --gpus 8 --backup-dir /b train.py --epochs 9".split())
    command = ["python", "train.py", "--epochs", "9"]
    expected = slurm_script(command, 2, backup_dir="/b", gpus=8)
    assert capsys.readouterr().out == expected
    main("kubernetes --nodes 2 --image i --claim c train.py".split())
    expected = kubeflow_train_job(["python", "train.py"], 2, image="i", claim="c")
    assert capsys.readouterr().out == expected
    with pytest.raises(SystemExit):
        main("slurm --nodes 0 --backup-dir /b train.py".split())
    assert "nodes: expected a whole number" in capsys.readouterr().err
