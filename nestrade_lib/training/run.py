"""One ``fit`` of Nestrade, from its first epoch to its last: train, choose, cut, grow.

    begin, or restore ─► each epoch: grow ─► each piece: choose ─► train ─► cut ─► end

A piece ends where there is something to choose or to cut, and with its epoch; or after
any step, where the process is asked to end.
"""

import warnings

import numpy as np

from nestrade_lib.optimizer_wrapper import OptimizerWrapper
from nestrade_lib.optimizers import averages_weights, is_adaptive, own_learning_rate
from nestrade_lib.regularizers import ChannelOptimizer
from nestrade_lib.training import pruning
from nestrade_lib.training.annealing import AnnealedOptimizer, raised
from nestrade_lib.training.backup import open_backup
from nestrade_lib.training.callbacks import (
    Best,
    CallbackAdapter,
    require_finite,
    sets_learning_rate,
    show_network,
)
from nestrade_lib.training.interrupts import interrupts_deferred, values_kept
from nestrade_lib.training.rescale import grow_if_due
from nestrade_lib.training.state import UnfinishedEpoch
from nestrade_lib.training.termination import Termination, end_if_asked
from nestrade_lib.training.timetable import Timetable
from nestrade_lib.variables import assign, values_of

SAMPLES = 512  # of which the curvature of the loss is estimated


