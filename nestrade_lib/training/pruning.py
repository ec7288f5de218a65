"""The pruning rounds of a run, each from a choice to a cut; and the search that ends them.

A round chooses channels, the optimizer drives them to zero while training goes on, and a
cut removes them. A search, within points of accuracy, accepts each cut or takes it back.
"""

import time
import warnings

import keras
import numpy as np

from nestrade_lib.arrays import arrays_of, in_larger_batches
from nestrade_lib.distillation import has_own_step
from nestrade_lib.kfac import kfac
from nestrade_lib.surgery import cut
from nestrade_lib.training.interrupts import values_kept
from nestrade_lib.training.state import AcceptedNetwork, Cut, PruningRound

FROZEN_PARTS = 4  # in which slices that do not train go to zero
JOINED_SAMPLES, JOINED_BYTES = 128, 2**26  # of batches that scores are estimated on


def choose_if_due(run):
    """Begin a pruning round: choose channels, and let them shrink to zero."""
    trainer, state, timetable = run.trainer, run.state, run.state.timetable
    is_search = trainer.budget.max_accuracy_drop is not None
    while not trainer.met and state.round is None and timetable.choice_is_due:
        if is_search and not accept_or_end_search(run):
            return
        progress, is_last = timetable.begin_round()
        schedule, importance = trainer.schedule, trainer.importance
        ratio = 1.0 if is_last else schedule.ratio(importance)
        min_width = schedule.least_width(importance)
        start = time.perf_counter()
        mask = run.pruned.choose(progress, _scores(run), ratio, min_width)
        mask = run.engine.broadcast(mask).astype(bool)
        seconds = time.perf_counter() - start
        if mask.all():
            continue
        if run.pruned.keep_teacher(trainer.distill):
            run.attach_teacher()
        steps = timetable.steps_to_zero
        cut_at, values = timetable.step + steps, run.pruned.values
        state.round = PruningRound(mask, cut_at, steps, seconds, values)
        run.best.remember()
        remaining = np.append(np.where(mask, 0.0, steps), 0.0)
        run.network.optimizer.remaining.assign(remaining)


