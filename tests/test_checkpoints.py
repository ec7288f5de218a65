"""A run that was stopped anywhere goes on to the same weights, and bad files are known."""

import errno
import functools
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestrade_lib import Budget, Schedule
from nestrade_lib.training import folder
from nestrade_lib.training.checkpoints import Checkpoints
from tests.support.backups import CASES, Shuffled, X, Y, build, train

pytestmark = pytest.mark.any_backend


class Killed(Exception):
    """Stands for a process that ends."""


class AskAt(keras.callbacks.Callback):
    """A request to end, in a step of this number."""

    def __init__(self, batch):
        super().__init__()
        self.left = batch

    def on_train_batch_begin(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGTERM)


class KillAt(keras.callbacks.Callback):
    def __init__(self, batch):
        super().__init__()
        self.left = batch

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Killed


# Of six batches an epoch, one of the third, and then one of the fourth.
KILLS = 13, 9
# In the second step of the second epoch, and then in the last one of the third.
REQUESTS = 8, 10


@pytest.mark.parametrize("name", CASES)
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(name, tmp_path):
    trainer, data = CASES[name]()
    whole = train(trainer, data, backup_dir=tmp_path / "whole")
    for batch in KILLS:
        trainer, data = CASES[name]()
        with pytest.raises(Killed):
            train(trainer, data, callbacks=[KillAt(batch)], backup_dir=tmp_path / "cut")
    for number, batch in enumerate(REQUESTS):
        trainer, data = CASES[name]()
        with pytest.warns(
            UserWarning, match="was asked to end .SIGTERM. and does, after"
        ):
            with pytest.raises(SystemExit, match="143"):
                train(
                    trainer,
                    data,
                    callbacks=[AskAt(batch)],
                    backup_dir=tmp_path / "asked",
                )
        within = list((tmp_path / "asked").glob("*-step-*"))
        assert len(within) == 1, number
    for ended in ("cut", "asked"):
        trainer, data = CASES[name]()
        keras.utils.set_random_seed(9)  # as where the user sets none
        resumed = train(trainer, data, backup_dir=tmp_path / ended)
        assert len(resumed[1]["loss"]) == 6
        for a, b in zip(whole[0], resumed[0], strict=True):
            np.testing.assert_array_equal(a, b)
        assert whole[1:] == resumed[1:]


def test_a_finished_run_is_not_trained_again_and_another_one_is_refused(tmp_path):
    whole = train(build(0.4), backup_dir=tmp_path)
    again = build(0.4)
    with pytest.warns(UserWarning, match=f"{tmp_path.name} holds .*nothing is trained"):
        assert train(again, backup_dir=tmp_path)[1:] == whole[1:]
    for other, options, part in (
        (build(0.5), {}, "the budget"),
        (build(0.4, growth=4), {}, "growth"),
        (build(0.4, distill=0.5), {}, "distill"),
        (build(0.4, importance=scores), {}, "the importance"),
        (build(0.4), {"batch_size": 8}, "the steps of an epoch, batch_size"),
        (build(0.4), {"class_weight": {0: 2.0}}, "class_weight"),
        (build(0.4), {"shuffle": False}, "shuffle"),
        (build(0.4), {"initial_epoch": 1}, "the epochs"),
    ):
        with pytest.raises(ValueError, match=f"another run, .* in {part}\\."):
            train(other, backup_dir=tmp_path, **options)


def test_a_checkpoint_of_another_version_of_the_library_is_refused(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as earlier, pytest.raises(Killed):
        earlier.setattr("nestrade_lib.training.backup.FORMAT", "0")
        train(build(0.4), callbacks=[KillAt(9)], backup_dir=tmp_path)
    with pytest.raises(ValueError, match="in the format of checkpoints"):
        train(build(0.4), backup_dir=tmp_path)


def scores(network, graph, power=1):
    return np.arange(graph.count, dtype=float) ** power


class Scores:
    def __call__(self, network, graph):
        return scores(network, graph)


@pytest.mark.parametrize(
    "made", [lambda: scores, lambda: functools.partial(scores, power=2), Scores]
)
def test_a_run_is_known_by_its_importance_whatever_its_address(tmp_path, made):
    kept = made()  # so that the next has another address
    with pytest.raises(Killed):
        train(build(0.4, importance=kept), callbacks=[KillAt(9)], backup_dir=tmp_path)
    train(build(0.4, importance=made()), backup_dir=tmp_path)
    other = functools.partial(scores, power=3)
    with pytest.raises(ValueError, match="another run, .* in the importance"):
        train(build(0.4, importance=other), backup_dir=tmp_path)


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


def test_a_run_from_other_weights_is_another_run(tmp_path):
    def begin(seed):
        trainer = build(1)
        kernel = trainer.network.layers[0].kernel
        kernel.assign(np.random.default_rng(seed).normal(size=kernel.shape))
        return trainer

    with pytest.raises(Killed):
        train(begin(0), callbacks=[KillAt(9)], backup_dir=tmp_path)
    with pytest.raises(ValueError, match="another run, .* in the initial weights"):
        train(begin(1), backup_dir=tmp_path)
    trainer = begin(1)
    keras.utils.clear_session()  # as where nobody has set a seed
    with pytest.warns(UserWarning, match="initial weights: other ones are drawn"):
        train(trainer, backup_dir=tmp_path)


def test_data_that_cannot_be_compared_are_named(tmp_path):
    def generator():
        while True:
            yield X[:16], Y[:16]

    class Other(Shuffled):
        order = np.arange(96)[::-1]

    for first, second, what in (
        (Shuffled(), Other(), "the first batch: it is another one"),
        (generator(), generator(), "training data: a generator"),
    ):
        backup_dir = tmp_path / what[:5]
        with pytest.raises(Killed):
            train_steps(first, callbacks=[KillAt(9)], backup_dir=backup_dir)
        with pytest.warns(UserWarning, match=f"cannot be said for .*{what}"):
            train_steps(second, backup_dir=backup_dir)


def train_steps(x, **options):
    return build(1).fit(x, epochs=2, steps_per_epoch=6, verbose=0, **options)


def weights_after(epochs, *, of, **options):
    trainer = build(**of)
    trainer.fit(X, Y, 16, epochs=epochs, verbose=0, **options)
    return [keras.ops.convert_to_numpy(v) for v in trainer.network.variables]


LATE = Schedule(start=0.5, stop=0.9, cuts=2, shrink=2)


@pytest.mark.parametrize("is_killed", [False, True])
@pytest.mark.parametrize(
    "of, differs",
    [
        ({"budget": 1, "anneal": None}, None),
        ({"budget": 0.5, "anneal": None, "schedule": LATE}, "cuts so far"),
        ({"budget": 0.5, "schedule": LATE}, "learning rate and its cuts so far"),
    ],
)
def test_a_run_goes_on_to_more_epochs(of, differs, is_killed, tmp_path):
    if is_killed:  # in the second of four epochs, before anything is cut
        with pytest.raises(Killed):
            weights_after(4, of=of, backup_dir=tmp_path, callbacks=[KillAt(9)])
        differs = differs and "learning rate so far" * ("anneal" not in of)
    else:
        weights_after(4, of=of, backup_dir=tmp_path)
    if differs:
        with pytest.warns(UserWarning, match=f"from 4 epochs to 6. Its {differs}"):
            weights_after(6, of=of, backup_dir=tmp_path)
    else:
        longer = weights_after(6, of=of, backup_dir=tmp_path / "longer")
        for a, b in zip(longer, weights_after(6, of=of, backup_dir=tmp_path)):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="in the epochs"):
        weights_after(5, of=of, backup_dir=tmp_path)


