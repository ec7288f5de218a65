"""When a run chooses channels and cuts them: all in optimizer steps."""

from dataclasses import dataclass


@dataclass
class Timetable:
    """The way from the first step of a run to its last, through its pruning rounds.

    A pruning round begins with a choice of channels, goes on while they shrink to zero,
    and ends with a cut.

    Attributes
    ----------
    cuts, shrink : int
        Of the :class:`nestrade_lib.Schedule`.
    steps, start, interval : int
        Of the run, of its dense phase, and from one choice to the next.
    choose_at : int
        When the next choice is due.
    step : int
        How many steps are done.
    rounds : int
        How many pruning rounds have begun.

    Examples
    --------
    >>> from nestrade_lib import Schedule
    >>> way = Timetable.of(Schedule(start=0.2, stop=0.6, cuts=4), steps=100)
    >>> way.start, way.interval
    (20, 10)
    >>> way.step = 20
    >>> way.begin_round()
    (0.25, False)
    >>> way.steps_to_zero
    6
    >>> print(way)
    100 steps: 4 cuts between steps 20 and 60
    """

    cuts: int
    shrink: int
    steps: int
    start: int
    interval: int
    choose_at: int
    step: int = 0
    rounds: int = 0

    @classmethod
    def of(cls, schedule, steps):
        """The timetable of a run of so many steps."""
        start, stop = schedule.window(steps)
        length, start = (stop - start) * steps, round(start * steps)
        cuts = schedule.cuts_within(steps)
        interval = max(1, round(length / cuts))
        return cls(cuts, schedule.shrink, steps, start, interval, start)

    def __str__(self):
        cuts = "1 cut" if self.cuts == 1 else f"{self.cuts} cuts"
        return f"{self.steps:,} steps: {cuts} between steps {self.start:,} and {self.end:,}"

    @property
    def end(self):
        """The step at which the last pruning round is over."""
        return self.start + self.cuts * self.interval

    @property
    def choice_is_due(self):
        """Whether a pruning round is to begin."""
        return self.step >= self.choose_at

    @property
    def is_over(self):
        """Whether no pruning round is left."""
        return self.rounds >= self.cuts or self.step + self.interval >= self.steps

    def begin_round(self):
        """Count a round: the part of the way to the budget, and whether it is the last."""
        self.choose_at += self.interval
        self.rounds += 1
        is_last = self.step + 2 * self.interval > self.steps
        return (1 if is_last else self.rounds / self.cuts), is_last

    @property
    def steps_to_zero(self):
        """How many steps the channels chosen now have until they are cut."""
        shrink = min(self.shrink, 2 * self.interval // 3)
        return max(1, min(shrink, self.steps - self.step))

    def grow(self, share):
        """Go on with larger batches: this share of the steps."""
        for name in ("step", "steps", "start", "choose_at"):
            setattr(self, name, round(share * getattr(self, name)))
        self.interval = max(1, round(share * self.interval))

    def steps_ahead(self, cut_at, is_cutting):
        """Steps until something is to be done: cut, or else choose; None if nothing is."""
        if cut_at is not None:
            return max(1, cut_at - self.step)
        return max(1, self.choose_at - self.step) if is_cutting else None
