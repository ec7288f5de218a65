from .devices import logical_devices as logical_devices
from .devices import start as start
from .engine import Engine as Engine
