"""When a run chooses, cuts and sets the learning rate: all in optimizer steps."""

import math


class Timetable:
    """The way from the first step of a run to its last, through the turns of a schedule.

    A turn begins with a choice of channels, goes on with their way to zero, and ends
    with a cut.

    Parameters
    ----------
    schedule : nestrade_lib.Schedule
    steps : int
        Of the run.

    Attributes
    ----------
    step : int
        How many steps are done.
    steps, start, interval : int
        Of the run, of its dense phase, and from one choice to the next.
    choose_at : int
        When the next choice is due.
    turn : int
        How many turns have begun.
    cut_at : int or None
        When the groups that were chosen are cut; None where none are.
    growth : int
        How many times larger batches have become.

    Examples
    --------
    >>> from nestrade_lib import Schedule
    >>> way = Timetable(Schedule(start=0.2, stop=0.6, cuts=4), steps=100)
    >>> way.start, way.interval, way.steps_ahead(is_cutting=True)
    (20, 10, 2)
    >>> way.step = 20
    >>> way.begin_turn()
    (0.25, False)
    >>> way.plan_cut()
    6
    >>> way.cut_at
    26
    """

    PIECES = 12  # of a phase: the learning rate is set anew for each

    def __init__(self, schedule, steps):
        self._cuts, self._shrink = schedule.cuts, schedule.shrink
        self.step = 0
        self.steps = steps
        self.start = round(schedule.start * steps)
        length = (schedule.stop - schedule.start) * steps
        self.interval = max(1, round(length / schedule.cuts))
        self.choose_at = self.start
        self.turn = 0
        self.cut_at = None
        self.growth = 1

    @property
    def counters(self):
        """All that a run which was killed needs to go on from here (dict)."""
        return {n: v for n, v in vars(self).items() if not n.startswith("_")}

    def take_up(self, counters):
        """Go on from where another one was."""
        vars(self).update(counters)

    def steps_ahead(self, is_cutting):
        """Steps until something is to be done: choose, cut, or set the rate anew."""
        ends = [self.step + max(1, round(self._phase()[2] / self.PIECES))]
        if self.cut_at is not None:
            ends.append(self.cut_at)
        elif is_cutting:
            ends.append(max(self.choose_at, self.step + 1))
        return max(1, min(ends) - self.step)

    def rate(self, count):
        """The learning rate of the next steps, as a share of the user's."""
        first, lowest, length = self._phase()
        progress = min((self.step + count / 2 - first) / length, 1)
        cosine = lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2
        return self.growth**0.5 * cosine

    def _phase(self):
        """First step, lowest rate and length of the phase: dense, or after."""
        if self.step < self.start:
            return 0, 0.02, self.start
        return self.start, 0.0, max(self.steps - self.start, 1)

    @property
    def choice_is_due(self):
        """Whether a turn is to begin."""
        return self.cut_at is None and self.step >= self.choose_at

    @property
    def cut_is_due(self):
        """Whether the turn is to end."""
        return self.cut_at is not None and self.step >= self.cut_at

    @property
    def is_over(self):
        """Whether no turn is left."""
        return self.turn >= self._cuts or self.step + self.interval >= self.steps

    def begin_turn(self):
        """Count a turn.

        Returns
        -------
        float
            The part of the way to the budget that it is to reach.
        bool
            Whether it is the last one that the run has time for.
        """
        self.choose_at += self.interval
        self.turn += 1
        is_last = self.step + 2 * self.interval > self.steps
        return (1 if is_last else self.turn / self._cuts), is_last

    def plan_cut(self):
        """Set the end of the turn, and give the steps that are left to it."""
        shrink = min(self._shrink, 2 * self.interval // 3)
        shrink = max(1, min(shrink, self.steps - self.step))
        self.cut_at = self.step + shrink
        return shrink

    def grow(self, growth, share):
        """Go on with larger batches, and this share of the steps."""
        self.growth = growth
        for name in ("step", "steps", "start", "choose_at"):
            setattr(self, name, round(share * getattr(self, name)))
        self.interval = max(1, round(share * self.interval))
