"""How a run ended: what to do where it has not met its budget."""

import warnings


def warn_if_missed(run):
    """Warn where a run has ended above its budget, and say what to do about the cause."""
    trainer = run.trainer
    if not trainer.met and trainer.history.epoch:
        warnings.warn(
            f"The run ended before the budget {trainer.budget} was met. {_advice(run)}",
            stacklevel=3,
        )


def _advice(run):
    if run.refusal is not None:
        return f"Cuts were refused and skipped, the last one because: {run.refusal}"
    epochs, schedule = run.epochs, run.trainer.schedule
    if run.state.is_stopped:
        first, last = (
            min(epochs.start + int(share * len(epochs)) + 1, epochs.stop)
            for share in schedule.window(len(epochs) * run.data.steps)
        )
        return (
            f"It was stopped in epoch {run.trainer.history.epoch[-1] + 1}, and its cuts "
            f"were to fall from epoch {first} to epoch {last} of {epochs.stop}. Pass fewer "
            "epochs, cut sooner with Schedule(start=, stop=), or let the callback that "
            f"stops it wait, as EarlyStopping(start_from_epoch={last}) does."
        )
    return "Train longer, or let cuts take more with Schedule(max_pruning_ratio=1)."
