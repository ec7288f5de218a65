"""No module but the three rooms of internals reaches into Keras and TensorFlow."""

import ast
from pathlib import Path

from nestrade_lib import internals, keras_data, tensorflow_internals

LIBRARY = Path(internals.__file__).parent
SOURCES = {path: path.read_text() for path in sorted(LIBRARY.rglob("*.py"))}


def private(name):
    return name.startswith("_") and not name.endswith("__")


def own_names(tree):
    """Private names that a module gives to its functions, classes and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Attribute, ast.Name)):
            if isinstance(node.ctx, ast.Store):
                yield node.attr if isinstance(node, ast.Attribute) else node.id


def test_no_other_module_reaches_into_keras():
    """A private attribute is one that the library itself has given."""
    trees = {path: ast.parse(text) for path, text in SOURCES.items()}
    own = {name for tree in trees.values() for name in own_names(tree)}
    modules = internals, keras_data, tensorflow_internals
    rooms = [trees.pop(Path(room.__file__)) for room in modules]
    nodes = [node for room in rooms for node in ast.walk(room)]
    reached = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    foreign = {name for name in reached if private(name)} - {"_replace"}
    assert "_flatten_layers" in foreign and not foreign & own
    wrong = []
    for path, tree in trees.items():
        place = path.relative_to(LIBRARY)
        wrong += [(place, "keras.src")] * ("keras.src" in SOURCES[path])
        for node in ast.walk(tree):
            name = getattr(node, "attr", getattr(node, "value", None))
            if isinstance(node, ast.Attribute) and private(name) and name not in own:
                wrong.append((place, name))
            if isinstance(node, ast.Constant) and name in foreign:
                wrong.append((place, name))
    assert not wrong
