"""Whatever the schedule and the number of steps, a run's pruning rounds fit into it."""

import dataclasses
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from nestrade_lib import Schedule
from nestrade_lib.training.rescale import Rescale
from nestrade_lib.training.state import RunState, pack, unpack
from nestrade_lib.training.timetable import Timetable

shares = st.floats(0.01, 0.99)


@st.composite
def timetables(draw):
    start, stop = sorted(draw(st.tuples(shares, shares).filter(lambda x: x[0] != x[1])))
    start, stop = (
        draw(st.sampled_from([start, None])),
        draw(st.sampled_from([stop, None])),
    )
    cuts, shrink = draw(st.integers(1, 30)), draw(st.integers(1, 100))
    schedule = Schedule(start=start, stop=stop, cuts=cuts, shrink=shrink)
    return Timetable.of(schedule, draw(st.integers(1, 3000)))


@given(timetables())
def test_each_round_ends_before_the_next_and_the_last_reaches_the_budget(way):
    reached, cuts, cut_at = 0, [], None
    while way.step < way.steps:
        if reached < 1 and cut_at is None and way.choice_is_due:
            progress, is_last = way.begin_round()
            assert reached < progress <= 1 and (progress == 1 or not is_last)
            reached = progress
            cut_at = way.step + way.steps_to_zero
            assert way.step < cut_at <= min(way.steps, way.choose_at)
            cuts.append(cut_at)
        ahead = way.steps_ahead(cut_at, is_cutting=reached < 1)
        assert (ahead is None) == (cut_at is None and reached == 1)
        assert ahead is None or ahead >= 1
        assert cut_at is None or way.step + ahead == cut_at
        way.step += min(ahead or way.steps, way.steps - way.step)
        if way.step == cut_at:
            cut_at = None
    assert cuts == sorted(set(cuts)) and cut_at is None
    assert reached == (1 if way.start < way.steps else 0)


@given(timetables(), st.integers(0, 20))
def test_one_that_is_written_and_read_is_the_same(way, steps):
    for _ in range(steps):
        if way.choice_is_due:
            way.begin_round()
        way.step += 1
    state, arrays = RunState(), {}
    rescale = Rescale(2, 9.0, 3.0, {32: 1e-5, 64: 5e-6})
    packed = pack(RunState(timetable=way, rescale=rescale), arrays)
    state.restore(unpack(json.loads(json.dumps(packed)), arrays))
    assert state.timetable == way and state.timetable is not way
    assert state.rescale == rescale


@given(st.integers(2, 8), st.integers(1, 200), st.data())
def test_larger_batches_leave_a_run_where_it_was(growth, k, data):
    way = Timetable.of(Schedule(start=0.5, stop=0.6), 2 * growth * k)
    way.step = growth * data.draw(st.integers(k, 2 * k))
    before = dataclasses.replace(way)
    way.grow(1 / growth)
    assert (way.start, way.steps) == (k, 2 * k)
    assert math.isclose(way.step / way.steps, before.step / before.steps)
