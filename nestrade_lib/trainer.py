"""Nestrade: regularize, restructure and rescale, behind Keras' own ``fit``.

    train dense ─► choose the least groups ─► drive them to zero ─► cut ─► train on
                        ▲                                            │
                        └──────────── until the budget is met ◄──────┘

>>> import numpy as np
>>> from nestrade_lib import Nestrade, create_model, create_loss
>>> network = create_model((8, 8, 1), 3)
>>> network.compile("adam", create_loss(), metrics=["accuracy"])
>>> x, y = np.random.rand(96, 8, 8, 1).astype("float32"), np.arange(96) % 3
>>> trainer = Nestrade(network, budget=0.5)
>>> history = trainer.fit(x, y, epochs=4, verbose=0)
>>> trainer.costs.macs <= 0.5 * trainer.dense_costs.macs
True
"""

from collections.abc import Callable, Iterable

import keras
import numpy as np

from nestrade_lib.dependency import ChannelGraph
from nestrade_lib.distillation import Distillation
from nestrade_lib.engines.engine import Engine
from nestrade_lib.onednn import safe_convolutions, warn_if_hit
from nestrade_lib.report import Report
from nestrade_lib.schedule import Budget, Schedule
from nestrade_lib.training.callbacks import callback_list
from nestrade_lib.training.checks import (
    check_compiled,
    check_data,
    check_fit,
    check_inputs,
    check_trainer,
    check_validation,
)
from nestrade_lib.training.data import data_adapter
from nestrade_lib.training.data.array_adapter import count_samples
from nestrade_lib.training.facade import NetworkFacade
from nestrade_lib.training.interrupts import name_scopes_closed
from nestrade_lib.training.outcome import warn_if_missed
from nestrade_lib.training.pruned_network import PrunedNetwork
from nestrade_lib.training.run import Run
from nestrade_lib.training.state import RunState
from nestrade_lib.training.validation import Validation


