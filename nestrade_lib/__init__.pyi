__version__: str

from .batches import Batches as Batches
from .batches import tf_batches as tf_batches
from .costs import CostTable as CostTable
from .costs import count_costs as count_costs
from .costs import weight_reuse as weight_reuse
from .data import load_fashion_mnist as load_fashion_mnist
from .data import load_mnist as load_mnist
from .dependency import ChannelGraph as ChannelGraph
from .dependency import UnsupportedLayer as UnsupportedLayer
from .dependency import register_rule as register_rule
from .dependency import trace as trace
from .distillation import Distillation as Distillation
from .models import create_loss as create_loss
from .models import create_nestrade_model as create_nestrade_model
from .models import create_optimizer as create_optimizer
from .networks import create_model as create_model
from .networks import create_resnet as create_resnet
from .regularizers import ChannelOptimizer as ChannelOptimizer
from .regularizers import GroupLasso as GroupLasso
from .schedule import Budget as Budget
from .schedule import Schedule as Schedule
from .surgery import RefusedCut as RefusedCut
from .surgery import restructure as restructure
from .surgery import unroll as unroll
from .surgery import verify as verify
from .trainer import Nestrade as Nestrade
