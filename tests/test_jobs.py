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


GOOD = {"command": ["python", "train.py"], "nodes": 2, "backup_dir": "/shared/run"}


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("command", "python train.py"),
        ("command", []),
        ("command", ["python", "a\nb"]),
        ("command", ["python", 3]),
        ("nodes", 0),
        ("nodes", True),
        ("nodes", 2.0),
        ("gpus", -1),
        ("cpus", 0),
        ("restarts", -1),
        ("hours", 0),
        ("hours", float("nan")),
        ("hours", "1"),
        ("backup_dir", "runs/1"),
        ("backup_dir", "/"),
        ("backup_dir", None),
        ("name", "Run"),
        ("name", "a" * 41),
        ("name", "run-1\n#SBATCH --nodes=9"),
        ("backend", "torch"),
        ("image", "two words"),
        ("claim", "Runs"),
        ("memory", "32 GB"),
        ("nodes", 65534),
        ("command", [""]),
        ("command", {"python": 1}),
        ("backup_dir", "/runs/.."),
    ],
)
def test_bad_arguments_are_named(name, bad):
    only = {"backend": [slurm_script]}
    only |= dict.fromkeys(["image", "claim", "memory"], [kubeflow_train_job])
    for write in only.get(name, [slurm_script, kubeflow_train_job]):
        more = {"image": "i", "claim": "c"} if write is kubeflow_train_job else {}
        with pytest.raises(ValueError, match=f"^{name}: expected"):
            write(**(GOOD | more | {name: bad}))


# The grammars, written as Kubernetes' and Docker's documents have them.
DIGITS, SMALL = set("0123456789"), set("abcdefghijklmnopqrstuvwxyz")
LARGE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
SUFFIXES = ["", *"kMGTPE", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]


def is_word(text, letters, inner):
    """Letters and digits, with others between them."""
    ends = letters | DIGITS
    return bool(text) and {text[0], text[-1]} <= ends and set(text) <= ends | set(inner)


def is_memory(text):
    numbers = {text.removesuffix(suffix) for suffix in SUFFIXES}
    return any(n and set(n) <= DIGITS and n[0] != "0" and len(n) <= 18 for n in numbers)


def is_claim(text):
    return len(text) <= 253 and all(is_word(t, SMALL, "-") for t in text.split("."))


def is_part(text):
    """Lower-case words joined by one dot, one or two underscores, or hyphens."""
    for separator in ("__", "_", ".", "-"):
        text = re.sub("-+", "-", text).replace(separator, "/")
    return all(is_word(part, SMALL, "") for part in text.split("/"))


def is_image(text):
    rest, at, digest = text.partition("@")
    if not 0 < len(rest) <= 255:
        return False
    if at and not (
        digest.startswith("sha256:")
        and len(digest) == 71
        and set(digest[7:]) <= DIGITS | set("abcdef")
    ):
        return False
    *before, last = rest.split("/")
    last, colon, tag = last.partition(":")
    if colon and not (
        0 < len(tag) <= 128
        and tag[0] not in "-."
        and set(tag) <= DIGITS | SMALL | LARGE | set("_-.")
    ):
        return False
    parts = [*before, last]
    if before and not is_part(before[0]):  # so it is a host
        host, colon, port = before[0].partition(":")
        if (colon and not (port and set(port) <= DIGITS)) or not all(
            is_word(label, SMALL | LARGE, "-") for label in host.split(".")
        ):
            return False
        parts = parts[1:]
    return all(map(is_part, parts))


def is_mount_path(text):
    inside = [part for part in text.split("/") if part not in ("", ".")]
    depth = 0
    for part in inside:
        depth = max(depth - 1, 0) if part == ".." else depth + 1
    return text[:1] == "/" and depth > 0 and ":" not in text and text.isprintable()


NEARLY = {
    "memory": (is_memory, ["32Gi", "1", "500M", "32K", "1２Gi", "0Gi", "1.5Gi", "3ki"]),
    "claim": (is_claim, ["runs", "a.b-c", "a..b", "a-", "run\n", "a" * 253, "a" * 254]),
    "image": (
        is_image,
        ["train", "r.example.org:5000/a/b_c:1@sha256:" + "0a" * 32, "a/b:v_1.2", "A/b",
         "Train", "a//b", "a:", "a@sha256:0a", "a__b", "a___b", "a--b", "x:y/z", "é"],
    ),
    "backup_dir": (is_mount_path, ["/runs:1", "/runs", "/a b/../c", "/a/..", "//", "/.", "r"]),
}  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(data=st.data(), name=st.sampled_from(list(NEARLY)))
def test_what_kubernetes_would_refuse_is_refused(data, name):
    is_right, nearly = NEARLY[name]
    text = data.draw(st.sampled_from(nearly))
    if data.draw(st.booleans()):  # and a character more, or another
        at = data.draw(st.integers(0, len(text)))
        other = data.draw(st.sampled_from("0aAkKi-_.:/@ \n２") | st.characters())
        text = text[:at] + other + text[at + data.draw(st.integers(0, 1)) :]
    options = {"image": "i", "claim": "c"} | {name: text}
    if is_right(text):
        *_, job = yaml.safe_load_all(kubeflow_train_job(["x"], 1, **options))
        if name == "memory":
            assert job["spec"]["trainer"]["resourcesPerNode"]["limits"][name] == text
    else:
        with pytest.raises(ValueError, match=f"^{name}: expected .* got "):
            kubeflow_train_job(["x"], 1, **options)


@pytest.mark.parametrize("name", NEARLY)
def test_the_named_examples_are_on_the_right_side(name):
    is_right, nearly = NEARLY[name]
    assert {is_right(text) for text in nearly} == {True, False}


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
