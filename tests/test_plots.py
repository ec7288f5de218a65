"""The drawn feeder and device keep to what a bounded queue allows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestrade_lib.book.plots import timeline

times = st.integers(1, 50)


@given(feed=times, step=times, ahead=st.integers(0, 5))
def test_nothing_happens_before_it_can(feed, step, ahead):
    feeds, steps = map(np.array, timeline(feed, step, 40, ahead))
    assert (np.diff(feeds) >= feed).all() and (np.diff(steps) >= step).all()
    assert (feeds + feed <= steps).all()  # a batch is made before it is used
    if ahead:
        assert (feeds[ahead:] >= steps[:-ahead]).all()  # there is room for it
    else:
        assert (feeds[1:] >= steps[:-1] + step).all()  # in turns
    pace = max(feed, step) if ahead else feed + step
    assert steps[-1] - steps[-2] == pytest.approx(pace)