class Run:
    """One ``fit``. Its parts are set once; the state and the network change."""

    def __init__(self, trainer, data, epochs, callbacks, validation=None):
        self.trainer = trainer  # for its settings
        self.engine = trainer.engine
        self.pruned = trainer.pruned
        if not trainer.met:
            self.pruned.follow_frozen()
        timetable = Timetable.of(trainer.schedule, len(epochs) * data.steps)
        self.state = trainer.state
        self.state.begin_fit(self.pruned.graph.count, data.seed, timetable)
        self.data = data
        self.sample = data.sample()
        self.epochs = epochs
        self.callbacks = callbacks
        self.validation = validation
        self.first = self.network, self.pruned.graph  # that the state's masks refer to
        setters = sets_learning_rate(callbacks)
        self.anneals = trainer.anneal and not trainer.met and not setters
        optimizer = self.network.optimizer
        self.learning_rate = own_learning_rate(optimizer) if self.anneals else None
        self.annealed = self.best = self.backup = self.on_start = self.refusal = None
        self.shown = self.network  # to the callbacks
        self.is_loss_checked = False

    @property
    def network(self):
        """The network as it is now."""
        return self.pruned.network

    def train(self, backup_dir=None):
        """Train all epochs, or those that a backup has left."""
        self.backup = open_backup(self, backup_dir)
        with Termination(self.engine, self.backup is not None) as self.termination:
            try:
                self.begin()
                epochs = self.backup.resume(self) if self.backup else self.epochs
                logs = self.train_epochs(epochs)
                pruning.judge_last_cut(self)
                self.assert_equal_weights()
            finally:
                with interrupts_deferred():
                    if self.backup:
                        self.backup.checkpoints.close()
                    self.end()
            self.callbacks.on_train_end(logs)

    def train_epochs(self, epochs):
        """Train, and give the logs of the last epoch of all."""
        history = self.trainer.history.history
        logs = {name: values[-1] for name, values in history.items()}
        for epoch in epochs:
            end_if_asked(self, epoch)
            if self.state.within is None:
                grow_if_due(self)
            self.callbacks.on_epoch_begin(epoch)
            logs = self.train_epoch(epoch)
            if self.validation and self.validation.is_due(epoch):
                with values_kept(self.pruned.variables):
                    logs |= self.validation.logs(
                        self.engine, self.network, self.callbacks
                    )
            self.callbacks.on_epoch_end(epoch, logs)
            stops = self.engine.gather([self.network.stop_training])
            self.state.is_stopped = bool(stops.any())
            if self.state.is_stopped:
                pruning.take_round_back(self)
            self.assert_equal_weights()
            if self.backup:
                self.backup.write(epoch, self)
            if self.state.is_stopped:
                break
        return logs

    # Its two ends, and its backup ------------------------------------------------

    def begin(self):
        """Make the network ready to be trained; :meth:`end` makes it plain again."""
        network = self.network
        self.engine.prepare(network)
        if not network.optimizer.built:  # its slots have to be there to be read and cut
            with self.engine.scope():
                network.optimizer.build(network.trainable_variables)
        if not self.trainer.met:
            self.pruned.require_cuttable(self.sample and self.sample[0])
        self.assert_equal_weights()
        self.pruned.build_metrics(self.sample)
        self.wrap_optimizer()
        self.attach_teacher()
        if not self.trainer.met and self.callbacks.params.get("verbose"):
            print(self.state.timetable)
        network.stop_training = False
        self.trainer.history = network.history
        self.callbacks.on_train_begin()
        self.best = Best(self.callbacks)

    def end(self):
        """Leave a plain network behind: the user's optimizer, with its learning rate."""
        pruning.take_round_back(self)
        network = self.network
        if self.pruned.teacher is not None:
            self.pruned.teacher.detach(network)
        if self.pruned.unwrap_optimizer():
            network.optimizer.finalize_variable_values(network.trainable_weights)
        if self.learning_rate is not None:
            network.optimizer.learning_rate = self.learning_rate
        self.engine.release(network)
        self.state.accepted = None  # as large as the network

    def saved(self):
        """What a backup keeps: the state, and the values of all variables."""
        teacher = self.pruned.teacher
        return {
            "state": self.state,
            "timings": self.pruned.costs.timings,
            "network": values_of(self.network.variables),
            "optimizer": values_of(self.network.optimizer.variables),
            "teacher": teacher and values_of(teacher.network.variables),
        }

    def restore(self, saved):
        """Go on from what :meth:`saved` has given."""
        state, pruned, data = self.state, self.pruned, self.data
        state.restore(saved["state"])
        if state.growth:
            data.batch_size *= state.growth
        if saved["teacher"]:
            pruned.keep_teacher(self.trainer.distill)
            pruned.teacher.load(saved["teacher"])
        pruned.unwrap_optimizer()
        pruning.adopt_masked(self, state.mask)
        pruned.costs.timings = saved["timings"]  # which say whether the budget is met
        self.wrap_optimizer()
        assign(self.network.variables, saved["network"])
        assign(self.network.optimizer.variables, saved["optimizer"])
        self.attach_teacher()
        self.callbacks.set_params({**self.callbacks.params, "steps": data.steps})
        self.show_network()

    # An epoch, piece by piece --------------------------------------------------

    def train_epoch(self, epoch):
        """Train one of the user's epochs, or the rest of it, and give its logs."""
        timetable, data = self.state.timetable, self.data
        if self.state.within is None:
            data.start_epoch(epoch)
            fingerprint = data.fingerprint() if self.backup else ""
            self.state.within = UnfinishedEpoch(fingerprint)
        within = self.state.within
        if within.is_stopped:
            self.network.stop_training = True
        self.check_loss_once()
        self.preview = self.preview_batches()
        data.advance(within.position)
        while True:
            end_if_asked(self, epoch)
            if pruning.cut_if_due(self):
                continue
            if within.position >= data.steps or self.network.stop_training:
                break
            pruning.choose_if_due(self)
            self.show_network()
            count = data.steps - within.position
            cut_at = self.state.round and self.state.round.cut_at
            ahead = timetable.steps_ahead(cut_at, is_cutting=not self.trainer.met)
            count = min(count, ahead or count, pruning.shrink_frozen(self) or count)
            batches = data.take(count)
            if batches is None:
                self.stop_without_data(epoch)
                break
            good = self.state.round.values if self.state.round else self.pruned.values
            parts = within.position, count, within.metrics
            hooks = self.termination.is_agreed_after_step, self.on_start
            self.on_start = None
            piece = CallbackAdapter(self.callbacks, *parts, *hooks)
            with values_kept(self.pruned.variables, good):
                self.engine.fit(self.network, piece, epoch, **batches)
            if data.is_exhausted:
                self.stop_without_data(epoch)
            require_finite(self.pruned, piece.logs, good, timetable.step, data)
            done = piece.done if self.network.stop_training else count
            within.metrics, within.logs = piece.metrics, piece.logs
            within.is_stopped, within.is_midway = piece.is_stopped, done < count
            within.position += done
            timetable.step += done
        self.show_network()
        data.end_epoch()
        self.state.within = None
        return within.logs

    def preview_batches(self):
        """Batches that the curvature of the loss is estimated on, while it is needed."""
        is_needed = self.trainer.importance == "kfac" and not self.trainer.met
        return self.data.preview(SAMPLES) if is_needed else []

    def check_loss_once(self):
        """Refuse a loss that the replicas would not add up to, on the first batch."""
        if not self.is_loss_checked and self.engine.replicas > 1:
            batch = self.data.peek()
            if batch is not None:
                self.engine.check_loss(self.network, batch)
                self.is_loss_checked = True

    def stop_without_data(self, epoch):
        """Stop where the data have ended before their time, and say so."""
        warnings.warn(
            f"The training data ended in epoch {epoch + 1}, before its "
            f"{self.data.steps} batches: training stops there. Let the generator or "
            "data set go on for all epochs, as with .repeat().",
            stacklevel=2,
        )
        self.network.stop_training = True

    # What its steps share ----------------------------------------------------------

    def wrap_optimizer(self, scores=None):
        """Let the optimizer also anneal, score and shrink, or hold back, as is needed."""
        inner = optimizer = self.network.optimizer
        with self.engine.scope():
            if self.learning_rate is not None:
                kind = self.trainer.anneal
                optimizer = self.annealed = AnnealedOptimizer(optimizer, kind)
            if not self.trainer.met:
                optimizer = ChannelOptimizer(optimizer, self.pruned.graph)
            if optimizer is inner and averages_weights(inner):
                optimizer = OptimizerWrapper(inner)
            if optimizer is inner:
                return
            optimizer.build(self.network.trainable_variables)
        if scores is not None and not self.trainer.met:
            optimizer.scores.assign(np.append(scores, 0))
        self.set_learning_rate()
        self.pruned.set_optimizer(optimizer)

    def set_learning_rate(self):
        """Let the learning rate follow the timetable; larger batches have its root more."""
        if self.annealed is not None and (peak := self.learning_rate) is not None:
            is_narrow = self.trainer.met and self.trainer.anneal == "once"
            if is_narrow and is_adaptive(self.network.optimizer):
                peak = raised(peak, *self.pruned.costs.narrowing)
            growth = self.state.growth or 1
            self.annealed.follow(self.state.timetable, peak * growth**0.5)

    def attach_teacher(self):
        """Let the teacher's answers, if there is one, count in the network's loss."""
        teacher = self.pruned.teacher
        if teacher is not None:
            teacher.attach(self.network)
            with values_kept(teacher.network.variables):
                self.data.learn_from(teacher)

    def show_network(self):
        """Let the callbacks see the network, where it is another one than they know."""
        if self.shown is not self.network:
            self.shown = self.network
            show_network(self.callbacks, self.network)

    def assert_equal_weights(self):
        """Every worker has to have the same network, to the last bit."""
        if self.engine.workers > 1:
            weights = values_of(self.network.variables)
            shapes = [tuple(w.shape) for w in weights]
            self.engine.assert_equal("the network's structure", shapes)
            self.engine.assert_equal("the network's weights", *weights)
