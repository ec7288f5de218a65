"""Say, before anything is installed, whether this Python can run the book.

Old Pythons must be able to read this file, so it has no newer syntax.
"""

import sys

OLDEST = (3, 10)
NEWEST = (3, 13)

if not OLDEST <= tuple(sys.version_info[:2]) <= NEWEST:
    sys.exit(
        "The book needs Python 3.10 to 3.13, and this is Python %d.%d (%s).\n"
        "Nothing was installed. Name another one: make book PYTHON=python3.12"
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )
