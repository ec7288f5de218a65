"""Whatever the schedule and the number of steps, a run's turns fit into it."""

import math

from hypothesis import given
from hypothesis import strategies as st

from nestrade_lib import Schedule
from nestrade_lib.training.timetable import Timetable

shares = st.floats(0.01, 0.99)


@st.composite
def timetables(draw):
    start, stop = sorted(draw(st.tuples(shares, shares).filter(lambda x: x[0] != x[1])))
    cuts, shrink = draw(st.integers(1, 30)), draw(st.integers(1, 100))
    schedule = Schedule(start=start, stop=stop, cuts=cuts, shrink=shrink)
    return Timetable(schedule, draw(st.integers(1, 3000)))


@given(timetables())
def test_each_turn_ends_before_the_next_and_the_last_reaches_the_budget(way):
    reached, turns, rates = 0, [], []
    while way.step < way.steps:
        if reached < 1 and way.choice_is_due:
            progress, is_last = way.begin_turn()
            assert reached < progress <= 1 and (progress == 1 or not is_last)
            reached = progress
            assert way.plan_cut() == way.cut_at - way.step
            assert way.step < way.cut_at <= min(way.steps, way.choose_at)
            turns.append(way.cut_at)
        ahead = way.steps_ahead(is_cutting=reached < 1)
        assert ahead >= 1 and (way.cut_at is None or way.step + ahead <= way.cut_at)
        rates.append(way.rate(ahead))
        way.step += min(ahead, way.steps - way.step)
        if way.cut_is_due:
            assert way.step == way.cut_at
            way.cut_at = None
    assert turns == sorted(set(turns)) and way.cut_at is None
    assert reached == (1 if way.start < way.steps else 0)
    assert all(0 <= rate <= 1 for rate in rates)


@given(timetables(), st.data())
def test_one_that_takes_up_the_counters_of_another_goes_on_as_it_would(way, data):
    other = Timetable(Schedule(start=0.5, stop=0.6, cuts=2), 7)
    other._cuts, other._shrink = way._cuts, way._shrink  # the schedule is the script's
    for _ in range(data.draw(st.integers(0, 20))):
        if way.choice_is_due:
            way.begin_turn(), way.plan_cut()
        way.step += 1
        if way.cut_is_due:
            way.cut_at = None
    other.take_up(way.counters)
    assert vars(other) == vars(way)


@given(st.integers(2, 8), st.integers(1, 200), st.data())
def test_larger_batches_leave_a_run_where_it_was_at_the_root_of_the_rate(
    growth, k, data
):
    way = Timetable(Schedule(start=0.5, stop=0.6), 2 * growth * k)
    way.step = growth * data.draw(st.integers(k, 2 * k))
    before, done = way.rate(0), way.step / way.steps
    way.grow(growth, 1 / growth)
    assert (way.start, way.steps, way.step / way.steps) == (k, 2 * k, done)
    assert math.isclose(way.rate(0), growth**0.5 * before, abs_tol=1e-12)
