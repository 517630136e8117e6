"""Pydantic without its own plugins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_pydantic_plugins"]

_SWITCH = "PYDANTIC_DISABLE_PLUGINS"


@contextmanager
def without_pydantic_plugins() -> Iterator[None]:
    """While the block runs, pydantic completes models without asking its plugins.

    To find them it reads the metadata of every installed distribution. They observe validation, which for the options
    of drivers and adapters nobody wants to observe; models of the user's own code are completed elsewhere, with them.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
