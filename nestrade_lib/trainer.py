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

import functools
import warnings

import keras

from nestrade_lib.costs import count_costs
from nestrade_lib.distillation import Distillation
from nestrade_lib.engines.engine import Engine
from nestrade_lib.internals import results_in_order
from nestrade_lib.schedule import Budget, Schedule
from nestrade_lib.training.arguments import check_fit, check_trainer
from nestrade_lib.training.data import data_adapter
from nestrade_lib.training.inputs import as_arrays
from nestrade_lib.training.labels import check_labels
from nestrade_lib.training.loop import train
from nestrade_lib.training.structure import Structure
from nestrade_lib.training.validation import split, validate


class Nestrade:
    """Train a network while making it smaller, toward a budget.

    Parameters
    ----------
    network : keras.Model
        Built and compiled; functional or sequential. It is not changed until the
        first cut, and afterwards it is no longer the one that trains: the current
        one is ``.network``, always a plain Keras model.
    budget : float or Budget
        Share of the MACs to keep, or a :class:`Budget`. 1 is Keras' own ``fit``.
    schedule : Schedule, optional
        When the cuts fall.
    importance : callable, optional
        ``(network, graph) -> scores``, one a channel group. By default the Taylor
        importance that training itself gathers.
    ignored_layers : sequence of str
        Layers to leave as they are.
    anneal : bool
        Let the learning rate fall from the optimizer's own along a cosine, once
        before the first cut and once over the rest of the run, to zero. Optimizers
        with a schedule keep theirs, and so do runs with one of Keras' callbacks that
        set the rate. With one of your own, pass False: it would be overwritten.
    growth : int or "auto"
        After the last cut, batches of arrays are this much larger and the learning
        rate, where `anneal` sets it, is the root of it higher, as suits adaptive
        optimizers. Where the optimizer has a schedule, which counts steps, batches
        stay as they are. ``"auto"`` looks whether that pays, and how much does
        (:func:`nestrade_lib.training.rescale.measure_rescale`); such a run depends on
        the machine's clock.
    distill : float or Distillation, optional
        Weight of a teacher in the loss, from the first cut on: a copy of the network as
        it was then. For classifiers with one output. Arrays it answers once, all
        samples together, which costs the forward passes of one dense epoch; other data,
        which may change, and those shared by replicas in each step. A small network
        gains the more from it the better the teacher is: let the dense phase,
        ``Schedule(start=)``, be long.
    engine : nestrade_lib.engines.Engine, optional
        What to train on: one device by default. The network has to be built and
        compiled in its scope. With an engine the order of the data is the same on
        any number of devices; without, a budget of 1 is Keras' ``fit`` itself.

    Attributes
    ----------
    structure : nestrade_lib.training.structure.Structure
        The network as it is now, its channel groups and their costs.
    cuts : list of Cut
    history : keras.callbacks.History or None
        Of the last ``fit``.
    rescale : nestrade_lib.training.rescale.Rescale or None
        What ``growth="auto"`` has measured.
    teacher : nestrade_lib.distillation.Teacher or None
        Since the first cut, with `distill`.

    Raises
    ------
    ValueError
        If the network is not built or compiled or has no channel to cut, a layer is
        unknown, the budget is below what minimal widths reach or of MACs that no
        rule counts, or there is nothing to distil.

    Examples
    --------
    See the module's; the chapter on training goes further.
    """

    def __init__(
        self,
        network,
        budget=0.1,
        *,
        schedule=None,
        importance=None,
        ignored_layers=(),
        anneal=True,
        growth=2,
        distill=None,
        engine=None,
    ):
        budget, schedule = Budget.of(budget), schedule or Schedule()
        check_trainer(schedule, importance, ignored_layers, growth, engine)
        self.importance = importance
        self.anneal = anneal
        self.growth = growth
        self.distill = Distillation.of(distill)
        self.engine = Engine() if engine is None else engine
        self._by_keras = engine is None  # whose fit shuffles in its own way
        self.structure = Structure(
            network, budget, schedule, tuple(ignored_layers or ()), self.engine
        )
        self.cuts = []
        self.history = None
        self.rescale = None
        self.teacher = None
        if not getattr(network, "compiled", False):
            raise ValueError(
                f"Network {network.name!r} is not compiled. Call network.compile("
                "optimizer, loss) first: Nestrade trains with the optimizer you chose."
            )
        if self.distill is not None:
            self.distill.loss(network)  # refused here, and not at the first cut
        if not self.met:
            self.structure.require_reachable()

    # What stands now ----------------------------------------------------------

    @property
    def network(self):
        """The network as it is now (keras.Model)."""
        return self.structure.network

    @property
    def budget(self):
        """What it is trained toward (Budget). For another one, make another trainer."""
        return self.structure.budget

    @property
    def schedule(self):
        """When the cuts fall (Schedule)."""
        return self.structure.schedule

    @property
    def ignored_layers(self):
        """Names of the layers that are left as they are (tuple of str)."""
        return self.structure.ignored_layers

    @property
    def met(self):
        """Whether the budget is met, or the search within points of accuracy over."""
        return self.structure.met

    @property
    def costs(self):
        """Costs of the network as it is now (CostTable)."""
        return count_costs(self.network)

    @property
    def widths(self):
        """Channels left of each layer that can be cut (dict of str to int)."""
        return self.structure.widths

    @property
    def dense_costs(self):
        """Costs of the network as it was given (CostTable)."""
        return self.structure.dense_table

    @property
    def dense_widths(self):
        """Channels of its layers, as it was given (dict of str to int)."""
        return self.structure.dense_widths

    @property
    def dense_totals(self):
        """Costs by name, as it was given (dict of str to float)."""
        return self.structure.dense_totals

    def __getattr__(self, name):
        # What is asked of the trainer and is the network's own: layers, losses, save.
        if name.startswith("_") or name in ("network", "structure"):
            raise AttributeError(name)
        return getattr(self.network, name)

    def __call__(self, *args, **kwargs):
        """Call the network as it is now."""
        return self.network(*args, **kwargs)

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """As Keras' ``evaluate``, of the network as it is now."""
        if self.engine.replicas == 1:
            return self.network.evaluate(
                x, y, batch_size, verbose, sample_weight, steps, callbacks, return_dict
            )
        data = {"x": x, "y": y, "sample_weight": sample_weight}
        listed = keras.callbacks.CallbackList(callbacks, model=self.network)
        logs = self.engine.evaluate(
            self.network, listed, **data, batch_size=batch_size, steps=steps
        )
        return logs if return_dict else results_in_order(self.network, logs)

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """As Keras' ``predict``, of the network as it is now."""
        options = {"verbose": verbose, "steps": steps, "callbacks": callbacks}
        return self.engine.predict(self.network, x, batch_size=batch_size, **options)

    def summary(self, *args, **kwargs):
        """As Keras' ``summary``, of the network as it is now."""
        return self.network.summary(*args, **kwargs)

    # Training -----------------------------------------------------------------

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

        Epochs, batches and callbacks are the user's, whatever happens inside: one
        progress bar, one history. ``callback.model`` is the network of the moment.

        Parameters
        ----------
        batch_size : int
            Of the global batch, which the engine's replicas share. Each worker is
            given the same data and trains on its part.
        backup_dir : str or path, optional
            The state is written there after each epoch. The same script, run again
            after it was killed, goes on from the last one to the same weights that it
            would have had: structure, optimizer, schedule, order of the data and
            random layers included. Callbacks keep no state but the history. A folder
            is for one ``fit``.

        Returns
        -------
        keras.callbacks.History

        Raises
        ------
        ValueError
            If data are empty, mismatched or not finite.
        FloatingPointError
            If the loss becomes NaN or infinite. The network is then the last good
            one, and can be used.

        Notes
        -----
        An interrupt (Ctrl-C) leaves a usable, plain network in ``.network``. Where it,
        or a callback, stops the training while chosen channels are on their way to
        zero, the network is the one of before they were chosen.
        """
        x, y, sample_weight = as_arrays((x, y, sample_weight))
        check_fit(
            callbacks=None if self.met else callbacks,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            initial_epoch=initial_epoch,
            validation_split=validation_split,
            validation_freq=validation_freq,
            class_weight=class_weight,
        )
        self.structure.follow_frozen()
        validation = {
            "batch_size": validation_batch_size or batch_size,
            "steps": validation_steps,
        }
        check_labels(self.network, y)
        plainly = self.met and self._by_keras and self.teacher is None
        if plainly and backup_dir is None:
            self.history = self.network.fit(
                x, y, batch_size, epochs, verbose, callbacks, validation_split,
                validation_data, shuffle, class_weight, sample_weight, initial_epoch,
                steps_per_epoch, validation_steps, validation_batch_size, validation_freq,
            )  # fmt: skip
            return self.history
        if validation_split and validation_data is None:
            x, y, sample_weight, validation_data = split(
                x, y, sample_weight, validation_split
            )
        if self.budget.max_accuracy_drop is not None and validation_data is None:
            raise ValueError(
                f"{self.budget} needs validation_data: it is held to its accuracy."
            )
        source = data_adapter(
            x,
            y,
            sample_weight,
            batch_size,
            shuffle=shuffle,
            steps_per_epoch=steps_per_epoch,
            class_weight=class_weight,
            engine=self.engine,
        )
        check = None
        if validation_data is not None:
            check = functools.partial(validate, self, validation_data, validation)
        shown = 1 if verbose == "auto" else verbose
        listed = keras.callbacks.CallbackList(
            callbacks,
            add_history=True,
            add_progbar=shown != 0,
            verbose=shown,
            epochs=epochs,
            steps=source.steps,
            model=self.network,
        )
        self.history = next(
            c for c in listed.callbacks if isinstance(c, keras.callbacks.History)
        )
        span = range(initial_epoch, epochs)
        train(self, source, span, listed, check, validation_freq, backup_dir)
        if not self.met and self.history.epoch:
            warnings.warn(
                f"The run ended before the budget {self.budget} was met. Train longer, or "
                "let cuts take more with Schedule(max_pruning_ratio=1).",
                stacklevel=2,
            )
        return self.history

    # What came of it ----------------------------------------------------------

    def report(self):
        """Give the table of before and after, a row a layer, and the totals.

        Returns
        -------
        nestrade_lib.report.Report
            Print it, or show it in a notebook.
        """
        from nestrade_lib.report import Report

        return Report(self.dense_costs, self.costs)
