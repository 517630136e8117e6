"""``python -m osiris.cli``: the same as ``osiris``."""

import sys

from osiris.cli.main import main

sys.exit(main())
