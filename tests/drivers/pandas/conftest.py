"""A step's context as the engine gives it, over a real folder and a real cancellation."""

from __future__ import annotations

from pathlib import Path

import pytest

from osiris.testing import RecordingStepContext


@pytest.fixture
def ctx(tmp_path: Path) -> RecordingStepContext:
    return RecordingStepContext(tmp_path)
