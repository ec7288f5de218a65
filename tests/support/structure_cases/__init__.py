"""Networks that a structure test has to hold, each with its number of channels.

Every function builds one network; ``@case(n)`` says how many channel groups it has,
so that a rule which quietly pins everything fails too.
"""

from tests.support.structure_cases import (  # noqa: F401
    feedforward,
    merges,
    operations,
    sequences,
    sharing,
)
from tests.support.structure_cases.registry import CASES as CASES
