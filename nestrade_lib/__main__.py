"""The command line as a module: ``python -m nestrade_lib``."""

import sys

from nestrade_lib.cli import main

sys.exit(main())
