"""A process of one environment: it reads a row's settings as a line, and answers with one.

It measures one row, so that nothing of an earlier one stays in its memory.

    KERAS_BACKEND=tensorflow python -m benchmarks.compare.worker with_keras dense

The arguments name the framework's side, and the peer whose short run pays for the start.
"""

import ast
import importlib
import importlib.metadata
import inspect
import json
import os
import sys
import traceback

import numpy as np

from benchmarks.compare.work import Work


def main(side, first):
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print goes to the log
    side = importlib.import_module(f"benchmarks.compare.{side}")
    job = json.loads(sys.stdin.readline())
    try:
        with np.load(job["data"]) as data:
            work = Work.read(job, data)
        side.measure(_train(first, side, work.shorter(256)), work.shorter(256))
        answer = {"figures": row(job["peer"], side, work, job.get("options", {}))}
    except Exception as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), file=answers)


def row(peer, side, work, options):
    """Train and measure: figures of one peer's network."""
    work = Work(**{name: getattr(work, name) for name in work.__dataclass_fields__})
    network = _train(peer, side, work, options)
    figures = work.figures()
    versions = {name: _version(name) for name in side.VERSIONS}
    lines = count_lines(_module(peer))
    known = {name: version for name, version in versions.items() if version}
    return {**side.measure(network, work), **figures, "lines": lines, "versions": known}


def _train(peer, side, work, options=None):
    side.seed(work.seed)
    return _module(peer).train(work, **options or {})


def _module(peer):
    return importlib.import_module(f"benchmarks.compare.peers.{peer}")


def count_lines(module):
    """Lines of code of a peer beside its imports and docstrings: what its user writes."""
    tree = ast.parse(inspect.getsource(module))
    lines = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.Module)):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, (ast.stmt, ast.expr)):
            first = node.lineno
            is_block = isinstance(
                node,
                (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.If, ast.With),
            )
            last = first if is_block else node.end_lineno
            lines |= set(range(first, last + 1))
    return len(lines - _docstrings(tree))


def _docstrings(tree):
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    return {n for text in texts for n in range(text.lineno, text.end_lineno + 1)}


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
