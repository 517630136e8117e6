"""Must never be imported by osiris-core 1: leaves a file behind where that happened."""

import os
from pathlib import Path

Path(os.environ["ACME_FUTURE_IMPORTED"]).write_text("imported")
