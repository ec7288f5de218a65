"""What a folder of checkpoints takes: damaged, foreign, lost, without rights or owner."""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestrade_lib.training import folder
from nestrade_lib.training.checkpoints import Checkpoints
from tests.support.backups import build, train

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("no_rehearsals")]


@pytest.mark.parametrize("folder", ["", 7, b""])
def test_what_is_no_folder_is_refused(folder):
    with pytest.raises(ValueError, match="backup_dir: expected .* a folder, got"):
        train(build(1), backup_dir=folder)


@settings(max_examples=40)
@given(data=st.data())
def test_damaged_files_are_passed_over_and_named(data, tmp_path_factory):
    checkpoints = Checkpoints(tmp_path_factory.mktemp("run"))
    for epoch in range(3):
        checkpoints.write(epoch, {"w": np.full(7, epoch)}, {"epoch": epoch})
    older, newer = sorted(checkpoints.folder.glob("*.checkpoint"))  # two are kept
    content = newer.read_bytes()
    harm = data.draw(st.sampled_from(["flip", "shorten", "remove", "none"]))
    if harm == "flip":
        at = data.draw(st.integers(0, len(content) - 1))
        bit = 1 << data.draw(st.integers(0, 7))
        newer.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
    elif harm == "shorten":
        newer.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    elif harm == "remove":
        newer.unlink()
    expected = 2 if harm == "none" else 1
    if harm in ("flip", "shorten"):
        with pytest.warns(UserWarning, match=f"{newer.name} .* is damaged"):
            epoch, arrays, told = checkpoints.newest()
    else:
        epoch, arrays, told = checkpoints.newest()
    assert epoch == told["epoch"] == expected
    np.testing.assert_array_equal(arrays["w"], np.full(7, expected))