class Nestrade(NetworkFacade):
    """Train a network while making it smaller, toward a budget.

    Parameters
    ----------
    network : keras.Model
        Built and compiled; functional, sequential, or a model whose ``call`` is made of
        layers and operations (:func:`nestrade_lib.unroll`). It is not changed until the
        first cut, and afterwards it is no longer the one that trains: the current
        one is ``.network``, always a plain Keras model.
    budget : float or Budget
        Share of the MACs to keep, or a :class:`Budget`. 1 is Keras' own ``fit``.
    schedule : Schedule, optional
        When the cuts fall. By default there are four, fewer in runs of less than 400 steps,
        and twelve toward points of accuracy. With ``verbose``, ``fit`` says how many.
    importance : {"kfac", "taylor"} or callable
        How channel groups are scored: ``"kfac"`` by what the loss would rise once the
        other channels have taken over (``nestrade_lib.kfac``), on the first 512
        samples of the epoch; ``"taylor"`` by what it would change to first order, which
        training itself gathers (:class:`nestrade_lib.regularizers.ChannelOptimizer`). Or
        ``(network, graph) -> scores``, one per channel group.
    ignored_layers : sequence of str
        Layers whose channels stay, by name or object: see :func:`nestrade_lib.trace`.
    anneal : {"once", "twice"} or None
        How the learning rate falls from the optimizer's own. ``"once"``: it is held until
        the cuts are over, then falls to zero along a cosine; for optimizers other than
        SGD from higher up, by the root of the MACs before and after, yet raised to no
        more than 0.004. ``"twice"``: it falls along one cosine before the first
        cut, along another one over the rest of the run. Optimizers with a schedule keep
        theirs, and so do runs with one of Keras' callbacks that set the rate. With one
        of your own, pass None: it would be overwritten.
    growth : int or "auto"
        After the last cut, batches of arrays are this much larger, and the learning
        rate, where `anneal` sets it, is the root of it higher, as suits adaptive
        optimizers; not where the optimizer has a schedule, which counts steps.
        ``"auto"`` measures by what factor larger batches pay off
        (:func:`nestrade_lib.training.rescale.measure_rescale`), by the machine's clock.
    distill : float or Distillation, optional
        Weight of a teacher in the loss, from the first cut on: a copy of the network as
        it was then. It answers once to all samples of arrays, which costs the forward
        passes of one dense epoch, and in each step to other data and to those that
        replicas share. The better the teacher, the more a small network gains: let the
        dense phase, ``Schedule(start=)``, be long.
    engine : nestrade_lib.engines.Engine, optional
        What to train on: one device by default. The network has to be built and
        compiled in its scope. With an engine the order of the data is the same on
        any number of devices; without, a budget of 1 is Keras' ``fit`` itself.
    strict : bool
        Refuse layers whose channels cannot be followed. By default they stay, with the
        channels that enter and leave them, and a warning and :meth:`report` name them.
    inputs : array or structure of arrays, optional
        A few samples, where ``network`` is subclassed and was never called, or takes
        whole numbers or text. Open inputs, as ``Input((None, None, 3))``, cost what they do
        at the shape of these samples, or else of the first data in ``fit``.

    Attributes
    ----------
    pruned : nestrade_lib.training.pruned_network.PrunedNetwork
        The network as it is now, its channel groups and their costs.
    state : nestrade_lib.training.state.RunState
        Where the trainer stands beside that.
    history : keras.callbacks.History or None
        Of the last ``fit``.

    Raises
    ------
    ValueError
        If the network is not built or compiled or has no channel to cut, a layer is unknown,
        the budget is out of reach or of MACs that are not known, or nothing is to distil.

    Notes
    -----
    The defaults are one recipe for optimizers, rates and lengths that nobody tuned, of a
    thousand steps or more (the book's page "What was tried" compares it with others). For
    some ten thousand steps of Adam, ``importance="taylor", anneal="twice", growth=2`` with
    ``Schedule(0.05, 0.15, cuts=8)`` takes less time, for errors as small.
    """

    def __init__(
        self,
        network: keras.Model,
        budget: float | Budget = 0.1,
        *,
        schedule: Schedule | None = None,
        importance: str | Callable[[keras.Model, ChannelGraph], np.ndarray] = "kfac",
        ignored_layers: Iterable[str | keras.layers.Layer] = (),
        anneal: str | None = "once",
        growth: int | str = 1,
        distill: float | Distillation | None = None,
        engine: Engine | None = None,
        strict: bool = False,
        inputs=None,
    ) -> None:
        budget = Budget.of(budget)
        schedule = Schedule.toward(budget) if schedule is None else schedule
        check_trainer(schedule, importance, ignored_layers, anneal, growth, engine)
        self.importance = importance
        self.anneal = anneal
        self.growth = growth
        self.distill = Distillation.of(distill)
        self.engine = Engine() if engine is None else engine
        self._by_keras = engine is None  # whose fit shuffles in its own way
        check_compiled(network)
        check_inputs(network, inputs)
        self.pruned = PrunedNetwork(
            network,
            budget,
            schedule,
            () if ignored_layers is None else ignored_layers,
            self.engine,
            strict,
            inputs,
        )
        self.state = RunState()
        self.history = None
        if self.distill is not None:
            self.distill.comparison(self.network)  # refused here, not at the first cut
        if not self.met:
            self.pruned.require_reachable()

    @property
    def met(self) -> bool:
        """Whether the budget is met, or the search within points of accuracy over."""
        if self.budget.max_accuracy_drop is not None:
            return self.state.is_search_over
        return self.pruned.costs.is_within_budget

    @safe_convolutions()
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
        backup_dir=None,
    ):
        """Train, with cuts on the way. Arguments and result are those of Keras' ``fit``.

        Callbacks see one history of whole epochs; ``callback.model`` is the network of
        the moment. When another one takes its place, as at a cut, a callback that has
        a method ``on_cut`` is called with it: ``callback.on_cut(network)``.

        Parameters
        ----------
        batch_size : int
            Of the global batch, which the engine's replicas share. Each worker is
            given the same data and trains on its part.
        backup_dir : str or path, optional
            The state is written there after each epoch. The same script, run again
            after it was killed, goes on from there to the weights that it would have
            had. Asked to end (SIGTERM), a run finishes its step and is written within
            its epoch; the process ends with code 143. Streams of data are passed over
            up to that step; if they bring other batches than before, the run says so
            and begins that epoch anew. Callbacks keep no state but the history. A
            folder is for one ``fit`` at a time. With more epochs, a run goes on to
            them, finished or not. It warns where it then differs from one that had them
            from the start: annealing and cuts follow the number of epochs.

        Returns
        -------
        keras.callbacks.History

        Raises
        ------
        ValueError
            If data are empty or mismatched, or Keras' ``fit`` would refuse them.
        RefusedCut
            If the cuts that are tried before the first step are refused. One that is
            refused later is skipped, with a warning.
        FloatingPointError
            If losses or weights become NaN or infinite. The network is then at its last
            good state: where the epoch, or the pruning round, began.

        Notes
        -----
        Whatever ends the training, an interrupt included, ``.network`` is left plain
        and usable. Channels on their way to zero are restored to their state before the
        choice.
        """
        check_fit(
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            initial_epoch=initial_epoch,
            validation_split=validation_split,
            validation_freq=validation_freq,
            validation_steps=validation_steps,
            validation_batch_size=validation_batch_size,
            class_weight=class_weight,
            callbacks=callbacks,
        )
        is_arrays = check_data(self.network, x, y, sample_weight)
        if validation_data is not None:
            check_validation(self.network, validation_data)
        if self.met and self._by_keras and self.teacher is None and backup_dir is None:
            if is_arrays:
                count_samples(x, y, sample_weight)
            self.history = self.network.fit(
                x, y, batch_size, epochs, verbose, callbacks, validation_split,
                validation_data, shuffle, class_weight, sample_weight, initial_epoch,
                steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
            )  # fmt: skip
            warn_if_hit(self.network)
            return self.history
        data = data_adapter(
            x,
            y,
            sample_weight,
            batch_size,
            shuffle=shuffle,
            steps_per_epoch=steps_per_epoch,
            validation_split=validation_split if validation_data is None else 0.0,
            class_weight=class_weight,
            engine=self.engine,
        )
        if self.pruned.has_open_costs:
            self.pruned.learn_shapes(data.sample())
        if validation_data is None:
            validation_data = data.held_out
        validation = None
        if validation_data is not None:
            size = validation_batch_size or batch_size
            options = {"batch_size": size, "steps": validation_steps}
            validation = Validation(validation_data, validation_freq, **options)
        elif self.budget.max_accuracy_drop is not None:
            raise ValueError(
                f"{self.budget} needs validation_data: it is held to its accuracy."
            )
        callbacks = callback_list(callbacks, verbose, epochs, data.steps, self.network)
        run = Run(self, data, range(initial_epoch, epochs), callbacks, validation)
        with name_scopes_closed():
            run.train(backup_dir)
        warn_if_missed(run)
        warn_if_hit(self.network)
        return self.history

    def report(self) -> Report:
        """Compare before and after: a row per layer, and the totals (Report)."""
        return Report(self.dense_costs, self.costs, self.pruned.unsupported)
