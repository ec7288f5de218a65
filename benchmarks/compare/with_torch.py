"""PyTorch's side: the same networks, their training and their measuring."""

import itertools

import numpy as np
import torch
from torch import nn

from benchmarks.compare.figures import file_sizes, latency

VERSIONS = "torch", "torch-pruning", "numpy"


def seed(value):
    torch.manual_seed(value)


# Networks ---------------------------------------------------------------------


def build(name):
    return {"lenet5": _lenet5, "mlp": _mlp, "separable": _separable, "resnet": ResNet}[
        name
    ]()


def _lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def _mlp():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 500), nn.ReLU(),
        nn.Linear(500, 300), nn.ReLU(), nn.Linear(300, 10),
    )  # fmt: skip


def _separable():
    parts, width = [*_convolution(1, 32)], 32
    for filters, stride in ((64, 2), (128, 2), (128, 1)):
        parts += _convolution(width, width, stride=stride, groups=width)
        parts += _convolution(width, filters, size=1)
        width = filters
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(*parts, *pool, nn.Linear(width, 10))


def _convolution(before, after, size=3, stride=1, groups=1):
    options = {"padding": size // 2, "groups": groups, "bias": False}
    convolution = nn.Conv2d(before, after, size, stride, **options)
    return convolution, nn.BatchNorm2d(after), nn.ReLU()


class ResNet(nn.Module):
    """That of ``nestrade_lib.create_resnet``: a residual block per stage."""

    def __init__(self, widths=(32, 64, 128)):
        super().__init__()
        self.stem = nn.Sequential(*_convolution(1, widths[0]))
        pairs = itertools.pairwise([widths[0], *widths])
        self.blocks = nn.ModuleList(
            _Block(*pair, stride=1 + (n > 0)) for n, pair in enumerate(pairs)
        )
        self.logits = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.logits(x.mean((2, 3)))


class _Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        first = _convolution(before, after, stride=stride)
        self.inside = nn.Sequential(*first, *_convolution(after, after)[:2])
        is_same = before == after and stride == 1
        projection = _convolution(before, after, size=1, stride=stride)[:2]
        self.shortcut = nn.Identity() if is_same else nn.Sequential(*projection)

    def forward(self, x):
        return torch.relu(self.inside(x) + self.shortcut(x))


# Training ---------------------------------------------------------------------


def fit(network, work, epochs, regularize=None):
    """Adam; its rate falls along a cosine. ``regularize()`` may change the gradients."""
    x, y = images(work.train[0]), torch.as_tensor(work.train[1]).long()
    optimizer = torch.optim.Adam(network.parameters(), work.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, work.steps(epochs))
    for _ in range(epochs):
        network.train()
        for rows in torch.randperm(len(x)).split(work.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            if regularize:
                regularize()
            optimizer.step()
            schedule.step()
        work.after_epoch(outputs(network))
    return network


def images(x):
    """Channels first, as PyTorch takes them."""
    return torch.as_tensor(np.moveaxis(x, -1, 1).copy())


def outputs(network):
    """A network as a function of images as the data hold them."""

    def predict(x):
        network.eval()
        with torch.inference_mode():
            return network(images(x)).numpy()

    return predict


# Measuring --------------------------------------------------------------------


def measure(network, work):
    """Figures of a trained network, by their names in a row."""
    predict = outputs(network)
    return {
        "test_error_percent": round(work.error(predict), 3),
        **costs(network),
        "is_plain": all(type(x).__module__.startswith(("torch.nn", __name__))
                        for x in network.modules()),
        "latency_ms_1": latency(predict, work.test[0][:1]),
        "latency_ms_256": latency(predict, work.test[0][:256]),
        **file_sizes(lambda path: torch.save(network.state_dict(), path), ".pt"),
        "widths": {name: len(x.weight) for name, x in network.named_modules()
                   if isinstance(x, (nn.Conv2d, nn.Linear))},
    }  # fmt: skip


def costs(network):
    """MACs, of these the ones with a weight that is not zero, and parameters."""
    macs = {"macs": 0, "nonzero_macs": 0}

    def count(layer, inputs, output):
        places = output[0, 0].numel() if output.ndim > 2 else 1
        macs["macs"] += places * layer.weight.numel()
        macs["nonzero_macs"] += places * int(layer.weight.count_nonzero())

    multiplying = [
        x for x in network.modules() if isinstance(x, (nn.Conv2d, nn.Linear))
    ]
    hooks = [layer.register_forward_hook(count) for layer in multiplying]
    outputs(network)(np.zeros((1, 28, 28, 1), "float32"))
    for hook in hooks:
        hook.remove()
    return macs | {"params": sum(x.numel() for x in network.state_dict().values())}
