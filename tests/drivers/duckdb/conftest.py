"""A step's context as the engine gives it, over real folders and a real cancellation."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from osiris.testing import RecordingStepContext


class Context(RecordingStepContext):
    """A step of the run ``run``."""

    def __init__(self, base_dir: Path) -> None:
        super().__init__(base_dir, session_id="run")

    def but(self, **changes: Any) -> Context:
        """The same, with other attributes; what is told goes to the same lists."""
        made = copy(self)
        for name, value in changes.items():
            setattr(made, name, value)
        return made


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return Context(tmp_path)


@pytest.fixture(scope="session")
def new_context() -> Callable[[Path], Context]:
    """For property tests, which need one context per example."""
    return Context
