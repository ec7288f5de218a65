"""One ``fit`` of Nestrade, piece by piece: train, choose, cut, grow.

The structure knows what a cut is, the timetable when it is due. The run trains from
one to the next, sets the learning rate of each piece, gathers scores while training goes on, and leaves a
plain network behind whatever happens.
"""

import time
import warnings

import keras
import numpy as np

from nestrade_lib.distillation import Teacher
from nestrade_lib.optimizers import averages_weights, own_rate
from nestrade_lib.regularizers import ChannelOptimizer
from nestrade_lib.training.callbacks import Best, CallbackAdapter
from nestrade_lib.training.cut import Cut
from nestrade_lib.training.divergence import require_finite
from nestrade_lib.training.rescale import growth_that_pays
from nestrade_lib.training.timetable import Timetable


class Run:
    """One ``fit``: where it stands on its way, piece by piece."""

    def __init__(self, trainer, source, epochs, anneal, validate):
        self.trainer = trainer
        self.engine = trainer.engine
        self.source = source
        self.sample = source.sample()
        self.structure = structure = trainer.structure
        self.base = structure.network, structure.graph
        self.kept = np.ones(structure.graph.count, bool)  # of the base's groups
        self.first_cut = len(trainer.cuts)
        self.rate = own_rate(trainer.network.optimizer) if anneal else None
        self.first_epoch = epochs.start
        self.timetable = Timetable(trainer.schedule, len(epochs) * source.steps)
        self.chosen = None  # the groups that stay, from the choice to the cut
        self.before_turn = None  # and the state before their way to zero
        self.validate = validate
        self.safe = None  # the network before the last cut, its state, how many cuts
        self.spent = 0.0  # seconds that the choice took
        self.has_grown = False
        self.optimizer = None
        self.is_checked = False  # that replicas add up to the loss
        self.best = None

    def open(self, callbacks):
        """Make the network ready to be trained; :meth:`close` gives it back as it was."""
        network, structure = self.trainer.network, self.structure
        self.engine.prepare(network)
        if not network.optimizer.built:  # its slots have to be there to be read and cut
            with self.engine.scope():
                network.optimizer.build(network.trainable_variables)
        if not structure.met:  # what cannot be cut is told before it is trained
            structure.require_cuttable()
        self.require_alike()
        self._wrap_if_needed(np.zeros(structure.graph.count))
        self.teach()
        network.stop_training = False
        callbacks.on_train_begin()
        self.best = Best(callbacks)

    def epoch(self, epoch, callbacks):
        """Train one of the user's epochs and give its logs."""
        self.source.start_epoch(epoch)
        self._check_loss_once()
        position, relay = 0, None
        while position < self.source.steps and not self.trainer.network.stop_training:
            self._choose_if_due()
            callbacks.set_model(self.trainer.network)
            ahead = self.timetable.steps_ahead(is_cutting=not self.structure.met)
            count = min(self.source.steps - position, ahead)
            self._set_rate(count)
            network = self.trainer.network
            state = _values([*network.variables, *network.optimizer.variables])
            data = self.source.take(count)
            if data is None:
                self._stop_without_data(epoch)
                break
            relay = CallbackAdapter(callbacks, position, count, relay and relay.metrics)
            self.engine.fit(network, relay, epoch, **data)
            if self.source.is_exhausted:
                self._stop_without_data(epoch)
            require_finite(network, relay.logs, state, self.timetable.step + 1)
            if network.stop_training:
                count = relay.done  # a callback has ended the piece
            position += count
            self.timetable.step += count
            if self._cut_if_due():
                self.best.forget()
        callbacks.set_model(self.trainer.network)
        self.source.end_epoch()
        return relay.logs if relay else {}

    def _check_loss_once(self):
        if not self.is_checked and self.engine.replicas > 1:
            batch = self.source.peek()
            if batch is not None:
                self.engine.check_loss(self.trainer.network, batch)
                self.is_checked = True

    def _stop_without_data(self, epoch):
        warnings.warn(
            f"The training data ended in epoch {epoch + 1}, before its "
            f"{self.source.steps} batches: training stops there. Let the generator or "
            "data set go on for all epochs, as with .repeat().",
            stacklevel=2,
        )
        self.trainer.network.stop_training = True

    def close(self):
        """Leave a plain network behind: the user's optimizer, its own learning rate."""
        network = self.trainer.network
        self.take_turn_back()
        if self.trainer.teacher is not None:
            self.trainer.teacher.leave(network)
        if self.optimizer is not None:
            self.unwrap()
            network.optimizer.finalize_variable_values(network.trainable_weights)
        if self.rate is not None:
            network.optimizer.learning_rate = self.rate
        self.engine.release(network)

    def _set_rate(self, count):
        if self.rate is not None:
            rate = self.rate * self.timetable.rate(count)
            self.trainer.network.optimizer.learning_rate = rate

    # Choose, cut, grow --------------------------------------------------------

    def _choose_if_due(self):
        trainer, timetable = self.trainer, self.timetable
        while not self.structure.met and timetable.choice_is_due:
            if (
                trainer.budget.max_accuracy_drop is not None
                and self._search_has_ended()
            ):
                return
            progress, is_last = timetable.begin_turn()
            max_pruning_ratio = 1.0 if is_last else trainer.schedule.max_pruning_ratio
            start = time.perf_counter()
            mask = self.structure.choose(progress, self._scores(), max_pruning_ratio)
            mask = self.engine.broadcast(mask).astype(bool)
            self.spent = time.perf_counter() - start
            if mask.all():
                continue
            self.call_teacher()
            self.teach()
            self.chosen = mask
            self.before_turn = _values(self.variables_of(trainer.network))
            shrink = timetable.plan_cut()
            self.optimizer.remaining.assign(np.append(np.where(mask, 0.0, shrink), 0.0))

    def take_turn_back(self):
        """Undo a turn that does not come to its cut: nothing stays half way to zero."""
        if self.chosen is not None:
            for variable, value in self.before_turn:
                variable.assign(value)
            self.chosen = self.before_turn = self.timetable.cut_at = None

    def check_last_cut(self, callbacks):
        """Hold the last cut to its accuracy too, if the run ended before that."""
        if self.safe is not None and not self.structure.met:
            self._search_has_ended()
            callbacks.set_model(self.trainer.network)

    def _search_has_ended(self):
        """Hold the network to its accuracy: take the last cut back if it lost more."""
        trainer, structure = self.trainer, self.structure
        accuracy = _accuracy(self.validate())
        if not trainer.cuts:
            structure.reference = accuracy
        kept = (
            100 * (structure.reference - accuracy) <= trainer.budget.max_accuracy_drop
        )
        if kept and not self.timetable.is_over:
            state = _values(self.variables_of(trainer.network))
            self.safe = self.kept.copy(), trainer.network, state, len(trainer.cuts)
            return False
        self.unwrap()
        if not kept and self.safe is not None:
            self.kept, network, state, count = self.safe
            for variable, value in state:
                variable.assign(value)
            structure.adopt(network)
            del trainer.cuts[count:]
            self.teach()
            self.best.forget()
        self.structure.settled = True
        self._wrap_if_needed(np.zeros(self.structure.graph.count))
        return True

    def _scores(self):
        importance, structure = self.trainer.importance, self.structure
        if importance is None:
            return _numpy(self.optimizer.scores)[:-1].astype(float)
        scores = np.asarray(importance(structure.network, structure.graph), float)
        if scores.shape != (structure.graph.count,) or np.isnan(scores).any():
            raise ValueError(
                f"importance: expected {structure.graph.count} numbers, one a channel "
                f"group, got shape {scores.shape} with {int(np.isnan(scores).sum())} NaN."
            )
        return scores

    def _cut_if_due(self):
        if not self.timetable.cut_is_due:
            return False
        mask = self.chosen
        self.chosen = self.before_turn = self.timetable.cut_at = None
        scores = self._scores_gathered()[mask]
        self.unwrap()
        before = self.trainer.network
        stop = before.stop_training
        probe = self.sample and self.sample[0]
        self._cut(mask, probe)
        self.kept[self.kept] = mask
        self.engine.prepare(self.trainer.network)
        self.require_alike()
        self.trainer.network.stop_training = stop
        self.build_metrics(self.trainer.network)
        self._wrap_if_needed(scores)
        if self.trainer.teacher is not None:
            self.trainer.teacher.leave(before)
        self.teach()
        return True

    def _cut(self, mask, probe):
        structure, start = self.structure, time.perf_counter()
        structure.cut(mask, probe)
        epoch = self.first_epoch + self.timetable.step / self.source.steps
        total = structure.totals()
        spent = self.spent + time.perf_counter() - start
        self.trainer.cuts.append(Cut(epoch, total, structure.widths, spent))

    def call_teacher(self):
        """Copy the network, before its first cut, to learn from it later."""
        trainer, structure = self.trainer, self.structure
        if trainer.distill is not None and trainer.teacher is None:
            with self.engine.cut_scope():
                trainer.teacher = Teacher(
                    structure.network, structure.graph, trainer.distill
                )

    def teach(self):
        """Let the teacher's answers, if there is one, count in the network's loss."""
        teacher = self.trainer.teacher
        if teacher is not None:
            teacher.teach(self.trainer.network)
            self.source.learn_from(teacher)

    def build_metrics(self, network):
        """Make the metrics' variables, so that what was gathered can go on in them."""
        if not self.sample:
            return
        x, y = self.sample
        with self.engine.scope():
            predicted = network(x, training=False)
            network.compute_loss(x, y, predicted)
            network.compute_metrics(x, y, predicted)

    def _scores_gathered(self):
        return _numpy(self.optimizer.scores)[:-1]

    def grow_if_done(self, callbacks):
        """With the budget met, larger batches: fewer steps a pass."""
        growth, optimizer = self.trainer.growth, self.trainer.network.optimizer
        if (
            not self.structure.met
            or len(self.trainer.cuts) == self.first_cut  # nothing was freed
            or self.has_grown
            or growth == 1
            or not self.source.is_arrays
            or own_rate(optimizer) is None  # its schedule counts on the steps
        ):
            return
        if growth == "auto":
            growth = growth_that_pays(self.trainer, self.source)
        before, rows = self.source.steps, self.source.rows
        growth = min(growth, max(1, rows // self.source.batch_size))
        self.source.batch_size *= growth
        self.has_grown = True
        self.timetable.grow(growth, self.source.steps / before)
        callbacks.set_params({**callbacks.params, "steps": self.source.steps})

    def require_alike(self):
        """Every worker has to have the same network, to the last bit."""
        if self.engine.workers > 1:
            network = self.trainer.network
            weights = [_numpy(v) for v in network.variables]
            shapes = [tuple(w.shape) for w in weights]
            self.engine.assert_equal("the network's structure", shapes)
            self.engine.assert_equal("the network's weights", *weights)

    # Wrap, unwrap, look back ---------------------------------------------------

    def variables_of(self, network):
        """A network's variables and those of the optimizer that the user chose."""
        optimizer = network.optimizer
        if isinstance(optimizer, ChannelOptimizer):
            optimizer = optimizer.inner_optimizer
        return [*network.variables, *optimizer.variables]

    def _wrap_if_needed(self, scores):
        # Averaged weights are for the end of the run, not of each piece: see there.
        if not self.structure.met or averages_weights(self.trainer.network.optimizer):
            self.wrap(scores)

    def wrap(self, scores):
        """Let the optimizer score channel groups, and drive chosen ones to zero."""
        network = self.trainer.network
        with self.engine.scope():
            self.optimizer = ChannelOptimizer(network.optimizer, self.structure.graph)
            self.optimizer.build(network.trainable_variables)
        self.optimizer.scores.assign(np.append(scores, 0))
        network.optimizer = self.optimizer
        network.train_function = None  # it holds the optimizer that it was made with

    def unwrap(self):
        """Give the network back the optimizer that the user chose."""
        network = self.trainer.network
        network.optimizer = self.optimizer.inner_optimizer
        network.train_function = None
        self.optimizer = None


def _numpy(variable):
    return keras.ops.convert_to_numpy(variable)


def _values(variables):
    """Each variable with a copy of its value."""
    return [(v, _numpy(v).copy()) for v in variables]


def _accuracy(logs):
    found = [name for name in logs if "acc" in name and not name.endswith("loss")]
    if not found:
        raise ValueError(
            f"A budget within points of accuracy needs an accuracy among the metrics, got "
            f"{', '.join(logs)}. Compile the network with metrics=['accuracy']."
        )
    return logs[found[0]]
