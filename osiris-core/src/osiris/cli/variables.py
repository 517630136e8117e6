"""Environment variables that give params their values: ``OSIRIS_PARAM_LIMIT`` is that of ``limit``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PREFIX", "find_variables"]

PREFIX = "OSIRIS_PARAM_"


def find_variables(project: Path, first: Mapping[str, str]) -> dict[str, str]:
    """The variables that give params: of ``first``, else of the process, else of the project's ``.env``.

    Args:
        project: The project folder.
        first: Those of ``--env-file``.

    Raises:
        ConnectionConfigError: There is a ``.env`` that cannot be read, or one with params in it and something wrong.
    """
    found = {**_of_dotenv(project / ".env"), **os.environ, **first}
    return {name: value for name, value in found.items() if name.upper().startswith(PREFIX)}


def _of_dotenv(file: Path) -> dict[str, str]:
    try:
        named = PREFIX.encode() in file.read_bytes().upper()
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except OSError:
        named = True  # it may be: reading it tells what is wrong
    if not named:
        return {}
    # Reading it takes an import, which most runs need not pay for.
    from osiris.core.connections.env_file import read_variables

    return read_variables(file)
