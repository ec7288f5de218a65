"""The simulator keeps to its limits, counts as a real ring does, and meets its bar."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulate import constant_step, held_out, table
from nestrade_lib import Budget, Schedule
from nestrade_lib.book.simulate import (
    Measurement,
    SimulatedCluster,
    Workload,
    amdahl,
    efficiency,
    errors_percent,
    fit_cluster,
    gustafson,
    nestrade_seconds,
    plan,
    published,
    ring_bytes,
    ring_seconds,
    sample_efficiency,
    server_seconds,
    step_seconds,
    steps_to_loss,
    throughput,
)

counts = st.integers(1, 5000)
workloads = st.builds(
    Workload,
    batch=st.integers(1, 4096),
    rate=st.floats(0.1, 1e5),
    gradient_bytes=st.floats(1e3, 1e11),
)
clusters = st.builds(
    SimulatedCluster,
    per_machine=st.integers(1, 16),
    inside=st.floats(1e8, 1e12),
    between=st.floats(1e7, 1e12),
    latency=st.floats(0, 1e-2),
    overhead=st.floats(0, 1),
    overlap=st.floats(1, 50) | st.just(math.inf),
    servers=st.none() | st.integers(1, 64),
)


def ring_all_reduce(gradients):
    """A ring, piece by piece: the sums, and the bytes that each device sent."""
    devices = len(gradients)
    held = [np.array_split(gradient.copy(), devices) for gradient in gradients]
    sent = [0] * devices
    for turn in range(2 * (devices - 1)):
        messages = []
        for device in range(devices):
            piece = (device - turn) % devices
            messages.append((device, piece, held[device][piece].copy()))
        for device, piece, message in messages:
            sent[device] += message.nbytes
            after = held[(device + 1) % devices]
            reducing = turn < devices - 1
            after[piece] = after[piece] + message if reducing else message
    return [np.concatenate(pieces) for pieces in held], sent


@given(devices=st.integers(1, 9), pieces=st.integers(1, 5), seed=st.integers(0, 99))
def test_ring_bytes_are_those_that_a_ring_sends(devices, pieces, seed):
    rng = np.random.default_rng(seed)
    gradients = rng.integers(-9, 9, (devices, devices * pieces)).astype("float32")
    sums, sent = ring_all_reduce(gradients)
    assert all((total == gradients.sum(axis=0)).all() for total in sums)
    assert sent == [ring_bytes(devices, gradients[0].nbytes)] * devices


@given(machines=st.integers(1, 12), servers=st.integers(1, 24), size=st.integers(1, 9))
def test_server_seconds_are_those_of_the_busiest_card(machines, servers, size):
    # Card by card: what each machine takes in for its servers, then gives out.
    taken = np.zeros(machines)
    for server in range(servers):
        here = server % machines
        taken[here] += sum(size for worker in range(machines) if worker != here)
    expected = 2 * taken.max()  # bandwidth 1, each server holds `size` bytes
    actual = server_seconds(machines, servers, nbytes=servers * size, bandwidth=1)
    assert actual == pytest.approx(expected)


@given(machines=counts, nbytes=st.floats(1, 1e12))
def test_a_server_on_each_machine_costs_what_a_ring_costs(machines, nbytes):
    ring = ring_seconds(machines, nbytes, 1e9)
    assert server_seconds(machines, machines, nbytes, 1e9) == pytest.approx(ring)


@given(work=workloads, cluster=clusters)
def test_one_device_communicates_nothing(work, cluster):
    assert step_seconds(work, cluster, 1) == pytest.approx(work.compute_seconds)
    assert throughput(work, cluster, 1) == pytest.approx(work.rate)


@given(work=workloads, cluster=clusters, devices=counts)
def test_more_devices_are_never_more_than_ideal(work, cluster, devices):
    share = efficiency(work, cluster, devices)
    assert 0 < share <= 1 + 1e-12
    assert throughput(work, cluster, devices) == pytest.approx(
        share * devices * work.rate
    )


@given(
    work=workloads,
    cluster=clusters,
    devices=counts,
    name=st.sampled_from(["inside", "between", "overlap", "latency", "overhead"]),
    times=st.floats(1, 100),
)
def test_a_better_cluster_is_never_slower(work, cluster, devices, name, times):
    value = getattr(cluster, name)
    worse = name in ("latency", "overhead")
    better = replace(cluster, **{name: value / times if worse else value * times})
    before = step_seconds(work, cluster, devices)
    assert step_seconds(work, better, devices) <= before * (1 + 1e-9)


@given(work=workloads, cluster=clusters, devices=st.integers(2, 5000))
def test_overlap_lies_between_the_sum_and_the_longest(work, cluster, devices):
    ends = [replace(cluster, overlap=overlap) for overlap in (math.inf, 1)]
    least, most = (step_seconds(work, end, devices) for end in ends)
    step = step_seconds(work, cluster, devices)
    assert least * (1 - 1e-9) <= step <= most * (1 + 1e-9)
    assert least >= work.compute_seconds


@given(work=workloads, cluster=clusters, devices=st.lists(counts, min_size=1))
def test_many_numbers_of_devices_at_once_are_each_alone(work, cluster, devices):
    alone = [step_seconds(work, cluster, n).item() for n in devices]
    np.testing.assert_allclose(step_seconds(work, cluster, devices), alone)


@given(work=workloads, cluster=clusters, devices=counts, share=st.floats(0.01, 1))
def test_a_smaller_network_is_faster_but_not_beyond_its_macs(
    work, cluster, devices, share
):
    dense = step_seconds(work, cluster, devices)
    small = step_seconds(work.pruned(macs=share), cluster, devices)
    assert share * dense * (1 - 1e-9) <= small <= dense * (1 + 1e-9)


@given(devices=counts, serial=st.floats(0, 1))
def test_the_laws_keep_to_their_limits(devices, serial):
    fixed, grown = amdahl(devices, serial), gustafson(devices, serial)
    assert 1 - 1e-9 <= fixed <= min(devices, 1 / serial if serial else np.inf) + 1e-6
    assert fixed <= grown + 1e-6 and grown <= devices
    # The same run, its serial share taken of the time on one device and on many.
    on_one = serial / (serial + (1 - serial) * devices)
    assert amdahl(devices, on_one) == pytest.approx(grown)


@given(batch=st.floats(1, 1e7), fewest=st.floats(1, 1e6), noise=st.floats(1, 1e7))
def test_steps_and_samples_trade_along_one_curve(batch, fewest, noise):
    steps = steps_to_loss(batch, fewest, noise)
    samples, least = steps * batch, fewest * noise
    assert (steps / fewest - 1) * (samples / least - 1) == pytest.approx(1, rel=1e-4)
    assert sample_efficiency(batch, noise) == pytest.approx(least / samples)


@given(
    work=workloads,
    cluster=clusters,
    devices=counts,
    share=st.floats(0.02, 1),
    cuts=st.integers(1, 12),
    retrace=st.floats(0, 20),
)
def test_a_cut_run_lies_between_its_two_networks(
    work, cluster, devices, share, cuts, retrace
):
    steps, schedule = 5000, Schedule(start=0.1, stop=0.5, cuts=cuts)
    setting = work, cluster, devices, steps, share, schedule
    stopped = nestrade_seconds(*setting, retrace) - nestrade_seconds(*setting, 0)
    assert stopped == pytest.approx(cuts * retrace, rel=1e-6, abs=1e-6 * steps)
    dense = steps * step_seconds(work, cluster, devices)
    small = steps * step_seconds(work.pruned(macs=share), cluster, devices)
    seconds = nestrade_seconds(*setting, 0)
    assert small * (1 - 1e-9) <= seconds <= dense * (1 + 1e-9)


def test_a_run_of_two_cuts_by_hand():
    # Chosen at 500 and 700, cut 100 steps later; the path at half its way: 11/32.
    work, schedule = Workload(10, 10, 1e6), Schedule(0.5, 0.9, cuts=2, shrink=100)
    seconds = nestrade_seconds(
        work, SimulatedCluster(), 1, 1000, Budget(macs=0.25), schedule, retrace=7
    )
    assert seconds == pytest.approx(600 + 7 + 200 * 11 / 32 + 7 + 200 * 0.25)


@settings(max_examples=15)
@given(
    overhead=st.floats(0.01, 0.3),
    overlap=st.floats(1.2, 4),
    between=st.floats(3e8, 1e9),
)
def test_a_fit_finds_what_made_the_measurements(overhead, overlap, between):
    true = SimulatedCluster(overhead=overhead, overlap=overlap, between=between)
    works = [Workload(32, rate, size) for rate in (30, 100) for size in (1e8, 5e8)]
    points = [
        Measurement("", work, true, n, throughput(work, true, n).item())
        for work in works
        for n in (1, 8, 16, 64)
    ]
    known = replace(true, overhead=0.0, overlap=1.0)
    found = fit_cluster(points, known)
    assert found.overhead == pytest.approx(overhead, rel=1e-2)
    assert found.overlap == pytest.approx(overlap, rel=1e-2)
    assert abs(errors_percent(points, found)).max() < 0.1


def test_held_out_points_of_the_published_table_within_the_bar():
    _, rows = table("ec2_k80", most_seen=16, rival_sees=(8, 16))
    assert [row["held_out"] for row in rows] == [False, False, False, True, True] * 5
    ours, rival = held_out(rows)
    assert abs(ours).max() <= 12
    assert abs(ours).mean() < abs(rival).mean()
    first = slice(0, 6)  # the three networks at their own batches
    assert abs(ours[first]).mean() < abs(rival[first]).mean()


def test_the_rival_is_the_one_described():
    points = [p for p in published("ec2_k80") if p.network == "ResNet-152"]
    errors = constant_step(points, (8, 16))
    np.testing.assert_allclose(errors[3:], [3.2, 18.9], atol=0.05)


def test_a_fit_never_sees_what_is_held_out(monkeypatch):
    true, _ = table("ec2_k80", 16, (8, 16))
    spoilt = [
        replace(point, rate=1.0) if point.devices > 16 else point
        for point in published("ec2_k80")
    ]
    monkeypatch.setattr("benchmarks.simulate.published", lambda name: spoilt)
    assert table("ec2_k80", 16, (8, 16))[0] == true


WORK = Workload(64, 100, 1e8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Workload(0, 1, 1), "Workload: batch: expected a positive"),
        (lambda: Workload(1, float("nan"), 1), "rate: .* got nan"),
        (lambda: Workload(1, "fast", 1), "rate: .* got 'fast'"),
        (lambda: SimulatedCluster(per_machine=1.5), "per_machine: expected a whole number"),
        (lambda: SimulatedCluster(between=-1), "between: expected positive bytes"),
        (lambda: SimulatedCluster(overhead=-0.1), "overhead: expected finite seconds"),
        (lambda: SimulatedCluster(overlap=0.5), "overlap: expected at least 1"),
        (lambda: SimulatedCluster(servers=0), "servers: expected None or a whole"),
        (lambda: WORK.pruned(macs=1.5), "macs to be a share .* got 1.5"),
        (lambda: step_seconds(WORK, SimulatedCluster(), 0), "whole numbers .* got 0"),
        (lambda: step_seconds(WORK, SimulatedCluster(), [2, 2.5]), "whole numbers .* 2.5"),
        (lambda: step_seconds(WORK, SimulatedCluster(), []), "whole numbers"),
        (lambda: amdahl(4, 1.1), "serial share from 0 to 1, got 1.1"),
        (lambda: gustafson(4, -1), "serial share from 0 to 1, got -1"),
        (lambda: steps_to_loss(0, 1, 1), "positive batch, got 0"),
        (lambda: plan(WORK, SimulatedCluster(), [1, 2], 100), "one number of devices"),
        (lambda: plan(WORK, SimulatedCluster(), 2, 100, Budget(params=0.5)), "share of the MACs"),
        (lambda: plan(WORK, SimulatedCluster(), 2, 100, retrace=-1), "retrace"),
        (lambda: published("tpu"), "expected one of .*ec2_k80.* got 'tpu'"),
        (lambda: fit_cluster([], SimulatedCluster(), free=("speed",)), "free among"),
        (lambda: fit_cluster([], SimulatedCluster()), "2 free parameters need as many"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_it_needs_no_backend():
    code = (
        "import sys, nestrade_lib.book.simulate\n"
        "print({'keras', 'tensorflow', 'jax', 'torch', 'scipy'} & set(sys.modules))"
    )
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "set()"
