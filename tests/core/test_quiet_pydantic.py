"""Checking options reads no metadata of distributions for pydantic's own plugins."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from osiris.core.plugins.quiet_pydantic import without_pydantic_plugins

SWITCH = "PYDANTIC_DISABLE_PLUGINS"


@pytest.mark.parametrize("before", [None, "logfire"])
def test_the_environment_is_as_before(monkeypatch, before):
    monkeypatch.delenv(SWITCH, raising=False) if before is None else monkeypatch.setenv(SWITCH, before)
    with without_pydantic_plugins():
        assert os.environ[SWITCH] == "__all__"
    assert os.environ.get(SWITCH) == before


def test_planning_does_not_look_for_them_and_others_still_can():
    code = """
from osiris.core.planning import make_plan
from pydantic import BaseModel
from pydantic.plugin import _loader
steps = [{"id": "read", "driver": "filesystem.csv_extractor", "config": {"path": "rows.csv"}}]
assert make_plan({"version": "1.0.0", "name": "p", "steps": steps}).steps[0].id == "read"
assert _loader._plugins is None
class Own(BaseModel):
    number: int
assert _loader._plugins is not None
"""
    subprocess.run([sys.executable, "-c", code], check=True)
