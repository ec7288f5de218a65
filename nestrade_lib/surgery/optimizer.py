"""The optimizer of the smaller network, every slot sliced with its variable."""

import contextlib

from nestrade_lib.internals import is_decayed, recorded_slots
from nestrade_lib.surgery.slices import value


class UnsliceableOptimizer(ValueError):
    """An optimizer with a slot that is not of its variable's shape."""


def transplant(optimizer, variables, pairs, slices):
    """A new optimizer on ``variables`` that goes on where the old one is.

    Parameters
    ----------
    optimizer : keras.optimizers.Optimizer
    variables : list of variable
        What the new one trains.
    pairs : list of (variable, variable)
        Each variable that the old one may train, and its counterpart.
    slices : Slices
        How slots are cut (``of``), and the averages of weights (``carry``).

    Returns
    -------
    keras.optimizers.Optimizer

    Raises
    ------
    UnsliceableOptimizer
    """
    new = _anew(optimizer)
    for before, after in zip(_levels(optimizer), _levels(new)):
        spared = [new for old, new in pairs if not is_decayed(before, old)]
        if spared:
            after.exclude_from_weight_decay(var_list=spared)
    references = _build(new, variables) if optimizer.built else {}
    sources = {id(new): old for old, new in pairs}
    for before, after in zip(_levels(optimizer), _levels(new)):
        given, made = _own_variables(before), _own_variables(after)
        slots = _by_name(given)
        averages = {}
        for place, slot in enumerate(made):
            reference = references.get(id(slot))
            source = sources.get(id(reference))
            if source is None:
                # Such as Nadam's product, whose name Keras numbers anew.
                if slot.name not in slots and len(given) == len(made):
                    slots[slot.name] = [given[place]]
                found = _find(slots, slot.name, optimizer)
                _require_shape(found, slot.shape, optimizer)
                slot.assign(value(found))
                continue
            name = _prefix(source) + slot.name[len(_prefix(reference)) :]
            found = _find(slots, name, optimizer)
            _require_shape(found, source.shape, optimizer)
            if name == f"{_prefix(source)}_average":
                averages[slices.path(source)] = (slot, value(found))
            else:
                slot.assign(slices.of(slices.path(source), value(found)))
        # Averaged weights are weights: constants are folded and scaled in them too.
        arrays = {path: array for path, (_, array) in averages.items()}
        for path, array in slices.carry(arrays).items():
            averages[path][0].assign(array)
    return new


def decayed(optimizer, variables):
    """The same of several variables, at each level of an optimizer that wraps others."""
    return [[is_decayed(level, v) for v in variables] for level in _levels(optimizer)]


def _anew(optimizer):
    """The optimizer from its configuration, and what was set on it beside that."""
    new = _from_config(optimizer)
    for before, after in zip(_levels(optimizer), _levels(new)):
        for name, given in vars(before).items():
            own = name.startswith("_") or name == "built"  # Keras keeps these itself
            if not own and _is_plain(given) and getattr(after, name, None) != given:
                setattr(after, name, given)
    return new


def _is_plain(given):
    return given is None or isinstance(given, (bool, int, float, str))


def _from_config(optimizer):
    try:
        return type(optimizer).from_config(optimizer.get_config())
    except Exception as error:
        inner = getattr(optimizer, "inner_optimizer", None)
        way_out = (
            "Give its class a get_config whose entries its __init__ takes"
            if inner is None
            else "Set network.optimizer to the one that it wraps (.inner_optimizer)"
        )
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} cannot be made anew from its configuration "
            f"({error}). {way_out} before the cut; a learning rate that is a function "
            "has to be a keras.optimizers.schedules.LearningRateSchedule."
        ) from error


def _build(optimizer, variables):
    """Build it, recording which variable each of its slots was made for."""
    references = {}
    with contextlib.ExitStack() as recorded:
        for level in _levels(optimizer):
            recorded.enter_context(recorded_slots(level, references))
        optimizer.build(variables)
    return references


def _levels(optimizer):
    """An optimizer and those it wraps, outermost first."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def _own_variables(optimizer):
    inner = getattr(optimizer, "inner_optimizer", None)
    inside = {id(v) for v in inner.variables} if inner is not None else set()
    return [v for v in optimizer.variables if id(v) not in inside]


def _by_name(variables):
    """Variables by name, those of one name in order."""
    named = {}
    for variable in variables:
        named.setdefault(variable.name, []).append(variable)
    return named


def _find(slots, name, optimizer):
    if not slots.get(name):
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} has no slot {name!r}: it was built for other "
            "variables than the network trains now. Compile the network again."
        )
    return slots[name].pop(0)


def _require_shape(slot, shape, optimizer):
    if tuple(slot.shape) != tuple(shape):
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} keeps {slot.name!r} of shape "
            f"{tuple(slot.shape)}, which is not its variable's shape, so it cannot be "
            "cut with it. Compile the network with an optimizer whose slots have the "
            "shapes of their variables (SGD, Adam, AdamW, RMSprop, Lion, ...)."
        )


def _prefix(variable):
    return variable.path.replace("/", "_")