def shrink_frozen(run):
    """Shrink the chosen slices that no optimizer trains; steps until that is due again.

    The optimizer drives those of its variables at each step. The others, such as the scales
    of frozen norms, go a part of their way at a time, between two pieces of an epoch.
    """
    unfinished, network = run.state.round, run.network
    if unfinished is None:
        return None
    left = run.pruned.frozen(unfinished.mask)
    if not left:
        return None
    part = max(1, -(-unfinished.steps // FROZEN_PARTS))
    ahead = unfinished.cut_at - run.state.timetable.step
    parts = -(-ahead // part)  # that are still to come
    level = (parts - 1) / -(-unfinished.steps // part)
    values = {}
    for number, axis, chosen in left:
        array = values.get(number, unfinished.values[number])
        factors = np.where(chosen, level, 1).astype(array.dtype)
        shape = [1] * array.ndim
        shape[axis] = -1
        values[number] = array * factors.reshape(shape)
    for number, array in values.items():
        network.variables[number].assign(array)
    return ahead - (parts - 1) * part


def cut_if_due(run):
    """End a pruning round: cut what it has driven to zero; whether it was due."""
    state, pruned, before = run.state, run.pruned, run.network
    if state.round is None or state.timetable.step < state.round.cut_at:
        return False
    start, mask = time.perf_counter(), state.round.mask
    scores = _gathered_scores(run)
    pruned.unwrap_optimizer()
    refusal = pruned.cut(mask, run.sample and run.sample[0])
    if refusal is not None:
        go_on_uncut(run, refusal, scores)
        return True
    seconds = state.round.seconds + time.perf_counter() - start
    state.round = None
    state.mask[state.mask] = mask
    epoch = run.epochs.start + state.timetable.step / run.data.steps
    state.cuts.append(Cut(epoch, pruned.costs.totals(), pruned.widths, seconds))
    run.engine.prepare(run.network)
    run.assert_equal_weights()
    run.network.stop_training = before.stop_training
    pruned.build_metrics(run.sample)
    run.wrap_optimizer(scores[mask])
    if pruned.teacher is not None:
        pruned.teacher.detach(before)
    run.attach_teacher()
    run.best.forget()
    return True


def go_on_uncut(run, refusal, scores):
    """Skip a cut that was refused: train on from before its round, and warn once."""
    take_round_back(run)
    run.wrap_optimizer(scores)
    if run.refusal is None:
        warnings.warn(
            f"A cut was refused and is skipped; training goes on without it. {refusal}",
            stacklevel=2,
        )
    run.refusal = refusal


def take_round_back(run):
    """Undo a round that does not come to its cut: nothing stays half way to zero."""
    unfinished, run.state.round = run.state.round, None
    # An interrupt may have come just after the cut: then there is nothing to undo.
    if unfinished is not None and len(unfinished.mask) == run.pruned.graph.count:
        run.pruned.values = unfinished.values
        run.best.recall()


def accept_or_end_search(run):
    """Whether the network holds its accuracy, and is to be cut further.

    If not, the search ends, with the last network that did.
    """
    state, pruned = run.state, run.pruned
    with values_kept(pruned.variables):
        accuracy = run.validation.accuracy(run.engine, run.network)
    if not state.cuts:
        state.reference_accuracy = accuracy
    drop = 100 * (state.reference_accuracy - accuracy)
    is_accepted = drop <= run.trainer.budget.max_accuracy_drop
    if is_accepted and not state.timetable.is_over:
        mask, cuts = state.mask.copy(), len(state.cuts)
        state.accepted = AcceptedNetwork(mask, pruned.values, cuts)
        return True
    pruned.unwrap_optimizer()
    if not is_accepted and state.accepted is not None:
        if not np.array_equal(state.accepted.mask, state.mask):
            adopt_masked(run, state.accepted.mask)
        pruned.values, state.mask = state.accepted.values, state.accepted.mask
        del state.cuts[state.accepted.cuts :]
        run.attach_teacher()
        run.best.forget()
    state.is_search_over = True
    run.wrap_optimizer()
    return False


def judge_last_cut(run):
    """Hold the last cut to its accuracy too, if the run ended before that."""
    if run.state.accepted is not None and not run.trainer.met:
        accept_or_end_search(run)
        run.show_network()


def adopt_masked(run, mask):
    """Go on with these of the groups that the run began with; values are yet to come."""
    network, graph = run.first
    if not mask.all():
        with run.engine.cut_scope():
            network = cut(network, mask, graph)
        run.engine.prepare(network)
    if network is not run.network:
        run.pruned.adopt(network, (graph, mask))
    run.pruned.build_metrics(run.sample)


def _scores(run):
    """One score per channel group: gathered in training, or by the user's function."""
    importance, graph = run.trainer.importance, run.pruned.graph
    taylor = _gathered_scores(run).astype(float)
    if importance == "taylor":
        return taylor
    if importance == "kfac":
        return _curvature_scores(run, taylor)
    scores = np.asarray(importance(run.network, graph))
    is_numbers = scores.dtype.kind in "fiub" and not np.isnan(scores).any()
    is_numbers = is_numbers and np.isfinite(scores).any() and scores.min() > -np.inf
    if scores.shape != (graph.count,) or not is_numbers:
        raise ValueError(
            f"importance: expected {graph.count} numbers, one per channel group and "
            f"not all infinite, got shape {scores.shape}, such as {scores.ravel()[:3].tolist()}."
        )
    return scores.astype(float)


def _curvature_scores(run, taylor):
    """Estimated rises of the loss: with the others' help where K-FAC can see them.

    The mean gradient of B samples has a variance B times smaller than that of one: the
    Taylor score, times B / 2, is the diagonal of the Fisher matrix.
    """
    if not run.preview:  # a generator that has ended
        return taylor
    if _is_in_step(run.network):
        return taylor
    if run.preview[0][1] is None and run.network.loss:  # the training step makes labels
        return taylor
    batch_size = arrays_of(run.preview[0])[0].shape[0] * run.engine.replicas
    # Small batches are joined, as long as they take little memory: the scores are sums.
    bytes_each = max(run.pruned.costs.totals().get("activation_bytes", np.inf), 1)
    together = min(JOINED_SAMPLES, JOINED_BYTES // bytes_each)
    batches = in_larger_batches(run.preview, together)
    scores = kfac(run.network, run.pruned.graph, batches)
    return np.where(np.isnan(scores), batch_size / 2 * taylor, scores)


def _is_in_step(network):
    """Whether only the network's own training step knows its loss."""
    is_plain = type(network).compute_loss is keras.Model.compute_loss
    return has_own_step(network) and is_plain and network.loss is None


def _gathered_scores(run):
    return keras.ops.convert_to_numpy(run.network.optimizer.scores)[:-1]
