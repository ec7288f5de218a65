from .checkpoints import Checkpoints as Checkpoints
from .noise import NoiseScale as NoiseScale
from .noise import noise_scale as noise_scale