@pytest.mark.parametrize(
    "harm", ["folder", "link to nothing", "link", "pipe", "unreadable"]
)
def test_what_is_no_readable_file_is_passed_over_too(harm, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    for epoch in range(3):
        checkpoints.write(epoch, {"w": np.full(2, epoch)}, {})
    older, newest = sorted(tmp_path.glob("*.checkpoint"))
    if harm == "unreadable":  # by whoever runs the tests, who may be root
        read = folder.read

        def refuse(path):
            if path == newest:
                raise PermissionError(13, "Permission denied")
            return read(path)

        monkeypatch.setattr(folder, "read", refuse)
    else:
        newest.unlink()
        if harm == "folder":
            newest.mkdir()
        elif harm == "pipe":
            os.mkfifo(newest)
        else:  # whole, but not this folder's
            to = tmp_path / ("none" if harm == "link to nothing" else older.name)
            newest.symlink_to(to)
    with pytest.warns(UserWarning, match=f"{newest.name} .* is damaged"):
        assert checkpoints.newest()[0] == 1
    monkeypatch.undo()
    for epoch in (2, 3):  # and it is not in the way of those that follow
        checkpoints.write(epoch, {"w": np.full(2, epoch)}, {})
        assert checkpoints.newest()[0] == epoch
    assert len(list(tmp_path.glob("*.checkpoint"))) == 2


def test_what_a_killed_writer_left_is_no_checkpoint(tmp_path):
    (tmp_path / "epoch-000004.part").write_bytes(b"half")
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.newest() is None
    assert not list(tmp_path.glob("*.part"))


def hashed(body):
    return hashlib.sha256(body).digest() + body


def archive(epoch=2, compressed=False, **arrays):
    file = io.BytesIO()
    text = json.dumps({"epoch": epoch, "step": None, "description": {}}).encode()
    arrays = {"__description__": np.frombuffer(text, np.uint8), **arrays}
    (np.savez_compressed if compressed else np.savez)(file, **arrays)
    return hashed(file.getvalue())


FOREIGN = {
    "nothing": lambda: hashed(b""),
    "text": lambda: hashed(b"not one of ours"),
    "one array": lambda: hashed(b"\x93NUMPY\x01\x00" + bytes(200)),
    "an empty archive": lambda: hashed(b"PK\x05\x06" + bytes(18)),
    "another's archive": lambda: archive(__description__=np.ones(3)),
    "no JSON": lambda: archive(__description__=np.frombuffer(b"{", np.uint8)),
    "a list": lambda: archive(__description__=np.frombuffer(b"[]", np.uint8)),
    "deep": lambda: archive(__description__=np.frombuffer(b"[" * 99_999, np.uint8)),
    "objects": lambda: archive(w=np.array([{}], object)),
    "another epoch": lambda: archive(epoch=1),
    "a bomb": lambda: archive(compressed=True, w=np.zeros(10**6)),
    "another hash": lambda: bytes(32) + archive()[32:],
    "one that ends early": lambda: hashed(archive()[32:-100]),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_passed_over(name, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(1, {"w": np.ones(2)}, {})
    (tmp_path / "epoch-000002.checkpoint").write_bytes(archive())
    assert checkpoints.newest()[0] == 2
    (tmp_path / "epoch-000002.checkpoint").write_bytes(FOREIGN[name]())
    with pytest.warns(UserWarning, match="epoch-000002.checkpoint .* is damaged"):
        assert checkpoints.newest()[0] == 1


def test_files_are_private_and_links_are_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("another's")
    run = tmp_path / "run"
    run.mkdir()
    (run / "owner").symlink_to(target)
    with pytest.raises(ValueError, match="backup_dir: .* cannot be written"):
        Checkpoints(run)
    (run / "owner").unlink()
    checkpoints = Checkpoints(run)
    (run / "epoch-000000.part").symlink_to(target)
    (run / "epoch-000000.checkpoint").symlink_to(target)
    checkpoints.write(0, {"w": np.ones(2)}, {})
    assert checkpoints.newest()[0] == 0 and target.read_text() == "another's"
    assert not (run / "epoch-000000.checkpoint").is_symlink()
    if os.name == "posix":
        assert all(path.lstat().st_mode & 0o077 == 0 for path in run.glob("[o]*"))
        assert (run / "epoch-000000.checkpoint").stat().st_mode & 0o077 == 0


OWNING = """
import os, pathlib, sys, time
from nestrade_lib.training.folder import Owner
owner = Owner(pathlib.Path(sys.argv[1]), b"token")
if not os.fork():  # a child may live longer
    print(os.getpid(), flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks of POSIX")
def test_a_folder_has_one_owner_until_its_process_ends(tmp_path):
    command = [sys.executable, "-c", OWNING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        child = int(owner.stdout.readline())
        with pytest.raises(ValueError, match=f"in use by process {owner.pid} on"):
            Checkpoints(tmp_path)
        owner.kill()
        owner.wait()
        try:
            ours = Checkpoints(tmp_path)
            with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on"):
                Checkpoints(tmp_path)
            ours.close()
            Checkpoints(tmp_path).close()
        finally:
            os.kill(child, signal.SIGKILL)


def become_a_file(folder, _):
    shutil.rmtree(folder)
    folder.write_text("")


def refuse(number):
    def patch(folder, monkeypatch):
        def mkstemp(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("tempfile.mkstemp", mkstemp)

    return patch


HARMS = {
    "gone": lambda folder, _: shutil.rmtree(folder),
    "a file": become_a_file,
    "another's": lambda folder, _: (folder / "owner").write_text("token\nanother"),
    "full": refuse(errno.ENOSPC),
    "read-only": refuse(errno.EROFS),
    "not allowed": refuse(errno.EACCES),
    "of folders": lambda folder, _: [
        (folder / f"epoch-{epoch:06}.checkpoint").mkdir() for epoch in (1, 2, 3)
    ],
}


@pytest.mark.parametrize("name", HARMS)
def test_what_cannot_be_written_is_warned_of_once_and_training_goes_on(
    name, tmp_path, monkeypatch
):
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.write(0, {"w": np.ones(2)}, {})
    with monkeypatch.context() as patched:
        HARMS[name](tmp_path / "run", patched)
        with pytest.warns(
            UserWarning, match="No checkpoint of epoch 1, .* goes on"
        ) as all:
            for epoch in (1, 2, 3):
                checkpoints.write(epoch, {"w": np.ones(2)}, {})
        assert len(all) == 1
    if name not in ("gone", "a file"):
        assert [path.name for path in (tmp_path / "run").glob("*.part")] == []


def test_a_part_that_is_a_folder_is_in_nobodys_way(tmp_path):
    (tmp_path / "epoch-000001.part").mkdir()
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / "epoch-000001.part").mkdir()
    checkpoints.write(1, {"w": np.ones(2)}, {})
    assert checkpoints.newest()[0] == 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ValueError, match="backup_dir: .* cannot be written"):
        train(build(0.4), backup_dir=tmp_path / "file" / "run")


def test_files_that_no_worker_agrees_on_are_out_of_the_way(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for epoch in (8, 9):
        checkpoints.write(epoch, {"w": np.ones(2)}, {})
    for path in tmp_path.glob("*.checkpoint"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="is damaged"):
        assert checkpoints.newest() is None
    checkpoints.write(0, {"w": np.zeros(2)}, {})
    assert checkpoints.newest()[0] == 0


def test_a_full_disk_is_told_and_training_goes_on(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(0, {"w": np.ones(2)}, {})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.warns(UserWarning, match="epoch 1, .* MB.*No space left on device"):
        checkpoints.write(1, {"w": np.ones(2)}, {})
    assert checkpoints.newest()[0] == 0 and not list(tmp_path.glob("*.part"))
