"""Settings and constants of a call that have to follow a cut of its channels."""

import itertools
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True, eq=False)
class Edit:
    """One entry of a call or of its configuration that names channels.

    ``place`` leads to it: ``("config", "target_shape", 1)``, ``("args", 1)``. A number
    becomes the count of those of ``labels`` that stay, below zero if it was. An array keeps
    their slices along its axis ``number``; without one, it holds positions among them.
    """

    place: tuple
    labels: np.ndarray
    number: int | None = None

    def value(self, old, stays):
        """What the entry becomes; ``stays`` turns labels into an array of bool."""
        kept = stays(self.labels)
        if isinstance(old, int):
            return int(kept.sum()) * (-1 if old < 0 else 1)
        new = np.asarray(old)
        if self.number is None:
            new = (np.cumsum(kept) - 1)[new[kept[new]]]
        else:
            new = np.compress(kept, new, self.number)
        return type(old)(new.tolist()) if isinstance(old, (list, tuple)) else new

    def within(self, structure, place, stays):
        """A serialized structure with the entry at this place changed."""

        def change(entry):
            old = keras.saving.deserialize_keras_object(entry)
            return keras.saving.serialize_keras_object(self.value(old, stays))

        return _replaced(structure, place, change)


def edited(call, edits, stays) -> dict:
    """A copy of the call with the entries of these edits changed."""
    for edit in edits:
        call = _replaced(call, edit.place, lambda old, e=edit: e.value(old, stays))
    return call


def combinations(call, axes):
    """Sets of edits that may make a cut possible, the simplest first.

    ``axes`` are the labels along each axis that a cut makes shorter. What is as long as
    one of them is likely to follow it; a lesser number may be a bound within it.
    """
    likely, possible = [], []
    for place, entry in _entries(call, ()):
        for labels in axes:
            length = len(labels)
            if isinstance(entry, int):
                if 0 < abs(entry) <= length:
                    part = labels[entry:] if entry < 0 else labels[:entry]
                    edits = likely if entry == length else possible
                    edits.append(Edit(place, part))
                continue
            shape = np.shape(entry)
            likely += [
                Edit(place, labels, n) for n in range(len(shape)) if shape[n] == length
            ]
            array = np.asarray(entry)
            if (
                array.ndim == 1
                and array.dtype.kind == "i"
                and (abs(array) < length).all()
            ):
                possible.append(Edit(place, labels))
    for edits in map(_unlike, (likely, likely + possible)):
        for size in (1, 2, 3):
            for some in itertools.combinations(edits, size):
                places = sorted((edit.place for edit in some), key=str)
                if all(q[: len(p)] != p for p, q in itertools.pairwise(places)):
                    yield list(some)


def _unlike(edits):
    """Edits without those that count the same channels."""
    keys = [
        (e.place, e.number, tuple(np.sort(e.labels) if e.number is None else e.labels))
        for e in edits
    ]
    return list(dict(zip(reversed(keys), reversed(edits))).values())[::-1]


def _entries(structure, place):
    """Every whole number and array in a call, with its place."""
    if isinstance(structure, (dict, slice, list, tuple)):
        if isinstance(structure, (list, tuple)) and structure:
            if all(type(part) in (int, float) for part in structure):
                yield place, structure
        for key, part in _parts(structure).items():
            if key not in ("name", "dtype"):
                yield from _entries(part, (*place, key))
    elif type(structure) is int:
        yield place, structure
    elif not isinstance(structure, (str, keras.KerasTensor)) and np.ndim(structure):
        yield place, structure


def _parts(structure) -> dict:
    if isinstance(structure, slice):
        return {"start": structure.start, "stop": structure.stop}
    if isinstance(structure, dict):
        return structure
    return dict(enumerate(structure))


def _replaced(structure, place, change) -> Any:
    if not place:
        return change(structure)
    key, *rest = place
    if isinstance(structure, dict) and structure.get("class_name") == "__slice__":
        return {**structure, "config": _replaced(structure["config"], place, change)}
    parts = dict(_parts(structure))
    parts[key] = _replaced(parts[key], rest, change)
    if isinstance(structure, slice):
        return slice(parts["start"], parts["stop"], structure.step)
    return parts if isinstance(structure, dict) else type(structure)(parts.values())
