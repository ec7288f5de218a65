"""Many machines: their names, their failures, what survives, a plan for a deadline."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nestrade_lib.book.exercises.self_check import self_check
from nestrade_lib.book.simulate import SimulatedCluster, Workload, plan, steps_to_loss


@self_check
def check_hours_between_failures(answer: float) -> None:
    """Check the hours between failures of 730 machines that fail every five years each.

    Parameters
    ----------
    answer : float
        Hours, with 8,760 in a year.

    Examples
    --------
    >>> check_hours_between_failures(43_800)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 43,800 hours are five years, between failures of one machine.
    """
    machines, hours = 730, 5 * 8760
    assert not np.isclose(answer, hours), (
        f"Not yet: {hours:,} hours are five years, between failures of one machine."
    )
    assert np.isclose(answer, hours / machines), (
        f"Not yet: {answer!r} is not the hours between two failures in the group."
    )
    print("Right: a group of machines fails as often as all of them together.")


@self_check
def check_read_newest(function: Callable[[Path], tuple[int, bytes] | None]) -> None:
    """Check a function that finds the newest file whose bytes are those written.

    Parameters
    ----------
    function : callable
        ``folder -> (epoch, bytes) or None``. Files are called ``epoch-000003`` and so
        on, and hold 32 bytes, the SHA-256 of the rest, and the rest, which is given
        back. Other files may lie beside them.

    Examples
    --------
    >>> def trusting(folder):
    ...     path = max(Path(folder).glob("epoch-??????"))
    ...     return int(path.name[6:]), path.read_bytes()[32:]
    >>> check_read_newest(trusting)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: in epoch-000011 a bit was flipped, and it was taken.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "shared").write_bytes(rng.bytes(8))
        bodies = {epoch: rng.bytes(100 + epoch) for epoch in (2, 9, 10, 11)}
        paths = {epoch: folder / f"epoch-{epoch:06}" for epoch in bodies}
        for epoch, body in bodies.items():
            paths[epoch].write_bytes(hashlib.sha256(body).digest() + body)
        (folder / "epoch-000012.part").write_bytes(b"half of")
        _expect(function, folder, (11, bodies[11]), "all are intact")
        whole = paths[11].read_bytes()
        for bit in rng.choice(8 * len(whole), 40, replace=False):
            data = bytearray(whole)
            data[bit // 8] ^= 1 << (bit % 8)
            paths[11].write_bytes(data)
            _expect(
                function, folder, (10, bodies[10]), f"in {paths[11].name} a bit was flipped"
            )  # fmt: skip
        for length in (0, 5, 32, 100):
            paths[10].write_bytes(whole[:length])
            _expect(
                function, folder, (9, bodies[9]), f"{paths[10].name} was cut to {length} bytes"
            )  # fmt: skip
        paths[9].write_bytes(b"")
        paths[2].write_bytes(b"")
        _expect(function, folder, None, "no file is intact")
        for path in folder.iterdir():
            path.unlink()
        _expect(function, folder, None, "the folder is empty")
    print("Right: a damaged file is passed over, and the one before it is found.")


def _expect(function, folder, expected, case):
    found = function(folder)
    if expected is None:
        assert found is None, f"Not yet: {case}, expected None, got {str(found)[:40]}."
        return
    assert found is not None, f"Not yet: {case}, expected {expected[0]}, got None."
    epoch, body = found
    if epoch > expected[0]:
        raise AssertionError(f"Not yet: {case}, and it was taken.")
    assert epoch == expected[0], (
        f"Not yet: {case}, expected epoch {expected[0]}, got {epoch}."
    )
    assert bytes(body) == expected[1], f"Not yet: {case}, but the bytes are others."


@self_check
def check_node_names(function: Callable[[str], list[str]]) -> None:
    """Check a function that spells out Slurm's short form of a list of machines.

    Parameters
    ----------
    function : callable
        ``text -> names``, with at most one pair of brackets in the text.

    Examples
    --------
    >>> check_node_names(lambda text: text.split(","))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for n[1-3] expected n1, n2, n3, got n[1-3].
    """
    for text, expected in {
        "login": ["login"],
        "n[1-3]": ["n1", "n2", "n3"],
        "gpu[007,009-011]": ["gpu007", "gpu009", "gpu010", "gpu011"],
        "a[9-10]": ["a9", "a10"],
        "rack[05]": ["rack05"],
    }.items():
        got = [str(name) for name in function(text)]
        assert got == expected, (
            f"Not yet: for {text} expected {', '.join(expected)}, got {', '.join(got)}."
        )
    print("Right: every machine by its name, leading zeros kept.")


@self_check
def check_devices_for_deadline(devices: int, minutes: float = 20) -> None:
    """Check the smallest number of devices that train ResNet-50 in the given minutes.

    The chapter's plan: 64 images per device, a noise scale of 8,192, DGX-1 machines of
    eight, and Nestrade's cuts to a quarter of the MACs. Simulated.

    Parameters
    ----------
    devices : int
        A multiple of 8.
    minutes : float

    Examples
    --------
    >>> check_devices_for_deadline(64)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 64 devices take 34.6 minutes.
    """
    assert devices % 8 == 0, f"Not yet: {devices} devices do not fill machines of 8."
    taken = _minutes(devices)
    assert taken <= minutes, f"Not yet: {devices} devices take {taken:.1f} minutes."
    assert _minutes(devices - 8) > minutes, (
        f"Not yet: in time, but {devices - 8} devices would do."
    )
    print("Right: the fewest devices that are in time.")


def _minutes(devices):
    work = Workload(batch=64, rate=219, gradient_bytes=4 * 25_583_592)
    # As fitted to the published table of one DGX-1 in benchmarks/simulate.py.
    cluster = SimulatedCluster(
        between=12.5e9, overhead=0.008725229, overlap=1.237361416
    )
    fewest = 90 * 1_281_167 / 8192 / 2
    steps = round(steps_to_loss(devices * 64, fewest, 8192).item())
    return plan(work, cluster, devices, steps, 0.25).nestrade_seconds / 60
