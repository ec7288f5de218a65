"""The optimizer of the smaller network, every slot sliced with its variable."""

import contextlib

from nestrade_lib.internals import (
    configuration_and_rate,
    is_decayed,
    recorded_slots,
    trained_variables,
)
from nestrade_lib.variables import value


class UnsliceableOptimizer(ValueError):
    """An optimizer with a slot that is not of its variable's shape."""


def transplant(optimizer, pairs, slices):
    """A new optimizer on the counterparts of variables, which goes on where the old one is.

    Slots that belong to a variable are sliced like it. Both optimizers are built alike,
    so that their slots come in the same order.
    """
    new, references = _renew(optimizer, pairs)
    sources = {id(new): old for old, new in pairs}
    averages = {}
    for slot, new_slot in _paired_slots(optimizer, new):
        source = sources.get(id(references.get(id(new_slot))))
        _require_shape(slot, (new_slot if source is None else source).shape, optimizer)
        if source is None:
            new_slot.assign(value(slot))
        elif new_slot.name.endswith("_average"):
            averages[slices.path(source)] = new_slot, value(slot)
        else:
            new_slot.assign(slices.of(slices.path(source), value(slot)))
    # Averaged weights are weights: constants are folded and scaled in them too.
    weights = {path: average for path, (_, average) in averages.items()}
    for path, average in slices.carry(weights).items():
        averages[path][0].assign(average)
    return new


def replicate(optimizer, pairs):
    """A copy of an optimizer and its state, for copies of its variables."""
    copy, _ = _renew(optimizer, pairs)
    for slot, copied in _paired_slots(optimizer, copy):
        copied.assign(value(slot))
    return copy


def in_order(optimizer, variables):
    """The optimizer, or a copy with its state where it has its variables in another order.

    JAX gives an optimizer the gradients in the network's order.
    """
    held = trained_variables(optimizer)
    places = {id(v): n for n, v in enumerate(variables)}
    order = sorted(held, key=lambda v: places.get(id(v), len(places)))
    if not optimizer.built or all(v is w for v, w in zip(held, order)):
        return optimizer
    pairs = [(v, v) for v in held]
    copy, sources = _renew(optimizer, pairs)
    new, targets = _renew(optimizer, pairs, order)
    values = {}
    for slot, copied in _paired_slots(optimizer, copy):
        values.setdefault(id(sources.get(id(copied))), []).append(value(slot))
    for slot in new.variables:
        slot.assign(values[id(targets.get(id(slot)))].pop(0))
    return new


def require_trained(optimizer, variables):
    """Refuse an optimizer that was built for other variables than these."""
    trained = {id(v) for v in trained_variables(optimizer)}
    missing = [v.path for v in variables if id(v) not in trained]
    if optimizer.built and missing:
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} has no slots for {missing[0]!r}: it was built for "
            "other variables than the network trains now. Compile the network again."
        )


def decayed(optimizer, variables):
    """Whether weight decay acts on variables, at each level of wrapped optimizers."""
    return [[is_decayed(level, v) for v in variables] for level in _levels(optimizer)]


def _renew(optimizer, pairs, order=None):
    """The optimizer from its configuration, built on counterparts, and its slots' variables."""
    order = trained_variables(optimizer) if order is None else order
    new = recreate(optimizer)
    for before, after in zip(_levels(optimizer), _levels(new)):
        for name, given in vars(before).items():
            own = name.startswith("_") or name == "built"  # Keras keeps these itself
            if not own and _is_plain(given) and getattr(after, name, None) != given:
                setattr(after, name, given)
        spared = [twin for old, twin in pairs if not is_decayed(before, old)]
        if spared:
            after.exclude_from_weight_decay(var_list=spared)
    references = {}
    if optimizer.built:
        twins = {id(old): twin for old, twin in pairs}
        with contextlib.ExitStack() as recorded:
            for level in _levels(new):
                recorded.enter_context(recorded_slots(level, references))
            new.build([twins.get(id(v), v) for v in order])
    return new, references


def _is_plain(given):
    return given is None or isinstance(given, (bool, int, float, str))


def recreate(optimizer):
    """An optimizer from the configuration of another one, for any variables."""
    try:
        config, rate = configuration_and_rate(optimizer)
        if rate is not None:  # it has no state, so that both may hold it
            config = config | {"learning_rate": rate}
        return type(optimizer).from_config(config)
    except Exception as error:
        inner = getattr(optimizer, "inner_optimizer", None)
        way_out = (
            "Give its class a get_config whose entries its __init__ takes"
            if inner is None
            else "Set network.optimizer to the one that it wraps (.inner_optimizer)"
        )
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} cannot be made anew from its configuration "
            f"({error}). {way_out} before the cut."
        ) from error


def _levels(optimizer):
    """An optimizer and those it wraps, outermost first."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def _paired_slots(optimizer, new):
    """Each variable of an optimizer with its counterpart."""
    slots, new_slots = optimizer.variables, new.variables
    if len(slots) != len(new_slots):
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} has {len(slots)} variables, but from its "
            f"configuration {len(new_slots)}. Compile the network with one whose build "
            "makes all of its slots."
        )
    return zip(slots, new_slots)


def _require_shape(slot, shape, optimizer):
    if tuple(slot.shape) != tuple(shape):
        raise UnsliceableOptimizer(
            f"{type(optimizer).__name__} keeps {slot.name!r} of shape "
            f"{tuple(slot.shape)}, which is not its variable's shape, so it cannot be "
            "cut with it. Compile the network with an optimizer whose slots have the "
            "shapes of their variables (SGD, Adam, AdamW, RMSprop, Lion, ...)."
        )
