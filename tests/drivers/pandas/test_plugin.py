"""Describing the family imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys


def test_the_plugin_is_light() -> None:
    code = (
        "import sys; from osiris.drivers.pandas.plugin import osiris_drivers; specs = osiris_drivers();"
        "print([s.name for s in specs], sorted({'pandas', 'pyarrow', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "['pandas.transform'] []\n"
