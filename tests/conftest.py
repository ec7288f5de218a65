"""What the unit tests share."""

import gc
import signal
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from hypothesis import settings

from nestrade_lib.dependency import registry
from nestrade_lib.engines import logical_devices
from nestrade_lib.training import pruned_network
from tests.support.small import X, Y, mlp

# Figures are drawn without a display. Set here, and not in the environment, so that
# the kernels of notebooks, which inherit the environment, still draw inline.
matplotlib.use("Agg")

# No test is timed: machines differ, and a first call traces and compiles.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Tests press Ctrl-C, which programs started in the background ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Devices are fixed when a backend starts; all but the tests of scaling use the first.
if keras.backend.backend() != "torch":
    logical_devices(4)
else:
    import torch

    # PyTorch 2.13 crashed or hung in its gradients of convolutions (AMD, AVX2).
    torch.backends.mkldnn.enabled = False

ROOT = Path(__file__).resolve().parent.parent
# The files that take longest, the longest first: `make check` leaves them to `make test`,
# as all notebooks.
LONGEST = """
tests/test_engines_workers.py
tests/test_engines.py
tests/test_trainer.py
tests/test_checkpoints.py
tests/test_rounds.py
chapters/training-mnist.ipynb
appendix/solutions/training-mnist.ipynb
chapters/deployment.ipynb
chapters/getting-started.ipynb
tests/test_run.py
tests/test_refused_cuts.py
tests/test_inputs.py
tests/test_fit_data.py
chapters/multi-gpu.ipynb
appendix/recipes.ipynb
tests/test_engines_refusals.py
chapters/many-machines.ipynb
tests/test_keras_bugs.py
tests/test_structure_applications.py
README.md
tests/test_annealing.py
tests/test_distillation.py
tests/test_callbacks.py
tests/test_interrupts.py
tests/test_onednn.py
tests/test_scripts_of_users.py
tests/test_data_as_in_keras.py
tests/test_termination.py
tests/test_unrolling.py
tests/test_compare.py
tests/test_equal_paths.py
chapters/regularization.ipynb
appendix/solutions/getting-started.ipynb
chapters/input-pipelines.ipynb
tests/test_course.py
tests/test_harness.py
tests/test_structure_cases.py
tests/test_structure_training.py
tests/test_foreseen_costs.py
tests/test_engines_agreement.py
tests/test_launch.py
tests/test_package.py
tests/test_cli.py
chapters/comparison.ipynb
tests/test_kfac.py
tests/test_old_files.py
tests/test_structure_live.py
tests/test_regularizers.py
tests/test_transfer.py
tests/test_unrolled_training.py
tests/test_rescale.py
tests/test_batches.py
tests/test_exports.py
tests/test_simulate.py
tests/test_cli_refusals.py
""".split()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Begin with the longest files, so that all processes end at about one time."""
    places = {ROOT / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    for item in items:
        if item.path in places or item.path.suffix == ".ipynb":
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="module")
def left_alone_by_the_collector():
    """Freeze what earlier modules left, so that no collection walks through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rules(monkeypatch):
    """Rules that a test registers are forgotten after it."""
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


@pytest.fixture
def no_rehearsals(monkeypatch):
    """What a run tries before it begins changes nothing of it, and takes long."""
    monkeypatch.setattr(pruned_network, "rehearse", lambda *arguments: None)


@pytest.fixture
def command_folder(tmp_path, monkeypatch):
    """A folder with a compiled network and its data, where commands run."""
    monkeypatch.chdir(tmp_path)
    network = mlp()
    network.save("dense.keras")
    np.savez("data.npz", x=X, y=Y)
    return tmp_path
