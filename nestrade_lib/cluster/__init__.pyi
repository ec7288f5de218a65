from .handshake import Absent as Absent
from .handshake import Disagreement as Disagreement
from .handshake import rendezvous as rendezvous
from .members import Cluster as Cluster
