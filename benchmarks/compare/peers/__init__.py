"""The peers: each one function ``train(work)`` in one file, which gives a trained network."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """Who is compared: its file here, where it runs, and whose time its own is a share of."""

    label: str
    module: str
    environment: str = "tensorflow"
    pair: str = "dense"
    networks: tuple = ("lenet5", "mlp", "separable", "resnet")

    @property
    def is_dense(self):
        """Whether it knows no budget: one run per seed serves all budgets."""
        return self.module.endswith("dense")


PEERS = {
    "dense": Peer("Keras, dense", "dense"),
    "nestrade": Peer("Nestrade", "nestrade"),
    "random": Peer("random channels, else as Nestrade", "random_channels"),
    "scratch": Peer("Nestrade's widths, from scratch", "scratch"),
    "scratch-raised": Peer("its widths, at the raised rate", "scratch_raised"),
    "thinner": Peer("uniformly thinner", "thinner"),
    "magnitude": Peer("magnitude, fine-tuned", "magnitude"),
    "slimming": Peer("Network Slimming", "slimming"),
    "lasso": Peer("group lasso (PruneTrain)", "lasso"),
    "torch-dense": Peer("PyTorch, dense", "torch_dense", "torch", "torch-dense"),
    "torch-pruning": Peer(
        "Torch-Pruning, fine-tuned", "torch_pruning", "torch", "torch-dense"
    ),
    "torch-pruning-sparse": Peer(
        "Torch-Pruning, its recipe", "torch_pruning_sparse", "torch", "torch-dense"
    ),
    "keras2-dense": Peer(
        "Keras 2, dense",
        "dense",
        "tfmot",
        "keras2-dense",
        ("lenet5", "mlp", "separable"),
    ),
    "tfmot": Peer(
        "TFMOT, masked",
        "tfmot",
        "tfmot",
        "keras2-dense",
        ("lenet5", "mlp", "separable"),
    ),
    "keras-torch-dense": Peer(
        "Keras on PyTorch, dense", "dense", "keras-torch", "keras-torch-dense"
    ),
    "nestrade-torch": Peer(
        "Nestrade on PyTorch", "nestrade", "keras-torch", "keras-torch-dense"
    ),
    "jax-dense": Peer("Keras on JAX, dense", "dense", "jax", "jax-dense"),
    "nestrade-jax": Peer("Nestrade on JAX", "nestrade", "jax", "jax-dense"),
}
