"""The book's figures.

Every function draws on new axes and returns the figure; ``plt.show()`` ends the cell.
"""

from nestrade_lib.lazy import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
