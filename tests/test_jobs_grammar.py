"""What Kubernetes and Slurm would refuse is refused before a file is written."""

import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nestrade_lib.cluster.jobs import kubeflow_train_job, slurm_script

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