def test_other_optimizers_losses_and_data_are_other_runs(tmp_path):
    train(build(0.4), backup_dir=tmp_path)
    for trainer, data in (
        (build(0.4, keras.optimizers.Adam(0.01)), (X, Y)),
        (build(0.4, "sgd"), (X, Y)),
        (build(0.4), (X + 1, Y)),
    ):
        with pytest.raises(ValueError, match="another run"):
            train(trainer, data, backup_dir=tmp_path)


def test_a_run_that_stopped_early_stays_stopped_and_says_so_to_callbacks(tmp_path):
    class Last(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.seen = self.model.count_params(), sorted(logs)

    seen, lengths = [], []
    for _ in range(3):
        stop = keras.callbacks.EarlyStopping(
            "val_loss", patience=0, min_delta=100, start_from_epoch=2
        )
        last = Last()
        trainer = build(0.4)
        logs = train(trainer, callbacks=[stop, last], backup_dir=tmp_path)[1]
        lengths.append(len(logs["loss"]))
        seen.append(last.seen)
        assert seen[-1][0] == trainer.network.count_params()
    assert len(set(lengths)) == 1 and lengths[0] < 6 and len(set(map(str, seen))) == 1


def test_a_round_that_a_killed_run_was_in_can_still_be_taken_back(tmp_path):
    class Watch(KillAt):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights())
            super().on_train_batch_end(batch, logs)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    seen = []
    schedule = Schedule(start=0.25, stop=0.9, cuts=1, shrink=12)  # from step 9 to 21
    with pytest.raises(Killed):
        train(build(0.4, schedule=schedule), callbacks=[Watch(13)], backup_dir=tmp_path)
    for _ in range(2):  # and it stays so
        trainer = build(0.4, schedule=schedule)
        train(trainer, callbacks=[Stop()], backup_dir=tmp_path)
        assert not trainer.cuts
        for ours, before in zip(trainer.network.get_weights(), seen[8], strict=True):
            np.testing.assert_array_equal(ours, before)


def test_a_budget_of_seconds_goes_on_with_what_was_measured(tmp_path, monkeypatch):
    def clock(scale):
        def measure(network):
            return 1.0 + scale * network.count_params()

        monkeypatch.setattr(
            "nestrade_lib.training.pruned_network.measure_latency", measure
        )

    clock(1.0)
    whole = train(build(Budget(latency=0.5)), backup_dir=tmp_path / "whole")
    with pytest.raises(Killed):
        train(
            build(Budget(latency=0.5)),
            callbacks=[KillAt(25)],
            backup_dir=tmp_path / "cut",
        )
    clock(0.0)  # all networks take as long now, so that no cut would save time
    with monkeypatch.context() as patched:
        patched.setattr(
            "nestrade_lib.training.pruned_network.PrunedNetwork.require_reachable",
            lambda self: None,
        )
        trainer = build(Budget(latency=0.5))
    resumed = train(trainer, backup_dir=tmp_path / "cut")
    assert whole[2] and trainer.met and whole[1:] == resumed[1:]
    for a, b in zip(whole[0], resumed[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_low_precision_is_written_and_read(tmp_path):
    weights = []
    for batch in (None, 20, None):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy("bfloat16")
        try:
            trainer = build(0.4)
        finally:
            keras.config.set_dtype_policy("float32")
        folder = tmp_path / ("whole" if not weights else "cut")
        kill = [KillAt(batch)] if batch else []
        try:
            train(trainer, callbacks=kill, backup_dir=folder)
        except Killed:
            continue
        arrays = map(keras.ops.convert_to_numpy, trainer.network.variables)
        weights.append([np.asarray(a, "float32") for a in arrays])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
