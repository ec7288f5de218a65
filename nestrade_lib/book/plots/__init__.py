"""The book's figures.

Every function draws on new axes and returns the figure; ``plt.show()`` ends the cell.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
